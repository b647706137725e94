"""IP protocols by the names Neutron knows, and what of a security rule filters and session check both need."""

from __future__ import annotations

import ipaddress

from haneul.host.contract import Refused, SecurityRule

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
WITH_PORTS = frozenset({TCP, UDP, 33, 132, 136})  # and DCCP, SCTP, UDP-Lite
NUMBERS = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "hopopt": 0, "icmp": ICMP, "icmpv6": ICMPV6, "igmp": 2,
    "ip": 0, "ipip": 4, "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": ICMPV6, "ipv6-nonxt": 59, "ipv6-opts": 60,
    "ipv6-route": 43, "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": TCP, "udp": UDP, "udplite": 136,
    "vrrp": 112,
}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def number(rule: SecurityRule) -> int | None:
    """The protocol a rule means; None is any. ICMP in an IPv6 rule is ICMPv6, as in Neutron."""
    if rule.protocol is None or rule.protocol == "any":
        return None
    value = NUMBERS.get(rule.protocol.lower())
    if value is None:
        if not rule.protocol.isascii() or not rule.protocol.isdigit() or int(rule.protocol) > 255:
            raise Refused(f"security rule {rule.id}: no protocol {rule.protocol!r}")
        value = int(rule.protocol)
    return ICMPV6 if value == ICMP and rule.ethertype == "IPv6" else value


def version(rule: SecurityRule) -> int:
    return 6 if rule.ethertype == "IPv6" else 4


def plain(text: str) -> str:
    """The text of an address or prefix, if it has no zone ("fe80::1%eth0"): Python keeps whatever stands behind the sign,
    line breaks too, and writes it out again."""
    if "%" in text:
        raise Refused(f"{text!r} has a zone")
    return text


def remote(rule: SecurityRule) -> Network | None:
    """The rule's remote prefix; None when it is not limited by one."""
    if rule.remote_cidr is None:
        return None
    try:
        network = ipaddress.ip_network(plain(rule.remote_cidr), strict=False)
    except ValueError as error:
        raise Refused(f"security rule {rule.id}: {rule.remote_cidr!r} is no network") from error
    if network.version != version(rule):
        raise Refused(f"security rule {rule.id}: {network} is not {rule.ethertype}")
    return network


def ports(rule: SecurityRule) -> tuple[int, int] | None:
    """The range of destination ports; None when the rule has none or its protocol knows no ports."""
    if number(rule) not in WITH_PORTS or (rule.port_min is None and rule.port_max is None):
        return None
    low = rule.port_min if rule.port_min is not None else 0
    high = rule.port_max if rule.port_max is not None else 65535
    if not 0 <= low <= high <= 65535:
        raise Refused(f"security rule {rule.id}: {low}-{high} is no range of ports")
    return low, high


def icmp(rule: SecurityRule) -> tuple[int | None, int | None]:
    """Type and code of a rule on ICMP."""
    if number(rule) not in (ICMP, ICMPV6):
        return None, None
    for value in (rule.port_min, rule.port_max):
        if value is not None and not 0 <= value <= 255:
            raise Refused(f"security rule {rule.id}: {value} is no ICMP type or code")
    return rule.port_min, rule.port_max


def link_local(mac: str) -> ipaddress.IPv6Address:
    """The EUI-64 link-local address of a card: the only one that anti-spoofing lets a guest use."""
    b = bytes.fromhex(mac.replace(":", ""))
    eui = bytes([b[0] ^ 2]) + b[1:3] + b"\xff\xfe" + b[3:6]
    return ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + eui)
