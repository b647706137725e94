"""The fabric of one host on plain Linux: bridges, vxlan, nftables, dnsmasq, network namespaces.

One lock: verbs are short. The order within `apply` is such that nothing is open before its filters are: links of
networks, filters, taps, then what serves them.
"""

from __future__ import annotations

import ipaddress
import logging
import shutil
import threading
from collections.abc import Iterable

from haneul.host.contract import (
    Fabric,
    FabricIds,
    FabricInventory,
    FabricState,
    NetworkSpec,
    PortSpec,
    RouterSpec,
    SecurityGroupSpec,
)
from haneul.host.fabric import names
from haneul.kernel.config import Paths

from . import (
    bridges,
    dhcp,
    external,
    filters,
    inventory,
    kernel,
    links,
    nft,
    protocols,
    routers,
    sessions,
    trunks,
    wellformed,
)
from .dnsmasq import Dnsmasq, run_directory
from .memory import Memory
from .metadata import MetadataProxy
from .namespaces import FabricError, delete, exists, inside

log = logging.getLogger(__name__)


class LinuxFabric(Fabric):
    def __init__(self, cloud_id: str, paths: Paths, control_url: str, secret: bytes, tunnel_ip: str) -> None:
        self.cloud_id = names.checked_cloud_id(cloud_id)
        self.tunnel_ip = tunnel_ip
        self.namespace = names.fabric_namespace(cloud_id)
        self._lock = threading.RLock()
        self.memory = Memory(paths.host / "fabric")
        self.metadata = MetadataProxy(control_url, secret, self._find_port)
        self._dnsmasq: dict[str, Dnsmasq] = {}
        self._addresses: dict[tuple[str, str], str] = {}  # (network id, address) -> port id
        self._zones: dict[str, int] = {}
        self._certain: set[str] = set()  # ids whose filters in the kernel are what memory says
        self.has_base = False
        self._adopt()

    # ------------------------------------------------------------ verbs

    def apply(self, state: FabricState) -> None:
        with self._lock:
            wellformed.check(state, set(self.memory.networks.items))
            self._prepare()
            networks = {**self.memory.networks.items, **{n.id: n for n in state.networks}}
            for network in state.networks:
                self._apply_network(network, networks)
            left = trunks.parents(self.memory.ports.items.values(), {port.id for port in state.ports})
            pairs = self._apply_filters(state)
            for port in state.ports:
                self._apply_tap(port, networks[port.network_id])
            for port in state.ports:
                self._remember_port(port)
            self._serve(state)
            for router in state.routers:
                self._apply_router(router)
            self._end_sessions(pairs)
            self._wire_trunks(trunks.parents(self.memory.ports.items.values(), {port.id for port in state.ports}) | left)

    def remove(self, ids: FabricIds) -> None:
        with self._lock:  # what is no id never was
            for router_id in filter(names.UUID.match, ids.routers):
                self._remove_router(router_id)
            self._remove_ports(list(filter(names.UUID.match, ids.ports)))
            for network_id in filter(names.UUID.match, ids.networks):
                self._remove_network(network_id)
            self._remove_groups(list(filter(names.UUID.match, ids.security_groups)))

    def inventory(self) -> FabricInventory:
        with self._lock:
            return inventory.read(self)

    def remove_strays(self) -> list[str]:
        with self._lock:
            return inventory.remove_strays(self)

    def purge(self) -> None:
        with self._lock:
            self.metadata.close()
            inventory.purge(self)
            self.memory.forget()
            self._addresses.clear()
            self._zones.clear()
            self._certain.clear()
            self._dnsmasq.clear()
            self.has_base = False

    # ------------------------------------------------------------ what is there

    def _adopt(self) -> None:
        """After a start of the agent: forget what the kernel has not, serve metadata again."""
        found = kernel.read(self.cloud_id)
        self._zones = found.zones
        self.has_base = found.base
        self.memory.networks.keep_only(set(found.zones))
        self.memory.ports.keep_only(found.ports)
        self.memory.groups.keep_only(found.groups)
        self.memory.routers.keep_only({id for id in self.memory.routers.items
                                       if exists(names.router_namespace(self.cloud_id, id))})
        for port in self.memory.ports.items.values():
            self._index(port)
        try:
            for network in self.memory.networks.items.values():
                self._serve_metadata(network)
            for router in self.memory.routers.items.values():
                self._serve_router_metadata(router)
        except (FabricError, OSError) as error:  # the inventory will call it unhealthy, and apply will mend it
            log.warning("a metadata listener could not be taken up again: %s", error)

    def doubt(self, ids: Iterable[str]) -> None:
        """The filters of these are written anew by the next apply that names them."""
        self._certain.difference_update(ids)

    def dnsmasq(self, key: str, namespace: str) -> Dnsmasq:
        if key not in self._dnsmasq:
            self._dnsmasq[key] = Dnsmasq(self.cloud_id, key, namespace)
        return self._dnsmasq[key]

    def dhcp_server(self, network_id: str) -> Dnsmasq:
        return self.dnsmasq(network_id, names.dhcp_namespace(self.cloud_id, network_id))

    def advertiser(self, router_id: str) -> Dnsmasq:
        return self.dnsmasq(f"ra-{router_id}", names.router_namespace(self.cloud_id, router_id))

    def _prepare(self) -> None:
        """Whether the tables are there is looked up at the start and by every inventory: it costs a listing."""
        if not exists(self.namespace) or not self.has_base:
            bridges.prepare_fabric(self.cloud_id)
            self._certain.clear()
            self._zones.clear()
            with inside(self.namespace):
                nft.batch(filters.base())
            self.has_base = True

    # ------------------------------------------------------------ networks

    def _apply_network(self, network: NetworkSpec, networks: dict[str, NetworkSpec]) -> None:
        if network.id in self._certain and self.memory.networks.items.get(network.id) == network:
            with inside(self.namespace):
                there = links.names()
            if inventory.network_is_well(self, network.id, there):
                return  # every boot names its network again, which is rarely news
        bridges.apply(self.cloud_id, network, self.tunnel_ip)
        if network.id not in self._zones:
            taken = set(self._zones.values())
            self._zones[network.id] = next(zone for zone in range(1, 65536) if zone not in taken)
        if network.id not in self._certain:
            with inside(self.namespace):
                nft.batch(filters.network(network.id, names.bridge(self.cloud_id, network.id), self._zones[network.id]))
            self._certain.add(network.id)
        if external.applies(network):
            external.apply(self.cloud_id, networks, network)
        if dhcp.wanted(network):
            dhcp.apply_namespace(self.cloud_id, network)
        else:
            self.metadata.stop([key for key in self.metadata.listening()
                                if key[0] == names.dhcp_namespace(self.cloud_id, network.id)])
            dhcp.remove(self.cloud_id, network.id, self.dhcp_server(network.id))
        self.memory.networks.put(network)
        self._serve_metadata(network)

    def _serve_metadata(self, network: NetworkSpec) -> None:
        namespace = names.dhcp_namespace(self.cloud_id, network.id)
        if dhcp.wanted(network) and exists(namespace):
            self.metadata.serve(namespace, names.dhcp_link(network.id), network.id, dhcp.metadata_v6(network))

    def _serve(self, state: FabricState) -> None:
        """DHCP of every network that this call touched."""
        touched = {network.id for network in state.networks} | {port.network_id for port in state.ports}
        for network_id in touched:
            self._serve_dhcp(self.memory.networks.items[network_id])

    def _serve_dhcp(self, network: NetworkSpec) -> None:
        ports = [port for port in self.memory.ports.items.values() if port.network_id == network.id]
        dhcp.apply_server(self.cloud_id, network, ports, self.dhcp_server(network.id))

    def _remove_network(self, network_id: str) -> None:
        self._remove_ports([port.id for port in self.memory.ports.items.values() if port.network_id == network_id])
        namespace = names.dhcp_namespace(self.cloud_id, network_id)
        self.metadata.stop([key for key in self.metadata.listening() if network_id == key[2]])
        dhcp.remove(self.cloud_id, network_id, self.dhcp_server(network_id))
        self._dnsmasq.pop(network_id, None)
        network = self.memory.networks.drop(network_id)
        if exists(self.namespace):
            bridges.remove(self.cloud_id, network_id)
            if network_id in self._zones:
                bridge = names.bridge(self.cloud_id, network_id)
                with inside(self.namespace):
                    nft.batch(filters.without_network(network_id, bridge, self._zones.pop(network_id)))
        if network is not None and external.applies(network):
            external.remove(self.cloud_id, self.memory.networks.items, network)
        self._certain.discard(network_id)
        if exists(namespace):
            raise FabricError(f"the namespace {namespace} could not be removed")

    # ------------------------------------------------------------ filters

    def _apply_filters(self, state: FabricState) -> set[str]:
        """One batch for all groups and ports; answers the networks in which sessions may have become refused."""
        groups = self.memory.groups.items
        after = {**groups, **{group.id: group for group in state.security_groups}}
        changed = [group for group in state.security_groups
                   if groups.get(group.id) != group or group.id not in self._certain]
        lines: list[str] = []
        for group in changed:
            lines += filters.group(group, groups.get(group.id) if group.id in self._certain else None)
        turned = {group.id for group in changed
                  if (before := groups.get(group.id)) is not None and before.stateful != group.stateful}
        ports = {port.id: port for port in state.ports
                 if self.memory.ports.items.get(port.id) != port or port.id not in self._certain}
        for port in self.memory.ports.items.values():
            if port.id not in ports and turned.intersection(port.security_groups):
                ports[port.id] = port
        for port in ports.values():
            lines += filters.port(port, names.tap(self.cloud_id, port.id), _stateful(port, after))
        with inside(self.namespace):
            nft.batch(lines)
        touched = self._narrowed(changed, ports.values())
        for group in changed:
            self.memory.groups.put(group)
        self._certain.update([group.id for group in changed], ports)
        return touched

    def _narrowed(self, groups: list[SecurityGroupSpec], ports: Iterable[PortSpec]) -> set[str]:
        """Networks with ports that may be allowed less than before."""
        less: set[str] = set()
        for group in groups:
            before = self.memory.groups.items.get(group.id)
            if before is None or not set(before.rules) <= set(group.rules):
                less.add(group.id)
            if before is None or not set(before.members) <= set(group.members):
                less |= {other.id for other in self.memory.groups.items.values()
                         if any(rule.remote_group == group.id for rule in other.rules)}
        touched = {port.network_id for port in self.memory.ports.items.values()
                   if less.intersection(port.security_groups)}
        for port in ports:
            before_port = self.memory.ports.items.get(port.id)
            if before_port is not None and before_port != port:
                touched.add(port.network_id)
        return touched

    def _end_sessions(self, network_ids: set[str]) -> None:
        for network_id in network_ids:
            ports = [port for port in self.memory.ports.items.values() if port.network_id == network_id]
            with inside(self.namespace):
                ended = sessions.end_refused(self._zones[network_id], ports, self.memory.groups.items)
            if ended:
                log.info("network %s: %d live sessions ended by a change of its filters", network_id, ended)

    def _remove_groups(self, group_ids: Iterable[str]) -> None:
        """A group that others still name stays as an empty one; it goes with the last of them."""
        removed = [self.memory.groups.drop(group_id) for group_id in group_ids]
        self._certain.difference_update(group_ids)
        if not exists(self.namespace):
            return
        there = kernel.read(self.cloud_id).groups
        named = self._named_groups()
        wanted = self.memory.groups.items.keys() | named
        lines = [line for group_id in group_ids if group_id in named for line in filters.empty_group(group_id)]
        for group_id in there - wanted:
            lines += filters.without_group(group_id)
        with inside(self.namespace):
            nft.batch(lines)
        less = {group.id for group in removed if group is not None}
        self._end_sessions({port.network_id for port in self.memory.ports.items.values()
                            if less.intersection(port.security_groups)})

    def _named_groups(self) -> set[str]:
        by_ports = {group_id for port in self.memory.ports.items.values() for group_id in port.security_groups}
        by_rules = {rule.remote_group for group in self.memory.groups.items.values() for rule in group.rules}
        return by_ports | {group_id for group_id in by_rules if group_id is not None}

    # ------------------------------------------------------------ ports

    def _apply_tap(self, port: PortSpec, network: NetworkSpec) -> None:
        tap = names.tap(self.cloud_id, port.id)
        with inside(self.namespace):
            trunks.make_link(self.cloud_id, port)
            links.set_mtu(tap, network.mtu)
            links.attach(names.bridge(self.cloud_id, network.id), tap)
            links.set_up(tap, port.admin_up)

    def _wire_trunks(self, parent_ids: set[str]) -> None:
        """What leads tagged frames between these ports' taps and their subports' networks."""
        for parent_id in parent_ids:
            with inside(self.namespace):
                trunks.wire(self.cloud_id, parent_id, trunks.subports(self.memory.ports.items.values(), parent_id))

    def _remember_port(self, port: PortSpec) -> None:
        before = self.memory.ports.items.get(port.id)
        if before == port:
            return
        if before is not None:
            self._unindex(before)
            kept = {fixed.ip for fixed in port.fixed_ips} if before.network_id == port.network_id else set()
            if gone := {fixed.ip for fixed in before.fixed_ips} - kept:
                with inside(self.namespace):
                    sessions.end_of_addresses(self._zones[before.network_id], gone)
        self.memory.ports.put(port)
        self._index(port)

    def _remove_ports(self, port_ids: Iterable[str]) -> None:
        taps = {port_id: names.tap(self.cloud_id, port_id) for port_id in port_ids}
        addresses: dict[str, set[str]] = {}  # by network id
        left = trunks.parents(self.memory.ports.items.values(), set(taps))
        for port_id in taps:
            port = self._forget_port(port_id)
            if port is not None:
                addresses.setdefault(port.network_id, set()).update(fixed.ip for fixed in port.fixed_ips)
        if not taps or not exists(self.namespace):
            return
        with inside(self.namespace):
            links.delete(*taps.values())
        self._wire_trunks(left)
        with inside(self.namespace):
            if self.has_base:
                nft.batch([line for port_id, tap in taps.items() for line in filters.without_port(port_id, tap)])
            for network_id, gone in addresses.items():
                if network_id in self._zones:
                    sessions.end_of_addresses(self._zones[network_id], gone)
        for network_id in addresses.keys() & self.memory.networks.items.keys():
            self._serve_dhcp(self.memory.networks.items[network_id])

    def _forget_port(self, port_id: str) -> PortSpec | None:
        self._certain.discard(port_id)
        port = self.memory.ports.drop(port_id)
        if port is not None:
            self._unindex(port)
        return port

    def _index(self, port: PortSpec) -> None:
        for address in _own_addresses(port):
            self._addresses[port.network_id, address] = port.id

    def _unindex(self, port: PortSpec) -> None:
        for address in _own_addresses(port):
            if self._addresses.get((port.network_id, address)) == port.id:
                del self._addresses[port.network_id, address]

    def _find_port(self, network_id: str, address: str) -> str | None:
        return self._addresses.get((network_id, address))

    # ------------------------------------------------------------ routers

    def _apply_router(self, router: RouterSpec) -> None:
        networks, before = self.memory.networks.items, self.memory.routers.items.get(router.id)
        self.memory.routers.put(router)
        self._stop_router_metadata(router)
        routers.apply(self.cloud_id, router, networks, self.advertiser(router.id))
        if before is not None:
            with inside(names.router_namespace(self.cloud_id, router.id)):
                sessions.end_translated(before, router)
        self._serve_router_metadata(router)

    def _serve_router_metadata(self, router: RouterSpec) -> None:
        namespace = names.router_namespace(self.cloud_id, router.id)
        for interface in router.interfaces if exists(namespace) else []:
            link = routers.link_name(router, interface)
            with inside(namespace):
                there = link in links.names()
            if there:
                self.metadata.serve(namespace, link, interface.network_id, ipv6=False)

    def _stop_router_metadata(self, router: RouterSpec) -> None:
        """Listeners of interfaces that are gone, or whose links were made anew."""
        namespace = names.router_namespace(self.cloud_id, router.id)
        wanted = {(namespace, routers.link_name(router, i), i.network_id) for i in router.interfaces}
        self.metadata.stop([key for key in self.metadata.listening() if key[0] == namespace and key not in wanted])

    def _remove_router(self, router_id: str) -> None:
        namespace = names.router_namespace(self.cloud_id, router_id)
        self.metadata.stop([key for key in self.metadata.listening() if key[0] == namespace])
        routers.remove(self.cloud_id, router_id, self.advertiser(router_id))
        self._dnsmasq.pop(f"ra-{router_id}", None)
        self.memory.routers.drop(router_id)

    # ------------------------------------------------------------ for the inventory

    @property
    def zones(self) -> dict[str, int]:
        return self._zones

    def remove_namespaces(self, namespaces: Iterable[str]) -> None:
        for namespace in namespaces:
            self.metadata.stop([key for key in self.metadata.listening() if key[0] == namespace])
            delete(namespace)

    def remove_run_directory(self) -> None:
        shutil.rmtree(run_directory(self.cloud_id), ignore_errors=True)


def _stateful(port: PortSpec, groups: dict[str, SecurityGroupSpec]) -> bool:
    """A port is stateless only when each of its groups is; one without groups refuses all but answers to nothing."""
    mine = [groups[group_id] for group_id in port.security_groups if group_id in groups]
    return not mine or any(group.stateful for group in mine)


def _own_addresses(port: PortSpec) -> list[str]:
    addresses = [ipaddress.ip_address(fixed.ip) for fixed in port.fixed_ips]
    if any(address.version == 6 for address in addresses):
        addresses.append(protocols.link_local(port.mac))
    return [str(address) for address in addresses]
