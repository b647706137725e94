"""Specifications that the fabric's tests share."""

from __future__ import annotations

import uuid

from haneul.host.contract import (
    FixedIP,
    FloatingIP,
    NetworkSpec,
    PortSpec,
    RouterInterface,
    RouterSpec,
    SecurityGroupSpec,
    SecurityRule,
    SubnetSpec,
)


def id(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, text))


def network(name: str = "private", cidr: str = "10.1.0.0/24", **more: object) -> NetworkSpec:
    base = cidr.split("/")[0].rsplit(".", 1)[0]
    v4 = SubnetSpec(id=id(f"{name}-v4"), cidr=cidr, gateway_ip=f"{base}.1", dns_nameservers=["9.9.9.9"])
    values: dict[str, object] = {
        "id": id(name), "type": "vxlan", "segmentation_id": 77, "mtu": 1450, "subnets": [v4],
        "dhcp_port_id": id(f"{name}-dhcp"), "dhcp_mac": "fa:16:3e:ff:00:02", "dhcp_ips": [f"{base}.2/24"],
        "dns_domain": "novalocal", **more}
    return NetworkSpec(**values)  # type: ignore[arg-type]


def dual_network(name: str = "private") -> NetworkSpec:
    """IPv4, and IPv6 by SLAAC."""
    plain = network(name)
    v6 = SubnetSpec(id=id(f"{name}-v6"), cidr="fd00:1::/64", gateway_ip="fd00:1::1", ipv6_address_mode="slaac",
                    ipv6_ra_mode="slaac")
    return network(name, subnets=[*plain.subnets, v6], dhcp_ips=[*plain.dhcp_ips, "fd00:1::2/64"])


def external(cidr_base: str = "172.30.4") -> NetworkSpec:
    subnet = SubnetSpec(id=id("public-v4"), cidr=f"{cidr_base}.0/24", gateway_ip=f"{cidr_base}.1", enable_dhcp=False)
    return NetworkSpec(id=id("public"), type="flat", physical_network="public", mtu=1500, external=True,
                       subnets=[subnet])


def port(number: int, net: NetworkSpec | None = None, groups: tuple[str, ...] = ("open",), **more: object) -> PortSpec:
    net = net or network()
    base = net.subnets[0].cidr.split("/")[0].rsplit(".", 1)[0]
    fixed = [FixedIP(net.subnets[0].id, f"{base}.{number}")]
    if len(net.subnets) > 1:
        fixed.append(FixedIP(net.subnets[1].id, f"fd00:1::f816:3eff:fe00:{number:x}"))
    values: dict[str, object] = {
        "id": id(f"port-{net.id}-{number}"), "network_id": net.id, "mac": f"fa:16:3e:00:00:{number:02x}",
        "fixed_ips": fixed, "security_groups": [id(group) for group in groups], "hostname": f"guest{number}",
        "server_id": id(f"server-{number}"), **more}
    return PortSpec(**values)  # type: ignore[arg-type]


def rule(name: str, direction: str = "ingress", ethertype: str = "IPv4", **more: object) -> SecurityRule:
    values: dict[str, object] = {"id": id(f"rule-{name}"), "direction": direction, "ethertype": ethertype, **more}
    return SecurityRule(**values)  # type: ignore[arg-type]


EGRESS = [rule("out4", "egress"), rule("out6", "egress", "IPv6")]


def group(name: str, *rules: SecurityRule, members: tuple[str, ...] = (), stateful: bool = True) -> SecurityGroupSpec:
    return SecurityGroupSpec(id=id(name), rules=[*EGRESS, *rules], members=list(members), stateful=stateful)


OPEN = group("open", rule("in4"), rule("in6", ethertype="IPv6"))
CLOSED = group("closed")


def router(net: NetworkSpec | None = None, floating: dict[str, str] | None = None, **more: object) -> RouterSpec:
    net, public = net or network(), external()
    base = net.subnets[0].cidr.split("/")[0].rsplit(".", 1)[0]
    inner = [RouterInterface(port_id=id("router-in"), network_id=net.id, mac="fa:16:3e:ff:00:01", ips=[f"{base}.1/24"])]
    if len(net.subnets) > 1:
        inner.append(RouterInterface(port_id=id("router-in6"), network_id=net.id, mac="fa:16:3e:ff:00:03",
                                     ips=["fd00:1::1/64"]))
    values: dict[str, object] = {
        "id": id("router"), "interfaces": inner,
        "gateway": RouterInterface(port_id=id("router-out"), network_id=public.id, mac="fa:16:3e:ff:00:11",
                                   ips=["172.30.4.10/24"]),
        "gateway_ips": ["172.30.4.1"],
        "floating_ips": [FloatingIP(id=id(f"fip-{public_ip}"), floating_ip=public_ip, fixed_ip=fixed)
                         for public_ip, fixed in (floating or {}).items()], **more}
    return RouterSpec(**values)  # type: ignore[arg-type]
