"""Networks that are a VLAN of a physical network: tags outside, none inside, and nothing across."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from typing import Any

import fabric_world as world
import pytest
from fabric_guests import ethernet, guests, ipv4, udp

from haneul.host.contract import FabricIds, FabricState, NetworkSpec
from haneul.host.fabric import names
from haneul.host.fabric.linux import LinuxFabric, links
from haneul.host.fabric.linux.namespaces import inside

pytestmark = pytest.mark.real
OUTSIDE = bytes.fromhex("020000000099")


def vlan(name: str, number: int) -> NetworkSpec:
    plain = world.network(name, f"10.{number % 200}.0.0/24")
    return NetworkSpec(id=plain.id, type="vlan", segmentation_id=number, physical_network="datacentre", mtu=1500,
                       subnets=plain.subnets)


RED, BLUE = vlan("red", 101), vlan("blue", 102)


class Card:
    """What an operator puts into the physical network's bridge: here a tap, the cable's end in the test's hand."""

    def __init__(self, cloud_id: str, machine: str) -> None:
        with inside(machine):
            links.make_tap("card")
            links.attach(names.root_bridge(cloud_id, "datacentre"), "card")
            links.set_up("card", True)
            self.fd = links.open_tap("card")

    def inject(self, frame: bytes) -> None:
        os.write(self.fd, bytes(10) + frame.ljust(60, b"\0"))

    def saw(self, part: bytes, seconds: float = 1.0) -> bytes | None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                frame = os.read(self.fd, 65536)[10:]
            except BlockingIOError:
                time.sleep(0.02)
                continue
            if part in frame:
                return frame
        return None


@pytest.fixture
def card(linux: LinuxFabric, cloud_id: str, machine: str) -> Iterator[Card]:
    linux.apply(FabricState(networks=[RED, BLUE], security_groups=[world.OPEN],
                            ports=[world.port(5, RED), world.port(6, BLUE)]))
    made = Card(cloud_id, machine)
    yield made
    os.close(made.fd)


def tagged(number: int, frame: bytes) -> bytes:
    return frame[:12] + b"\x81\x00" + struct.pack("!H", number) + frame[12:]


def test_frames_have_the_networks_tag_outside_and_none_inside(card: Any, cloud_id: str) -> None:
    with guests(cloud_id, [world.port(5, RED), world.port(6, BLUE)]) as (red, blue):
        red.inject(ethernet(b"\xff" * 6, red.mac, 0x0800, ipv4("10.101.0.5", "10.101.0.255", 17, udp(1, 2, b"FROM-RED"))))
        frame = card.saw(b"FROM-RED")
        assert frame is not None and frame[12:16] == b"\x81\x00\x00\x65" and frame[16:18] == b"\x08\x00"
        assert not blue.saw(b"FROM-RED", 0.2)
        for number, mark in ((101, b"TO-RED"), (102, b"TO-BLUE"), (103, b"TO-NOBODY")):
            card.inject(tagged(number, ethernet(b"\xff" * 6, OUTSIDE, 0x0800,
                                                ipv4("10.9.9.9", "255.255.255.255", 17, udp(1, 2, mark)))))
        card.inject(ethernet(b"\xff" * 6, OUTSIDE, 0x0800, ipv4("10.9.9.9", "255.255.255.255", 17, udp(1, 2, b"PLAIN"))))
        assert red.saw(b"TO-RED") and blue.saw(b"TO-BLUE")
        assert all(frame[12:14] != b"\x81\x00" for frame in (*red.seen, *blue.seen))
        for guest, marks in ((red, (b"TO-BLUE", b"TO-NOBODY", b"PLAIN")), (blue, (b"TO-RED", b"TO-NOBODY", b"PLAIN"))):
            assert not any(mark in frame for frame in guest.seen for mark in marks)


def test_a_guests_own_tag_leads_to_no_other_network(card: Any, linux: LinuxFabric, cloud_id: str) -> None:
    """Without port security a guest may tag frames; on a flat network they would have been the VLAN network's out there."""
    plain = world.network("flat", "10.77.0.0/24")
    flat = NetworkSpec(id=plain.id, type="flat", physical_network="datacentre", mtu=1500, subnets=plain.subnets)
    unsecured = world.port(7, flat, groups=(), port_security=False)
    linux.apply(FabricState(networks=[flat], ports=[unsecured]))
    with guests(cloud_id, [unsecured, world.port(5, RED)]) as (guest, red):
        for mark, wrap in ((b"HOPPING", lambda frame: tagged(101, frame)), (b"OUTSIDE", lambda frame: frame)):
            guest.inject(wrap(ethernet(b"\xff" * 6, guest.mac, 0x0800,
                                       ipv4("10.9.9.9", "255.255.255.255", 17, udp(1, 2, mark)))))
        card.inject(tagged(300, ethernet(b"\xff" * 6, OUTSIDE, 0x0800,
                                         ipv4("10.9.9.9", "255.255.255.255", 17, udp(1, 2, b"SOMEBODYS")))))
        assert card.saw(b"OUTSIDE") and not red.saw(b"HOPPING", 0.3) and not guest.saw(b"SOMEBODYS", 0.1)


def test_applied_twice_and_removed(card: Any, linux: LinuxFabric, cloud_id: str) -> None:
    linux.apply(FabricState(networks=[RED, BLUE]))
    assert linux.inventory().strays == [] and linux.inventory().unhealthy == []
    linux.remove(FabricIds(networks=[RED.id]))
    assert linux.inventory().strays == []
