"""Trunks as hosts and views read them: which ports carry which others, behind which tags."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, or_, select
from sqlalchemy import update as update_table

from haneul.host.contract import Tagged
from haneul.kernel.database import Transaction
from haneul.network.model import PortRow
from haneul.network.model_qos import SubportRow, TrunkRow

_port: Any = PortRow.__table__
_trunk: Any = TrunkRow.__table__
_subport: Any = SubportRow.__table__
_IDS: Any = bindparam("ids", expanding=True)
_TRUNKS = select(_trunk.c.port_id, _trunk.c.id).where(_trunk.c.port_id.in_(_IDS))
_SUBPORTS = (
    select(
        _subport.c.trunk_id,
        _subport.c.port_id,
        _subport.c.segmentation_type,
        _subport.c.segmentation_id,
        _port.c.mac_address,
    )
    .join(_port, _port.c.id == _subport.c.port_id)
    .where(_subport.c.trunk_id.in_(_IDS))
    .order_by(_subport.c.segmentation_id, _subport.c.port_id)
)
_CARRIED = select(_subport.c.port_id).join(_trunk, _trunk.c.id == _subport.c.trunk_id).where(_trunk.c.port_id.in_(_IDS))
_TAGS = (
    select(_subport.c.port_id, _trunk.c.port_id, _subport.c.segmentation_id)
    .join(_trunk, _trunk.c.id == _subport.c.trunk_id)
    .where(or_(_subport.c.port_id.in_(_IDS), _trunk.c.port_id.in_(_IDS)))
)


def trunks(tx: Transaction, port_ids: Iterable[str]) -> dict[str, str]:
    """The trunks of those ports that are parents."""
    return {port: trunk for port, trunk in tx.core(_TRUNKS, ids=list(port_ids))}


def read(tx: Transaction, trunk_ids: Iterable[str]) -> list[Any]:
    """(trunk, port, segmentation type and number, MAC) of every subport."""
    return list(tx.core(_SUBPORTS, ids=list(trunk_ids)))


def carried(tx: Transaction, port_ids: Iterable[str]) -> list[str]:
    """The subports of those ports that are parents."""
    return list(tx.core(_CARRIED, ids=list(port_ids)).scalars())


def plugged(tx: Transaction, port_ids: Iterable[str]) -> None:
    """The ports are in place on their hosts, and what they carry with them."""
    ids = list(port_ids)
    if not ids or not (mine := trunks(tx, ids)):
        return
    tx.execute(
        update_table(TrunkRow)
        .where(
            TrunkRow.id.in_(mine.values()),
            TrunkRow.status != "ACTIVE",
            TrunkRow.port_id.in_(select(PortRow.id).where(PortRow.host != "")),
        )
        .values(status="ACTIVE")
        .execution_options(synchronize_session=False)
    )
    tx.execute(
        update_table(PortRow)
        .where(
            PortRow.id.in_(carried(tx, mine)), PortRow.admin_state_up, PortRow.host != "", PortRow.status != "ACTIVE"
        )
        .values(status="ACTIVE")
        .execution_options(synchronize_session=False)
    )


def tags(tx: Transaction, port_ids: Iterable[str]) -> dict[str, Tagged]:
    """Behind which port and with which tag: those of the ports that are subports, and the subports of those that are
    parents."""
    return {id: Tagged(parent=parent, vlan=number) for id, parent, number in tx.core(_TAGS, ids=list(port_ids))}


def details(tx: Transaction, port_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """trunk_details of those ports that are parents."""
    mine = trunks(tx, port_ids)
    if not mine:
        return {}
    subs = defaultdict(list)
    for trunk, port, kind, number, mac in read(tx, mine.values()):
        subs[trunk].append({"segmentation_id": number, "segmentation_type": kind, "port_id": port, "mac_address": mac})
    return {port: {"trunk_id": trunk, "sub_ports": subs[trunk]} for port, trunk in mine.items()}


def subports(tx: Transaction, trunk_ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for trunk, port, kind, number, _ in read(tx, trunk_ids):
        found[trunk].append({"port_id": port, "segmentation_type": kind, "segmentation_id": number})
    return found
