"""From the database to what a host has to make: `FabricState`, in a bounded number of statements."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import exists, null, or_, select

from haneul.fleet.agents import Agents
from haneul.fleet.model import HostRow
from haneul.host.contract import (
    AddressPair,
    FabricIds,
    FabricState,
    FixedIP,
    FloatingIP,
    HostError,
    HostRoute,
    NetworkSpec,
    PortForwarding,
    PortSpec,
    Qos,
    RouterInterface,
    RouterSpec,
    SubnetSpec,
    Tagged,
)
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Again
from haneul.network import carrying, limits, wiring_groups
from haneul.network.model import (
    AllocationRow,
    FloatingIpRow,
    MembershipRow,
    NetworkRow,
    PortRow,
    RouterRow,
    SecurityRuleRow,
    SubnetRow,
)
from haneul.network.model_services import (
    DHCP_AGENT,
    L3_AGENT,
    AgentRow,
    DhcpServiceRow,
    PortForwardingRow,
)

TURN_SECONDS = 5.0
# Of routers: their host's L3 agent is not switched off by an administrator.
_ROUTING = ~(
    select(AgentRow.id)
    .where(AgentRow.host == RouterRow.host, AgentRow.kind == L3_AGENT, ~AgentRow.admin_state_up)
    .exists()
)


class _Turn:
    def __init__(self, places: int) -> None:
        self.lock = threading.Lock()
        self.places = threading.Semaphore(places)  # for who waits


_turns: dict[str, _Turn] = {}


def of_ports(tx: Transaction, host: str, port_ids: Iterable[str]) -> FabricState:
    """Everything that these ports, bound to `host`, need there: networks, groups (remote ones too) and themselves.

    Reading and applying must not be overtaken by another reader of the same host: use `apply`, or hold `turn`.
    """
    return of(tx, host, FabricIds(ports=list(port_ids)))[0]


class _Wish:
    """Ports that a caller wants applied; `done` once somebody's turn took them along."""

    def __init__(self, port_ids: list[str]) -> None:
        self.port_ids = port_ids
        self.done = False


_wishes: dict[str, list[_Wish]] = defaultdict(list)


def apply(cloud: Cloud, host: str, port_ids: Iterable[str]) -> None:
    """Reads the state of ports and has the host apply it, in turn with other changes to the host. Call it outside of a
    transaction. Afterwards say so with `ports.plugged` in the commit of the step.

    Who gets the turn takes all along that wait for it: many boots cost few calls. If that fails, each tries its own."""
    wish, waiting = _Wish(list(port_ids)), _wishes[f"{id(cloud)}:{host}"]
    if not wish.port_ids:
        return
    waiting.append(wish)
    try:
        _take_along(cloud, host, wish, waiting)
    except Again:
        with contextlib.suppress(ValueError):
            waiting.remove(wish)
        if not wish.done:
            raise


def _take_along(cloud: Cloud, host: str, wish: _Wish, waiting: list[_Wish]) -> None:
    with turn(cloud, host):
        if wish.done:
            return
        batch = list(waiting)
        del waiting[: len(batch)]
        try:
            _apply(cloud, host, [id for entry in batch for id in entry.port_ids])
        except HostError:
            if len(batch) == 1:
                raise
            waiting[:0] = [entry for entry in batch if entry is not wish]
            _apply(cloud, host, wish.port_ids)
            return
        except BaseException:
            waiting[:0] = [entry for entry in batch if entry is not wish]
            raise
        for entry in batch:
            entry.done = True


def _apply(cloud: Cloud, host: str, port_ids: list[str]) -> None:
    with cloud.database.read() as tx:
        state = of_ports(tx, host, port_ids)
    cloud.get(Agents).of(host).fabric.apply(state)


@contextlib.contextmanager
def turn(cloud: Cloud, host: str) -> Iterator[None]:
    """One reader and applier a host at a time, so that an older picture never follows a newer one. Again when that takes
    long: threads that wait for a sick host are missing to all others."""
    turn_of = _turns.setdefault(f"{id(cloud)}:{host}", _Turn(max(1, cloud.config.tasks.runners * 2 // 3)))
    if not turn_of.places.acquire(blocking=False):
        raise Again("its host's turn", 0.2)
    try:
        mine = turn_of.lock.acquire(timeout=TURN_SECONDS)
    finally:
        turn_of.places.release()
    if not mine:
        raise Again("its host's turn", 0.5)
    try:
        if cloud.database.sqlite:
            yield
        else:
            with cloud.database.read() as tx:
                tx.lock("fabric-turn", host)
                yield
    finally:
        turn_of.lock.release()


def of(tx: Transaction, host: str, ids: FabricIds) -> tuple[FabricState, FabricIds]:
    """What of `ids` belongs on the host, with all it depends on, and what of them does not belong there."""
    tags = carrying.tags(tx, ids.ports) if ids.ports else {}
    ports = _ports(tx, host, {*ids.ports, *tags})
    routers = (
        {
            row.id: row
            for row in tx.execute(
                select(RouterRow).where(RouterRow.id.in_(ids.routers), RouterRow.host == host, _ROUTING)
            ).scalars()
        }
        if ids.routers
        else {}
    )
    router_ports = _router_ports(tx, routers)
    asked = [id for id in ids.networks if id not in {port.network_id for port in ports.values()}]
    needed = {port.network_id for port in ports.values()} | {port.network_id for port in router_ports}
    needed |= _present(tx, host, asked)
    groups = wiring_groups.of_ports(
        tx, host, {group for port in ports.values() for group in port.security_groups}, ids.security_groups
    )
    groups += wiring_groups.of_addresses(tx, host, groups, ids.security_groups)
    networks, subnets, policies = _networks(tx, host, needed)
    state = FabricState(
        networks=networks,
        security_groups=groups,
        ports=_port_specs(tx, ports, tags, policies),
        routers=_routers(tx, routers, router_ports, subnets),
    )
    kept = {group.id for group in groups}
    gone = FabricIds(
        networks=[id for id in ids.networks if id not in needed],
        security_groups=[id for id in ids.security_groups if id not in kept],
        ports=[id for id in ids.ports if id not in ports],
        routers=[id for id in ids.routers if id not in routers],
    )
    return state, gone


def wanted(tx: Transaction, host: str) -> FabricIds:
    """The ids of everything that should exist on a host."""
    ports = tx.execute(select(PortRow.id, PortRow.network_id).where(PortRow.host == host)).all()
    groups = (
        tx.execute(
            select(MembershipRow.security_group_id)
            .distinct()
            .join(PortRow, PortRow.id == MembershipRow.port_id)
            .where(PortRow.host == host)
        )
        .scalars()
        .all()
    )
    routers = tx.execute(select(RouterRow.id).where(RouterRow.host == host, _ROUTING)).scalars().all()
    served = (
        tx.execute(
            select(PortRow.network_id)
            .distinct()
            .where(PortRow.device_id.in_(routers), PortRow.device_owner.startswith("network:router"))
        )
        .scalars()
        .all()
        if routers
        else []
    )
    remote = (
        [
            id
            for both in tx.execute(
                select(SecurityRuleRow.remote_group_id, SecurityRuleRow.remote_address_group_id)
                .distinct()
                .where(
                    SecurityRuleRow.security_group_id.in_(groups),
                    or_(
                        SecurityRuleRow.remote_group_id.is_not(None),
                        SecurityRuleRow.remote_address_group_id.is_not(None),
                    ),
                )
            )
            for id in both
        ]
        if groups
        else []
    )
    return FabricIds(
        networks=sorted({network for _, network in ports} | set(served)),
        security_groups=sorted({*groups, *(id for id in remote if id)}),
        ports=[id for id, _ in ports],
        routers=list(routers),
    )


# ---------------------------------------------------------------- networks


def _present(tx: Transaction, host: str, network_ids: list[str]) -> set[str]:
    """Which of the networks have a port or a router on the host."""
    if not network_ids:
        return set()
    routed = select(RouterRow.id).where(RouterRow.host == host, _ROUTING)
    return set(
        tx.execute(
            select(PortRow.network_id)
            .distinct()
            .where(
                PortRow.network_id.in_(network_ids),
                or_(
                    PortRow.host == host,
                    PortRow.device_owner.startswith("network:router") & PortRow.device_id.in_(routed),
                ),
            )
        ).scalars()
    )


def _networks(
    tx: Transaction, host: str, ids: set[str]
) -> tuple[list[NetworkSpec], dict[str, SubnetRow], dict[str, str]]:
    """With their subnets, and the QoS policies of those that have one."""
    if not ids:
        return [], {}, {}
    rows: Any = tx.execute(select(NetworkRow).where(NetworkRow.id.in_(ids))).scalars().all()
    subnets = {
        row.id: row
        for row in tx.execute(
            select(SubnetRow).where(SubnetRow.network_id.in_(ids)).order_by(SubnetRow.created_at, SubnetRow.id)
        ).scalars()
    }
    dhcp: dict[str, tuple[str, str, list[str]]] = {}
    for network, port, mac, subnet, ip in tx.execute(
        select(PortRow.network_id, PortRow.id, PortRow.mac_address, AllocationRow.subnet_id, AllocationRow.ip_address)
        .join(AllocationRow, AllocationRow.port_id == PortRow.id)
        .where(PortRow.network_id.in_(ids), PortRow.device_owner == "network:dhcp")
        .order_by(AllocationRow.number)
    ):
        dhcp.setdefault(network, (port, mac, []))[2].append(_with_prefix(ip, subnets[subnet]))
    for id in _without_dhcp(tx, host, ids) if dhcp else ():
        dhcp.pop(id, None)
    peers = _peers(tx, host, ids)
    return [
        NetworkSpec(
            id=row.id,
            type=row.type,
            segmentation_id=row.segmentation_id,
            physical_network=row.physical_network,
            mtu=row.mtu,
            external=row.external,
            subnets=[_subnet_spec(subnet) for subnet in subnets.values() if subnet.network_id == row.id],
            dhcp_port_id=dhcp[row.id][0] if row.id in dhcp else None,
            dhcp_mac=dhcp[row.id][1] if row.id in dhcp else None,
            dhcp_ips=dhcp[row.id][2] if row.id in dhcp else [],
            dns_domain=row.dns_domain or tx.cloud.config.network.dns_domain,
            peers=peers.get(row.id, []),
        )
        for row in rows
    ], subnets, {row.id: row.qos_policy_id for row in rows if row.qos_policy_id}


def _without_dhcp(tx: Transaction, host: str, ids: set[str]) -> set[str]:
    """The networks whose DHCP an administrator took from the host, one by one or with its agent."""
    off = select(null()).where(
        exists().where(AgentRow.host == host, AgentRow.kind == DHCP_AGENT, ~AgentRow.admin_state_up)
    )
    left = select(DhcpServiceRow.network_id).where(
        DhcpServiceRow.host == host, ~DhcpServiceRow.served, DhcpServiceRow.network_id.in_(ids)
    )
    found = set(tx.execute(left.union_all(off)).scalars())
    return ids if None in found else found


def _peers(tx: Transaction, host: str, network_ids: set[str]) -> dict[str, list[str]]:
    """Tunnel addresses of the other hosts that have a port or router of each network."""
    from haneul.network.changes import hosts_of_networks

    others = {(network, name) for network, name in hosts_of_networks(tx, network_ids) if name != host}
    if not others:
        return {}
    tunnels = {
        name: (facts or {}).get("tunnel_ip", "")
        for name, facts in tx.execute(
            select(HostRow.name, HostRow.facts).where(HostRow.name.in_({name for _, name in others} | {host}))
        )
    }
    found: dict[str, set[str]] = defaultdict(set)
    for network, name in others:
        if tunnels.get(name) and tunnels[name] != tunnels.get(host):
            found[network].add(tunnels[name])
    return {network: sorted(ips) for network, ips in found.items()}


def _subnet_spec(row: Any) -> SubnetSpec:
    return SubnetSpec(
        id=row.id,
        cidr=row.cidr,
        gateway_ip=row.gateway_ip,
        enable_dhcp=row.enable_dhcp,
        dns_nameservers=row.dns_nameservers,
        host_routes=[HostRoute(route["destination"], route["nexthop"]) for route in row.host_routes],
        ipv6_address_mode=row.ipv6_address_mode,
        ipv6_ra_mode=row.ipv6_ra_mode,
    )


def _with_prefix(ip: str, subnet: SubnetRow) -> str:
    return f"{ip}/{subnet.cidr.partition('/')[2]}"


# ---------------------------------------------------------------- ports and groups


def _ports(tx: Transaction, host: str, ids: Iterable[str]) -> dict[str, PortRow]:
    if not ids:
        return {}
    return {
        row.id: row for row in tx.execute(select(PortRow).where(PortRow.id.in_(ids), PortRow.host == host)).scalars()
    }


def _port_specs(
    tx: Transaction, ports: dict[str, PortRow], tags: dict[str, Tagged], policies: dict[str, str]
) -> list[PortSpec]:
    qos = limits.of_ports(tx, ports.values(), policies)
    return [_port_spec(port, qos.get(port.id), tags.get(port.id)) for port in ports.values()]


def _port_spec(port: PortRow, qos: Qos | None, tagged: Tagged | None) -> PortSpec:
    first = next((row.ip_address for row in port.allocations), "")
    return PortSpec(
        id=port.id,
        network_id=port.network_id,
        mac=port.mac_address,
        fixed_ips=[FixedIP(row.subnet_id, row.ip_address) for row in port.allocations],
        allowed_address_pairs=[
            AddressPair(pair["ip_address"], pair["mac_address"]) for pair in port.allowed_address_pairs
        ],
        port_security=port.port_security_enabled,
        admin_up=port.admin_state_up,
        security_groups=port.security_groups,
        hostname=port.dns_name or (f"host-{first.replace('.', '-').replace(':', '-')}" if first else ""),
        dhcp_options=[
            (int(option.get("ip_version", 4)), option["opt_name"], option["opt_value"])
            for option in port.extra_dhcp_opts
        ],
        server_id=port.device_id if port.device_owner.startswith("compute:") else None,
        qos=qos,
        tagged=tagged,
    )


# ---------------------------------------------------------------- routers


def _router_ports(tx: Transaction, routers: dict[str, RouterRow]) -> list[PortRow]:
    if not routers:
        return []
    return list(
        tx.execute(
            select(PortRow)
            .where(PortRow.device_id.in_(routers), PortRow.device_owner.startswith("network:router"))
            .order_by(PortRow.created_at, PortRow.id)
        ).scalars()
    )


def _routers(
    tx: Transaction, routers: dict[str, RouterRow], ports: list[PortRow], subnets: dict[str, SubnetRow]
) -> list[RouterSpec]:
    if not routers:
        return []
    floating: dict[str, list[FloatingIP]] = defaultdict(list)
    for router, id, ip, fixed in tx.execute(
        select(
            FloatingIpRow.router_id, FloatingIpRow.id, FloatingIpRow.floating_ip_address, FloatingIpRow.fixed_ip_address
        )
        .where(FloatingIpRow.router_id.in_(routers), FloatingIpRow.fixed_ip_address.is_not(None))
        .order_by(FloatingIpRow.floating_ip_address)
    ):
        floating[router or ""].append(FloatingIP(id=id, floating_ip=ip, fixed_ip=fixed or ""))
    forwardings = _forwardings(tx, routers)
    limited = limits.of_routers(tx, routers, ports)
    specs = []
    for row in routers.values():
        mine = [port for port in ports if port.device_id == row.id]
        gateway = next((port for port in mine if port.id == row.gateway_port_id), None)
        specs.append(
            RouterSpec(
                id=row.id,
                admin_up=row.admin_state_up,
                enable_snat=row.enable_snat,
                interfaces=[_interface(port, subnets) for port in mine if port is not gateway and port.admin_state_up],
                gateway=_interface(gateway, subnets) if gateway is not None else None,
                gateway_ips=_next_hops(gateway, subnets) if gateway is not None else [],
                floating_ips=floating[row.id],
                forwardings=forwardings.get(row.id, []),
                limits=limited.get(row.id, {}),
                routes=[HostRoute(route["destination"], route["nexthop"]) for route in row.routes],
            )
        )
    return specs


def _forwardings(tx: Transaction, routers: Iterable[str]) -> dict[str, list[PortForwarding]]:
    found: dict[str, list[PortForwarding]] = defaultdict(list)
    for row, router, ip in tx.execute(
        select(PortForwardingRow, FloatingIpRow.router_id, FloatingIpRow.floating_ip_address)
        .join(FloatingIpRow, FloatingIpRow.id == PortForwardingRow.floatingip_id)
        .where(FloatingIpRow.router_id.in_(routers))
        .order_by(FloatingIpRow.floating_ip_address, PortForwardingRow.external_first, PortForwardingRow.protocol)
    ):
        found[router or ""].append(
            PortForwarding(
                id=row.id,
                floating_id=row.floatingip_id,
                floating_ip=ip,
                protocol=row.protocol,  # type: ignore[arg-type]
                external=(row.external_first, row.external_last),
                fixed_ip=row.internal_ip_address,
                internal=(row.internal_first, row.internal_last),
            )
        )
    return found


def _interface(port: PortRow, subnets: dict[str, SubnetRow]) -> RouterInterface:
    return RouterInterface(
        port_id=port.id,
        network_id=port.network_id,
        mac=port.mac_address,
        ips=[_with_prefix(row.ip_address, subnets[row.subnet_id]) for row in port.allocations],
    )


def _next_hops(gateway: PortRow, subnets: dict[str, SubnetRow]) -> list[str]:
    """The first gateway of each IP version among the subnets that the gateway port has an address of."""
    hops: dict[int, Any] = {}
    for row in gateway.allocations:
        subnet = subnets[row.subnet_id]
        if subnet.gateway_ip:
            hops.setdefault(subnet.ip_version, subnet.gateway_ip)
    return list(hops.values())
