"""Links and addresses of the namespace that the calling thread is in.

What is done once a network or a router goes through one `ip -batch`; what is done once a port goes through ioctl, which
costs microseconds where a program costs milliseconds.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Sequence

import msgspec

from .namespaces import FabricError, run

TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
SIOCSIFMTU = 0x8922
SIOCBRADDIF = 0x89A2
SIOCBRDELIF = 0x89A3
IFF_UP = 0x1
GROUP_TO_DELETE = "1752"
RTM_NEWLINK, RTM_GETLINK, NLM_F_REQUEST, IFLA_MASTER = 16, 18, 1, 10


def names() -> set[str]:
    """Every link here."""
    return {name for _index, name in socket.if_nameindex()}


def batch(commands: Sequence[Sequence[str]], force: bool = False) -> str:
    """`ip` commands in order; the first that fails ends the batch with a FabricError. With `force` all are tried, and
    what went wrong is answered."""
    if not commands:
        return ""
    lines = []
    for command in commands:
        for word in command:
            if not word or any(c.isspace() or c in "\"'#\\" for c in word):
                raise FabricError(f"{word!r} cannot be a word of an ip command")
        lines.append(" ".join(command))
    argv = ["ip", *(["-force"] if force else []), "-batch", "-"]
    done = run(argv, stdin="\n".join(lines) + "\n", ok=(0, 1, 2) if force else (0,))
    return " ".join(done.stderr.split()) if done.returncode else ""


class Address(msgspec.Struct):
    local: str = ""
    prefixlen: int = 0
    scope: str = ""


class Link(msgspec.Struct):
    """What `ip -json address` says of a link."""

    ifname: str = ""
    flags: list[str] = []
    mtu: int = 0
    master: str | None = None
    address: str = ""
    addr_info: list[Address] = []


class Route(msgspec.Struct):
    dst: str
    gateway: str | None = None
    dev: str | None = None
    protocol: str = ""


def links(*select: str) -> list[Link]:
    """Links with their addresses; `select` as for `ip address show` (("dev", name), ("master", name))."""
    text = run(["ip", "-json", "address", "show", *select], ok=(0, 1)).stdout
    return [link for link in msgspec.json.decode(text or "[]", type=list[Link]) if link.ifname]


def routes(version: int, *select: str) -> list[Route]:
    text = run(["ip", "-json", f"-{version}", "route", "show", *select]).stdout
    return msgspec.json.decode(text.strip() or "[]", type=list[Route])


def _request(call: int, name: str, tail: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        return fcntl.ioctl(handle, call, struct.pack("16s24s", name.encode(), tail))


def set_up(name: str, up: bool) -> None:
    flags = struct.unpack_from("16sH", _request(SIOCGIFFLAGS, name, b""))[1]
    wanted = flags | IFF_UP if up else flags & ~IFF_UP
    if wanted != flags:
        _request(SIOCSIFFLAGS, name, struct.pack("H", wanted))


def set_mtu(name: str, mtu: int) -> None:
    _request(SIOCSIFMTU, name, struct.pack("i", mtu))


def attach(bridge: str, name: str) -> None:
    """Makes a link a port of the bridge; one that is a port of another bridge leaves that."""
    index = socket.if_nametoindex(name)
    try:
        _request(SIOCBRADDIF, bridge, struct.pack("i", index))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise FabricError(f"cannot put {name} into {bridge}: {error.strerror}") from error
        if _master(index) != socket.if_nametoindex(bridge):
            batch([["link", "set", name, "nomaster"]])
            _request(SIOCBRADDIF, bridge, struct.pack("i", index))


def _master(index: int) -> int:
    """The index of the bridge that a link is a port of; 0 for none. One netlink question, no program."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as handle:
        handle.send(struct.pack("IHHII", 32, RTM_GETLINK, NLM_F_REQUEST, 1, 0)
                    + struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, 0, 0))
        answer = handle.recv(65536)
    if struct.unpack_from("H", answer, 4)[0] != RTM_NEWLINK:
        return 0
    at, end = 32, struct.unpack_from("I", answer)[0]
    while at + 4 <= end:
        length, kind = struct.unpack_from("HH", answer, at)
        if kind == IFLA_MASTER:
            return int(struct.unpack_from("I", answer, at + 4)[0])
        at += max(4, (length + 3) & ~3)
    return 0


def open_tap(name: str) -> int:
    """A descriptor on the tap, which is made if it is not there. BlockingIOError-like failure: it is in use."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    except OSError as error:
        os.close(fd)
        raise FabricError(f"cannot open the tap {name}: {error.strerror}") from error
    return fd


def make_tap(name: str) -> None:
    """A tap that stays when nobody has it open."""
    fd = open_tap(name)
    try:
        fcntl.ioctl(fd, TUNSETPERSIST, 1)
    finally:
        os.close(fd)


def delete(*unwanted: str) -> None:
    """Those of the links that are there. Many go as a group, for which the kernel waits once and not for each."""
    there = sorted(names().intersection(unwanted))
    if len(there) > 1:
        commands = [*(["link", "set", name, "group", GROUP_TO_DELETE] for name in there),
                    ["link", "delete", "group", GROUP_TO_DELETE]]
    else:
        commands = [["link", "delete", name] for name in there]
    # A veth may go by itself meanwhile, with the namespace of its other end: what counts is that nothing is left.
    failed = batch(commands, force=True)
    if failed and (left := names().intersection(there)):
        raise FabricError(f"cannot remove {', '.join(sorted(left))}: {failed}")
