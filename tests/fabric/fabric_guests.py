"""Guests for packet tests: a network namespace with a card of its own, wired to a port's real tap.

The wire is a thread that copies frames between the port's tap, opened as a hypervisor opens it, and a tap inside
the guest's namespace; so the guest is a whole Linux, offloads included, and a test can also write any frame it likes.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from haneul.host.contract import PortSpec
from haneul.host.fabric.linux import links, namespaces
from haneul.host.fabric.linux.taps import open_tap

TUNSETOFFLOAD = 0x400454D0
OFFLOADS = 0x01 | 0x02 | 0x04  # checksum, TSO for IPv4 and IPv6: as QEMU's virtio-net has it
HEADER = bytes(10)  # virtio_net_hdr without offloads


class Guest:
    def __init__(self, cloud_id: str, port: PortSpec, name: str) -> None:
        self.port = port
        self.namespace = f"hntest-{cloud_id}-{name}"
        self.mac = bytes.fromhex(port.mac.replace(":", ""))
        self.seen: list[bytes] = []
        namespaces.add(self.namespace)
        self._outer = open_tap(cloud_id, port.id)
        with namespaces.inside(self.namespace):
            namespaces.sysctl({"ipv6.conf.default.accept_dad": 0, "ipv6.conf.all.accept_dad": 0})
            self._inner = links.open_tap("eth0")
            links.batch([["link", "set", "lo", "up"], ["link", "set", "eth0", "address", port.mac],
                         ["link", "set", "eth0", "mtu", "1450", "up"]])
        for fd in (self._outer, self._inner):
            fcntl.ioctl(fd, TUNSETOFFLOAD, OFFLOADS)
        self._end = os.eventfd(0)
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        other = {self._outer: self._inner, self._inner: self._outer}
        while True:
            ready, _, _ = select.select([self._outer, self._inner, self._end], [], [])
            if self._end in ready:
                return
            for fd in ready:
                try:
                    frame = os.read(fd, 70000)
                    if fd == self._outer:
                        self.seen.append(frame[10:])
                    os.write(other[fd], frame)
                except OSError:
                    continue  # the link is down: the frame is lost, as on a wire

    def close(self) -> None:
        os.eventfd_write(self._end, 1)
        self._thread.join()
        for fd in (self._outer, self._inner, self._end):
            os.close(fd)
        namespaces.delete(self.namespace)

    # ------------------------------------------------------------ an ordinary guest

    def run(self, *argv: str, check: bool = True, timeout: float = 20) -> subprocess.CompletedProcess[str]:
        with namespaces.inside(self.namespace):
            return subprocess.run(argv, capture_output=True, text=True, check=check, timeout=timeout)

    def address(self, *cidrs: str, gateway: str | None = None) -> None:
        for cidr in cidrs:
            self.run("ip", "address", "add", cidr, "dev", "eth0", *(["nodad"] if ":" in cidr else []))
        if gateway:
            self.run("ip", "route", "replace", "default", "via", gateway)

    def pings(self, address: str, count: int = 2) -> bool:
        argv = ["ping", "-n", "-q", "-i", "0.2", "-c", str(count), "-W", "1", address]
        return self.run(*argv, check=False).returncode == 0

    def open_socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        with namespaces.inside(self.namespace):
            made = socket.socket(family, kind)
        made.settimeout(2)
        return made

    def listen(self, port: int, family: int = socket.AF_INET) -> socket.socket:
        made = self.open_socket(family)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("", port))
        made.listen()
        return made

    def connects(self, address: str, port: int) -> socket.socket | None:
        """A connection, None when there is no answer."""
        made = self.open_socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            made.connect((address, port))
        except OSError:
            made.close()
            return None
        return made

    # ------------------------------------------------------------ a guest that lies

    def inject(self, frame: bytes) -> None:
        os.write(self._outer, HEADER + frame.ljust(60, b"\0"))

    def saw(self, part: bytes, seconds: float = 0.6) -> bool:
        """Whether a frame with these bytes has come or comes in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if any(part in frame for frame in list(self.seen)):
                return True
            time.sleep(0.02)
        return False


@contextmanager
def guests(cloud_id: str, ports: Sequence[PortSpec]) -> Iterator[list[Guest]]:
    made: list[Guest] = []
    try:
        for number, port in enumerate(ports):
            made.append(Guest(cloud_id, port, str(number)))
        yield made
    finally:
        for guest in made:
            guest.close()


# ---------------------------------------------------------------- frames


def ethernet(destination: bytes, source: bytes, kind: int, payload: bytes) -> bytes:
    return destination + source + struct.pack("!H", kind) + payload


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source: str, destination: str, protocol: int, payload: bytes, flags: int = 0, id: int = 7) -> bytes:
    def head(check: int) -> bytes:
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), id, flags, 64, protocol, check,
                           socket.inet_aton(source), socket.inet_aton(destination))
    return head(checksum(head(0))) + payload


def udp(sport: int, dport: int, payload: bytes) -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def arp(operation: int, mac: bytes, ip: str, to_mac: bytes, to_ip: str) -> bytes:
    return (struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac + socket.inet_aton(ip) + to_mac
            + socket.inet_aton(to_ip))


def ipv6(source: str, destination: str, next_header: int, payload: bytes, hops: int = 255) -> bytes:
    return (struct.pack("!IHBB", 6 << 28, len(payload), next_header, hops) + ipaddress.IPv6Address(source).packed
            + ipaddress.IPv6Address(destination).packed + payload)


def icmpv6(source: str, destination: str, kind: int, body: bytes) -> bytes:
    message = struct.pack("!BBH", kind, 0, 0) + body
    pseudo = (ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address(destination).packed
              + struct.pack("!II", len(message), 58))
    return message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
