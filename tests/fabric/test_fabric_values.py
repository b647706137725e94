"""What users write, before it reaches a file or the kernel; and the check of live sessions. No root needed."""

from __future__ import annotations

import fabric_world as world
import msgspec
import pytest

from haneul.host.contract import AddressPair, FabricState, FixedIP, HostRoute, Refused
from haneul.host.fabric import names
from haneul.host.fabric.linux import dhcp, dhcp_options, filters, protocols, sessions, wellformed


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a,b", 'a"b', "a\\b", "", "x" * 256, "a\0b", "a;b", "a#b"])
def test_text_options_take_plain_words_only(value: str) -> None:
    assert dhcp_options.render(4, "bootfile-name", value) is None


@pytest.mark.parametrize(("version", "name", "value", "expected"), [
    (4, "bootfile-name", "http://boot/x.efi", "67,http://boot/x.efi"),
    (4, "67", "pxelinux.0", "67,pxelinux.0"),
    (4, "tftp-server", "10.0.0.1", "66,10.0.0.1"),
    (4, "tftp-server", "boot.example.org", "66,boot.example.org"),
    (4, "server-ip-address", "10.0.0.1", "option:server-ip-address,10.0.0.1"),
    (4, "router", "10.0.0.1, 10.0.0.2", "3,10.0.0.1,10.0.0.2"),
    (4, "router", "fd00::1", None),
    (6, "dns-server", "fe80::1%x\nlog-queries", None),
    (4, "router", "10.0.0.1\n", "3,10.0.0.1"),
    (4, "mtu", "1400", "26,1400"),
    (4, "mtu", "-1", None),
    (4, "classless-static-route", "10.9.0.0/24,10.0.0.1", "121,10.9.0.0/24,10.0.0.1"),
    (4, "no-such-option", "x", None),
    (4, "255", "10.0.0.1", None),
    (6, "dns-server", "fd00::1", "option6:23,[fd00::1]"),
    (6, "domain-search", "a.example,b.example", "option6:24,a.example,b.example"),
    (6, "dns-server", "10.0.0.1", None),
])
def test_options_by_type(version: int, name: str, value: str, expected: str | None) -> None:
    assert dhcp_options.render(version, name, value) == expected


@pytest.mark.parametrize("hostname", ["ignore", "60", "2h", "infinite", "x,set:known", "x\ny", "-x", "", "host name"])
def test_host_names_that_dnsmasq_would_misread(hostname: str) -> None:
    network = msgspec.structs.replace(world.network(), dns_domain="")
    assert dhcp.host_name(network, world.port(5, hostname=hostname)) is None


def test_host_name_with_domain() -> None:
    assert dhcp.host_name(world.network(), world.port(5, hostname="Web-1")) == "web-1.novalocal"
    assert dhcp.host_name(world.network(), world.port(5, hostname="web.example.org")) == "web.novalocal"


@pytest.mark.parametrize("change", [
    {"mac": "fa:16:3e:00:00:05; flush ruleset"},
    {"allowed_address_pairs": [AddressPair("10.0.0.1 } accept", "fa:16:3e:00:00:05")]},
    {"allowed_address_pairs": [AddressPair("10.0.0.1", "any")]},
])
def test_no_foreign_word_reaches_nft(change: dict[str, object]) -> None:
    with pytest.raises(Refused):
        filters.port(world.port(5, **change), "t", True)


@pytest.mark.parametrize("change", [
    {"protocol": "tcp; drop"}, {"protocol": "256"}, {"protocol": "tcp", "port_min": 9, "port_max": 3},
    {"protocol": "tcp", "port_min": 1, "port_max": 70000}, {"protocol": "icmp", "port_min": 256},
    {"remote_cidr": "fd00::/8"}, {"remote_cidr": "all"}])
def test_rules_that_cannot_be_expressed(change: dict[str, object]) -> None:
    with pytest.raises(Refused):
        filters.rule_matches(world.rule("x", **change))


@pytest.mark.parametrize(("change", "expected"), [
    ({}, ["ether type ip"]),
    ({"protocol": "tcp", "port_min": 22, "port_max": 22}, ["ether type ip meta l4proto 6 th dport 22"]),
    ({"protocol": "17", "port_min": 1, "port_max": 9}, ["ether type ip meta l4proto 17 th dport 1-9"]),
    ({"protocol": "icmp", "port_min": 8, "port_max": 0}, ["ether type ip meta l4proto 1 icmp type 8 icmp code 0"]),
    ({"protocol": "icmp", "ethertype": "IPv6", "port_min": 128}, ["ether type ip6 meta l4proto 58 icmpv6 type 128"]),
    ({"protocol": "vrrp"}, ["ether type ip meta l4proto 112"]),
    ({"remote_cidr": "10.0.0.7/8"}, ["ether type ip ip saddr 10.0.0.0/8"]),
    ({"remote_cidr": "0.0.0.0/0"}, ["ether type ip"]),
    ({"remote_cidr": "::/0", "ethertype": "IPv6", "direction": "egress"}, ["ether type ip6"]),
])
def test_rules_as_matches(change: dict[str, object], expected: list[str]) -> None:
    assert filters.rule_matches(world.rule("x", **change)) == expected


LINES = [
    ("tcp      6 431999 ESTABLISHED src=10.0.0.5 dst=10.0.0.6 sport=40000 dport=22 src=10.0.0.6 dst=10.0.0.5 sport=22 "
     "dport=40000 [ASSURED] mark=0 zone=1 use=1", 4, (6, "10.0.0.5", "10.0.0.6", 40000, 22, None)),
    ("icmp     1 29 src=10.0.0.5 dst=10.0.0.6 type=8 code=0 id=7 src=10.0.0.6 dst=10.0.0.5 type=0 code=0 id=7 zone=1",
     4, (1, "10.0.0.5", "10.0.0.6", None, None, 8)),
    ("unknown  112 599 src=10.0.0.5 dst=10.0.0.6 [UNREPLIED] src=10.0.0.6 dst=10.0.0.5 mark=0 zone=1 use=1", 4,
     (112, "10.0.0.5", "10.0.0.6", None, None, None)),
]


@pytest.mark.parametrize(("line", "version", "expected"), LINES)
def test_lines_of_conntrack(line: str, version: int, expected: tuple[object, ...]) -> None:
    found = sessions.parse(line, version)
    assert found is not None
    assert (found.protocol, found.source, found.destination, found.sport, found.dport, found.icmp_type) == expected


def test_which_rule_still_allows_a_session() -> None:
    session = sessions.parse(LINES[0][0], 4)
    assert session is not None
    team = world.group("team", members=("10.0.0.5", "192.168.0.0/16"))
    groups = {team.id: team}
    for allowed, change in (
            (True, {}), (True, {"protocol": "tcp", "port_min": 22, "port_max": 22}), (False, {"protocol": "udp"}),
            (False, {"protocol": "tcp", "port_min": 23, "port_max": 29}), (False, {"remote_cidr": "10.0.1.0/24"}),
            (True, {"remote_cidr": "10.0.0.0/24"}), (False, {"ethertype": "IPv6"}), (True, {"remote_group": team.id}),
            (False, {"remote_group": world.id("nobody")})):
        assert sessions.rule_allows(world.rule("x", **change), session, "10.0.0.5", groups) is allowed, change


def test_link_names_are_short_and_differ() -> None:
    makers = (names.tap, names.bridge, names.vxlan, names.dhcp_veth, names.router_veth, names.uplink_veth,
              names.root_veth, names.root_bridge)
    made = {make("0123abcd", world.id("x")) for make in makers}
    assert len(made) == len(makers) and all(len(name) <= 15 for name in made)
    assert len(names.tap("0123abcd", "../../x y")) == 15
    with pytest.raises(ValueError):
        names.tap("0123ABCD", world.id("x"))


def test_link_local_address() -> None:
    assert str(protocols.link_local("fa:16:3e:00:00:05")) == "fe80::f816:3eff:fe00:5"


@pytest.mark.parametrize("state", [
    FabricState(networks=[world.network(dhcp_ips=["10.1.0.2/24; reboot"])]),
    FabricState(networks=[world.network(dns_domain="x\nlog-queries")]),
    FabricState(networks=[world.network(dhcp_mac="any")]),
    FabricState(networks=[world.network(mtu=3)]),
    FabricState(networks=[world.network()], ports=[world.port(5, fixed_ips=[FixedIP(world.id("s"), "10.1.0.0/24")])]),
    FabricState(networks=[world.network()], ports=[world.port(5, security_groups=["x } accept"])]),
    FabricState(networks=[world.network(), world.external()], routers=[world.router(floating={"1.2.3.4/1": "10.1.0.5"})]),
    FabricState(networks=[world.network(), world.external()], routers=[world.router(routes=[HostRoute("all", "10.1.0.9")])]),
    # Python reads what stands behind a zone's sign, whatever it is, and writes it out again
    FabricState(networks=[world.network(dhcp_ips=["fd00::2%x\nlog-queries/64"])]),
    FabricState(security_groups=[world.group("zoned", members=("fe80::1%x\nflush ruleset",))]),
    FabricState(security_groups=[world.group("zoned", world.rule("z", ethertype="IPv6", remote_cidr="fe80::%x }/128"))]),
    FabricState(networks=[world.network()], ports=[world.port(5, fixed_ips=[FixedIP(world.id("s"), "fe80::1%x\ny")])]),
    FabricState(networks=[world.network()], ports=[world.port(5, allowed_address_pairs=[
        AddressPair("fe80::1%x\nflush ruleset", "fa:16:3e:00:00:05")])]),
    FabricState(networks=[world.network(), world.external()],
                routers=[world.router(routes=[HostRoute("fd00::/64", "fe80::1%x")])]),
])
def test_a_state_that_cannot_be_is_refused_before_anything_changes(state: FabricState) -> None:
    with pytest.raises(Refused):
        wellformed.check(state, set())
