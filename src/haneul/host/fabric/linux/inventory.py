"""What of this cloud is on the machine: read from the kernel, never from what the agent remembers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from haneul.host.contract import FabricInventory
from haneul.host.fabric import names

from . import dhcp, external, kernel, links, nft, routers
from .dnsmasq import Dnsmasq, keys, run_directory
from .namespaces import delete, exists, inside, named

if TYPE_CHECKING:
    from .driver import LinuxFabric


def read(fabric: LinuxFabric) -> FabricInventory:
    cloud_id, memory = fabric.cloud_id, fabric.memory
    found = kernel.read(cloud_id)
    there: set[str] = set()
    members: dict[str, str | None] = {}
    if exists(fabric.namespace):
        with inside(fabric.namespace):
            there = links.names()
            members = {link.ifname: link.master for link in links.links()}
    router_ids = {name.removeprefix(f"hn-{cloud_id}-r-") for name in named(f"hn-{cloud_id}-r-")}
    unhealthy = set(found.partial)
    unhealthy |= {id for id in found.zones if not network_is_well(fabric, id, there)}
    unhealthy |= {id for id in found.ports if not _port_is_well(fabric, id, members)}
    unhealthy |= {id for id in router_ids if not _router_is_well(fabric, id, there)}
    known = {*memory.networks.items, *memory.ports.items, *memory.groups.items, *memory.routers.items}
    lost = known - found.zones.keys() - found.ports - found.groups - router_ids
    fabric.has_base = found.base
    if not found.base and known:
        unhealthy |= known
    unhealthy |= lost
    fabric.doubt(unhealthy)
    return FabricInventory(
        networks=sorted(found.zones.keys() | (memory.networks.items.keys() & lost)),
        security_groups=sorted(found.groups & memory.groups.items.keys() | (memory.groups.items.keys() & lost)),
        ports=sorted(found.ports | (memory.ports.items.keys() & lost)),
        routers=sorted(router_ids | (memory.routers.items.keys() & lost)),
        unhealthy=sorted(unhealthy), strays=strays(fabric, found, there, router_ids))


def network_is_well(fabric: LinuxFabric, network_id: str, there: set[str]) -> bool:
    cloud_id, network = fabric.cloud_id, fabric.memory.networks.items.get(network_id)
    if network is None or names.bridge(cloud_id, network_id) not in there:
        return False
    if external.applies(network) and names.uplink_veth(cloud_id, network_id) not in there:
        return False
    if not dhcp.wanted(network):
        return True
    namespace, link = names.dhcp_namespace(cloud_id, network_id), names.dhcp_link(network_id)
    if not exists(namespace) or names.dhcp_veth(cloud_id, network_id) not in there:
        return False
    if dhcp.served(network) and fabric.dhcp_server(network_id).pid() is None:
        return False
    return (namespace, link, network_id) in fabric.metadata.listening()


def _port_is_well(fabric: LinuxFabric, port_id: str, members: dict[str, str | None]) -> bool:
    port = fabric.memory.ports.items.get(port_id)
    tap = names.tap(fabric.cloud_id, port_id)
    if port is None or members.get(tap) != names.bridge(fabric.cloud_id, port.network_id):
        return False
    return (names.tagged(fabric.cloud_id, port_id) in members) == (port.tagged is not None)


def _router_is_well(fabric: LinuxFabric, router_id: str, there: set[str]) -> bool:
    router = fabric.memory.routers.items.get(router_id)
    namespace = names.router_namespace(fabric.cloud_id, router_id)
    if router is None or not exists(namespace):
        return False
    wanted = {routers.link_name(router, interface) for interface in routers.interfaces(router)}
    with inside(namespace):
        if not wanted <= links.names() or not nft.has_table("inet", names.ROUTER_TABLE):
            return False
    if any(names.router_veth(fabric.cloud_id, i.port_id) not in there for i in routers.interfaces(router)):
        return False
    advertises = bool(router.admin_up and routers.advertisements(router, fabric.memory.networks.items))
    return not advertises or fabric.advertiser(router_id).pid() is not None


def strays(fabric: LinuxFabric, found: kernel.Filters, there: set[str], router_ids: set[str]) -> list[str]:
    """Links, namespaces, processes and tables of this cloud that belong to no network, port or router."""
    cloud_id, memory = fabric.cloud_id, fabric.memory
    networks = found.zones.keys() | memory.networks.items.keys()
    ports = found.ports | memory.ports.items.keys()
    expected = {"lo"} | {names.tap(cloud_id, id) for id in ports}
    expected |= {names.tagged(cloud_id, port.id) for port in memory.ports.items.values() if port.tagged}
    for make in (names.bridge, names.vxlan, names.dhcp_veth, names.uplink_veth):
        expected |= {make(cloud_id, id) for id in networks}
    expected |= {names.router_veth(cloud_id, i.port_id) for r in memory.routers.items.values()
                 for i in routers.interfaces(r)}
    mine: tuple[str, ...] = ("t", "s", "b", "v", "d", "u", "r")
    if router_ids - memory.routers.items.keys():
        mine = mine[:-1]  # a router that the agent forgot: its links cannot be told from strays until it is applied
    result = [f"link {name}" for name in there - expected
              if name.startswith(mine) and name[1:5] == cloud_id[:4] and len(name) == 15]
    wanted = {fabric.namespace, *(names.dhcp_namespace(cloud_id, id) for id in networks),
              *(names.router_namespace(cloud_id, id) for id in router_ids)}
    result += [f"namespace {name}" for name in named(f"hn-{cloud_id}-") if name not in wanted]
    result += [f"dnsmasq {key}" for key in keys(cloud_id)
               if key not in networks and key.removeprefix("ra-") not in router_ids]
    roots = {names.root_veth(cloud_id, id) for id in networks}
    roots |= {names.root_bridge(cloud_id, n.physical_network or n.id) for n in memory.networks.items.values()}
    if networks == memory.networks.items.keys():  # else nothing says which physical networks are meant
        result += [f"root link {name}" for name in links.names() - roots
                   if name.startswith(names.root_link_prefixes(cloud_id))]
    return sorted(result)


def remove_strays(fabric: LinuxFabric) -> list[str]:
    removed = []
    for stray in read(fabric).strays:
        kind, _, name = stray.rpartition(" ")
        if kind == "link":
            with inside(fabric.namespace):
                links.delete(name)
        elif kind == "root link":
            links.delete(name)
        elif kind == "namespace":
            fabric.remove_namespaces([name])
        else:
            fabric.dnsmasq(name, "").remove()
        removed.append(stray)
    return removed


def purge(fabric: LinuxFabric) -> None:
    """Works without any memory: by names alone."""
    cloud_id = fabric.cloud_id
    for key in keys(cloud_id):
        Dnsmasq(cloud_id, key, "").remove()
    _end_processes(cloud_id)
    for name in named(f"hn-{cloud_id}"):
        if name == fabric.namespace or name.startswith(f"{fabric.namespace}-"):
            delete(name)
    external.purge(cloud_id)
    fabric.remove_run_directory()


def _end_processes(cloud_id: str) -> None:
    """Processes of ours whose files are lost: a dnsmasq that was started with a configuration of this cloud."""
    mark = f"--conf-file={run_directory(cloud_id)}/dnsmasq/".encode()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                words = Path(entry.path, "cmdline").read_bytes().split(b"\0")
                if any(word.startswith(mark) for word in words):
                    os.kill(int(entry.name), signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                continue


