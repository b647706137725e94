"""Limits and marks on real packets. Bounds are loose: a bucket lets its burst through at once and little after it."""

from __future__ import annotations

import socket
import time
from typing import Any

import fabric_world as world
import pytest
from fabric_guests import Guest, ethernet, guests, ipv4, udp

from haneul.host.contract import FabricState, FloatingIP, PortSpec, Qos, Rate
from haneul.host.fabric.linux import LinuxFabric, namespaces

pytestmark = pytest.mark.real
SO_RCVBUFFORCE = 33
SIZE, COUNT = 1000, 600  # 600 kB at once
SLOW = Rate(kbps=80, burst_kbit=8)  # 10 kB a second; the bucket holds the least that there is, 80 kB


def apply(fabric: LinuxFabric, *ports: PortSpec) -> None:
    fabric.apply(FabricState(networks=[world.network()], security_groups=[world.OPEN], ports=list(ports)))


def through(sender: Guest, receiver: Guest, address: str, count: int = COUNT) -> int:
    """How many of the datagrams sent at once arrive."""
    with receiver.open_socket(kind=socket.SOCK_DGRAM) as listening, sender.open_socket(kind=socket.SOCK_DGRAM) as made:
        listening.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        listening.bind(("", 7000))
        listening.settimeout(0.7)
        for number in range(count):
            made.sendto(number.to_bytes(4, "big") + bytes(SIZE - 4), (address, 7000))
            if number % 20 == 0:
                time.sleep(0.001)  # the wire of the test's guests is a thread
        found = 0
        try:
            while True:
                listening.recv(2000)
                found += 1
        except TimeoutError:
            return found


def pair(cloud_id: str) -> Any:
    return guests(cloud_id, [world.port(5), world.port(6)])


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_bandwidth_of_a_port_is_limited_in_the_direction_asked_for_and_only_there(
    linux: LinuxFabric, cloud_id: str, direction: str
) -> None:
    free, limited = world.port(5), world.port(6, qos=Qos(**{direction: SLOW}))
    apply(linux, free, world.port(6))
    with pair(cloud_id) as (a, b):
        a.address("10.1.0.5/24")
        b.address("10.1.0.6/24")
        assert a.pings("10.1.0.6")
        assert through(a, b, "10.1.0.6") > COUNT * 0.9
        apply(linux, limited)  # on the running port
        limited_way, free_way = ((a, b, "10.1.0.6"), (b, a, "10.1.0.5"))
        if direction == "egress":
            limited_way, free_way = free_way, limited_way
        assert 20 <= through(*limited_way) < COUNT / 3
        assert through(*free_way) > COUNT * 0.9
        apply(linux, world.port(6))
        assert through(*limited_way) > COUNT * 0.9


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_packet_rate_of_a_port_is_limited(linux: LinuxFabric, cloud_id: str, direction: str) -> None:
    slow = Rate(kpps=1, burst_kpackets=0)  # 800 at once
    apply(linux, world.port(5), world.port(6, qos=Qos(**{direction: slow})))
    with pair(cloud_id) as (a, b):
        a.address("10.1.0.5/24")
        b.address("10.1.0.6/24")
        way = (a, b, "10.1.0.6") if direction == "ingress" else (b, a, "10.1.0.5")
        source = "10.1.0.5" if way[0] is a else "10.1.0.6"
        frame = ethernet(way[1].mac, way[0].mac, 0x0800, ipv4(source, way[2], 17, udp(1, 7001, b"COUNT-ME")))
        started = time.monotonic()
        for _ in range(8000):
            way[0].inject(frame)
        took = time.monotonic() - started
        time.sleep(0.5)
        arrived = sum(1 for seen in way[1].seen if b"COUNT-ME" in seen)
        assert 400 < arrived <= 1100 + 1000 * took
        assert arrived < 8000 or took > 7


def test_packets_of_a_port_leave_with_its_mark(linux: LinuxFabric, cloud_id: str) -> None:
    marked = world.port(5, qos=Qos(dscp=26))
    apply(linux, marked, world.port(6))
    with pair(cloud_id) as (a, b):
        a.address("10.1.0.5/24")
        b.address("10.1.0.6/24")
        assert a.pings("10.1.0.6"), "with a checksum that is right again"
        echoes = [frame for frame in b.seen if frame[12:14] == b"\x08\x00" and frame[23] == 1]
        assert echoes and all(frame[15] >> 2 == 26 for frame in echoes)
        answers = [frame for frame in a.seen if frame[12:14] == b"\x08\x00" and frame[23] == 1]
        assert answers and all(frame[15] >> 2 == 26 for frame in answers), "echoes come back as they were marked"
        b.seen.clear()
        apply(linux, world.port(5))
        assert a.pings("10.1.0.6")
        assert all(frame[15] >> 2 == 0 for frame in b.seen if frame[12:14] == b"\x08\x00" and frame[23] == 1)


def test_the_largest_limits_that_a_rule_may_name_are_taken(linux: LinuxFabric, cloud_id: str) -> None:
    """The kernel refused what it could not count, and with it everything else for the host."""
    most = 2**31 - 1
    rate = Rate(kbps=most, burst_kbit=most, kpps=most, burst_kpackets=most)
    apply(linux, world.port(5, qos=Qos(egress=rate, ingress=rate)), world.port(6, qos=Qos(egress=Rate(kbps=most, kpps=most))))
    with pair(cloud_id) as (a, b):
        a.address("10.1.0.5/24")
        b.address("10.1.0.6/24")
        assert a.pings("10.1.0.6")


def test_a_port_without_port_security_is_limited_and_marked_too(linux: LinuxFabric, cloud_id: str) -> None:
    apply(linux, world.port(5), world.port(6, groups=(), port_security=False, qos=Qos(egress=SLOW, dscp=10)))
    with pair(cloud_id) as (a, b):
        a.address("10.1.0.5/24")
        b.address("10.1.0.6/24")
        assert b.pings("10.1.0.5")
        assert through(b, a, "10.1.0.5") < COUNT / 3
        assert any(frame[12:14] == b"\x08\x00" and frame[15] >> 2 == 10 for frame in a.seen)


@pytest.mark.parametrize("direction", ["egress", "ingress"])
def test_a_floating_ip_is_limited_where_it_is_translated(linux: LinuxFabric, cloud_id: str, machine: str,
                                                         direction: str) -> None:
    inside = world.port(5)
    nets = [world.network(), world.external()]

    def route(qos: Qos | None) -> None:
        floating = [FloatingIP(id=world.id("fip"), floating_ip="172.30.4.50", fixed_ip="10.1.0.5")]
        linux.apply(FabricState(networks=nets, security_groups=[world.OPEN], ports=[inside],
                                routers=[world.router(floating_ips=floating,
                                                      limits={"172.30.4.50": qos} if qos else {})]))

    route(None)
    with guests(cloud_id, [inside]) as (a,):
        a.address("10.1.0.5/24", gateway="10.1.0.1")
        assert a.pings("172.30.4.1")

        class Outside:
            def open_socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
                with namespaces.inside(machine):
                    made = socket.socket(family, kind)
                made.settimeout(2)
                return made

        outside: Any = Outside()
        way = (a, outside, "172.30.4.1") if direction == "egress" else (outside, a, "172.30.4.50")
        assert through(*way) > COUNT * 0.9
        route(Qos(**{direction: SLOW}))
        assert through(*way) < COUNT / 3
        route(None)
        assert through(*way) > COUNT * 0.9
