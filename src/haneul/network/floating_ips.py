"""Floating IPs: addresses of an external network that a router translates to a port's."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType
from sqlalchemy import select

from haneul.kernel import context as contexts
from haneul.kernel import ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict
from haneul.network import access, changes, networks, ports, qos, quota
from haneul.network.addresses import Wish
from haneul.network.errors import (
    ExternalGatewayForFloatingIPNotFound,
    ExternalIpAddressExhausted,
    FloatingIPNotFound,
    FloatingIPPortAlreadyAssociated,
    IpAddressGenerationFailure,
    RouterNotFound,
)
from haneul.network.model import AllocationRow, FloatingIpRow, PortRow, RouterRow, SubnetRow


def get(tx: Transaction, context: Context, id: str) -> FloatingIpRow:
    row = tx.execute(select(FloatingIpRow).where(FloatingIpRow.id == id, access.owned(FloatingIpRow, context))).scalar()
    if row is None:
        raise FloatingIPNotFound(id)
    return row


def of_project(tx: Transaction, context: Context, *, address: str | None = None) -> list[FloatingIpRow]:
    """The floating IPs of the caller's project, or the one of an address."""
    query = select(FloatingIpRow).where(FloatingIpRow.project_id == context.project_id)
    if address is not None:
        query = query.where(FloatingIpRow.floating_ip_address == address)
    return list(tx.execute(query.order_by(FloatingIpRow.created_at, FloatingIpRow.id)).scalars())


def devices(tx: Transaction, rows: list[FloatingIpRow]) -> dict[str, str]:
    """Which device each is on, by the floating IP's id; those on none are left out."""
    wanted = [row.id for row in rows if row.port_id]
    return (
        {
            id: device
            for id, device in tx.execute(
                select(FloatingIpRow.id, PortRow.device_id)
                .join(PortRow, PortRow.id == FloatingIpRow.port_id)
                .where(FloatingIpRow.id.in_(wanted))
            )
        }
        if wanted
        else {}
    )


def create(
    tx: Transaction,
    context: Context,
    *,
    project_id: str,
    floating_network_id: str,
    floating_ip_address: str | None = None,
    subnet_id: str | None = None,
    port_id: str | None = None,
    fixed_ip_address: str | None = None,
    router_id: str | None = None,
    **values: Any,
) -> FloatingIpRow:
    network = networks.get(tx, context, floating_network_id)
    if not network.external:
        raise BadRequest(
            f"Bad floatingip request: Network {network.id} is not a valid external network.", type="BadRequest"
        )
    quota.check(tx, project_id, floatingip=1)
    qos.change(tx, context, None, values.get("qos_policy_id"))
    id = ids.new()
    wish = (
        [Wish(subnet_id, floating_ip_address)]
        if subnet_id or floating_ip_address
        else [Wish(subnet.id) for subnet in _subnets_v4(tx, network.id)[:1]]
    )
    if not wish:
        raise BadRequest(
            f"Bad floatingip request: Network {network.id} does not contain any IPv4 subnet.", type="BadRequest"
        )
    port = _port(tx, network.id, id, wish, subnet_id or floating_ip_address)
    row = FloatingIpRow(
        id=id,
        project_id=project_id,
        floating_network_id=network.id,
        floating_port_id=port.id,
        floating_ip_address=port.allocations[0].ip_address,
        **values,
    )
    tx.add(row)
    tx.flush()
    if port_id is not None:
        associate(tx, context, row, port_id, fixed_ip_address, router_id)
    elif fixed_ip_address is not None or router_id is not None:
        raise _without_port(fixed_ip_address, router_id)
    return row


def _without_port(fixed_ip: str | None, router: str | None) -> BadRequest:
    what = f"fixed_ip_address {fixed_ip}" if fixed_ip is not None else f"router_id {router}"
    return BadRequest(f"Bad floatingip request: {what} cannot be specified without a port_id.", type="BadRequest")


def _subnets_v4(tx: Transaction, network_id: str) -> list[SubnetRow]:
    return list(
        tx.execute(
            select(SubnetRow)
            .where(SubnetRow.network_id == network_id, SubnetRow.ip_version == 4)
            .order_by(SubnetRow.created_at, SubnetRow.id)
        ).scalars()
    )


def _port(tx: Transaction, network_id: str, id: str, wish: list[Wish], asked: str | None) -> PortRow:
    """The address's own port. It belongs to nobody, so that no project can touch it."""
    choices = [wish] if asked else [[Wish(subnet.id)] for subnet in _subnets_v4(tx, network_id)]
    for position, choice in enumerate(choices):
        try:
            return ports.create_many(
                tx,
                contexts.system(),
                [
                    ports.NewPort(
                        network_id=network_id,
                        project_id="",
                        device_owner="network:floatingip",
                        device_id=id,
                        fixed_ips=choice,
                        security_groups=[],
                    )
                ],
            )[0]
        except IpAddressGenerationFailure:
            if position == len(choices) - 1:
                raise ExternalIpAddressExhausted(network_id) from None
    raise ExternalIpAddressExhausted(network_id)


def update(
    tx: Transaction,
    context: Context,
    row: FloatingIpRow,
    *,
    port_id: str | None | UnsetType = UNSET,
    fixed_ip_address: str | None | UnsetType = UNSET,
    router_id: str | None = None,
    **values: Any,
) -> FloatingIpRow:
    """`port_id` None takes it off its port; a fixed address or a router without a port mean the port that it has."""
    if "qos_policy_id" in values:
        qos.change(tx, context, row.qos_policy_id, values["qos_policy_id"])
    fixed = fixed_ip_address if isinstance(fixed_ip_address, str) else None
    if not isinstance(port_id, str) and (fixed is not None or router_id is not None):
        if port_id is None or row.port_id is None:
            raise _without_port(fixed, router_id)
        port_id, fixed = row.port_id, fixed or row.fixed_ip_address
    if isinstance(port_id, str):
        associate(tx, context, row, port_id, fixed, router_id)
    elif port_id is None and row.port_id is not None:  # one with forwardings has a router and no port
        disassociate(tx, row)
    if "qos_policy_id" in values and row.router_id:
        changes.of_routers(tx, [row.router_id])
    for key, value in values.items():
        setattr(row, key, value)
    row.touch()
    tx.flush()
    return row


def associate(
    tx: Transaction,
    context: Context,
    row: FloatingIpRow,
    port_id: str,
    fixed_ip: str | None,
    router_id: str | None = None,
) -> None:
    """Through the router named, which need not be the subnet's own, else through one that joins the address's subnet."""
    from haneul.network import port_forwardings

    port_forwardings.check_unused(tx, row)
    port = ports.get(tx, context, port_id)
    check_project(context, row, port)
    address = _fixed(port, fixed_ip)
    if (row.port_id, row.fixed_ip_address) == (port.id, address.ip_address) and router_id in (None, row.router_id):
        return
    taken = tx.execute(
        select(FloatingIpRow.id).where(
            FloatingIpRow.port_id == port.id,
            FloatingIpRow.fixed_ip_address == address.ip_address,
            FloatingIpRow.id != row.id,
        )
    ).first()
    if taken:
        raise FloatingIPPortAlreadyAssociated(
            row.floating_ip_address, row.id, port.id, address.ip_address, row.floating_network_id
        )
    router = (
        _named_router(tx, context, router_id, row.floating_network_id)
        if router_id
        else router_for(tx, address, row.floating_network_id)
    )
    if router is None:
        raise ExternalGatewayForFloatingIPNotFound(address.subnet_id, row.floating_network_id, port.id)
    before = row.router_id
    row.port_id, row.fixed_ip_address, row.router_id, row.status = port.id, address.ip_address, router, "DOWN"
    tx.flush()
    changes.of_routers(tx, {id for id in (before, router) if id})


def check_project(context: Context, row: FloatingIpRow, port: PortRow) -> None:
    """Who owns a network sees ports of others on it, which are not theirs to open to the outside."""
    if port.project_id != row.project_id and not context.is_admin:
        raise BadRequest(
            f"Bad floatingip request: Port {port.id} is associated with a different project than Floating IP {row.id} and "
            "therefore cannot be bound.",
            type="BadRequest",
        )


def _fixed(port: PortRow, fixed_ip: str | None) -> AllocationRow:
    v4 = [entry for entry in port.allocations if "." in entry.ip_address]
    if fixed_ip is not None:
        for entry in v4:
            if entry.ip_address == fixed_ip:
                return entry
        raise BadRequest(
            f"Bad floatingip request: Port {port.id} does not have fixed ip {fixed_ip}.", type="BadRequest"
        )
    if not v4:
        raise BadRequest(
            f"Bad floatingip request: Cannot add floating IP to port {port.id} that has no fixed IPv4 addresses.",
            type="BadRequest",
        )
    if len(v4) > 1:
        raise BadRequest(
            f"Bad floatingip request: Port {port.id} has multiple fixed IPv4 addresses.  Must provide a specific "
            "IPv4 address when assigning a floating IP.",
            type="BadRequest",
        )
    return v4[0]


def _named_router(tx: Transaction, context: Context, id: str, network_id: str) -> str:
    row = tx.execute(select(RouterRow).where(RouterRow.id == id, access.owned(RouterRow, context))).scalar()
    if row is None:
        raise RouterNotFound(id)
    if row.gateway_network_id != network_id:
        raise Conflict(
            f"Router {id} has no external gateway on network {network_id}, hence cannot host its floating IPs.",
            type="RouterExternalGatewayNotOnFloatingNetwork",
        )
    return id


def router_for(tx: Transaction, address: AllocationRow, network_id: str, only: str | None = None) -> str | None:
    """The router that leads from the fixed address's subnet to the external network, the subnet's gateway first; `only`: that
    one or none."""
    subnet = tx.get_one(SubnetRow, address.subnet_id)
    rows = tx.execute(
        select(RouterRow.id, AllocationRow.ip_address)
        .join(PortRow, PortRow.device_id == RouterRow.id)
        .join(AllocationRow, AllocationRow.port_id == PortRow.id)
        .where(
            PortRow.device_owner == "network:router_interface",
            AllocationRow.subnet_id == address.subnet_id,
            RouterRow.gateway_network_id == network_id,
        )
    ).all()
    if only is not None:
        return only if only in [router for router, _ in rows] else None
    for router, ip in rows:
        if ip == subnet.gateway_ip:
            return router
    return rows[0][0] if rows else None


def disassociate(tx: Transaction, row: FloatingIpRow) -> None:
    before = row.router_id
    row.port_id = row.fixed_ip_address = row.router_id = None
    row.status = "DOWN"
    tx.flush()
    if before:
        changes.of_routers(tx, [before])


def release(tx: Transaction, port_id: str, fixed_ips: list[str] | None = None) -> None:
    """A port, or some of its addresses, goes away: what floated to it floats free, and forwardings to it end."""
    from haneul.network import port_forwardings

    port_forwardings.release(tx, port_id, fixed_ips)
    for row in tx.execute(select(FloatingIpRow).where(FloatingIpRow.port_id == port_id)).scalars().all():
        if fixed_ips is None or row.fixed_ip_address in fixed_ips:
            disassociate(tx, row)
            row.touch()
    tx.flush()


def delete(tx: Transaction, row: FloatingIpRow) -> None:
    from haneul.network import port_forwardings

    port_forwardings.check_unused(tx, row)
    router, port = row.router_id, row.floating_port_id
    tx.delete(row)
    tx.flush()
    found = tx.get(PortRow, port)
    if found is not None:
        tx.delete(found)
        tx.flush()
    if router:
        changes.of_routers(tx, [router])
