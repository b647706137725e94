"""Port forwarding: single ports of a floating IP that lead to ports of fixed addresses, each its own.

A floating IP either is an address's, or has forwardings; then it has a router, and no port.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete as delete_from
from sqlalchemy import func, or_, select

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.network import changes, floating_ips, ports
from haneul.network.errors import FloatingIPPortAlreadyAssociated
from haneul.network.errors_services import (
    BadForwarding,
    FipInUseByPortForwarding,
    PortForwardingNotFound,
    PortHasBindingFloatingIP,
)
from haneul.network.model import AllocationRow, FloatingIpRow, PortRow
from haneul.network.model_services import PortForwardingRow

Range = tuple[int, int]
MOST = 128  # of one floating IP, when a range leads to ports with other numbers: each is an entry of its own on the host


def get(tx: Transaction, floating: FloatingIpRow, id: str) -> PortForwardingRow:
    row = tx.execute(
        select(PortForwardingRow).where(PortForwardingRow.id == id, PortForwardingRow.floatingip_id == floating.id)
    ).scalar()
    if row is None:
        raise PortForwardingNotFound(id)
    return row


def of(tx: Transaction, floating_ids: list[str]) -> dict[str, list[PortForwardingRow]]:
    found: dict[str, list[PortForwardingRow]] = {id: [] for id in floating_ids}
    if floating_ids:
        for row in tx.execute(
            select(PortForwardingRow)
            .where(PortForwardingRow.floatingip_id.in_(floating_ids))
            .order_by(PortForwardingRow.created_at, PortForwardingRow.id)
        ).scalars():
            found[row.floatingip_id].append(row)
    return found


def create(
    tx: Transaction,
    context: Context,
    floating: FloatingIpRow,
    *,
    port_id: str,
    fixed_ip: str | None,
    protocol: str,
    external: Range,
    internal: Range,
    description: str,
) -> PortForwardingRow:
    tx.lock("floatingip", floating.id)
    if floating.port_id is not None:
        raise FloatingIPPortAlreadyAssociated(
            floating.floating_ip_address, floating.id, port_id, str(fixed_ip), floating.floating_network_id
        )
    address = _reachable(tx, context, floating, port_id, fixed_ip)
    row = PortForwardingRow(
        floatingip_id=floating.id,
        internal_port_id=address.port_id,
        internal_ip_address=address.ip_address,
        protocol=protocol,
        description=description,
    )
    _number(row, external, internal)
    _check_free(tx, row)
    tx.add(row)
    tx.flush()
    assert floating.router_id is not None
    changes.of_routers(tx, [floating.router_id])
    return row


def update(
    tx: Transaction,
    context: Context,
    floating: FloatingIpRow,
    row: PortForwardingRow,
    *,
    port_id: str | None,
    fixed_ip: str | None,
    external: Range | None,
    internal: Range | None,
    **values: Any,
) -> PortForwardingRow:
    """What is None stays; another port without an address of it is forwarded to by its first."""
    tx.lock("floatingip", floating.id)
    with tx.no_autoflush:
        if (port_id or row.internal_port_id, fixed_ip or row.internal_ip_address) != (
            row.internal_port_id,
            row.internal_ip_address,
        ):
            moved = port_id is not None and port_id != row.internal_port_id
            asked = fixed_ip if fixed_ip or moved else row.internal_ip_address
            address = _reachable(tx, context, floating, port_id or row.internal_port_id, asked)
            row.internal_port_id, row.internal_ip_address = address.port_id, address.ip_address
        for key, value in values.items():
            setattr(row, key, value)
        _number(
            row,
            external or (row.external_first, row.external_last),
            internal or (row.internal_first, row.internal_last),
        )
        _check_free(tx, row)
    tx.flush()
    assert floating.router_id is not None
    changes.of_routers(tx, [floating.router_id])
    return row


def delete(tx: Transaction, row: PortForwardingRow) -> None:
    _drop(tx, [row])


def release(tx: Transaction, port_id: str, fixed_ips: list[str] | None = None) -> None:
    """A port, or some of its addresses, goes away: forwardings to it end."""
    rows = tx.execute(select(PortForwardingRow).where(PortForwardingRow.internal_port_id == port_id)).scalars().all()
    _drop(tx, [row for row in rows if fixed_ips is None or row.internal_ip_address in fixed_ips])


def check_unused(tx: Transaction, floating: FloatingIpRow) -> None:
    """A floating IP with forwardings neither goes nor becomes an address's."""
    used = select(PortForwardingRow.id).where(PortForwardingRow.floatingip_id == floating.id).limit(1)
    if tx.execute(used).first():
        raise FipInUseByPortForwarding(floating.id)


def addresses(tx: Transaction, router_id: str, subnet_id: str) -> list[str]:
    """Fixed addresses of a subnet that forwardings of a router lead to."""
    fixed = select(AllocationRow.ip_address).where(
        AllocationRow.subnet_id == subnet_id,
        AllocationRow.port_id == PortForwardingRow.internal_port_id,
        AllocationRow.ip_address == PortForwardingRow.internal_ip_address,
    )
    return list(
        tx.execute(
            select(PortForwardingRow.internal_ip_address)
            .join(FloatingIpRow, FloatingIpRow.id == PortForwardingRow.floatingip_id)
            .where(FloatingIpRow.router_id == router_id, fixed.exists())
        ).scalars()
    )


def _drop(tx: Transaction, rows: list[PortForwardingRow]) -> None:
    """The last one of a floating IP takes it off its router."""
    if not rows:
        return
    floating_ids = sorted({row.floatingip_id for row in rows})
    tx.execute(delete_from(PortForwardingRow).where(PortForwardingRow.id.in_([row.id for row in rows])))
    routers: set[str] = set()
    for floating in tx.execute(select(FloatingIpRow).where(FloatingIpRow.id.in_(floating_ids))).scalars().all():
        left = tx.execute(
            select(func.count()).select_from(PortForwardingRow).where(PortForwardingRow.floatingip_id == floating.id)
        ).scalar_one()
        routers |= {floating.router_id} if floating.router_id else set()
        if not left:
            floating.router_id, floating.status = None, "DOWN"
            floating.touch()
    tx.flush()
    changes.of_routers(tx, routers)


def _reachable(
    tx: Transaction, context: Context, floating: FloatingIpRow, port_id: str, fixed_ip: str | None
) -> AllocationRow:
    """The address meant, which the floating IP's router must lead to; a floating IP without one gets it here."""
    port = ports.get(tx, context, port_id)
    floating_ips.check_project(context, floating, port)
    address = _address(port, fixed_ip)
    taken = select(FloatingIpRow.id).where(
        FloatingIpRow.port_id == port.id, FloatingIpRow.fixed_ip_address == address.ip_address
    )
    if tx.execute(taken).first():
        raise PortHasBindingFloatingIP(floating.floating_ip_address, floating.id, port.id, address.ip_address)
    router = floating_ips.router_for(tx, address, floating.floating_network_id, floating.router_id)
    if router is None and floating.router_id is not None:
        raise BadForwarding(
            f"The Floating IP {floating.id} had been set on router {floating.router_id}, the internal Neutron port "
            f"{port.id} can not reach it"
        )
    if router is None:
        raise BadForwarding(
            f"External network {floating.floating_network_id} is not reachable from subnet {address.subnet_id}. Cannot "
            f"set Port forwarding for port {port.id} with Floating IP {floating.id}"
        )
    if floating.router_id is None:
        floating.router_id, floating.status = router, "DOWN"
        floating.touch()
        tx.flush()
    return address


def _address(port: PortRow, fixed_ip: str | None) -> AllocationRow:
    v4 = [entry for entry in port.allocations if "." in entry.ip_address]
    if not v4:
        raise BadForwarding(f"Requested internal port {port.id} must allocate an IPv4 address at least")
    if fixed_ip is None:
        return v4[0]
    for entry in v4:
        if entry.ip_address == fixed_ip:
            return entry
    raise BadForwarding(
        f"Requested internal IP address {fixed_ip} is not suitable for internal neutron port {port.id}, as its "
        f"fixed_ips are {[{'subnet_id': entry.subnet_id, 'ip_address': entry.ip_address} for entry in v4]}"
    )


def _number(row: PortForwardingRow, external: Range, internal: Range) -> None:
    """Ranges of one size, or one internal port for all."""
    if internal[0] != internal[1] and internal[1] - internal[0] != external[1] - external[0]:
        raise BadForwarding(
            f"The port ranges 'external: {external[0]}:{external[1]}, internal: {internal[0]}:{internal[1]}' are of "
            "different sizes"
        )
    if internal[0] not in (internal[1], external[0]) and external[1] - external[0] >= MOST:
        raise BadForwarding(f"A range that changes its numbers has at most {MOST} ports")
    row.external_first, row.external_last = external
    row.internal_first, row.internal_last = internal


def _check_free(tx: Transaction, row: PortForwardingRow) -> None:
    """No port of the floating IP leads to two places, and no internal one is reached by two ways."""
    external = (
        PortForwardingRow.floatingip_id == row.floatingip_id,
        PortForwardingRow.external_first <= row.external_last,
        PortForwardingRow.external_last >= row.external_first,
    )
    internal = (
        PortForwardingRow.internal_port_id == row.internal_port_id,
        PortForwardingRow.internal_ip_address == row.internal_ip_address,
        PortForwardingRow.internal_first <= row.internal_last,
        PortForwardingRow.internal_last >= row.internal_first,
    )
    same = PortForwardingRow.protocol == row.protocol
    for condition, what in (
        (external, {"floatingip_id": row.floatingip_id, "external_port": row.external_first}),
        (
            internal,
            {
                "internal_port_id": row.internal_port_id,
                "internal_ip_address": row.internal_ip_address,
                "internal_port": row.internal_first,
            },
        ),
    ):
        query = select(PortForwardingRow.id).where(same, *condition)
        if row.id is not None:
            query = query.where(or_(PortForwardingRow.id != row.id))
        if tx.execute(query.limit(1)).first():
            raise BadForwarding(
                "A duplicate port forwarding entry with same attributes already exists, conflicting values are "
                f"{ {**what, 'protocol': row.protocol} }"
            )
