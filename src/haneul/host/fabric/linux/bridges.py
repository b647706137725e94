"""A network's links in the fabric namespace: its bridge, its tunnel to other hosts, its way to a physical network."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import msgspec

from haneul.host.contract import NetworkSpec, Refused
from haneul.host.fabric import names

from . import links
from .namespaces import FabricError, add, inside, run, sysctl

VXLAN_PORT = 4789
FLOOD = "00:00:00:00:00:00"


def prepare_fabric(cloud_id: str) -> None:
    """Makes the fabric namespace, or what is missing of one that was interrupted."""
    namespace = names.fabric_namespace(cloud_id)
    add(namespace)
    _make_room_for_neighbours()
    with inside(namespace):
        # The fabric carries frames and takes no part itself: no IPv6 of its own, no forwarding between networks. TCP
        # is never picked up in the middle, or a session that was ended would be back with the next reply.
        sysctl({"ipv6.conf.all.disable_ipv6": 1, "ipv6.conf.default.disable_ipv6": 1, "ipv4.ip_forward": 0,
                "bridge.bridge-nf-call-iptables": 1, "bridge.bridge-nf-call-ip6tables": 1,
                "bridge.bridge-nf-call-arptables": 0, "netfilter.nf_conntrack_tcp_loose": 0})
        links.batch([["link", "set", "lo", "up"]])


def _make_room_for_neighbours() -> None:
    """The kernel counts the neighbours of all namespaces together, and 1,024 are soon used up. Only ever raised."""
    for version in ("ipv4", "ipv6"):
        for number, least in ((3, 16384), (2, 8192), (1, 2048)):
            path = Path(f"/proc/sys/net/{version}/neigh/default/gc_thresh{number}")
            if path.exists() and int(path.read_text()) < least:  # not there in a namespace
                path.write_text(str(least))


def apply(cloud_id: str, network: NetworkSpec, tunnel_ip: str) -> None:
    """The network's links exactly so. External uplinks are `external`'s."""
    bridge = names.bridge(cloud_id, network.id)
    with inside(names.fabric_namespace(cloud_id)):
        if bridge not in links.names():
            links.batch([["link", "add", bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0",
                          "mcast_snooping", "0"]])
        links.set_mtu(bridge, network.mtu)
        links.set_up(bridge, True)
    if network.type == "vxlan":
        _apply_tunnel(cloud_id, network, tunnel_ip)


def remove(cloud_id: str, network_id: str) -> None:
    with inside(names.fabric_namespace(cloud_id)):
        links.delete(names.vxlan(cloud_id, network_id), names.uplink_veth(cloud_id, network_id),
                     names.dhcp_veth(cloud_id, network_id), names.bridge(cloud_id, network_id))


class Forwarding(msgspec.Struct):
    """An entry of `bridge -json fdb`."""

    mac: str
    dst: str | None = None


def _apply_tunnel(cloud_id: str, network: NetworkSpec, tunnel_ip: str) -> None:
    """A vxlan device exists only while other hosts have ports: a single host needs none, and the numbers of two clouds
    on one machine do not meet. It is made in this namespace and then moved: its UDP socket stays where the underlay is.
    """
    fabric, name = names.fabric_namespace(cloud_id), names.vxlan(cloud_id, network.id)
    peers = {str(ipaddress.ip_address(peer)) for peer in network.peers} - {tunnel_ip}
    with inside(fabric):
        there = name in links.names()
        if there and not peers:
            links.delete(name)
    if not peers:
        return
    if network.segmentation_id is None:
        raise Refused(f"network {network.id} has peers but no VXLAN number")
    if not there:
        links.batch([
            ["link", "add", name, "mtu", str(network.mtu), "type", "vxlan", "id", str(network.segmentation_id),
             "local", tunnel_ip, "dstport", str(VXLAN_PORT)],
            ["link", "set", name, "netns", fabric]])
    with inside(fabric):
        links.attach(names.bridge(cloud_id, network.id), name)
        links.set_mtu(name, network.mtu)
        links.set_up(name, True)
        text = run(["bridge", "-json", "fdb", "show", "dev", name]).stdout
        flood = {entry.dst for entry in msgspec.json.decode(text or "[]", type=list[Forwarding])
                 if entry.mac == FLOOD and entry.dst}
        for peer in peers - flood:
            run(["bridge", "fdb", "append", FLOOD, "dev", name, "dst", peer])
        for peer in flood - peers:
            run(["bridge", "fdb", "delete", FLOOD, "dev", name, "dst", peer])


def add_pair(here: str, there: str, namespace: str, bridge: str, mtu: int, mac: str | None) -> None:
    """A veth pair between a bridge of this namespace and a link in another one; what exists is kept and brought up."""
    if here not in links.names():
        address = ["address", mac] if mac else []
        links.batch([["link", "add", here, "mtu", str(mtu), "type", "veth", "peer", "name", there,
                      "mtu", str(mtu), *address, "netns", namespace]])
    links.attach(bridge, here)
    links.set_mtu(here, mtu)
    links.set_up(here, True)
    with inside(namespace):
        if there not in links.names():
            raise FabricError(f"the link {there} is missing in {namespace}")
        links.set_mtu(there, mtu)


def address_commands(link: links.Link, wanted: list[str]) -> tuple[list[list[str]], list[str]]:
    """What makes a link's global addresses (CIDR notation) exactly so, and which of them are new."""
    wanted = [str(ipaddress.ip_interface(text)) for text in wanted]
    have = [f"{a.local}/{a.prefixlen}" for a in link.addr_info if a.scope == "global"]
    gone = [["address", "delete", text, "dev", link.ifname] for text in have if text not in wanted]
    new = [text for text in wanted if text not in have]
    added = [["address", "add", text, "dev", link.ifname, *(["nodad"] if ":" in text else [])] for text in new]
    return [*gone, *added], new


def set_addresses(name: str, wanted: list[str]) -> None:
    [link] = links.links("dev", name)
    links.batch(address_commands(link, wanted)[0])
