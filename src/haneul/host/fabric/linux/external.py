"""Networks that leave the fabric: the bridge of a physical network in the root namespace.

On the bridge of an external network the host carries the subnet's gateway address, so that it reaches floating IPs and
the guests get out through it (masqueraded by a table of this cloud alone). An operator who puts a card into that bridge
has the physical network there instead: its own router is the gateway then.
"""

from __future__ import annotations

import ipaddress
import shutil
from pathlib import Path

from haneul.host.contract import Conflict, NetworkSpec, Refused
from haneul.host.fabric import names

from . import bpf, links, nft
from .bridges import set_addresses
from .namespaces import FabricError, inside, run, sysctl


def applies(network: NetworkSpec) -> bool:
    return network.type in ("flat", "vlan")


def _physical(network: NetworkSpec) -> str:
    return network.physical_network or network.id


def host_addresses(network: NetworkSpec) -> list[str]:
    """What the host carries on the bridge: the gateway of each subnet of an external network."""
    if not network.external:
        return []
    return [f"{subnet.gateway_ip}/{ipaddress.ip_network(subnet.cidr).prefixlen}"
            for subnet in network.subnets if subnet.gateway_ip]


def apply(cloud_id: str, networks: dict[str, NetworkSpec], network: NetworkSpec) -> None:
    """`networks` are all that this host has, `network` among them: several may share one physical network."""
    root = names.root_bridge(cloud_id, _physical(network))
    sharing = [n for n in networks.values() if applies(n) and _physical(n) == _physical(network)]
    addresses = [] if _has_card(cloud_id, root) else [text for n in sharing for text in host_addresses(n)]
    _refuse_overlap(root, addresses)
    if root not in links.names():
        links.batch([["link", "add", root, "type", "bridge", "stp_state", "0", "forward_delay", "0",
                      "mcast_snooping", "0"]])
        sysctl({f"ipv6.conf.{root}.accept_dad": 0, f"ipv6.conf.{root}.accept_ra": 0})
    links.set_mtu(root, max(n.mtu for n in sharing))
    _apply_uplink(cloud_id, network, root)
    links.set_up(root, True)
    set_addresses(root, addresses)
    _apply_root_rules(cloud_id, networks)


def _has_card(cloud_id: str, root: str) -> bool:
    """True when an operator put a link into the bridge: then the gateway is a real router out there, and hosts
    that all carried its address would fight over it."""
    if root not in links.names():
        return False
    mine = names.root_link_prefixes(cloud_id)
    return any(not link.ifname.startswith(mine) for link in links.links("master", root))


def _apply_uplink(cloud_id: str, network: NetworkSpec, root: str) -> None:
    fabric, bridge = names.fabric_namespace(cloud_id), names.bridge(cloud_id, network.id)
    uplink, here = names.uplink_veth(cloud_id, network.id), names.root_veth(cloud_id, network.id)
    if network.type == "vlan" and not 1 <= (network.segmentation_id or 0) <= 4094:
        raise Refused(f"network {network.id} has no VLAN number")
    paired = here in links.names()
    with inside(fabric):
        there = uplink in links.names()
        if there and not paired:
            links.delete(uplink)  # an uplink of another kind, or half of one
    if paired and not there:
        links.delete(here)
    if not (paired and there):
        links.batch([["link", "add", here, "mtu", str(network.mtu), "type", "veth", "peer", "name", uplink,
                      "mtu", str(network.mtu), "netns", fabric]])
        sysctl({f"ipv6.conf.{here}.disable_ipv6": 1})
    if network.type == "vlan" and network.segmentation_id is not None:
        with inside(fabric):  # before the pair leads anywhere
            bpf.put(uplink, bpf.only(network.segmentation_id))
            bpf.put(uplink, bpf.add_tag(network.segmentation_id), bpf.EGRESS)
    links.attach(root, here)
    links.set_mtu(here, network.mtu)
    links.set_up(here, True)
    with inside(fabric):
        links.attach(bridge, uplink)
        links.set_mtu(uplink, network.mtu)
        links.set_up(uplink, True)


def remove(cloud_id: str, networks: dict[str, NetworkSpec], network: NetworkSpec) -> None:
    """`networks` are those that stay."""
    root = names.root_bridge(cloud_id, _physical(network))
    links.delete(names.root_veth(cloud_id, network.id))
    sharing = [n for n in networks.values() if applies(n) and _physical(n) == _physical(network)]
    if sharing:
        if not _has_card(cloud_id, root):
            set_addresses(root, [text for n in sharing for text in host_addresses(n)])
    else:
        links.delete(root)
        _open_foreign_firewall(cloud_id, root, wanted=False)
    _apply_root_rules(cloud_id, networks)


def _refuse_overlap(root: str, addresses: list[str]) -> None:
    wanted = [ipaddress.ip_interface(text).network for text in addresses]
    for link in links.links() if wanted else []:
        for address in link.addr_info:
            if link.ifname == root or address.scope != "global":
                continue
            network = ipaddress.ip_interface(f"{address.local}/{address.prefixlen}").network
            for mine in wanted:
                if mine.version == network.version and mine.overlaps(network):  # type: ignore[arg-type]
                    raise Conflict(f"the external network {mine} overlaps {network} of the link {link.ifname}; "
                                   "give this cloud another public_cidr")


def _apply_root_rules(cloud_id: str, networks: dict[str, NetworkSpec]) -> None:
    """Masquerading of what leaves the host from an external network; nothing of anybody else's is touched."""
    table = f"inet {names.root_table(cloud_id)}"
    external = [n for n in networks.values() if applies(n) and n.external]
    lines = [f"add table {table}", f"delete table {table}"]
    rules: list[str] = []
    for network in external:
        root = names.root_bridge(cloud_id, _physical(network))
        _open_foreign_firewall(cloud_id, root, wanted=True)
        for subnet in network.subnets if not _has_card(cloud_id, root) else []:
            cidr = ipaddress.ip_network(subnet.cidr)
            family = "ip6" if cidr.version == 6 else "ip"
            rules.append(f'{family} saddr {cidr} oifname != "{root}" masquerade')
            _forward(cidr.version)
    if rules:
        lines += [f"add table {table}",
                  f"add chain {table} out {{ type nat hook postrouting priority 100; policy accept; }}",
                  *(f"add rule {table} out {rule}" for rule in rules)]
    nft.batch(lines)


def _forward(version: int) -> None:
    """The machine forwards. One that forwards IPv6 takes no advertisements unless told to (accept_ra 2), and its own
    way out would be lost."""
    if version == 4:
        sysctl({"ipv4.ip_forward": 1})
    elif Path("/proc/sys/net/ipv6/conf/all/forwarding").read_text().strip() == "0":
        for path in Path("/proc/sys/net/ipv6/conf").glob("*/accept_ra"):
            if path.read_text().strip() == "1":
                path.write_text("2")
        sysctl({"ipv6.conf.all.forwarding": 1})


def _open_foreign_firewall(cloud_id: str, root: str, wanted: bool) -> None:
    """Docker and others let the root namespace forward nothing. A verdict of ours cannot overrule theirs, so that our
    two rules go where Docker asks for them (DOCKER-USER), else into a FORWARD chain whose policy is DROP, marked."""
    for program in ("iptables", "ip6tables"):
        if shutil.which(program) is None:
            continue
        chain = "DOCKER-USER"
        listed = run([program, "-w", "-S", chain], ok=(0, 1, 2, 3, 4))
        if listed.returncode != 0:
            chain = "FORWARD"
            listed = run([program, "-w", "-S", chain], ok=(0, 1, 2, 3, 4))
            if listed.returncode != 0 or (wanted and "-P FORWARD DROP" not in listed.stdout):
                continue
        for side in ("-i", "-o"):
            rule = [side, root, "-m", "comment", "--comment", names.root_comment(cloud_id), "-j", "ACCEPT"]
            there = run([program, "-w", "-C", chain, *rule], ok=(0, 1, 2)).returncode == 0
            if wanted and not there:
                run([program, "-w", "-I", chain, *rule])
            elif there and not wanted:
                run([program, "-w", "-D", chain, *rule])


def purge(cloud_id: str) -> list[str]:
    """Removes every link and table of this cloud from the root namespace; answers their names."""
    removed = []
    for name in sorted(links.names()):
        if name.startswith(names.root_link_prefixes(cloud_id)):
            if name.startswith(names.root_link_prefixes(cloud_id)[0]):
                _open_foreign_firewall(cloud_id, name, wanted=False)
            try:
                links.delete(name)
            except FabricError:
                if name in links.names():
                    raise  # else its pair's other end took it along
            removed.append(name)
    table = names.root_table(cloud_id)
    if nft.has_table("inet", table):
        nft.batch([f"delete table inet {table}"])
        removed.append(f"nft table inet {table}")
    return removed
