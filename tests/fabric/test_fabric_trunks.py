"""Frames that a guest tags on its one card reach the networks of the card's subports, and only those."""

from __future__ import annotations

import os
import struct

import fabric_world as world
import pytest
from fabric_guests import Guest, arp, ethernet, guests, ipv4, udp

from haneul.host.contract import FabricIds, FabricState, NetworkSpec, PortSpec, Tagged
from haneul.host.fabric import names
from haneul.host.fabric.linux import LinuxFabric, bpf, links
from haneul.host.fabric.linux.namespaces import inside

pytestmark = pytest.mark.real
BLUE = world.network("blue", "10.2.0.0/24", segmentation_id=78, dhcp_mac="fa:16:3e:ff:00:22")
PARENT = world.port(5)
SUB = world.port(7, BLUE, tagged=Tagged(parent=PARENT.id, vlan=100))
PEER = world.port(8, BLUE)
NEIGHBOUR = world.port(6)
BROADCAST = b"\xff" * 6
SUB_MAC, PEER_MAC = (bytes.fromhex(port.mac.replace(":", "")) for port in (SUB, PEER))


def apply(fabric: LinuxFabric, *ports: PortSpec, nets: tuple[NetworkSpec, ...] = (world.network(), BLUE)) -> None:
    fabric.apply(FabricState(networks=list(nets), security_groups=[world.OPEN, world.CLOSED], ports=list(ports)))


def tagged(vlan: int, frame: bytes) -> bytes:
    return frame[:12] + b"\x81\x00" + struct.pack("!H", vlan) + frame[12:]


def to_peer(mark: bytes, source: str = "10.2.0.7", mac: bytes = SUB_MAC) -> bytes:
    return ethernet(PEER_MAC, mac, 0x0800, ipv4(source, "10.2.0.8", 17, udp(1, 2, mark)))


def asks_and_hears(guest: Guest, vlan: int) -> bool:
    """Whether the peer's answer to a question comes back with the tag."""
    guest.seen.clear()
    guest.inject(tagged(vlan, ethernet(BROADCAST, SUB_MAC, 0x0806, arp(1, SUB_MAC, "10.2.0.7", bytes(6), "10.2.0.8"))))
    return guest.saw(SUB_MAC + PEER_MAC + b"\x81\x00" + struct.pack("!H", vlan) + b"\x08\x06")


def test_tagged_frames_reach_the_subports_network_and_answers_come_back(linux: LinuxFabric, cloud_id: str) -> None:
    apply(linux, PARENT, SUB, PEER, NEIGHBOUR)
    with guests(cloud_id, [PARENT, PEER, NEIGHBOUR]) as (guest, peer, neighbour):
        peer.address("10.2.0.8/24")
        guest.address("10.1.0.5/24")
        neighbour.address("10.1.0.6/24")
        assert asks_and_hears(guest, 100)
        guest.inject(tagged(100, to_peer(b"ON-BLUE")))
        assert peer.saw(b"ON-BLUE")
        assert not any(b"ON-BLUE" in frame and frame[12:14] == b"\x81\x00" for frame in peer.seen), "the tag is gone"
        assert guest.pings("10.1.0.6"), "frames without a tag are the parent's"
        guest.inject(tagged(101, to_peer(b"NO-SUCH-TAG")))
        guest.inject(tagged(100, ethernet(neighbour.mac, SUB_MAC, 0x0800,
                                          ipv4("10.2.0.7", "10.1.0.6", 17, udp(1, 2, b"ACROSS")))))
        assert not peer.saw(b"NO-SUCH-TAG", 0.2) and not neighbour.saw(b"ACROSS", 0.1)


def test_a_subport_has_its_own_security(linux: LinuxFabric, cloud_id: str) -> None:
    apply(linux, PARENT, SUB, PEER)
    with guests(cloud_id, [PARENT, PEER]) as (guest, peer):
        peer.address("10.2.0.8/24")
        assert asks_and_hears(guest, 100)
        guest.inject(tagged(100, to_peer(b"FORGED-IP", source="10.2.0.99")))
        guest.inject(tagged(100, to_peer(b"THE-PARENTS-MAC", mac=guest.mac)))
        guest.inject(tagged(100, to_peer(b"HONEST")))
        assert peer.saw(b"HONEST") and not peer.saw(b"FORGED-IP", 0.1) and not peer.saw(b"THE-PARENTS-MAC", 0.1)
        hello = ethernet(SUB_MAC, PEER_MAC, 0x0800, ipv4("10.2.0.8", "10.2.0.7", 17, udp(3, 4, b"LET-IN")))
        peer.inject(hello)
        assert guest.saw(b"LET-IN")
        apply(linux, world.port(7, BLUE, groups=("closed",), tagged=SUB.tagged))
        peer.inject(hello.replace(b"LET-IN", b"KEPT-O"))
        assert not guest.saw(b"KEPT-O", 0.3)


def test_subports_come_and_go_under_a_running_guest(linux: LinuxFabric, cloud_id: str) -> None:
    apply(linux, PARENT, PEER)
    with guests(cloud_id, [PARENT, PEER]) as (guest, peer):
        peer.address("10.2.0.8/24")
        assert not asks_and_hears(guest, 100)
        apply(linux, SUB)
        assert asks_and_hears(guest, 100)
        apply(linux, world.port(7, BLUE, tagged=Tagged(parent=PARENT.id, vlan=200)))
        assert asks_and_hears(guest, 200) and not asks_and_hears(guest, 100)
        linux.remove(FabricIds(ports=[SUB.id]))
        assert not asks_and_hears(guest, 200)
        assert linux.inventory().strays == [] and linux.inventory().unhealthy == []


def test_a_parent_that_is_made_after_its_subports(linux: LinuxFabric, cloud_id: str) -> None:
    """As when a server with a trunk moves in: subports may be told first, and the parent's link may be made anew."""
    apply(linux, SUB, PEER)
    apply(linux, PARENT)
    with guests(cloud_id, [PARENT, PEER]) as (guest, peer):
        peer.address("10.2.0.8/24")
        assert asks_and_hears(guest, 100)
    linux.remove(FabricIds(ports=[PARENT.id]))
    apply(linux, PARENT)
    with guests(cloud_id, [PARENT, PEER]) as (guest, peer):
        peer.address("10.2.0.8/24")
        assert asks_and_hears(guest, 100)


def test_a_port_that_leaves_its_trunk_gets_a_tap(linux: LinuxFabric, cloud_id: str) -> None:
    apply(linux, PARENT, SUB)
    assert linux.inventory().unhealthy == [] and linux.inventory().strays == []
    apply(linux, world.port(7, BLUE))
    with inside(linux.namespace):
        assert names.tagged(cloud_id, SUB.id) not in links.names()
    with guests(cloud_id, [world.port(7, BLUE)]):
        pass
    assert linux.inventory().unhealthy == [] and linux.inventory().strays == []


def test_a_tag_in_the_parents_own_network_is_no_subports(linux: LinuxFabric, cloud_id: str) -> None:
    """A network without port security carries tagged frames: those of a neighbour must not look like the subport's."""
    parent, neighbour = (world.port(number, groups=(), port_security=False) for number in (5, 6))
    apply(linux, parent, neighbour, SUB, PEER)
    with guests(cloud_id, [parent, neighbour, PEER]) as (guest, near, peer):
        peer.address("10.2.0.8/24")
        assert asks_and_hears(guest, 100)
        frame = tagged(100, ethernet(guest.mac, near.mac, 0x0800, ipv4("10.2.0.8", "10.2.0.7", 17, udp(1, 2, b"INJECTED"))))
        near.inject(frame)
        near.inject(ethernet(guest.mac, near.mac, 0x0800, ipv4("10.1.0.6", "10.1.0.5", 17, udp(1, 2, b"WITHOUT-A-TAG"))))
        assert guest.saw(b"WITHOUT-A-TAG") and not guest.saw(b"INJECTED", 0.3)
        linux.remove(FabricIds(ports=[SUB.id]))
        near.inject(frame)
        assert guest.saw(b"INJECTED"), "no trunk any more: as on any such network"


def test_a_trunk_may_have_a_subport_for_every_tag() -> None:
    """The kernel's words on a program of more than a hundred did not fit, and it was refused for that."""
    os.close(bpf.load(bpf.untag([(number, 1) for number in range(1, 4095)])))


def test_ports_without_port_security_may_tag_what_they_like(linux: LinuxFabric, cloud_id: str) -> None:
    """What a network that is VLAN transparent promises; port security lets nothing through that it cannot look into."""
    one, two = (world.port(number, groups=(), port_security=False) for number in (5, 6))
    third = world.port(9)
    apply(linux, one, two, third)
    with guests(cloud_id, [one, two, third]) as (a, b, secured):
        frame = tagged(300, ethernet(b.mac, a.mac, 0x0800, ipv4("10.1.0.5", "10.1.0.6", 17, udp(1, 2, b"TRANSPARENT"))))
        a.inject(frame)
        assert b.saw(b"TRANSPARENT") and any(frame[12:16] == b"\x81\x00\x01\x2c" for frame in b.seen)
        a.inject(tagged(300, ethernet(secured.mac, a.mac, 0x0800, ipv4("10.1.0.5", "10.1.0.9", 17, udp(1, 2, b"HIDDEN")))))
        assert not secured.saw(b"HIDDEN", 0.3)
