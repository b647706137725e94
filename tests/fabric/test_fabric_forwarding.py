"""Port forwarding and address groups on real frames."""

from __future__ import annotations

import socket
from contextlib import closing

import fabric_world as world
import msgspec
import pytest
from fabric_guests import guests

from haneul.host.contract import (
    FabricState,
    FloatingIP,
    PortForwarding,
    PortSpec,
    Refused,
    SecurityGroupSpec,
)
from haneul.host.fabric.linux import LinuxFabric

pytestmark = pytest.mark.real
PUBLIC = "172.30.4.60"


def forwarding(external: tuple[int, int], internal: tuple[int, int], number: int = 5, protocol: str = "tcp") -> PortForwarding:
    return PortForwarding(
        id=world.id(f"pf-{external}-{protocol}"), floating_id=world.id("pf-fip"), floating_ip=PUBLIC,
        protocol=protocol, external=external, fixed_ip=f"10.1.0.{number}", internal=internal)  # type: ignore[arg-type]


def routed(fabric: LinuxFabric, *ports: PortSpec, **more: object) -> None:
    fabric.apply(FabricState(networks=[world.network(), world.external()], security_groups=[world.OPEN],
                             ports=list(ports), routers=[world.router(**more)]))


def reaches(port: int) -> bool:
    try:
        socket.create_connection((PUBLIC, port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("snat", [True, False])
def test_ports_of_one_address_lead_to_several_guests(linux: LinuxFabric, cloud_id: str, snat: bool) -> None:
    one, two = world.port(5), world.port(6)
    routed(linux, one, two, enable_snat=snat, forwardings=[
        forwarding((2201, 2201), (22, 22)), forwarding((2202, 2202), (22, 22), 6), forwarding((7000, 7002), (7000, 7002)),
        forwarding((8000, 8002), (9000, 9002)), forwarding((8100, 8110), (80, 80))])
    with guests(cloud_id, [one, two]) as (a, b):
        a.address("10.1.0.5/24", gateway="10.1.0.1")
        b.address("10.1.0.6/24", gateway="10.1.0.1")
        with closing(a.listen(22)) as first, closing(b.listen(22)) as second:
            for public, server in ((2201, first), (2202, second)):
                with socket.create_connection((PUBLIC, public), timeout=3):
                    server.accept()[0].close()
            hairpin = b.connects(PUBLIC, 2201)
            assert hairpin is not None, "a neighbour reaches it by the floating IP too"
            first.accept()[0].close()
            hairpin.close()
            assert not reaches(22) and not reaches(2203), "only what is forwarded"
        for inner, public in ((7001, 7001), (9002, 8002), (80, 8105)):
            with closing(a.listen(inner)):
                assert reaches(public), (public, inner)


def test_a_forwarding_taken_away_ends_its_sessions_and_leaves_the_others(linux: LinuxFabric, cloud_id: str) -> None:
    port = world.port(5)
    gone, kept = forwarding((2201, 2201), (22, 22)), forwarding((8080, 8080), (80, 80))
    routed(linux, port, forwardings=[gone, kept])
    with guests(cloud_id, [port]) as (guest,):
        guest.address("10.1.0.5/24", gateway="10.1.0.1")
        pairs = []
        for inner, public in ((22, 2201), (80, 8080)):
            server = guest.listen(inner)
            client = socket.create_connection((PUBLIC, public), timeout=3)
            peer = server.accept()[0]
            peer.settimeout(1)
            pairs.append((server, client, peer))
        routed(linux, port, forwardings=[kept])
        heard = []
        for _, client, peer in pairs:
            client.sendall(b"still there?")
            try:
                heard.append(peer.recv(100))
            except TimeoutError:
                heard.append(b"")
        assert heard == [b"", b"still there?"]
        assert not reaches(2201)
        routed(linux, port)
        assert not reaches(8080)
        for made in (made for triple in pairs for made in triple):
            made.close()


def test_a_floating_ip_taken_away_ends_its_sessions(linux: LinuxFabric, cloud_id: str) -> None:
    """Another one keeps the address on the router's link, so that only the translation could end it."""
    one, two = world.port(5), world.port(6)
    floating = FloatingIP(id=world.id("f"), floating_ip=PUBLIC, fixed_ip="10.1.0.5")
    routed(linux, one, two, floating_ips=[floating])
    with guests(cloud_id, [one, two]) as (a, b):
        a.address("10.1.0.5/24", gateway="10.1.0.1")
        b.address("10.1.0.6/24", gateway="10.1.0.1")
        server = a.listen(22)
        client = socket.create_connection((PUBLIC, 22), timeout=3)
        peer = server.accept()[0]
        peer.settimeout(1)
        routed(linux, one, two, floating_ips=[msgspec.structs.replace(floating, fixed_ip="10.1.0.6")])
        client.sendall(b"x")
        with pytest.raises(TimeoutError):
            peer.recv(1)
        for made in (server, client, peer):
            made.close()


@pytest.mark.parametrize("bad", [
    {"external": (80, 70)}, {"external": (0, 5), "internal": (0, 5)}, {"internal": (1, 65536)}, {"protocol": "icmp"},
    {"external": (1, 5), "internal": (1, 4)}, {"fixed_ip": "10.1.0.5; flush ruleset"}, {"floating_ip": "::1"}])
def test_a_forwarding_that_cannot_be_is_refused(linux: LinuxFabric, bad: dict[str, object]) -> None:
    with pytest.raises(Refused):
        routed(linux, forwardings=[msgspec.structs.replace(forwarding((80, 80), (80, 80)), **bad)])


def test_addresses_of_a_group_open_and_close(linux: LinuxFabric, cloud_id: str) -> None:
    """An address group is a group without rules whose members are prefixes."""
    addresses = SecurityGroupSpec(id=world.id("addresses"), members=["10.1.0.6/32"])
    named = world.group("guarded", world.rule("from", remote_group=addresses.id))
    server, friend, other = world.port(5, groups=("guarded",)), world.port(6), world.port(7)
    linux.apply(FabricState(networks=[world.network()], security_groups=[world.OPEN, named, addresses],
                            ports=[server, friend, other]))
    with guests(cloud_id, [server, friend, other]) as (a, b, c):
        for guest, number in ((a, 5), (b, 6), (c, 7)):
            guest.address(f"10.1.0.{number}/24")
        assert b.pings("10.1.0.5") and not c.pings("10.1.0.5")
        listening = a.listen(80)
        client = b.connects("10.1.0.5", 80)
        assert client is not None
        peer = listening.accept()[0]
        peer.settimeout(1)

        def become(*members: str) -> None:
            linux.apply(FabricState(security_groups=[msgspec.structs.replace(addresses, members=list(members))]))

        become("10.1.0.7/32", "2001:db8::/64")
        assert c.pings("10.1.0.5") and not b.pings("10.1.0.5")
        client.sendall(b"x")
        with pytest.raises(TimeoutError):
            peer.recv(1)
        become("10.1.0.4/30", "10.1.0.0/24", "10.1.0.7/32")
        assert b.pings("10.1.0.5") and c.pings("10.1.0.5")
        become("0.0.0.0/0", "::/0")
        assert b.pings("10.1.0.5")
        become()
        assert not b.pings("10.1.0.5") and not c.pings("10.1.0.5")
        for made in (listening, client, peer):
            made.close()
