"""A network's DHCP: a namespace with the DHCP port's addresses, and a dnsmasq that answers only the ports it knows.

The metadata address lives in the same namespace; every lease carries the route to it. DHCPv6 is served here as well;
router advertisements come from the network's router.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterable

from haneul.host.contract import NetworkSpec, PortSpec, Refused, SubnetSpec
from haneul.host.fabric import names

from . import bridges, dhcp_options, filters, links
from .dnsmasq import Dnsmasq
from .filters import METADATA_V4, METADATA_V6
from .namespaces import add, delete, exists, has_ipv6, inside, sysctl

log = logging.getLogger(__name__)

LEASE_SECONDS = 86400
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\.?\Z")
TAKEN_FOR_A_TIME = re.compile(r"(\d+[smhdw]?|infinite|ignore)\Z")  # what dnsmasq would not read as a name


def wanted(network: NetworkSpec) -> bool:
    return bool(network.dhcp_ips and network.dhcp_mac)


def metadata_v6(network: NetworkSpec) -> bool:
    """The kernel has no IPv6 on links that carry less than 1,280 bytes."""
    return network.mtu >= 1280 and has_ipv6()


def served(network: NetworkSpec) -> bool:
    return wanted(network) and any(_serves(subnet) for subnet in network.subnets)


def _serves(subnet: SubnetSpec) -> bool:
    version = ipaddress.ip_network(subnet.cidr).version
    return subnet.enable_dhcp and (version == 4 or subnet.ipv6_address_mode in ("dhcpv6-stateful", "dhcpv6-stateless"))


def server(cloud_id: str, network_id: str) -> Dnsmasq:
    return Dnsmasq(cloud_id, network_id, names.dhcp_namespace(cloud_id, network_id))


def apply_namespace(cloud_id: str, network: NetworkSpec) -> None:
    """The namespace and its link exactly so."""
    namespace, link = names.dhcp_namespace(cloud_id, network.id), names.dhcp_link(network.id)
    fresh = not exists(namespace)
    add(namespace)
    with inside(namespace):
        sysctl({"ipv6.conf.default.accept_ra": 0, "ipv6.conf.default.accept_dad": 0, "ipv4.conf.all.arp_announce": 2})
    with inside(names.fabric_namespace(cloud_id)):
        bridges.add_pair(names.dhcp_veth(cloud_id, network.id), link, namespace, names.bridge(cloud_id, network.id),
                         network.mtu, filters.mac(network.dhcp_mac or ""))
    with inside(namespace):
        there = {} if fresh else {found.ifname: found for found in links.links()}
        commands, _new = bridges.address_commands(there.get(link, links.Link(ifname=link)), network.dhcp_ips)
        local = {a.local for found in there.values() for a in found.addr_info}
        if METADATA_V4 not in local:
            commands += [["link", "set", "lo", "up"], ["address", "add", f"{METADATA_V4}/32", "dev", "lo"]]
        if metadata_v6(network) and METADATA_V6 not in local:
            commands.append(["address", "add", f"{METADATA_V6}/64", "dev", link, "nodad"])
        if not fresh and there[link].address != network.dhcp_mac:
            commands += [["link", "set", link, "down"], ["link", "set", link, "address", str(network.dhcp_mac)]]
        links.batch([*commands, ["link", "set", link, "up"]])


def apply_server(cloud_id: str, network: NetworkSpec, ports: Iterable[PortSpec], dnsmasq: Dnsmasq) -> None:
    """The process serves these ports and nobody else when it returns."""
    if not served(network):
        dnsmasq.remove()
        return
    mine = sorted(ports, key=lambda port: port.id)
    dnsmasq.ensure(configuration(network), hosts(network, mine), options(mine))


def remove(cloud_id: str, network_id: str, dnsmasq: Dnsmasq) -> None:
    dnsmasq.remove()
    delete(names.dhcp_namespace(cloud_id, network_id))


def domain(network: NetworkSpec) -> str:
    text = network.dns_domain.lower().rstrip(".")
    if text and not DOMAIN.match(text):
        raise Refused(f"network {network.id}: {network.dns_domain!r} is no domain name")
    return text


def configuration(network: NetworkSpec) -> str:
    """What all ports of the network share; a change of it restarts the process."""
    lines = [f"interface={names.dhcp_link(network.id)}", "dhcp-ignore=tag:!known", "dhcp-lease-max=65536", "no-ping"]
    if name := domain(network):
        lines += [f"domain={name}", f"local=/{name}/"]
    for subnet in network.subnets:
        if _serves(subnet):
            cidr, tag = ipaddress.ip_network(subnet.cidr), f"s-{subnet.id}"
            size = str(cidr.netmask) if cidr.version == 4 else str(cidr.prefixlen)
            lines.append(f"dhcp-range=set:{tag},{cidr.network_address},static,{size},{LEASE_SECONDS}")
            lines += _options4(network, subnet, tag) if cidr.version == 4 else _options6(network, subnet, tag)
    return "\n".join(lines)


def _own_address(network: NetworkSpec, subnet: SubnetSpec) -> str | None:
    cidr = ipaddress.ip_network(subnet.cidr)
    found = [interface.ip for text in network.dhcp_ips if (interface := ipaddress.ip_interface(text)).ip in cidr]
    return str(found[0]) if found else None


def _options4(network: NetworkSpec, subnet: SubnetSpec, tag: str) -> list[str]:
    force = f"dhcp-option-force=tag:{tag}"
    gateway = str(ipaddress.IPv4Address(subnet.gateway_ip)) if subnet.gateway_ip else None
    servers = [str(ipaddress.ip_address(text)) for text in subnet.dns_nameservers]
    lines = [f"{force},option:mtu,{int(network.mtu)}",
             f"dhcp-option=tag:{tag},option:router" + (f",{gateway}" if gateway else "")]
    if "0.0.0.0" in servers:  # Neutron's way to say: no server at all
        lines.append(f"dhcp-option=tag:{tag},option:dns-server")
    elif servers:
        lines.append(f"dhcp-option=tag:{tag},option:dns-server,{','.join(servers)}")
    routes = [f"{ipaddress.ip_network(r.destination)},{ipaddress.ip_address(r.nexthop)}" for r in subnet.host_routes]
    if own := _own_address(network, subnet):
        routes.append(f"{METADATA_V4}/32,{own}")
    if gateway and routes and not any(route.startswith("0.0.0.0/0,") for route in routes):
        routes.append(f"0.0.0.0/0,{gateway}")  # clients that take option 121 ignore the router option
    if routes:
        lines += [f"{force},{number},{','.join(routes)}" for number in (121, 249)]
    return lines


def _options6(network: NetworkSpec, subnet: SubnetSpec, tag: str) -> list[str]:
    servers = [f"[{ipaddress.ip_address(text)}]" for text in subnet.dns_nameservers]
    lines = []
    if "[::]" in servers:
        lines.append(f"dhcp-option=tag:{tag},option6:dns-server")
    elif servers:
        lines.append(f"dhcp-option=tag:{tag},option6:dns-server,{','.join(servers)}")
    if name := domain(network):
        lines.append(f"dhcp-option=tag:{tag},option6:domain-search,{name}")
    return lines


def host_name(network: NetworkSpec, port: PortSpec) -> str | None:
    """The port's name as dnsmasq may have it; None when it has none, or one that would be read as another thing."""
    label = port.hostname.lower().split(".")[0]
    if not LABEL.match(label):
        return None
    if name := domain(network):
        return f"{label}.{name}"
    return None if TAKEN_FOR_A_TIME.match(label) else label


def hosts(network: NetworkSpec, ports: Iterable[PortSpec]) -> str:
    """A line for each address of each port; `apply` has parsed the addresses."""
    served = {subnet.id: subnet.ipv6_address_mode for subnet in network.subnets if _serves(subnet)}
    lines = []
    for port in ports:
        head = f"{filters.mac(port.mac)},set:p-{port.id}"
        name = host_name(network, port)
        tail = f",{name}" if name else ""
        seen: set[str] = set()
        for fixed in port.fixed_ips:
            if fixed.subnet_id not in served or fixed.subnet_id in seen:
                continue
            seen.add(fixed.subnet_id)
            address = f",[{fixed.ip}]" if ":" in fixed.ip else f",{fixed.ip}"
            if served[fixed.subnet_id] == "dhcpv6-stateless":
                address = ""
            lines.append(f"{head}{address}{tail}\n")
    return "".join(lines)


def options(ports: Iterable[PortSpec]) -> str:
    """The options that users set on ports."""
    lines = []
    for port in ports:
        for version, name, value in port.dhcp_options:
            text = dhcp_options.render(version, name, value) if version in (4, 6) else None
            if text is None:
                log.warning("port %s: the DHCP option %r is not served", port.id, name)
            else:
                lines.append(f"tag:p-{port.id},{text}")
    return "".join(f"{line}\n" for line in lines)
