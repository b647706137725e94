"""What may pass the fabric's bridges: anti-spoofing and security groups as nft text.

Two tables work together, because not every kernel has conntrack for bridges: br_netfilter shows bridged packets to the
inet table, which gives each network a conntrack zone of its own and writes the verdict of conntrack into the packet's
mark (1 established, 2 invalid); the bridge table's forward hook runs after that and reads the mark.

Of each port: chain `a-` (what the guest may send as itself), `g-` (messages that no guest may send, looked at before
and after reassembly), `e-` (leaving the guest), `i-` (towards the guest), `q-` (how much of that, where it is limited).
Of each group: `sge-`, `sgi-` with its rules and the sets `m4-`/`m6-` (members' addresses), `n4-`/`n6-` (members'
prefixes). A tap without an entry sends nothing.

Every word put into the text is an id, a MAC, an address or a number that was parsed before.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from haneul.host.contract import PortSpec, Refused, SecurityGroupSpec, SecurityRule
from haneul.host.fabric.names import FILTER_TABLE, TRACK_TABLE

from . import protocols, qos
from .protocols import Network, link_local

MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
METADATA_V4 = "169.254.169.254"
METADATA_V6 = "fe80::a9fe:a9fe"
B = f"bridge {FILTER_TABLE}"
I = f"inet {TRACK_TABLE}"  # noqa: E741
ND_AND_MLD = "{ 130, 131, 132, 133, 135, 136, 143 }"
ND_AND_MLD_IN = "{ 130, 131, 132, 134, 135, 136, 143 }"


def mac(text: str) -> str:
    if not MAC.match(text.lower()):
        raise Refused(f"{text!r} is no MAC address")
    return text.lower()


def prefix(text: str) -> Network:
    try:
        return ipaddress.ip_network(protocols.plain(text), strict=False)
    except ValueError as error:
        raise Refused(f"{text!r} is no address or prefix") from error


def _word(network: Network) -> str:
    whole = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if whole else str(network)


def _set(networks: Iterable[Network]) -> str:
    return "{ " + ", ".join(_word(n) for n in networks) + " }"


def base() -> list[str]:
    """The tables with their hooks; existing chains of ports, groups and networks are left as they are."""
    return [
        f"add table {I}",
        f"add map {I} zones {{ type ifname : verdict; }}",
        f"add chain {I} zone {{ type filter hook prerouting priority -300; policy accept; }}",
        f"flush chain {I} zone",
        f"add rule {I} zone iifname vmap @zones",
        f"add chain {I} state {{ type filter hook prerouting priority 0; policy accept; }}",
        f"flush chain {I} state",
        f"add rule {I} state meta mark set 0",
        f"add rule {I} state ct state established,related meta mark set 1",
        f"add rule {I} state ct state invalid meta mark set 2",
        f"add table {B}",
        *(f"add map {B} {name} {{ type ifname : verdict; }}" for name in ("spoof", "egress", "ingress")),
        f"add chain {B} pre {{ type filter hook prerouting priority -250; policy accept; }}",
        f"flush chain {B} pre",
        f"add rule {B} pre iifname vmap @spoof",
        f'add rule {B} pre iifname "t*" drop',
        f"add chain {B} to-guest",
        f"flush chain {B} to-guest",
        f"add rule {B} to-guest oifname vmap @ingress",
        f"add rule {B} to-guest accept",
        f"add chain {B} forwarded {{ type filter hook forward priority -200; policy accept; }}",
        f"flush chain {B} forwarded",
        # Every host answers DHCP and metadata itself with the network's one DHCP address: it must not leave the host.
        f'add rule {B} forwarded iifname "d*" oifname "v*" drop',
        f'add rule {B} forwarded iifname "v*" oifname "d*" drop',
        f'add rule {B} forwarded iifname "d*" oifname "u*" drop',
        f'add rule {B} forwarded iifname "u*" oifname "d*" drop',
        # A tag of a guest's own would be another network's out there.
        f'add rule {B} forwarded oifname "u*" ether type {{ 0x8100, 0x88a8 }} drop',
        f'add rule {B} forwarded iifname "u*" ether type {{ 0x8100, 0x88a8 }} drop',
        f"add rule {B} forwarded iifname vmap @egress",
        f"add rule {B} forwarded goto to-guest",
        *qos.base(B),
    ]


# ---------------------------------------------------------------- networks


def network(network_id: str, bridge: str, zone: int) -> list[str]:
    chain = f"z-{network_id}-{zone}"
    return [
        f"add chain {I} {chain}",
        f"flush chain {I} {chain}",
        f"add rule {I} {chain} ct zone set {zone}",
        f"add element {I} zones {{ {bridge} : jump {chain} }}",
    ]


def without_network(network_id: str, bridge: str, zone: int) -> list[str]:
    chain = f"z-{network_id}-{zone}"
    element = f"element {I} zones {{ {bridge} : jump {chain} }}"
    return [f"add chain {I} {chain}", f"add {element}", f"delete {element}", f"flush chain {I} {chain}",
            f"delete chain {I} {chain}"]


# ---------------------------------------------------------------- security groups


def declare_group(group_id: str) -> list[str]:
    """Chains and sets that others may name before the group itself is known."""
    return [
        f"add chain {B} sgi-{group_id}", f"add chain {B} sge-{group_id}",
        f"add set {B} m4-{group_id} {{ type ipv4_addr; }}", f"add set {B} m6-{group_id} {{ type ipv6_addr; }}",
        f"add set {B} n4-{group_id} {{ type ipv4_addr; flags interval; }}",
        f"add set {B} n6-{group_id} {{ type ipv6_addr; flags interval; }}",
    ]


def rule_matches(rule: SecurityRule) -> list[str]:
    """One rule as nft expressions without verdict: several, where it names a group whose members may be prefixes."""
    family = "ip6" if rule.ethertype == "IPv6" else "ip"
    side = "saddr" if rule.direction == "ingress" else "daddr"
    words = [f"ether type {family}"]
    protocol = protocols.number(rule)
    if protocol is not None:
        words.append(f"meta l4proto {protocol}")
    if (ports := protocols.ports(rule)) is not None:
        words.append(f"th dport {ports[0]}-{ports[1]}" if ports[0] != ports[1] else f"th dport {ports[0]}")
    kind, code = protocols.icmp(rule)
    name = "icmpv6" if rule.ethertype == "IPv6" else "icmp"
    words += [f"{name} type {kind}"] if kind is not None else []
    words += [f"{name} code {code}"] if code is not None else []
    remote = protocols.remote(rule)
    if rule.remote_group is not None:
        v = protocols.version(rule)
        return [" ".join([*words, f"{family} {side} @{letter}{v}-{rule.remote_group}"]) for letter in "mn"]
    if remote is not None and remote.prefixlen:
        words.append(f"{family} {side} {_word(remote)}")
    return [" ".join(words)]


def members(group: SecurityGroupSpec) -> dict[str, list[Network]]:
    """The group's members by the set that holds them: no duplicates, no overlaps."""
    sets: dict[str, list[Network]] = {"m4": [], "m6": [], "n4": [], "n6": []}
    networks = {prefix(text) for text in group.members}
    for item in networks:
        letter = "m" if item.prefixlen == item.max_prefixlen else "n"
        sets[f"{letter}{item.version}"].append(item)
    for key in ("n4", "n6"):
        sets[key] = list(ipaddress.collapse_addresses(sets[key]))  # type: ignore[type-var]
    return sets


def group(spec: SecurityGroupSpec, before: SecurityGroupSpec | None) -> list[str]:
    """The group exactly so. `before` is what the kernel has now for certain, None when that is not known."""
    lines = declare_group(spec.id)
    for rule in spec.rules:
        if rule.remote_group:
            lines += declare_group(rule.remote_group)
    if before is None or before.rules != spec.rules:
        for direction, chain, verdict in (("ingress", "sgi", "accept"), ("egress", "sge", "goto to-guest")):
            lines.append(f"flush chain {B} {chain}-{spec.id}")
            lines += [f"add rule {B} {chain}-{spec.id} {match} {verdict}"
                      for rule in spec.rules if rule.direction == direction for match in rule_matches(rule)]
    if before is None or before.members != spec.members:
        old = members(before) if before is not None else None
        for key, wanted in members(spec).items():
            lines += _set_difference(f"{key}-{spec.id}", old[key] if old else None, wanted)
    return lines


def _set_difference(name: str, old: list[Network] | None, wanted: list[Network]) -> list[str]:
    if old is None or name.startswith("n"):  # prefixes are few; replacing them avoids overlaps while changing
        lines = [f"flush set {B} {name}"]
        return lines + ([f"add element {B} {name} {_set(wanted)}"] if wanted else [])
    lines = []
    if gone := set(old) - set(wanted):
        # Adding first keeps the batch whole when an element is missing after all.
        lines += [f"add element {B} {name} {_set(gone)}", f"delete element {B} {name} {_set(gone)}"]
    if new := set(wanted) - set(old):
        lines.append(f"add element {B} {name} {_set(new)}")
    return lines


def without_group(group_id: str) -> list[str]:
    """For a group that nothing refers to any more."""
    return [*empty_group(group_id), f"delete chain {B} sgi-{group_id}", f"delete chain {B} sge-{group_id}",
            *(f"delete set {B} {key}-{group_id}" for key in ("m4", "m6", "n4", "n6"))]


def empty_group(group_id: str) -> list[str]:
    """For a group that is gone while ports or rules still name it: it allows nothing and has no members."""
    return [*declare_group(group_id), f"flush chain {B} sgi-{group_id}", f"flush chain {B} sge-{group_id}",
            *(f"flush set {B} {key}-{group_id}" for key in ("m4", "m6", "n4", "n6"))]


# ---------------------------------------------------------------- ports


def identities(port: PortSpec) -> dict[str, list[Network]]:
    """The addresses that a port may use, by MAC."""
    own = mac(port.mac)
    found: dict[str, list[Network]] = {own: [prefix(fixed.ip) for fixed in port.fixed_ips]}
    for pair in port.allowed_address_pairs:
        found.setdefault(mac(pair.mac or own), []).append(prefix(pair.ip))
    return found


def _spoof_rules(port: PortSpec) -> list[str]:
    rules = ["ether type != { ip, ip6, arp } drop", f"jump g-{port.id}"]
    for address, networks in identities(port).items():
        v4 = [n for n in networks if n.version == 4]
        v6 = [n for n in networks if n.version == 6]
        source = f"ether saddr {address}"
        if v4:
            unset = [] if any(n.prefixlen == 0 for n in v4) else [prefix("0.0.0.0")]  # 0.0.0.0 asks "is it taken?"
            rules += [f"{source} arp htype 1 arp hlen 6 arp plen 4 arp operation {{ request, reply }} "
                      f"arp saddr ether {address} arp saddr ip {_set(_disjoint([*v4, *unset]))} accept",
                      f"{source} ether type ip ip saddr {_set(_disjoint(v4))} accept"]
        if v6:
            local = prefix(str(link_local(address)))
            rules += [f"{source} ether type ip6 ip6 saddr {_set(_disjoint([*v6, local]))} accept",
                      f"{source} ip6 saddr :: icmpv6 type {{ nd-neighbor-solicit, nd-router-solicit, 143 }} accept"]
    own = mac(port.mac)
    rules.append(f"ether saddr {own} ether type ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 "
                 "udp sport 68 udp dport 67 accept")
    return [*rules, "drop"]


def _disjoint(networks: Iterable[Network]) -> list[Network]:
    return list(ipaddress.collapse_addresses(sorted(set(networks))))  # type: ignore[type-var]


def _guard_rules(port: PortSpec) -> list[str]:
    """What a guest may never send, whatever its security groups say: being a router, a DHCP server or a neighbour."""
    rules = ["icmpv6 type { nd-router-advert, nd-redirect } drop",
             "ether type ip udp sport 67 udp dport 68 drop", "ether type ip6 udp sport 547 udp dport 546 drop"]
    for address, networks in identities(port).items():
        for item in [*networks, prefix(str(link_local(address)))]:
            if item.version == 6:
                mask = f"& {int(item.netmask):#034x} " if item.prefixlen != 128 else ""
                target = f"@th,64,128 {mask}== {int(item.network_address):#034x}"
                rules.append(f"ether saddr {address} icmpv6 type nd-neighbor-advert {target} return")
    return [*rules, "icmpv6 type nd-neighbor-advert drop"]


def _has_v6(port: PortSpec) -> bool:
    return any(n.version == 6 for networks in identities(port).values() for n in networks)


def _egress_rules(port: PortSpec, stateful: bool) -> list[str]:
    ok = "goto to-guest"
    rules = [f"jump g-{port.id}", f"ether type arp {ok}"]
    rules += [f"icmpv6 type {ND_AND_MLD} {ok}", f"ether type ip6 udp sport 546 udp dport 547 {ok}",
              f"ip6 daddr {METADATA_V6} tcp dport 80 {ok}"] if _has_v6(port) else ["ether type ip6 drop"]
    rules += [f"ether type ip udp sport 68 udp dport 67 {ok}", f"ip daddr {METADATA_V4} tcp dport 80 {ok}"]
    rules += [f"meta mark 1 {ok}", "meta mark 2 drop"] if stateful else []
    return [*rules, *(f"jump sge-{group_id}" for group_id in port.security_groups), "drop"]


def _ingress_rules(port: PortSpec, stateful: bool) -> list[str]:
    rules = ["ether type != { ip, ip6, arp } drop", "ether type arp accept"]
    rules += [f"icmpv6 type {ND_AND_MLD_IN} accept", "ether type ip6 udp sport 547 udp dport 546 accept",
              ] if _has_v6(port) else ["ether type ip6 drop"]
    rules += ["ether type ip udp sport 67 udp dport 68 accept"]
    if stateful:
        rules += ["meta mark 1 accept", "meta mark 2 drop"]
    else:
        rules += [f"ip saddr {METADATA_V4} tcp sport 80 accept", f"ip6 saddr {METADATA_V6} tcp sport 80 accept"]
    return [*rules, *(f"jump sgi-{group_id}" for group_id in port.security_groups), "drop"]


def port(spec: PortSpec, tap: str, stateful: bool) -> list[str]:
    """The port exactly so. `stateful`: at least one of its groups is, or it has none."""
    if spec.port_security:
        bodies = {"g": _guard_rules(spec), "a": _spoof_rules(spec), "e": _egress_rules(spec, stateful),
                  "i": _ingress_rules(spec, stateful)}
    else:
        bodies = {"g": [], "a": ["accept"], "e": ["goto to-guest"], "i": ["accept"]}
    bodies["a"] = [*qos.marks(spec.qos), *qos.sent(spec.qos), *bodies["a"]]
    lines = [line for group_id in spec.security_groups for line in declare_group(group_id)]
    lines += [f"add chain {B} {letter}-{spec.id}" for letter in bodies]
    lines += [f"flush chain {B} {letter}-{spec.id}" for letter in bodies]
    for letter, rules in bodies.items():
        lines += [f"add rule {B} {letter}-{spec.id} {rule}" for rule in rules]
    lines += [f"add {element}" for element in _elements(spec.id, tap)]
    return lines + qos.of_port(B, spec, tap)


def _elements(port_id: str, tap: str) -> list[str]:
    return [f"element {B} {name} {{ {tap} : jump {letter}-{port_id} }}"
            for name, letter in (("spoof", "a"), ("egress", "e"), ("ingress", "i"))]


def without_port(port_id: str, tap: str) -> list[str]:
    """Declared before it is deleted, so that a port which is half there or not there at all is no failure."""
    chains = [f"{B} {letter}-{port_id}" for letter in "aeig"]
    return [*(f"add chain {chain}" for chain in chains), *(f"add {e}" for e in _elements(port_id, tap)),
            *(f"delete {e}" for e in _elements(port_id, tap)), *(f"flush chain {chain}" for chain in chains),
            *(f"delete chain {chain}" for chain in chains), *qos.without_port(B, port_id, tap)]
