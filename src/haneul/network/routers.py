"""Routers: interfaces, the external gateway, extra routes, and the host that each lives on."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import func, select

from haneul.fleet.model import HostRow
from haneul.kernel import context as contexts
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest
from haneul.network import access, changes, flavors, networks, ports, qos, quota, subnets
from haneul.network.addresses import Wish
from haneul.network.errors import (
    InvalidRoutes,
    PortInUse,
    RouterExternalGatewayInUseByFloatingIp,
    RouterInterfaceInUseByFloatingIP,
    RouterInterfaceInUseByRoute,
    RouterInterfaceNotFound,
    RouterInterfaceNotFoundForSubnet,
    RouterInUse,
    RouterNotFound,
)
from haneul.network.model import AllocationRow, FloatingIpRow, PortRow, RouterRow, SubnetRow
from haneul.network.model_services import L3_AGENT, AgentRow
from haneul.network.subnets import check_routes

_OFF = select(AgentRow.host).where(AgentRow.kind == L3_AGENT, ~AgentRow.admin_state_up)
INTERFACE, GATEWAY = "network:router_interface", "network:router_gateway"


class Gateway(Struct, kw_only=True):
    """external_gateway_info as asked for."""

    network_id: str
    enable_snat: bool | UnsetType = UNSET
    external_fixed_ips: list[Wish] | UnsetType = UNSET
    qos_policy_id: str | None | UnsetType = UNSET


def get(tx: Transaction, context: Context, id: str) -> RouterRow:
    row = tx.execute(select(RouterRow).where(RouterRow.id == id, access.owned(RouterRow, context))).scalar()
    if row is None:
        raise RouterNotFound(id)
    return row


def create(
    tx: Transaction, context: Context, *, project_id: str, gateway: Gateway | None = None, **values: Any
) -> RouterRow:
    quota.check(tx, project_id, router=1)
    if values.get("flavor_id"):
        flavors.for_router(tx, values["flavor_id"])
    row = RouterRow(project_id=project_id, **values)
    tx.add(row)
    tx.flush()
    if gateway is not None:
        set_gateway(tx, context, row, gateway)
    return row


def update(
    tx: Transaction,
    context: Context,
    row: RouterRow,
    values: dict[str, Any],
    gateway: Gateway | None | UnsetType = UNSET,
) -> RouterRow:
    if gateway is not UNSET:
        set_gateway(tx, context, row, gateway)
    if "routes" in values:
        values["routes"] = _checked_routes(tx, row, values["routes"] or [])
    for key, value in values.items():
        setattr(row, key, value)
    row.touch()
    tx.flush()
    changes.of_routers(tx, [row.id])
    return row


def delete(tx: Transaction, row: RouterRow) -> None:
    if tx.execute(
        select(PortRow.id).where(PortRow.device_id == row.id, PortRow.device_owner == INTERFACE).limit(1)
    ).first():
        raise RouterInUse(row.id, "still has ports")
    if tx.execute(select(FloatingIpRow.id).where(FloatingIpRow.router_id == row.id).limit(1)).first():
        raise RouterInUse(row.id, "still has floating IPs")
    host, network = row.host, row.gateway_network_id
    _drop_gateway_port(tx, row)
    tx.delete(row)
    tx.flush()
    if host:
        changes.note(tx, [(host, "routers", row.id), *([(host, "networks", network)] if network else [])])


# ---------------------------------------------------------------- the gateway


def set_gateway(tx: Transaction, context: Context, row: RouterRow, wanted: Gateway | None) -> None:
    """None takes it away. The address changes only when asked for another, or another network."""
    if wanted is None:
        _clear_gateway(tx, row)
        return
    network = networks.get(tx, context, wanted.network_id)
    if not network.external:
        raise BadRequest(f"Bad router request: Network {network.id} is not an external network.", type="BadRequest")
    if row.gateway_network_id not in (None, network.id):
        _clear_gateway(tx, row)
    if wanted.enable_snat is not UNSET:
        row.enable_snat = wanted.enable_snat
    elif row.gateway_network_id is None:
        row.enable_snat = True
    if wanted.qos_policy_id is not UNSET:
        row.gateway_qos_policy_id = qos.change(tx, context, row.gateway_qos_policy_id, wanted.qos_policy_id)
    wishes = None if wanted.external_fixed_ips is UNSET else wanted.external_fixed_ips
    if row.gateway_port_id is None:
        _check_overlap(tx, row, network.id)
        port = ports.create_many(
            tx,
            contexts.system(),
            [
                ports.NewPort(
                    network_id=network.id,
                    project_id="",
                    device_owner=GATEWAY,
                    device_id=row.id,
                    security_groups=[],
                    fixed_ips=UNSET if wishes is None else wishes,
                )
            ],
        )[0]
        row.gateway_port_id, row.gateway_network_id = port.id, network.id
    elif wishes is not None:
        ports.change_addresses(tx, tx.get_one(PortRow, row.gateway_port_id), wishes)
    tx.flush()
    place(tx, row)
    changes.of_routers(tx, [row.id])


def _clear_gateway(tx: Transaction, row: RouterRow) -> None:
    if row.gateway_network_id is None:
        return
    if tx.execute(select(FloatingIpRow.id).where(FloatingIpRow.router_id == row.id).limit(1)).first():
        raise RouterExternalGatewayInUseByFloatingIp(row.id, row.gateway_network_id)
    network = row.gateway_network_id
    _drop_gateway_port(tx, row)
    row.enable_snat = True
    tx.flush()
    if row.host:
        changes.note(tx, [(row.host, "routers", row.id), (row.host, "networks", network)])


def _drop_gateway_port(tx: Transaction, row: RouterRow) -> None:
    port = tx.get(PortRow, row.gateway_port_id) if row.gateway_port_id else None
    row.gateway_port_id = row.gateway_network_id = row.gateway_qos_policy_id = None
    tx.flush()
    if port is not None:
        tx.delete(port)
        tx.flush()


def _check_overlap(tx: Transaction, row: RouterRow, network_id: str) -> None:
    """What the router routes between must be distinct networks."""
    new = [cidr for (cidr,) in tx.execute(select(SubnetRow.cidr).where(SubnetRow.network_id == network_id))]
    for id, cidr in _connected(tx, row):
        for other in new:
            if _overlap(cidr, other):
                raise BadRequest(
                    f"Bad router request: Cidr {other} of subnet {id} overlaps with cidr {cidr} of subnet {id}.",
                    type="BadRequest",
                )


def _connected(tx: Transaction, row: RouterRow) -> list[tuple[str, str]]:
    return [
        (id, cidr)
        for id, cidr in tx.execute(
            select(SubnetRow.id, SubnetRow.cidr)
            .join(AllocationRow, AllocationRow.subnet_id == SubnetRow.id)
            .join(PortRow, PortRow.id == AllocationRow.port_id)
            .where(PortRow.device_id == row.id, PortRow.device_owner.startswith("network:router"))
        )
    ]


def _overlap(first: str, second: str) -> bool:
    one, two = ipaddress.ip_network(first), ipaddress.ip_network(second)
    return one.version == two.version and one.overlaps(two)  # type: ignore[arg-type]


# ---------------------------------------------------------------- interfaces


def add_interface(
    tx: Transaction, context: Context, row: RouterRow, *, subnet_id: str | None = None, port_id: str | None = None
) -> tuple[PortRow, list[str]]:
    """By subnet (the router takes its gateway address) or by port. Answers the port and its subnets."""
    if (subnet_id is None) == (port_id is None):
        raise BadRequest(
            "Bad router request: "
            + (
                "Cannot specify both subnet-id and port-id."
                if subnet_id
                else "Either subnet_id or port_id must be specified."
            ),
            type="BadRequest",
        )
    if port_id is not None:
        port = _take_port(tx, context, row, port_id)
    else:
        assert subnet_id is not None
        port = _take_subnet(tx, context, row, subnet_id)
    place(tx, row)
    tx.flush()
    row.touch()
    changes.of_routers(tx, [row.id])
    changes.of_networks(tx, [port.network_id])
    return port, [entry.subnet_id for entry in port.allocations]


def _take_subnet(tx: Transaction, context: Context, row: RouterRow, subnet_id: str) -> PortRow:
    subnet = subnets.get(tx, context, subnet_id)
    if subnet.gateway_ip is None:
        raise BadRequest("Bad router request: Subnet for router interface must have a gateway IP.", type="BadRequest")
    if subnet.ip_version == 6 and subnet.ipv6_ra_mode is None and subnet.ipv6_address_mode is not None:
        raise BadRequest(
            f"Bad router request: IPv6 subnet {subnet.id} configured to receive RAs from an external router cannot "
            "be added to OpenStack router.",
            type="BadRequest",
        )
    _check_new(tx, row, [subnet])
    if subnet.ip_version == 6:  # one interface carries all IPv6 subnets of a network
        port = _interface_on(tx, row, subnet.network_id)
        if port is not None:
            wishes = [Wish(entry.subnet_id, entry.ip_address) for entry in port.allocations]
            ports.change_addresses(tx, port, [*wishes, Wish(subnet.id, subnet.gateway_ip)])
            return port
    return ports.create_many(
        tx,
        contexts.system(),
        [
            ports.NewPort(
                network_id=subnet.network_id,
                project_id=row.project_id,
                device_owner=INTERFACE,
                device_id=row.id,
                fixed_ips=[Wish(subnet.id, subnet.gateway_ip)],
                security_groups=[],
            )
        ],
    )[0]


def _interface_on(tx: Transaction, row: RouterRow, network_id: str) -> PortRow | None:
    for port in tx.execute(
        select(PortRow).where(
            PortRow.device_id == row.id, PortRow.device_owner == INTERFACE, PortRow.network_id == network_id
        )
    ).scalars():
        if port.allocations and all(":" in entry.ip_address for entry in port.allocations):
            return port
    return None


def _take_port(tx: Transaction, context: Context, row: RouterRow, port_id: str) -> PortRow:
    port = ports.get(tx, context, port_id)
    if port.device_id:
        raise PortInUse(port.id, port.network_id, port.device_id)
    if not port.allocations:
        raise BadRequest("Bad router request: Router port must have at least one fixed IP.", type="BadRequest")
    found = [tx.get_one(SubnetRow, entry.subnet_id) for entry in port.allocations]
    if sum(subnet.ip_version == 4 for subnet in found) > 1:
        raise BadRequest("Bad router request: Cannot have multiple IPv4 subnets on router port.", type="BadRequest")
    _check_new(tx, row, found)
    port.device_id, port.device_owner = row.id, INTERFACE
    port.memberships, port.port_security_enabled = [], False
    port.touch()
    tx.flush()
    return port


def _check_new(tx: Transaction, row: RouterRow, new: list[SubnetRow]) -> None:
    connected = _connected(tx, row)
    for subnet in new:
        for id, cidr in connected:
            if id == subnet.id:
                raise BadRequest(
                    f"Bad router request: Router already has a port on subnet {subnet.id}.", type="BadRequest"
                )
            if _overlap(cidr, subnet.cidr):
                raise BadRequest(
                    f"Bad router request: Cidr {subnet.cidr} of subnet {subnet.id} overlaps with cidr {cidr} of "
                    f"subnet {id}.",
                    type="BadRequest",
                )


def remove_interface(
    tx: Transaction, context: Context, row: RouterRow, *, subnet_id: str | None = None, port_id: str | None = None
) -> tuple[PortRow, list[str]]:
    if subnet_id is None and port_id is None:
        raise BadRequest("Either subnet_id or port_id must be specified", type="BadRequest")
    port = _interface(tx, row, subnet_id, port_id)
    leaving = [
        entry.subnet_id
        for entry in port.allocations
        if subnet_id is None or port_id is not None or entry.subnet_id == subnet_id
    ]
    for id in leaving:
        _check_leaving(tx, row, id)
    rest = [entry for entry in port.allocations if entry.subnet_id not in leaving]
    if rest:
        ports.change_addresses(tx, port, [Wish(entry.subnet_id, entry.ip_address) for entry in rest])
    else:
        tx.delete(port)
    row.touch()
    tx.flush()
    if row.host:
        changes.note(tx, [(row.host, "routers", row.id), (row.host, "networks", port.network_id)])
    changes.of_networks(tx, [port.network_id])
    return port, leaving


def _interface(tx: Transaction, row: RouterRow, subnet_id: str | None, port_id: str | None) -> PortRow:
    query = select(PortRow).where(PortRow.device_id == row.id, PortRow.device_owner == INTERFACE)
    if port_id is not None:
        port = tx.execute(query.where(PortRow.id == port_id)).scalar()
        if port is None:
            raise RouterInterfaceNotFound(row.id, port_id)
        if subnet_id is not None and subnet_id not in [entry.subnet_id for entry in port.allocations]:
            raise BadRequest(f"Subnet {subnet_id} of port {port_id} does not match", type="SubnetMismatchForPort")
        return port
    assert subnet_id is not None
    port = tx.execute(
        query.join(AllocationRow, AllocationRow.port_id == PortRow.id).where(AllocationRow.subnet_id == subnet_id)
    ).scalar()
    if port is None:
        raise RouterInterfaceNotFoundForSubnet(row.id, subnet_id)
    return port


def _check_leaving(tx: Transaction, row: RouterRow, subnet_id: str) -> None:
    fixed = select(AllocationRow.port_id).where(AllocationRow.subnet_id == subnet_id)
    floating = (
        tx.execute(
            select(FloatingIpRow.fixed_ip_address).where(
                FloatingIpRow.router_id == row.id, FloatingIpRow.port_id.in_(fixed)
            )
        )
        .scalars()
        .all()
    )
    from haneul.network import port_forwardings

    if port_forwardings.addresses(tx, row.id, subnet_id):
        raise RouterInterfaceInUseByFloatingIP(row.id, subnet_id)
    cidr: Any = ipaddress.ip_network(tx.get_one(SubnetRow, subnet_id).cidr)
    if any(ip and ipaddress.ip_address(ip) in cidr for ip in floating):
        raise RouterInterfaceInUseByFloatingIP(row.id, subnet_id)
    if any(ipaddress.ip_address(route["nexthop"]) in cidr for route in row.routes):
        raise RouterInterfaceInUseByRoute(row.id, subnet_id)


# ---------------------------------------------------------------- extra routes


def _checked_routes(tx: Transaction, row: RouterRow, routes: list[dict[str, str]]) -> list[dict[str, str]]:
    """A next hop must be on a connected subnet, and not the router itself."""
    checked = check_routes(routes, None, "routes")
    if len(checked) > 30:
        raise BadRequest(f"The number of routes exceeds the maximum 30 for router {row.id}.", type="RoutesExhausted")
    if checked:
        cidrs = [ipaddress.ip_network(cidr) for _, cidr in _connected(tx, row)]
        own = set(
            tx.execute(
                select(AllocationRow.ip_address)
                .join(PortRow, PortRow.id == AllocationRow.port_id)
                .where(PortRow.device_id == row.id, PortRow.device_owner.startswith("network:router"))
            ).scalars()
        )
        for route in checked:
            hop = ipaddress.ip_address(route["nexthop"])
            if not any(hop in cidr for cidr in cidrs):
                raise InvalidRoutes(routes, "the nexthop is not connected with router")
            if route["nexthop"] in own:
                raise InvalidRoutes(routes, "the nexthop is used by router")
    return checked


def add_routes(tx: Transaction, context: Context, row: RouterRow, routes: list[dict[str, str]]) -> RouterRow:
    fresh = [route for route in check_routes(routes, None, "routes") if route not in row.routes]
    return update(tx, context, row, {"routes": [*row.routes, *fresh]})


def remove_routes(tx: Transaction, context: Context, row: RouterRow, routes: list[dict[str, str]]) -> RouterRow:
    gone = check_routes(routes, None, "routes")
    return update(tx, context, row, {"routes": [route for route in row.routes if route not in gone]})


# ---------------------------------------------------------------- where it lives


def place(tx: Transaction, row: RouterRow) -> None:
    """Chooses the host of a router that has none: the one that is up with the fewest routers."""
    if row.host:
        return
    row.host = choose(tx) or row.host
    tx.flush()


def choose(tx: Transaction) -> str | None:
    up = (
        tx.execute(
            select(HostRow.name)
            .where(HostRow.state == "up", ~HostRow.forced_down, HostRow.name.not_in(_OFF))
            .order_by(HostRow.number)
        )
        .scalars()
        .all()
    )
    if not up:
        return None
    load: Counter[str] = Counter({name: 0 for name in up})
    for name, count in tx.execute(
        select(RouterRow.host, func.count()).where(RouterRow.host.in_(up)).group_by(RouterRow.host)
    ):
        load[name or ""] = count
    return min(up, key=lambda name: load[name])
