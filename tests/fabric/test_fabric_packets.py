"""Real frames through the Linux fabric: what passes, and what a guest that lies gets through (nothing)."""

from __future__ import annotations

import socket
import struct
import time

import fabric_world as world
import msgspec
import pytest
from fabric_guests import Guest, arp, ethernet, guests, icmpv6, ipv4, ipv6, udp

from haneul.host.contract import AddressPair, FabricState, PortSpec, SecurityGroupSpec
from haneul.host.fabric.linux import LinuxFabric

pytestmark = pytest.mark.real
BROADCAST = b"\xff" * 6
ALL_NODES = "ff02::1"
ALL_NODES_MAC = bytes.fromhex("333300000001")


def apply(fabric: LinuxFabric, *ports: PortSpec, groups: tuple[SecurityGroupSpec, ...] = (world.OPEN, world.CLOSED),
          net: object = None) -> None:
    fabric.apply(FabricState(networks=[net or world.network()], security_groups=list(groups), ports=list(ports)))  # type: ignore[list-item]


def wait_for(condition: object, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def test_open_group_passes_and_closed_group_refuses(linux: LinuxFabric, cloud_id: str) -> None:
    first, second, closed = world.port(5), world.port(6), world.port(7, groups=("closed",))
    apply(linux, first, second, closed)
    with guests(cloud_id, [first, second, closed]) as (a, b, c):
        for guest, number in ((a, 5), (b, 6), (c, 7)):
            guest.address(f"10.1.0.{number}/24")
        assert a.pings("10.1.0.6")
        assert not a.pings("10.1.0.7"), "nothing may come in where no rule lets it"
        assert c.pings("10.1.0.5"), "answers to what the closed guest asked itself come back"
        server = b.listen(8080)
        client = a.connects("10.1.0.6", 8080)
        assert client is not None
        peer, _ = server.accept()
        payload = bytes(range(256)) * 4096  # a megabyte: segments with offloads
        client.settimeout(20)
        peer.settimeout(20)
        got = bytearray()
        client.setblocking(False)
        sent = 0
        while len(got) < len(payload):
            try:
                sent += client.send(payload[sent:sent + 65536]) if sent < len(payload) else 0
            except BlockingIOError:
                pass
            try:
                got += peer.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                time.sleep(0.001)
        assert bytes(got) == payload
        closed_server = c.listen(8080)
        assert a.connects("10.1.0.7", 8080) is None
        for made in (server, client, peer, closed_server):
            made.close()


@pytest.mark.parametrize("version", [4, 6])
def test_forged_senders_get_nothing_through(linux: LinuxFabric, cloud_id: str, version: int) -> None:
    net = world.dual_network()
    liar, victim = world.port(5, net), world.port(6, net)
    apply(linux, liar, victim, net=net)
    with guests(cloud_id, [liar, victim]) as (a, b):
        def to_b(source_mac: bytes, source: str, mark: bytes) -> bytes:
            if version == 4:
                return ethernet(b.mac, source_mac, 0x0800, ipv4(source, "10.1.0.6", 17, udp(1, 2, mark)))
            return ethernet(b.mac, source_mac, 0x86DD, ipv6(source, "fd00:1::f816:3eff:fe00:6", 17, udp(1, 2, mark)))

        own = "10.1.0.5" if version == 4 else "fd00:1::f816:3eff:fe00:5"
        foreign = "10.1.0.99" if version == 4 else "fd00:1::99"
        a.inject(to_b(bytes.fromhex("fa163e999999"), own, b"FORGED-MAC"))
        a.inject(to_b(a.mac, foreign, b"FORGED-IP"))
        tagged = to_b(a.mac, own, b"IN-A-VLAN")
        a.inject(tagged[:12] + b"\x81\x00\x00\x05" + tagged[12:])
        a.inject(ethernet(b.mac, a.mac, 0x88B5, b"ANOTHER-PROTOCOL"))
        a.inject(to_b(a.mac, own, b"HONEST"))
        assert b.saw(b"HONEST")
        for mark in (b"FORGED-MAC", b"FORGED-IP", b"IN-A-VLAN", b"ANOTHER-PROTOCOL"):
            assert not b.saw(mark, 0.1), mark


def test_forged_arp_gets_nothing_through(linux: LinuxFabric, cloud_id: str) -> None:
    liar, victim = world.port(5), world.port(6)
    apply(linux, liar, victim)
    with guests(cloud_id, [liar, victim]) as (a, b):
        forged = bytes.fromhex("fa163e777777")
        a.inject(ethernet(b.mac, a.mac, 0x0806, arp(2, a.mac, "10.1.0.1", b.mac, "10.1.0.6")))  # "I am the gateway"
        a.inject(ethernet(b.mac, a.mac, 0x0806, arp(2, forged, "10.1.0.5", b.mac, "10.1.0.6")))
        a.inject(ethernet(BROADCAST, a.mac, 0x0806, arp(1, a.mac, "10.1.0.1", bytes(6), "10.1.0.1")))  # gratuitous
        a.inject(ethernet(BROADCAST, a.mac, 0x0806, arp(1, a.mac, "10.1.0.5", bytes(6), "10.1.0.222")))
        assert b.saw(socket.inet_aton("10.1.0.222")), "the honest question arrives"
        assert not b.saw(a.mac + socket.inet_aton("10.1.0.1"), 0.1)
        assert not b.saw(forged, 0.1)


def test_a_guest_is_no_dhcp_server_router_or_neighbour(linux: LinuxFabric, cloud_id: str) -> None:
    net = world.dual_network()
    liar, victim = world.port(5, net), world.port(6, net)
    apply(linux, liar, victim, net=net)
    with guests(cloud_id, [liar, victim]) as (a, b):
        local = "fe80::f816:3eff:fe00:5"
        offer = udp(67, 68, b"DHCP-OFFER-FROM-A-GUEST")
        a.inject(ethernet(BROADCAST, a.mac, 0x0800, ipv4("10.1.0.5", "255.255.255.255", 17, offer)))
        whole = ipv4("10.1.0.5", "10.1.0.6", 17, udp(67, 68, bytes(16) + b"DHCP-IN-PIECES--"))[20:]
        a.inject(ethernet(b.mac, a.mac, 0x0800, ipv4("10.1.0.5", "10.1.0.6", 17, whole[:16], flags=0x2000, id=9)))
        a.inject(ethernet(b.mac, a.mac, 0x0800, ipv4("10.1.0.5", "10.1.0.6", 17, whole[16:], flags=2, id=9)))
        reply = udp(547, 546, b"DHCPV6-REPLY-FROM-A-GUEST")
        a.inject(ethernet(b.mac, a.mac, 0x86DD, ipv6(local, "fe80::f816:3eff:fe00:6", 17, reply)))
        ra = icmpv6(local, ALL_NODES, 134, bytes(12) + b"RA-FROM-A-GUEST-")
        a.inject(ethernet(ALL_NODES_MAC, a.mac, 0x86DD, ipv6(local, ALL_NODES, 58, ra)))
        options = bytes([58, 0, 1, 4, 0, 0, 0, 0])  # the same behind a header of destination options
        a.inject(ethernet(ALL_NODES_MAC, a.mac, 0x86DD, ipv6(local, ALL_NODES, 60, options + ra)))
        # And in pieces, ICMPv6 in the second one only (a first one below 1,280 bytes is not even put together).
        long = bytes([58, 159]) + bytes([1, 254, *bytes(254)]) * 4 + bytes([1, 252, *bytes(252)])
        first = struct.pack("!BBHI", 60, 0, 1, 77) + long
        second = struct.pack("!BBHI", 60, 0, len(long), 77) + ra
        for piece in (first, second):
            a.inject(ethernet(ALL_NODES_MAC, a.mac, 0x86DD, ipv6(local, ALL_NODES, 44, piece)))
        target = socket.inet_pton(socket.AF_INET6, "fd00:1::1")
        na = icmpv6(local, ALL_NODES, 136, b"\xa0\0\0\0" + target + b"\x02\x01" + a.mac)
        a.inject(ethernet(ALL_NODES_MAC, a.mac, 0x86DD, ipv6(local, ALL_NODES, 58, na)))
        own = socket.inet_pton(socket.AF_INET6, "fd00:1::f816:3eff:fe00:5")
        honest = icmpv6(local, ALL_NODES, 136, b"\x20\0\0\0" + own + b"\x02\x01" + a.mac)
        a.inject(ethernet(ALL_NODES_MAC, a.mac, 0x86DD, ipv6(local, ALL_NODES, 58, honest)))
        assert b.saw(b"\x20\0\0\0" + own), "its own neighbour advertisement arrives"
        for mark in (b"DHCP-OFFER", b"DHCP-IN-PIECES", b"DHCPV6-REPLY", b"RA-FROM-A-GUEST", b"\xa0\0\0\0" + target):
            assert not b.saw(mark, 0.1), mark


def test_ipv6_that_nobody_asked_for_is_dropped(linux: LinuxFabric, cloud_id: str) -> None:
    first, second = world.port(5), world.port(6)
    apply(linux, first, second)
    with guests(cloud_id, [first, second]) as (a, b):
        a.inject(ethernet(b.mac, a.mac, 0x86DD, ipv6("fe80::f816:3eff:fe00:5", "fe80::f816:3eff:fe00:6", 17,
                                                     udp(1, 2, b"UNASKED"))))
        assert not b.saw(b"UNASKED", 0.3)


def test_ipv6_between_guests_by_rules(linux: LinuxFabric, cloud_id: str) -> None:
    net = world.dual_network()
    echo = world.group("echo6", world.rule("echo6", ethertype="IPv6", protocol="ipv6-icmp", port_min=128))
    asks, answers, closed = world.port(5, net), world.port(6, net, groups=("echo6",)), world.port(7, net, ("closed",))
    apply(linux, asks, answers, closed, net=net, groups=(world.OPEN, world.CLOSED, echo))
    with guests(cloud_id, [asks, answers, closed]) as (a, b, c):
        for guest, number in ((a, 5), (b, 6), (c, 7)):
            guest.address(f"fd00:1::f816:3eff:fe00:{number:x}/64")
        assert a.pings("fd00:1::f816:3eff:fe00:6")
        assert not a.pings("fd00:1::f816:3eff:fe00:7")
        server = b.listen(80, socket.AF_INET6)
        assert a.connects("fd00:1::f816:3eff:fe00:6", 80) is None, "ICMPv6 is allowed, TCP is not"
        server.close()


def test_allowed_address_pair(linux: LinuxFabric, cloud_id: str) -> None:
    pair = AddressPair(ip="10.1.0.200/30", mac="fa:16:3e:00:00:05")
    sender, receiver = world.port(5, allowed_address_pairs=[pair]), world.port(6)
    apply(linux, sender, receiver)
    with guests(cloud_id, [sender, receiver]) as (a, b):
        for source, mark in (("10.1.0.201", b"OF-THE-PAIR"), ("10.1.0.204", b"BESIDE-THE-PAIR")):
            a.inject(ethernet(b.mac, a.mac, 0x0800, ipv4(source, "10.1.0.6", 17, udp(1, 2, mark))))
        assert b.saw(b"OF-THE-PAIR")
        assert not b.saw(b"BESIDE-THE-PAIR", 0.1)


def test_without_port_security_everything_passes(linux: LinuxFabric, cloud_id: str) -> None:
    free, receiver = world.port(5, port_security=False, groups=()), world.port(6)
    apply(linux, free, receiver)
    with guests(cloud_id, [free, receiver]) as (a, b):
        a.inject(ethernet(b.mac, bytes.fromhex("fa163e999999"), 0x0800,
                          ipv4("192.0.2.9", "10.1.0.6", 17, udp(1, 2, b"FREE"))))
        assert b.saw(b"FREE")
        apply(linux, world.port(5))  # and with it again, at once
        a.inject(ethernet(b.mac, bytes.fromhex("fa163e999999"), 0x0800,
                          ipv4("192.0.2.9", "10.1.0.6", 17, udp(1, 2, b"BOUND"))))
        assert not b.saw(b"BOUND", 0.3)


def exchange(one: socket.socket, other: socket.socket, word: bytes) -> bool:
    """Whether a word sent at one end arrives at the other within the sockets' time-out."""
    try:
        one.sendall(word)
        return other.recv(1024) == word
    except OSError:
        return False


def test_a_rule_taken_away_ends_sessions_and_leaves_the_others(linux: LinuxFabric, cloud_id: str) -> None:
    web = world.rule("web", protocol="tcp", port_min=8000, port_max=8009)
    ssh = world.rule("ssh", protocol="tcp", port_min=22, port_max=22)
    served = world.port(6, groups=("served",))
    client_port = world.port(5)
    apply(linux, client_port, served, groups=(world.OPEN, world.group("served", web, ssh)))
    with guests(cloud_id, [client_port, served]) as (a, b):
        a.address("10.1.0.5/24")
        b.address("10.1.0.6/24")
        web_server, ssh_server = b.listen(8001), b.listen(22)
        web_client, ssh_client = a.connects("10.1.0.6", 8001), a.connects("10.1.0.6", 22)
        assert web_client and ssh_client
        web_peer, ssh_peer = web_server.accept()[0], ssh_server.accept()[0]
        for peer in (web_peer, ssh_peer):
            peer.settimeout(2)
        assert exchange(web_client, web_peer, b"1") and exchange(web_peer, web_client, b"2")
        linux.apply(FabricState(security_groups=[world.group("served", ssh)]))
        assert not exchange(web_client, web_peer, b"3")
        assert not exchange(web_peer, web_client, b"4"), "an answer does not bring the session back"
        assert exchange(ssh_peer, ssh_client, b"5"), "the server's word alone goes on in the session still allowed"
        assert exchange(ssh_client, ssh_peer, b"6")
        assert a.connects("10.1.0.6", 8001) is None
        linux.apply(FabricState(security_groups=[world.group("served", ssh, web)]))
        assert (again := a.connects("10.1.0.6", 8001)) is not None
        for made in (web_server, ssh_server, web_client, ssh_client, web_peer, ssh_peer, again):
            made.close()


def test_remote_group_and_a_member_that_leaves(linux: LinuxFabric, cloud_id: str) -> None:
    inner = world.rule("same", remote_group=world.id("team"))
    one, two, other = world.port(5, groups=("team",)), world.port(6, groups=("team",)), world.port(7)
    team = world.group("team", inner, members=("10.1.0.5", "10.1.0.6"))
    apply(linux, one, two, other, groups=(world.OPEN, team))
    with guests(cloud_id, [one, two, other]) as (a, b, c):
        for guest, number in ((a, 5), (b, 6), (c, 7)):
            guest.address(f"10.1.0.{number}/24")
        assert a.pings("10.1.0.6")
        assert not c.pings("10.1.0.6")
        server = b.listen(9000)
        client = a.connects("10.1.0.6", 9000)
        assert client is not None
        peer = server.accept()[0]
        peer.settimeout(2)
        assert exchange(client, peer, b"1")
        linux.apply(FabricState(security_groups=[msgspec.structs.replace(team, members=["10.1.0.6"])]))
        assert not exchange(client, peer, b"2")
        assert not a.pings("10.1.0.6")
        for made in (server, client, peer):
            made.close()


def test_stateless_group_does_not_follow_sessions(linux: LinuxFabric, cloud_id: str) -> None:
    plain = world.group("plain", world.rule("in80", protocol="tcp", port_min=80, port_max=80), stateful=False)
    asks, answers = world.port(5), world.port(6, groups=("plain",))
    apply(linux, asks, answers, groups=(world.OPEN, plain))
    with guests(cloud_id, [asks, answers]) as (a, b):
        a.address("10.1.0.5/24")
        b.address("10.1.0.6/24")
        server = b.listen(80)
        client = a.connects("10.1.0.6", 80)
        assert client is not None
        assert not b.pings("10.1.0.5"), "the echo's answer needs a rule of its own"
        server.close()
        client.close()


def test_admin_down_cuts_the_wire(linux: LinuxFabric, cloud_id: str) -> None:
    first, second = world.port(5), world.port(6)
    apply(linux, first, second)
    with guests(cloud_id, [first, second]) as (a, b):
        a.address("10.1.0.5/24")
        b.address("10.1.0.6/24")
        assert a.pings("10.1.0.6")
        apply(linux, world.port(5, admin_up=False))
        assert not a.pings("10.1.0.6", 1)
        apply(linux, world.port(5))
        assert wait_for(lambda: a.pings("10.1.0.6", 1))


def test_two_networks_with_the_same_addresses_do_not_meet(linux: LinuxFabric, cloud_id: str) -> None:
    blue, red = world.network("blue"), world.network("red", segmentation_id=78)
    ports = [world.port(5, blue), world.port(6, blue), world.port(5, red), world.port(6, red)]
    linux.apply(FabricState(networks=[blue, red], security_groups=[world.OPEN], ports=ports))
    with guests(cloud_id, ports) as made:
        for guest, number in zip(made, (5, 6, 5, 6), strict=True):
            guest.address(f"10.1.0.{number}/24")
        servers = [made[1].listen(7000), made[3].listen(7000)]
        for client, server, word in ((made[0], servers[0], b"blue"), (made[2], servers[1], b"red")):
            connection = client.connects("10.1.0.6", 7000)
            assert connection is not None
            peer = server.accept()[0]
            assert exchange(connection, peer, word)
            connection.close()
            peer.close()
        for server in servers:
            server.close()


def test_a_session_of_one_network_opens_nothing_in_another(linux: LinuxFabric, cloud_id: str) -> None:
    blue, red = world.network("blue"), world.network("red", segmentation_id=78)
    ports = [world.port(5, blue), world.port(6, blue), world.port(5, red), world.port(6, red, groups=("closed",))]
    linux.apply(FabricState(networks=[blue, red], security_groups=[world.OPEN, world.CLOSED], ports=ports))
    with guests(cloud_id, ports) as (a, b, c, d):
        def word(sender: Guest, receiver: Guest, source: str, to: str, ports: tuple[int, int], text: bytes) -> None:
            packet = ipv4(f"10.1.0.{source}", f"10.1.0.{to}", 17, udp(*ports, text))
            sender.inject(ethernet(receiver.mac, sender.mac, 0x0800, packet))

        word(a, b, "5", "6", (4000, 5000), b"BLUE-ASKS")
        assert b.saw(b"BLUE-ASKS")
        word(b, a, "6", "5", (5000, 4000), b"BLUE-ANSWERS")
        assert a.saw(b"BLUE-ANSWERS")
        word(c, d, "5", "6", (4000, 5000), b"RED-ASKS")
        assert not d.saw(b"RED-ASKS", 0.3)


