"""What hosts have to look at again: written in the transaction of the change, carried out by the task `network.wire`.

A change is a row (host, object). One task a host takes all rows there are at once, so that a hundred changes cost a
few calls; a host that has a task waiting gets no second one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import and_, bindparam, insert, or_, select, union

from haneul.fleet.model import HostRow
from haneul.kernel.database import Transaction
from haneul.network.model import AllocationRow, ChangeRow, MembershipRow, PortRow, RouterRow, SecurityRuleRow
from haneul.network.tasks import wire

Notes = Iterable[tuple[str, str, str]]

_port: Any = PortRow.__table__
_router: Any = RouterRow.__table__
_IDS: Any = bindparam("ids", expanding=True)
_PLACES = union(
    select(_port.c.network_id, _port.c.host).where(_port.c.network_id.in_(_IDS), _port.c.host != ""),
    select(_port.c.network_id, _router.c.host)
    .join(_router, _router.c.id == _port.c.device_id)
    .where(
        _port.c.network_id.in_(_IDS), _port.c.device_owner.startswith("network:router"), _router.c.host.is_not(None)
    ),
)


def note(tx: Transaction, notes: Notes) -> None:
    """(host, kind, object id), kind being networks, security_groups, ports or routers."""
    wanted = sorted({entry for entry in notes if entry[0]})
    if not wanted:
        return
    tx.flush()
    hosts = sorted({host for host, _, _ in wanted})
    for host in hosts:
        tx.lock("fabric", host)
    tx.execute(insert(ChangeRow), [{"host": host, "kind": kind, "object_id": id} for host, kind, id in wanted])
    for host in hosts:
        wire.submit(tx, host)


def hosts_of_networks(tx: Transaction, network_ids: Iterable[str]) -> set[tuple[str, str]]:
    """(network, host) for every host that has a port or a router on it."""
    ids = list(network_ids)
    if not ids:
        return set()
    tx.flush()
    return {(network, host) for network, host in tx.core(_PLACES, ids=ids)}


def of_networks(tx: Transaction, network_ids: Iterable[str]) -> None:
    note(tx, [(host, "networks", network) for network, host in hosts_of_networks(tx, network_ids)])


def of_groups(tx: Transaction, group_ids: Iterable[str], *, besides: str = "") -> None:
    """Rules or members of groups changed: every host that has a port in them, or in a group that names them as remote."""
    ids = list(group_ids)
    if not ids:
        return
    rows = tx.execute(
        select(PortRow.host, MembershipRow.security_group_id)
        .distinct()
        .join(MembershipRow, MembershipRow.port_id == PortRow.id)
        .where(
            PortRow.host != "",
            PortRow.host != besides,
            or_(
                MembershipRow.security_group_id.in_(ids),
                MembershipRow.security_group_id.in_(
                    select(SecurityRuleRow.security_group_id).where(SecurityRuleRow.remote_group_id.in_(ids))
                ),
            ),
        )
    )
    note(tx, [(host, "security_groups", group) for host, group in rows])


def of_members(tx: Transaction, group_ids: Iterable[str], *, besides: str = "") -> None:
    """Addresses came to or went from groups: only hosts with rules that name these as remote care."""
    ids = list(group_ids)
    if not ids:
        return
    rows = tx.execute(
        select(PortRow.host, MembershipRow.security_group_id)
        .distinct()
        .join(MembershipRow, MembershipRow.port_id == PortRow.id)
        .join(SecurityRuleRow, SecurityRuleRow.security_group_id == MembershipRow.security_group_id)
        .where(PortRow.host != "", PortRow.host != besides, SecurityRuleRow.remote_group_id.in_(ids))
    )
    note(tx, [(host, "security_groups", group) for host, group in rows])


def of_port(tx: Transaction, port: PortRow) -> None:
    """A bound port's own attributes changed."""
    if port.host:
        note(tx, [(port.host, "ports", port.id)])


def of_routers(tx: Transaction, router_ids: Iterable[str]) -> None:
    ids = list(router_ids)
    if ids:
        note(
            tx,
            [
                (host or "", "routers", id)
                for host, id in tx.execute(
                    select(RouterRow.host, RouterRow.id).where(RouterRow.id.in_(ids), RouterRow.host.is_not(None))
                )
            ],
        )


def of_bindings(tx: Transaction, host: str, networks: set[str], groups: set[str]) -> None:
    """Ports came to `host`, which learns of them from whoever plugs them in: what other hosts must know of it."""
    several = tx.execute(select(HostRow.name).limit(2)).all()
    if len(several) < 2:
        return
    elsewhere = [(name, "networks", network) for network, name in hosts_of_networks(tx, networks) if name != host]
    if elsewhere:
        note(tx, elsewhere)
    of_members(tx, groups, besides=host)


def of_subnets(tx: Transaction, subnet_ids: Iterable[str]) -> None:
    """Routers with an interface on a subnet (a route or gateway next hop changed)."""
    rows = tx.execute(
        select(RouterRow.id)
        .distinct()
        .join(PortRow, PortRow.device_id == RouterRow.id)
        .join(AllocationRow, AllocationRow.port_id == PortRow.id)
        .where(and_(AllocationRow.subnet_id.in_(list(subnet_ids)), PortRow.device_owner.startswith("network:router")))
    )
    of_routers(tx, [id for (id,) in rows])
