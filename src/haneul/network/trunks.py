"""Trunks: a port of a server that carries other ports, each behind a VLAN tag.

Subports go where their parent goes: bound to its host with it, and unbound with it. A trunk is ACTIVE once the host of
its parent has applied what was last asked of it, and DOWN while its parent has no host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import or_, select
from sqlalchemy import update as update_table

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.network import access, carrying, changes, ports, quota
from haneul.network.errors import InvalidInput, PortInUse, PortNotFound
from haneul.network.errors_qos import (
    DuplicateSubPort,
    ParentPortInUse,
    PortInUseAsSubPort,
    PortInUseAsTrunkParent,
    SubPortMtuGreaterThanTrunkPortMtu,
    SubPortNotFound,
    TrunkDisabled,
    TrunkInUse,
    TrunkNotFound,
    TrunkPortInUse,
)
from haneul.network.model import NetworkRow, PortRow
from haneul.network.model_qos import SubportRow, TrunkRow

OWNER = "trunk:subport"
VLANS = range(1, 4095)


class NewSubport(Struct, kw_only=True):
    """`segmentation_type` inherit takes the VLAN of the subport's own network."""

    port_id: str
    segmentation_type: str
    segmentation_id: int | None = None


def get(tx: Transaction, context: Context, id: str) -> TrunkRow:
    row = tx.execute(select(TrunkRow).where(TrunkRow.id == id, access.owned(TrunkRow, context))).scalar()
    if row is None:
        raise TrunkNotFound(id)
    return row


def create(
    tx: Transaction,
    context: Context,
    *,
    project_id: str,
    port_id: str,
    sub_ports: Sequence[NewSubport] = (),
    **values: Any,
) -> TrunkRow:
    """A port that is plugged into a server may become a trunk too."""
    quota.check(tx, project_id, trunk=1)
    parent = _own(tx, context, port_id)
    _check_free(tx, parent.id)
    row = TrunkRow(project_id=project_id, port_id=parent.id, **values)
    tx.add(row)
    tx.flush()
    _add(tx, context, row, parent, sub_ports)
    changes.of_port(tx, parent)
    return row


def update(tx: Transaction, row: TrunkRow, values: dict[str, Any]) -> TrunkRow:
    for key, value in values.items():
        setattr(row, key, value)
    row.touch()
    tx.flush()
    return row


def delete(tx: Transaction, row: TrunkRow) -> None:
    """Under a running server it stays: its guest has the cards of the subports."""
    _check_enabled(row)
    parent = tx.get_one(PortRow, row.port_id)
    if parent.host:
        raise TrunkInUse(row.id)
    _release(tx, carrying.carried(tx, [row.port_id]))
    tx.delete(row)
    tx.flush()


def add_subports(tx: Transaction, context: Context, row: TrunkRow, wanted: Sequence[NewSubport]) -> TrunkRow:
    _check_enabled(row)
    parent = tx.get_one(PortRow, row.port_id)
    _add(tx, context, row, parent, wanted)
    row.status = "DOWN"
    row.touch()
    tx.flush()
    changes.of_port(tx, parent)
    return row


def remove_subports(tx: Transaction, row: TrunkRow, port_ids: Sequence[str]) -> TrunkRow:
    _check_enabled(row)
    present = set(carrying.carried(tx, [row.port_id]))
    for id in port_ids:
        if id not in present:
            raise SubPortNotFound(row.id, id)
    _release(tx, port_ids)
    row.status = "DOWN"
    row.touch()
    tx.flush()
    changes.of_port(tx, tx.get_one(PortRow, row.port_id))
    return row


def _own(tx: Transaction, context: Context, port_id: str) -> PortRow:
    """A port that the caller may change. Who owns a network sees the ports of others on it, and could take them over."""
    port = ports.get(tx, context, port_id)
    if not access.sees_all(context) and port.project_id != context.project_id:
        raise PortNotFound(port_id)
    return port


def _check_enabled(row: TrunkRow) -> None:
    if not row.admin_state_up:
        raise TrunkDisabled(row.id)


def _check_free(tx: Transaction, port_id: str) -> None:
    tx.lock("trunk-port", port_id)
    if tx.get(SubportRow, port_id) is not None:
        raise TrunkPortInUse(port_id)
    if tx.execute(select(TrunkRow.id).where(TrunkRow.port_id == port_id)).first():
        raise ParentPortInUse(port_id)


def _add(tx: Transaction, context: Context, row: TrunkRow, parent: PortRow, wanted: Sequence[NewSubport]) -> None:
    most = tx.get_one(NetworkRow, parent.network_id).mtu
    taken = {(kind, number) for _, _, kind, number, _ in carrying.read(tx, [row.id])}
    fresh = []
    for new in wanted:
        if new.port_id == parent.id:
            raise ParentPortInUse(new.port_id)
        port = _own(tx, context, new.port_id)
        network = tx.get_one(NetworkRow, port.network_id)
        if network.mtu > most:
            raise SubPortMtuGreaterThanTrunkPortMtu(port.id, network.mtu, row.id, most)
        number = _number(new, network)
        _check_free(tx, port.id)
        if port.device_id:
            raise PortInUse(port.id, port.network_id, port.device_id)
        if ("vlan", number) in taken:
            raise DuplicateSubPort("vlan", number, row.id)
        taken.add(("vlan", number))
        tx.add(SubportRow(port_id=port.id, trunk_id=row.id, segmentation_type="vlan", segmentation_id=number))
        port.device_id, port.device_owner = row.id, OWNER
        port.touch()
        fresh.append(port)
    tx.flush()
    _place(tx, fresh, parent.host)


def _number(new: NewSubport, network: NetworkRow) -> int:
    number = new.segmentation_id
    if new.segmentation_type == "inherit":
        if network.type != "vlan" or network.segmentation_id is None:
            raise InvalidInput(
                f"Segmentation type '{new.segmentation_type}' of subport {new.port_id} needs a network of type vlan"
            )
        return network.segmentation_id
    if new.segmentation_type != "vlan":
        raise InvalidInput(f"Unknown segmentation_type '{new.segmentation_type}'")
    if number is None:
        raise InvalidInput(
            "Invalid subport details: missing segmentation information. Must specify both segmentation_id and "
            "segmentation_type"
        )
    if number not in VLANS:
        raise InvalidInput(f"Segmentation ID '{number}' is not in range")
    return number


def _release(tx: Transaction, port_ids: Sequence[str]) -> None:
    """Subports are ordinary ports again."""
    for id in port_ids:
        tx.delete(tx.get_one(SubportRow, id))
    tx.flush()
    ports.unbind(tx, port_ids)


# ---------------------------------------------------------------- subports go with their parents


def follow(tx: Transaction, parents: Sequence[PortRow]) -> None:
    """These ports were bound or unbound."""
    ids = [row.id for row in parents]
    if not ids or not (trunks := carrying.trunks(tx, ids)):
        return
    tx.execute(update_table(TrunkRow).where(TrunkRow.id.in_(trunks.values())).values(status="DOWN"))
    for parent in parents:
        if parent.id in trunks:
            subs = carrying.carried(tx, [parent.id])
            rows = list(tx.execute(select(PortRow).where(PortRow.id.in_(subs))).scalars()) if subs else []
            _place(tx, rows, parent.host)


def _place(tx: Transaction, subs: Sequence[PortRow], host: str) -> None:
    """Subports are DOWN until their host has them: nobody plugs them in one by one."""
    ports.place(tx, [row for row in subs if row.host != host], host)


def may_go(tx: Transaction, row: PortRow, *, direct: bool) -> bool:
    """A port of a trunk is not deleted before it has left it: refused, or where a server ends that the port was made
    for, kept without the server."""
    found = tx.execute(
        select(TrunkRow.id, TrunkRow.port_id)
        .outerjoin(SubportRow, SubportRow.trunk_id == TrunkRow.id)
        .where(or_(TrunkRow.port_id == row.id, SubportRow.port_id == row.id))
        .limit(1)
    ).first()
    if found is None:
        return True
    if direct:
        raise (PortInUseAsTrunkParent if found[1] == row.id else PortInUseAsSubPort)(row.id, found[0])
    ports.unbind(tx, [row.id])
    return False
