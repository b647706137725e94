"""What the Linux fabric serves to guests: leases, metadata, routing, floating IPs, tunnels; and that nothing stays."""

from __future__ import annotations

import hmac
import ipaddress
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fabric_world as world
import msgspec
import pytest
from fabric_guests import Guest, checksum, ethernet, guests, ipv4, ipv6, udp

from haneul.host.contract import Conflict, FabricIds, FabricState, FixedIP, HostError, NetworkSpec, PortSpec, SubnetSpec
from haneul.host.fabric import names
from haneul.host.fabric.linux import LinuxFabric, links, namespaces
from haneul.kernel.config import Paths

pytestmark = pytest.mark.real
COOKIE = b"\x63\x82\x53\x63"
METADATA = "169.254.169.254"


def apply(fabric: LinuxFabric, *ports: PortSpec, net: NetworkSpec | None = None) -> None:
    fabric.apply(FabricState(networks=[net or world.network()], security_groups=[world.OPEN, world.CLOSED],
                             ports=list(ports)))


# ---------------------------------------------------------------- leases


def dhcp_message(mac: bytes, kind: int, options: bytes = b"") -> bytes:
    head = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0x1234, 0, 0x8000) + bytes(16) + mac.ljust(16, b"\0") + bytes(192)
    wanted = b"\x37\x08\x01\x03\x06\x0c\x0f\x1a\x79\x43"
    message = head + COOKIE + bytes([53, 1, kind]) + options + wanted + b"\xff"
    return ethernet(b"\xff" * 6, mac, 0x0800, ipv4("0.0.0.0", "255.255.255.255", 17, udp(68, 67, message)))


def dhcp_answer(guest: Guest, kind: int, seconds: float = 2.0) -> tuple[str, dict[int, bytes]] | None:
    """The offered address and the options of the first answer of that kind."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for frame in list(guest.seen):
            at = frame.find(COOKIE)
            if frame[12:14] != b"\x08\x00" or at < 0 or frame[34:38] != struct.pack("!HH", 67, 68):
                continue
            options, rest = {}, frame[at + 4:]
            while rest and rest[0] != 255:
                if rest[0]:
                    options[rest[0]] = rest[2:2 + rest[1]]
                rest = rest[2 + rest[1]:] if rest[0] else rest[1:]
            if options.get(53) == bytes([kind]):
                return socket.inet_ntoa(frame[at - 220:at - 216]), options
        time.sleep(0.02)
    return None


def test_a_lease_with_everything_in_it(linux: LinuxFabric, cloud_id: str) -> None:
    port = world.port(5, groups=("closed",), dhcp_options=[(4, "bootfile-name", "pxelinux.0"),
                                                           (4, "domain-name", "x\ndhcp-script=/bin/sh")])
    apply(linux, port)
    with guests(cloud_id, [port]) as (guest,):
        guest.inject(dhcp_message(guest.mac, 1))
        offer = dhcp_answer(guest, 2)
        assert offer is not None and offer[0] == "10.1.0.5"
        asked = bytes([50, 4]) + socket.inet_aton("10.1.0.5") + bytes([54, 4]) + offer[1][54]
        guest.inject(dhcp_message(guest.mac, 3, asked))
        lease = dhcp_answer(guest, 5)
        assert lease is not None
        address, options = lease
        assert address == "10.1.0.5"
        assert options[3] == socket.inet_aton("10.1.0.1")
        assert options[6] == socket.inet_aton("9.9.9.9")
        assert options[12] == b"guest5" and options[15] == b"novalocal"
        assert options[26] == struct.pack("!H", 1450)
        assert options[67].rstrip(b"\0") == b"pxelinux.0"
        metadata_route = b"\x20" + socket.inet_aton(METADATA) + socket.inet_aton("10.1.0.2")
        assert metadata_route in options[121] and b"\0" + socket.inet_aton("10.1.0.1") in options[121]


def test_a_stranger_gets_no_lease(linux: LinuxFabric, cloud_id: str) -> None:
    known, free = world.port(5), world.port(6, port_security=False, groups=())
    apply(linux, known, free)
    with guests(cloud_id, [free]) as (guest,):
        guest.inject(dhcp_message(bytes.fromhex("fa163e424242"), 1))
        assert dhcp_answer(guest, 2, 1.0) is None
        guest.inject(dhcp_message(guest.mac, 1))
        assert dhcp_answer(guest, 2) is not None


def test_a_lease_follows_the_port(linux: LinuxFabric, cloud_id: str) -> None:
    port = world.port(5)
    apply(linux, port)
    net = world.network()
    moved = world.port(5, fixed_ips=[FixedIP(net.subnets[0].id, "10.1.0.55")])
    apply(linux, moved)
    with guests(cloud_id, [port]) as (guest,):
        guest.inject(dhcp_message(guest.mac, 1))
        offer = dhcp_answer(guest, 2)
        assert offer is not None and offer[0] == "10.1.0.55"


@pytest.mark.skipif(shutil.which("busybox") is None, reason="needs busybox for its udhcpc")
def test_a_real_client(linux: LinuxFabric, cloud_id: str, tmp_path: Path) -> None:
    port = world.port(5, groups=("closed",))
    apply(linux, port)
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\n[ "$1" = bound ] && ip address add $ip/$mask dev $interface; exit 0\n')
    script.chmod(0o755)
    with guests(cloud_id, [port]) as (guest,):
        guest.run("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-s", str(script))
        assert "10.1.0.5/24" in guest.run("ip", "address", "show", "eth0").stdout
        assert guest.pings("10.1.0.2")


def test_a_killed_dnsmasq_is_found_and_mended(linux: LinuxFabric, cloud_id: str) -> None:
    port = world.port(5)
    apply(linux, port)
    net = world.network()
    pid = linux.dhcp_server(net.id).pid()
    assert pid is not None and linux.inventory().unhealthy == []
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 3
    while linux.dhcp_server(net.id).pid() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert linux.inventory().unhealthy == [net.id]
    apply(linux)
    assert linux.inventory().unhealthy == []
    with guests(cloud_id, [port]) as (guest,):
        guest.inject(dhcp_message(guest.mac, 1))
        assert dhcp_answer(guest, 2) is not None


def test_dnsmasq_has_no_root(linux: LinuxFabric) -> None:
    apply(linux)
    pid = linux.dhcp_server(world.network().id).pid()
    deadline = time.monotonic() + 3  # it binds its sockets first
    while "\nUid:\t0" in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.05)
    status = Path(f"/proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status and "CapEff:\t0000000000001000" in status  # NET_ADMIN, to fill in ARP entries


def test_dhcpv6_gives_the_port_its_address(linux: LinuxFabric, cloud_id: str) -> None:
    plain = world.network()
    v6 = SubnetSpec(id=world.id("private-v6"), cidr="fd00:1::/64", gateway_ip="fd00:1::1", dns_nameservers=["fd00::53"],
                    ipv6_address_mode="dhcpv6-stateful", ipv6_ra_mode="dhcpv6-stateful")
    net = world.network(subnets=[*plain.subnets, v6], dhcp_ips=[*plain.dhcp_ips, "fd00:1::2/64"])
    fixed = [FixedIP(plain.subnets[0].id, "10.1.0.5"), FixedIP(v6.id, "fd00:1::abcd")]
    port = world.port(5, net, groups=("closed",), fixed_ips=fixed)
    apply(linux, port, net=net)
    local, everyone = "fe80::f816:3eff:fe00:5", "ff02::1:2"
    with guests(cloud_id, [port]) as (guest,):
        identity = b"\0\x01" + struct.pack("!H", 10) + b"\0\x03\0\x01" + guest.mac
        wanted = b"\0\x03" + struct.pack("!HIII", 12, 7, 0, 0) + b"\0\x06\0\x02\0\x17" + b"\0\x08\0\x02\0\0"
        message = udp(546, 547, b"\x01\x12\x34\x56" + identity + wanted)
        pseudo = (ipaddress.IPv6Address(local).packed + ipaddress.IPv6Address(everyone).packed
                  + struct.pack("!II", len(message), 17))
        message = message[:6] + struct.pack("!H", checksum(pseudo + message)) + message[8:]
        frame = ethernet(bytes.fromhex("333300010002"), guest.mac, 0x86DD, ipv6(local, everyone, 17, message))
        for _ in range(10):  # a client asks again (RFC 8415): the server's own address may still be tentative
            guest.inject(frame)
            if guest.saw(ipaddress.IPv6Address("fd00:1::abcd").packed, 1.5):
                break
        else:
            pytest.fail("no answer with the port's address")
        assert guest.saw(ipaddress.IPv6Address("fd00::53").packed)


# ---------------------------------------------------------------- metadata


class Control(ThreadingHTTPServer):
    """Stands for the control plane: keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(BaseHTTPRequestHandler):
    server: Control

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        text = f"you are {self.headers['x-haneul-port-id']}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def control(machine: str) -> Iterator[Control]:
    server = Control()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def serving(cloud_id: str, control: Control, tmp_path: Path) -> Iterator[LinuxFabric]:
    fabric = LinuxFabric(cloud_id, Paths(tmp_path), f"http://127.0.0.1:{control.server_port}", b"secret", "127.0.0.1")
    yield fabric
    fabric.purge()


def ask(guest: Guest, request: bytes, address: str = METADATA) -> bytes:
    connection = guest.connects(address, 80)
    if connection is None:
        return b""
    with connection:
        connection.settimeout(5)
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def test_metadata_knows_a_guest_by_its_port(serving: LinuxFabric, control: Control, cloud_id: str) -> None:
    blue, red = world.network("blue"), world.network("red", segmentation_id=78)
    ports = [world.port(5, blue, groups=("closed",)), world.port(6, blue), world.port(5, red)]
    serving.apply(FabricState(networks=[blue, red], security_groups=[world.OPEN, world.CLOSED], ports=ports))
    forged = (b"GET /latest/meta-data/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Haneul-Port-Id: forged\r\n"
              b"X-Forwarded-For: 10.1.0.6\r\nX-Instance-ID: forged\r\nX-Haneul-Signature: forged\r\n\r\n")
    with guests(cloud_id, ports) as made:
        for guest, number in zip(made, (5, 6, 5), strict=True):
            guest.address(f"10.1.0.{number}/24")
            guest.run("ip", "route", "add", METADATA, "via", "10.1.0.2")
        for guest, port in zip(made, ports, strict=True):
            assert ask(guest, forged).endswith(f"you are {port.id}".encode())
            method, path, headers, _body = control.asked[-1]
            assert (method, path) == ("GET", "/metadata-proxy/latest/meta-data/")
            assert "forged" not in headers.values() and "x-instance-id" not in headers
            assert headers["x-forwarded-for"] == port.fixed_ips[0].ip
            assert headers["x-haneul-network-id"] == port.network_id
            text = f"{port.id}\n{headers['x-haneul-timestamp']}".encode()
            assert headers["x-haneul-signature"] == hmac.new(b"secret", text, sha256).hexdigest()
        post = (b"POST /openstack/latest/password HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n"
                b"abc")
        assert b"200" in ask(made[0], post)
        assert control.asked[-1][3] == b"abc"
        too_long = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + bytes(80000)
        assert b" 413 " in ask(made[0], too_long)
        control.asked.clear()
        for climbing in (b"/../identity/v3", b"/latest/%2e%2e/%2E./x", b"http://other/"):
            assert b" 404 " in ask(made[0], b"GET " + climbing + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert control.asked == []
        made[1].run("ip", "address", "add", "10.1.0.5/32", "dev", "eth0")  # somebody else's address
        lying = made[1].open_socket()
        lying.bind(("10.1.0.5", 0))
        with pytest.raises(OSError):
            lying.connect((METADATA, 80))
        lying.close()


def test_metadata_through_the_router_and_from_nobody(serving: LinuxFabric, control: Control, cloud_id: str) -> None:
    net = world.network(dhcp_ips=[], dhcp_mac=None, dhcp_port_id=None)
    port = world.port(5, net, groups=("closed",))
    serving.apply(FabricState(networks=[net, world.external()], security_groups=[world.CLOSED], ports=[port],
                              routers=[world.router(net)]))
    get = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with guests(cloud_id, [port]) as (guest,):
        guest.address("10.1.0.5/24", gateway="10.1.0.1")
        assert ask(guest, get).endswith(f"you are {port.id}".encode())
        control.asked.clear()
        serving._unindex(port)  # the agent knows no such port
        assert b" 404 " in ask(guest, get)
        assert control.asked == []


def test_metadata_over_ipv6(serving: LinuxFabric, cloud_id: str) -> None:
    net = world.dual_network()
    port = world.port(5, net, groups=("closed",))
    apply(serving, port, net=net)
    with guests(cloud_id, [port]) as (guest,):
        index = guest.run("cat", "/sys/class/net/eth0/ifindex")
        assert index.returncode == 0
        connection = guest.open_socket(socket.AF_INET6)
        with namespaces.inside(guest.namespace):
            scope = socket.if_nametoindex("eth0")
        connection.connect(("fe80::a9fe:a9fe", 80, 0, scope))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert f"you are {port.id}".encode() in connection.recv(65536)
        connection.close()


# ---------------------------------------------------------------- routers


def routed(fabric: LinuxFabric, *ports: PortSpec, floating: dict[str, str] | None = None, **more: object) -> None:
    fabric.apply(FabricState(networks=[world.network(), world.external()], security_groups=[world.OPEN],
                             ports=list(ports), routers=[world.router(floating=floating, **more)]))


def test_floating_ip_and_snat(linux: LinuxFabric, cloud_id: str) -> None:
    one, two = world.port(5), world.port(6)
    routed(linux, one, two, floating={"172.30.4.50": "10.1.0.5"})
    with guests(cloud_id, [one, two]) as (a, b):
        a.address("10.1.0.5/24", gateway="10.1.0.1")
        b.address("10.1.0.6/24", gateway="10.1.0.1")
        server = a.listen(2222)
        with socket.create_connection(("172.30.4.50", 2222), timeout=3) as client:  # from the machine itself
            peer, _ = server.accept()
            assert client.getpeername()[0] == "172.30.4.50"
            peer.close()
        with socket.create_server(("172.30.4.1", 3333)) as outside:
            outside.settimeout(3)
            for guest, seen_as in ((a, "172.30.4.50"), (b, "172.30.4.10")):
                connection = guest.connects("172.30.4.1", 3333)
                assert connection is not None
                peer, address = outside.accept()
                assert address[0] == seen_as
                peer.close()
                connection.close()
        hairpin = b.connects("172.30.4.50", 2222)  # a neighbour reaches it by the floating IP too
        assert hairpin is not None
        peer, address = server.accept()
        assert address[0] == "172.30.4.10"
        for made in (server, hairpin, peer):
            made.close()
        assert b.pings("10.1.0.1") and b.pings("172.30.4.1")
        routed(linux, one, two, floating={})
        with pytest.raises(OSError):
            socket.create_connection(("172.30.4.50", 2222), timeout=1)


def test_a_router_does_not_believe_for_long_in_a_guest_that_went_off(linux: LinuxFabric, cloud_id: str) -> None:
    routed(linux, world.port(5), floating={"172.30.4.50": "10.1.0.5"})
    with namespaces.inside(names.router_namespace(cloud_id, world.id("router"))):
        links_of_router = [name for name in links.names() if name != "lo"]
        assert len(links_of_router) == 2
        for name in links_of_router:
            for version in ("ipv4", "ipv6") if namespaces.has_ipv6() else ("ipv4",):
                neighbours = Path(f"/proc/sys/net/{version}/neigh/{name}")
                assert int((neighbours / "base_reachable_time_ms").read_text()) <= 5000
                assert int((neighbours / "delay_first_probe_time").read_text()) == 1


def test_out_through_the_machine_masqueraded(linux: LinuxFabric, machine: str, cloud_id: str) -> None:
    port = world.port(5)
    routed(linux, port)
    outside = f"hntest-{cloud_id}-outside"
    namespaces.add(outside)
    try:
        links.batch([["link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", outside],
                     ["address", "add", "203.0.113.1/24", "dev", "up0"], ["link", "set", "up0", "up"]])
        with namespaces.inside(outside):
            links.batch([["address", "add", "203.0.113.9/24", "dev", "eth0"], ["link", "set", "eth0", "up"]])
            server = socket.create_server(("203.0.113.9", 80))
        server.settimeout(3)
        with guests(cloud_id, [port]) as (guest,):
            guest.address("10.1.0.5/24", gateway="10.1.0.1")
            connection = guest.connects("203.0.113.9", 80)
            assert connection is not None
            assert server.accept()[1][0] == "203.0.113.1"
            connection.close()
        server.close()
    finally:
        namespaces.delete(outside)


def test_inner_addresses_are_not_reached_from_outside(linux: LinuxFabric, cloud_id: str) -> None:
    port = world.port(5)
    routed(linux, port)
    links.batch([["route", "add", "10.1.0.0/24", "via", "172.30.4.10"]])
    with guests(cloud_id, [port]) as (guest,):
        guest.address("10.1.0.5/24", gateway="10.1.0.1")
        server = guest.listen(80)
        with pytest.raises(OSError):
            socket.create_connection(("10.1.0.5", 80), timeout=1)
        server.close()


def test_router_down_and_without_snat(linux: LinuxFabric, cloud_id: str) -> None:
    port = world.port(5)
    routed(linux, port, admin_up=False)
    with guests(cloud_id, [port]) as (guest,):
        guest.address("10.1.0.5/24", gateway="10.1.0.1")
        assert not guest.pings("10.1.0.1", 1)
        routed(linux, port)
        assert guest.pings("172.30.4.1")
        routed(linux, port, enable_snat=False)
        assert not guest.pings("172.30.4.1", 1), "the machine has no way back to an inner address"


def test_a_server_directly_on_the_external_network(linux: LinuxFabric, cloud_id: str) -> None:
    public = world.external()
    port = world.port(60, public)
    linux.apply(FabricState(networks=[public], security_groups=[world.OPEN], ports=[port]))
    with guests(cloud_id, [port]) as (guest,):
        guest.address("172.30.4.60/24")
        assert guest.pings("172.30.4.1")
        server = guest.listen(80)
        socket.create_connection(("172.30.4.60", 80), timeout=3).close()
        server.close()


def test_router_advertisements_give_guests_addresses(linux: LinuxFabric, cloud_id: str) -> None:
    net = world.dual_network()
    port = world.port(5, net)
    linux.apply(FabricState(networks=[net, world.external()], security_groups=[world.OPEN], ports=[port],
                            routers=[world.router(net)]))
    with guests(cloud_id, [port]) as (guest,):
        deadline = time.monotonic() + 15
        wanted = "fd00:1::f816:3eff:fe00:5"
        while wanted not in (text := guest.run("ip", "-6", "address", "show", "eth0").stdout):
            assert time.monotonic() < deadline, text
            time.sleep(0.2)
        assert guest.pings("fd00:1::1")
        assert "default via fe80::" in guest.run("ip", "-6", "route").stdout


# ---------------------------------------------------------------- two clouds, two hosts, nothing left


def test_a_second_cloud_does_not_disturb_the_first(linux: LinuxFabric, cloud_id: str, tmp_path: Path) -> None:
    linux.apply(FabricState(networks=[world.external()]))
    other = LinuxFabric(f"{(int(cloud_id, 16) + 0x10000) & 0xFFFFFFFF:08x}", Paths(tmp_path / "other"),
                        "http://127.0.0.1:9", b"secret", "127.0.0.1")
    try:
        with pytest.raises(Conflict):
            other.apply(FabricState(networks=[world.external()]))
        other.apply(FabricState(networks=[world.external("172.31.9")]))
        assert linux.inventory().networks and linux.inventory().strays == []
    finally:
        other.purge()
    assert linux.inventory().unhealthy == []
    found = [a.local for link in links.links() for a in link.addr_info]
    assert "172.30.4.1" in found and "172.31.9.1" not in found


def test_a_network_over_two_hosts(linux: LinuxFabric, machine: str, cloud_id: str, tmp_path: Path) -> None:
    """A second machine is a second namespace with a wire between; each has the network's one DHCP address for itself."""
    second_cloud = f"{(int(cloud_id, 16) + 0x10000) & 0xFFFFFFFF:08x}"
    second = f"hntest-{cloud_id}-second"
    namespaces.add(second)
    links.batch([["link", "add", "wire", "mtu", "1600", "type", "veth", "peer", "name", "wire", "mtu", "1600", "netns",
                  second], ["address", "add", "192.0.2.1/24", "dev", "wire"], ["link", "set", "wire", "up"]])
    linux.tunnel_ip = "192.0.2.1"
    here, there = world.network(peers=["192.0.2.2"]), world.network(peers=["192.0.2.1", "192.0.2.2"])
    one, two = world.port(5), world.port(6)
    with namespaces.inside(second):
        links.batch([["link", "set", "lo", "up"], ["address", "add", "192.0.2.2/24", "dev", "wire"],
                     ["link", "set", "wire", "up"]])
        other = LinuxFabric(second_cloud, Paths(tmp_path / "other"), "http://127.0.0.1:9", b"secret", "192.0.2.2")
    try:
        apply(linux, one, net=here)
        with namespaces.inside(second):
            apply(other, two, net=there)
        with guests(cloud_id, [one]) as (a,), guests(second_cloud, [two]) as (b,):
            a.address("10.1.0.5/24")
            b.address("10.1.0.6/24")
            assert a.pings("10.1.0.6")
            assert a.pings("10.1.0.2") and b.pings("10.1.0.2")
            apply(linux, one, net=world.network(peers=[]))
            assert not a.pings("10.1.0.6", 1)
    finally:
        with namespaces.inside(second):
            other.purge()
        namespaces.delete(second)


def machine_state(machine: str) -> tuple[list[str], list[str], str, list[str]]:
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    run = sorted(str(path) for path in Path("/run").glob("hn-*"))
    return sorted(links.names()), [n for n in namespaces.named("hn-")], tables, run


def test_purge_leaves_nothing(linux: LinuxFabric, machine: str, cloud_id: str, tmp_path: Path) -> None:
    before = machine_state(machine)
    net = world.dual_network()
    linux.apply(FabricState(networks=[net, world.external()], security_groups=[world.OPEN], ports=[world.port(5, net)],
                            routers=[world.router(net)]))
    pid = linux.dhcp_server(net.id).pid()
    linux.purge()
    mine = machine_state(machine)
    assert mine[0] == before[0] and mine[2] == before[2]
    assert not [name for name in mine[1] if cloud_id in name] and not [name for name in mine[3] if cloud_id in name]
    assert not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()
    linux.apply(FabricState(networks=[net]))  # and it can begin again
    assert linux.inventory().networks == [net.id]


def test_strays_are_found_and_removed(linux: LinuxFabric, cloud_id: str) -> None:
    apply(linux, world.port(5))
    lost = world.id("lost")
    with namespaces.inside(names.fabric_namespace(cloud_id)):
        links.make_tap(names.tap(cloud_id, lost))
    namespaces.add(names.dhcp_namespace(cloud_id, lost))
    root = names.root_veth(cloud_id, lost)
    links.batch([["link", "add", root, "type", "bridge"]])
    found = linux.inventory().strays
    assert len(found) == 3 and linux.inventory().unhealthy == []
    assert linux.remove_strays() == found
    assert linux.inventory().strays == []
    assert linux.inventory().ports == [world.port(5).id]


def test_an_agent_without_memory_calls_nothing_a_stray(linux: LinuxFabric, cloud_id: str, tmp_path: Path) -> None:
    port = world.port(5)
    routed(linux, port)
    linux.metadata.close()
    again = LinuxFabric(cloud_id, Paths(tmp_path / "empty"), "http://127.0.0.1:9", b"secret", "127.0.0.1")
    try:
        found = again.inventory()
        assert (found.strays, found.ports, found.routers) == ([], [port.id], [world.id("router")])
        assert set(found.networks) <= set(found.unhealthy), "all is to be applied again"
        routed(again, port)
        assert again.inventory().unhealthy == [] and again.inventory().strays == []
    finally:
        again.metadata.close()


def test_removed_objects_are_gone(linux: LinuxFabric, cloud_id: str) -> None:
    net, public = world.network(), world.external()
    routed(linux, world.port(5), world.port(6))
    linux.remove(FabricIds(ports=[world.port(5).id]))
    assert linux.inventory().ports == [world.port(6).id]
    linux.remove(FabricIds(routers=[world.id("router")], networks=[net.id, public.id],
                           security_groups=[world.OPEN.id, world.id("never-was")]))
    found = linux.inventory()
    assert (found.networks, found.ports, found.routers, found.security_groups, found.strays) == ([], [], [], [], [])
    assert not [name for name in links.names() if name.startswith(names.root_link_prefixes(cloud_id))]


def test_an_agent_that_starts_again_adopts(serving: LinuxFabric, control: Control, cloud_id: str,
                                           tmp_path: Path) -> None:
    port = world.port(5)
    apply(serving, port)
    before = serving.dhcp_server(world.network().id).pid()
    serving.metadata.close()  # as the end of the process would
    again = LinuxFabric(cloud_id, Paths(tmp_path), f"http://127.0.0.1:{control.server_port}", b"secret", "127.0.0.1")
    try:
        assert again.inventory() == serving.inventory() or again.inventory().unhealthy == []
        assert again.inventory().ports == [port.id]
        assert again.dhcp_server(world.network().id).pid() == before
        with guests(cloud_id, [port]) as (guest,):
            guest.address("10.1.0.5/24")
            guest.run("ip", "route", "add", METADATA, "via", "10.1.0.2")
            assert ask(guest, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").endswith(port.id.encode())
        assert ipaddress.ip_address(port.fixed_ips[0].ip) in ipaddress.ip_network(world.network().subnets[0].cidr)
    finally:
        again.metadata.close()


def test_a_small_mtu(linux: LinuxFabric, cloud_id: str) -> None:
    net = world.network(mtu=1000)
    port = world.port(5, net)
    apply(linux, port, net=net)
    with guests(cloud_id, [port]) as (guest,):
        guest.inject(dhcp_message(guest.mac, 1))
        offer = dhcp_answer(guest, 2)
        assert offer is not None and offer[1][26] == struct.pack("!H", 1000)


def test_a_namespace_that_was_interrupted_is_finished(linux: LinuxFabric, cloud_id: str) -> None:
    net = world.network()
    namespaces.add(names.fabric_namespace(cloud_id))
    namespaces.add(names.dhcp_namespace(cloud_id, net.id))
    namespaces.add(names.router_namespace(cloud_id, world.id("router")))
    port = world.port(5)
    routed(linux, port)
    with guests(cloud_id, [port]) as (guest,):
        guest.address("10.1.0.5/24", gateway="10.1.0.1")
        assert guest.pings("172.30.4.1")
        guest.inject(dhcp_message(guest.mac, 1))
        assert dhcp_answer(guest, 2) is not None


def test_a_card_in_the_bridge_takes_the_gateway_over(linux: LinuxFabric, cloud_id: str) -> None:
    public = world.external()
    linux.apply(FabricState(networks=[public]))
    root = names.root_bridge(cloud_id, "public")
    links.batch([["link", "add", "card", "type", "veth", "peer", "name", "cable"],
                 ["link", "set", "card", "master", root]])
    linux.apply(FabricState(networks=[NetworkSpec(**{**{f: getattr(public, f) for f in public.__struct_fields__},
                                                     "mtu": 1450})]))
    assert "172.30.4.1" not in [a.local for link in links.links("dev", root) for a in link.addr_info]


@pytest.mark.skipif(shutil.which("iptables") is None, reason="needs iptables")
@pytest.mark.parametrize("docker", [True, False])
def test_beside_a_firewall_that_forwards_nothing(linux: LinuxFabric, cloud_id: str, docker: bool) -> None:
    namespaces.run(["iptables", "-P", "FORWARD", "DROP"])
    if docker:
        for rule in (["-N", "DOCKER-USER"], ["-A", "DOCKER-USER", "-j", "RETURN"], ["-A", "FORWARD", "-j", "DOCKER-USER"]):
            namespaces.run(["iptables", *rule])
    before = namespaces.run(["iptables", "-S"]).stdout
    port = world.port(5)
    links.batch([["link", "add", "up0", "type", "veth", "peer", "name", "up1"]])
    routed(linux, port)
    mine = namespaces.run(["iptables", "-S"]).stdout
    assert mine.count(names.root_comment(cloud_id)) == 2
    linux.purge()
    assert namespaces.run(["iptables", "-S"]).stdout == before


APPLY = """
import msgspec, sys
from pathlib import Path
from haneul.host.contract import FabricState
from haneul.host.fabric.linux import LinuxFabric
from haneul.kernel.config import Paths
state = msgspec.json.decode(Path(sys.argv[3]).read_bytes(), type=FabricState)
fabric = LinuxFabric(sys.argv[1], Paths(Path(sys.argv[2])), "http://127.0.0.1:9", b"secret", "127.0.0.1")
print("ready", flush=True)
fabric.apply(state)
print("applied", flush=True)
"""


def test_a_namespace_that_was_mounted_twice_goes(machine: str, cloud_id: str) -> None:
    name = f"hn-{cloud_id}-twice"
    namespaces.add(name)
    subprocess.run(["mount", "--bind", f"/run/netns/{name}", f"/run/netns/{name}"], check=True)
    namespaces.delete(name)
    assert not Path(f"/run/netns/{name}").exists()


@pytest.mark.parametrize("milliseconds", [0, 15, 40, 70, 110, 160, 220, 300])
def test_an_agent_killed_in_the_middle_is_followed_by_one_that_finishes(
        machine: str, cloud_id: str, tmp_path: Path, milliseconds: int) -> None:
    net = world.dual_network()
    state = FabricState(networks=[net, world.external()], security_groups=[world.OPEN],
                        ports=[world.port(5, net), world.port(6, net)], routers=[world.router(net)])
    (tmp_path / "state.json").write_bytes(msgspec.json.encode(state))
    child = subprocess.Popen([sys.executable, "-c", APPLY, cloud_id, str(tmp_path), str(tmp_path / "state.json")],
                             stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    time.sleep(milliseconds / 1000)
    child.kill()
    child.wait()
    child.stdout.close()
    fabric = LinuxFabric(cloud_id, Paths(tmp_path), "http://127.0.0.1:9", b"secret", "127.0.0.1")
    try:
        try:
            fabric.apply(state)
        except HostError:  # a program that the dead agent had started was still at work: asked again, it goes on
            time.sleep(0.5)
            fabric.apply(state)
        found = fabric.inventory()
        assert (found.unhealthy, found.strays) == ([], [])
        assert (len(found.networks), len(found.ports), len(found.routers)) == (2, 2, 1)
        with guests(cloud_id, state.ports) as (a, b):
            for guest, number in ((a, 5), (b, 6)):
                guest.address(f"10.1.0.{number}/24", gateway="10.1.0.1")
            assert a.pings("10.1.0.6") and a.pings("172.30.4.1")
            a.inject(dhcp_message(a.mac, 1))
            assert dhcp_answer(a, 2) is not None
    finally:
        fabric.purge()
    assert not [name for name in namespaces.named("hn-") if cloud_id in name]
    assert [name for name in sorted(links.names()) if name != "lo"] == []
