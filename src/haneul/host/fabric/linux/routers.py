"""Routers: a namespace each, with a link in every network it joins, NAT, floating IPs and router advertisements.

The namespace's nft table is written whole each time: it is small, and a transaction leaves no moment without it.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping

from haneul.host.contract import FloatingIP, NetworkSpec, PortForwarding, Refused, RouterInterface, RouterSpec
from haneul.host.fabric import names

from . import bridges, filters, links, nft, qos
from .dnsmasq import Dnsmasq
from .filters import METADATA_V4, METADATA_V6
from .namespaces import add, delete, inside, run, sysctl

T = f"inet {names.ROUTER_TABLE}"
PROTOCOLS = ("tcp", "udp", "sctp", "dccp")


def link_name(router: RouterSpec, interface: RouterInterface) -> str:
    gateway = router.gateway is not None and interface.port_id == router.gateway.port_id
    return names.gateway_link(interface.port_id) if gateway else names.router_link(interface.port_id)


def interfaces(router: RouterSpec) -> list[RouterInterface]:
    return [*router.interfaces, *([router.gateway] if router.gateway else [])]


def advertiser(cloud_id: str, router_id: str) -> Dnsmasq:
    return Dnsmasq(cloud_id, f"ra-{router_id}", names.router_namespace(cloud_id, router_id))


def apply(cloud_id: str, router: RouterSpec, networks: Mapping[str, NetworkSpec], dnsmasq: Dnsmasq) -> None:
    """The router exactly so. Its networks must be on this host."""
    namespace = names.router_namespace(cloud_id, router.id)
    rules = table(router)
    add(namespace)
    with inside(namespace):
        sysctl({"ipv4.ip_forward": 1, "ipv6.conf.all.forwarding": 1, "ipv6.conf.default.accept_dad": 0,
                "ipv6.conf.default.accept_ra": 0, "ipv4.conf.all.send_redirects": 0,
                "ipv4.conf.default.send_redirects": 0, "ipv4.conf.all.arp_announce": 2, "ipv4.conf.all.arp_ignore": 1})
        nft.batch(rules)
    _apply_links(cloud_id, router, networks, namespace)
    with inside(namespace):
        _apply_addresses(router)
        if router.admin_up:
            _apply_routes(router)
    conf = advertisements(router, networks) if router.admin_up else ""
    if conf:
        dnsmasq.ensure(conf)
    else:
        dnsmasq.remove()


def _apply_links(cloud_id: str, router: RouterSpec, networks: Mapping[str, NetworkSpec], namespace: str) -> None:
    wanted = {link_name(router, interface): interface for interface in interfaces(router)}
    with inside(namespace):
        there = {name for name in links.names() if name.startswith(("qr", "qg"))}
        for name in there - wanted.keys():
            links.delete(name)
    with inside(names.fabric_namespace(cloud_id)):
        for name, interface in wanted.items():
            veth = names.router_veth(cloud_id, interface.port_id)
            if name not in there:
                links.delete(veth)  # the other end was in another role (gateway, interface) or is lost
            bridges.add_pair(veth, name, namespace, names.bridge(cloud_id, interface.network_id),
                             networks[interface.network_id].mtu, filters.mac(interface.mac))


def _apply_addresses(router: RouterSpec) -> None:
    there = {link.ifname: link for link in links.links()}
    commands: list[list[str]] = []
    news: list[tuple[str, str, list[str]]] = []
    if METADATA_V4 not in {a.local for a in there["lo"].addr_info}:
        commands += [["link", "set", "lo", "up"], ["address", "add", f"{METADATA_V4}/32", "dev", "lo"]]
    for interface in interfaces(router):
        name = link_name(router, interface)
        wanted = [*interface.ips]
        if router.gateway is interface:
            wanted += [f"{address}/32" for address in _floating(router)]
        changes, new = bridges.address_commands(there[name], wanted)
        commands += changes
        _forget_soon(name)
        news.append((name, filters.mac(interface.mac), new))
        links.set_up(name, router.admin_up)
    links.batch(commands)
    for name, mac, new in news:
        if router.admin_up and new:
            announce(name, mac, new)


def _forget_soon(name: str) -> None:
    """Who calls a guest that went off hears so ("no route to host") after about 10 s. By the kernel's own times a neighbour
    is believed in for up to 50 s, and a client that calls a rebooting guest waits for ever rarer tries of TCP."""
    for version in ("ipv4", "ipv6"):
        sysctl({f"{version}.neigh.{name}.base_reachable_time_ms": 4000, f"{version}.neigh.{name}.delay_first_probe_time": 1})


def _floating(router: RouterSpec) -> list[ipaddress.IPv4Address]:
    try:
        forwarded = [f.floating_ip for f in router.forwardings]
        texts = dict.fromkeys([*(f.floating_ip for f in router.floating_ips), *forwarded])
        return [ipaddress.IPv4Address(text) for text in texts]
    except ValueError as error:
        raise Refused(f"router {router.id}: {error}") from error


def table(router: RouterSpec) -> list[str]:
    """The router's nft table."""
    lines = [f"add table {T}", f"delete table {T}", f"add table {T}"]
    chains = {"pre": "type nat hook prerouting priority -100; policy accept;",
              "post": "type nat hook postrouting priority 100; policy accept;",
              "own": "type filter hook input priority 0; policy drop;",
              "through": "type filter hook forward priority 0; policy accept;"}
    lines += [f"add chain {T} {name} {{ {what} }}" for name, what in chains.items()]
    rules = {"pre": [], "post": [], "through": ["ct state invalid drop"], "own": _own_rules()}
    if router.gateway is not None:
        _gateway_rules(router, router.gateway, rules)
    return lines + [f"add rule {T} {chain} {rule}" for chain, body in rules.items() for rule in body] + qos.of_router(T, router)


def _own_rules() -> list[str]:
    """What the router itself answers: echo, neighbours, metadata. DHCPv6 is another process's, in another namespace."""
    return ["ct state established,related accept", 'iifname "lo" accept', "meta l4proto { icmp, ipv6-icmp } accept",
            f"ip daddr {METADATA_V4} tcp dport 80 accept", f"ip6 daddr {METADATA_V6} tcp dport 80 accept"]


def _gateway_rules(router: RouterSpec, gateway: RouterInterface, rules: dict[str, list[str]]) -> None:
    out = names.gateway_link(gateway.port_id)
    own = [i.ip for text in gateway.ips if (i := ipaddress.ip_interface(text)).version == 4]
    for public, private in (_pair(floating) for floating in router.floating_ips):
        rules["pre"].append(f"ip daddr {public} dnat ip to {private}")
        # Also towards an inner network when it came in through a floating IP: the answer must pass here again.
        rules["post"].append(f'ip saddr {private} oifname "{out}" snat ip to {public}')
        rules["post"].append(f'ip saddr {private} iifname != "{out}" ct status dnat snat ip to {public}')
    for forwarding in router.forwardings:
        _forwarding_rules(forwarding, out, rules)
    if router.enable_snat and own:
        rules["post"].append(f'meta nfproto ipv4 iifname != "{out}" oifname "{out}" snat ip to {own[0]}')
        rules["post"].append(f'meta nfproto ipv4 iifname != "{out}" ct status dnat snat ip to {own[0]}')
        # With address translation nothing outside can have opened a session to an inner address by itself.
        inwards = f'meta nfproto ipv4 iifname "{out}" oifname != "{out}" ct state new'
        rules["through"] += [f"{inwards} ct status dnat accept", f"{inwards} drop"]


def _forwarding_rules(forwarding: PortForwarding, out: str, rules: dict[str, list[str]]) -> None:
    """Ports that keep their numbers or share one need one entry; others one each."""
    public, private = _pair(forwarding)
    (first, last), (to, to_last) = forwarding.external, forwarding.internal
    if not (0 < first <= last <= 65535 and 0 < to <= to_last <= 65535 and to_last - to in (0, last - first)):
        raise Refused(f"port forwarding {forwarding.id}: {first}-{last} does not lead to {to}-{to_last}")
    if forwarding.protocol not in PROTOCOLS:
        raise Refused(f"port forwarding {forwarding.id}: no protocol {forwarding.protocol!r}")
    match = f"ip daddr {public} {forwarding.protocol} dport"
    ports = f"{first}-{last}" if first != last else f"{first}"
    if to == to_last:
        rules["pre"].append(f"{match} {ports} dnat ip to {private}:{to}")
    elif first == to:
        rules["pre"].append(f"{match} {ports} dnat ip to {private}")
    else:
        rules["pre"] += [f"{match} {first + n} dnat ip to {private}:{to + n}" for n in range(last - first + 1)]
    # From an inner network through the floating IP: the answer must pass here again, translation of all else or not.
    rules["post"].append(f'ip daddr {private} iifname != "{out}" oifname != "{out}" ct status dnat snat ip to {public}')


def _pair(floating: FloatingIP | PortForwarding) -> tuple[str, str]:
    try:
        return str(ipaddress.IPv4Address(floating.floating_ip)), str(ipaddress.IPv4Address(floating.fixed_ip))
    except ValueError as error:
        raise Refused(f"floating IP {floating.id}: {error}") from error


def _apply_routes(router: RouterSpec) -> None:
    """Default routes and extra routes exactly so (protocol static marks ours)."""
    wanted: dict[int, dict[str, str]] = {4: {}, 6: {}}
    for hop in router.gateway_ips:
        wanted[ipaddress.ip_address(hop).version]["default"] = str(ipaddress.ip_address(hop))
    for route in router.routes:
        network, via = ipaddress.ip_network(route.destination), ipaddress.ip_address(route.nexthop)
        key = "default" if network.prefixlen == 0 else str(network)
        if network.prefixlen == network.max_prefixlen:
            key = str(network.network_address)
        wanted[network.version][key] = str(via)
    knows_v6 = any(":" in text for interface in interfaces(router) for text in interface.ips)
    for version, routes in wanted.items():
        if version == 6 and not (knows_v6 or routes):
            continue  # the routes went with the last address
        have = {route.dst: route.gateway for route in links.routes(version, "proto", "static")}
        for dst in have.keys() - routes.keys():
            run(["ip", f"-{version}", "route", "delete", dst, "proto", "static"])
        onlink = router.gateway is not None
        for dst, hop in routes.items():
            if have.get(dst) != hop:
                _replace_route(version, dst, hop, router if onlink and dst == "default" else None)


def _replace_route(version: int, dst: str, hop: str, gateway_of: RouterSpec | None) -> None:
    """A next hop outside the gateway's own subnets is on its link all the same (as Neutron does it)."""
    words = ["ip", f"-{version}", "route", "replace", dst, "via", hop, "proto", "static"]
    if gateway_of is not None and gateway_of.gateway is not None:
        inside_own = any(ipaddress.ip_address(hop) in ipaddress.ip_interface(text).network
                         for text in gateway_of.gateway.ips)
        if not inside_own:
            words += ["dev", names.gateway_link(gateway_of.gateway.port_id), "onlink"]
    run(words)


def advertisements(router: RouterSpec, networks: Mapping[str, NetworkSpec]) -> str:
    """dnsmasq's configuration for router advertisements; empty when no subnet asks for them."""
    lines: list[str] = []
    for interface in router.interfaces:
        network = networks[interface.network_id]
        own = [ipaddress.ip_interface(text) for text in interface.ips]
        name = link_name(router, interface)
        ranges = []
        for subnet in network.subnets:
            cidr = ipaddress.ip_network(subnet.cidr)
            if cidr.version != 6 or subnet.ipv6_ra_mode is None or not any(i.ip in cidr for i in own):
                continue
            mode = {"slaac": "ra-only", "dhcpv6-stateless": "ra-stateless", "dhcpv6-stateful": "static"}
            tag = f"s-{subnet.id}"
            ranges.append(f"dhcp-range=set:{tag},{cidr.network_address},{mode[subnet.ipv6_ra_mode]},{cidr.prefixlen}")
            servers = [f"[{ipaddress.ip_address(text)}]" for text in subnet.dns_nameservers]
            # Without servers of its own dnsmasq would advertise the router, which answers no questions.
            ranges.append(f"dhcp-option=tag:{tag},option6:dns-server" + (f",{','.join(servers)}" if servers else ""))
        if ranges:
            lines += [f"interface={name}", f"ra-param={name},mtu:{int(network.mtu)},60,1800", *ranges]
    return "\n".join(["port=0", "enable-ra", *lines]) if lines else ""


def remove(cloud_id: str, router_id: str, dnsmasq: Dnsmasq) -> None:
    dnsmasq.remove()
    delete(names.router_namespace(cloud_id, router_id))


def announce(name: str, mac: str, addresses: list[str]) -> None:
    """Gratuitous ARP for IPv4 addresses that are new on a link, so that neighbours forget who had them before."""
    own = bytes.fromhex(mac.replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as handle:  # only sends: nothing to bind or to hook
        for text in addresses:
            address = ipaddress.ip_interface(text).ip
            if address.version == 4:
                for operation in (b"\x00\x01", b"\x00\x02"):
                    frame = (b"\xff" * 6 + own + b"\x08\x06\x00\x01\x08\x00\x06\x04" + operation + own + address.packed
                             + b"\xff" * 6 + address.packed)
                    handle.sendto(frame, (name, 0x0806))
