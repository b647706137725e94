"""Programs for the kernel's traffic control, made and loaded in this process: a few instructions need no compiler.

A kernel may lack the VLAN links (8021q) and the VLAN actions of `tc` and still run such a program on any link: it takes
a frame's tag off or puts one on, and sends the frame out of another link.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Sequence

from .namespaces import FabricError

SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
PROG_LOAD, SCHED_CLS = 5, 3
VLAN_PUSH, VLAN_POP, REDIRECT = 18, 19, 23  # numbers of the kernel's helpers
MARK, VLAN_PRESENT, VLAN_TCI = 8, 20, 24  # offsets in struct __sk_buff
OURS = 0x68616E  # the mark of frames that `tag` made
PASS, DROP = 0, 2

RTM_NEWQDISC, RTM_NEWTFILTER, RTM_DELTFILTER = 36, 44, 45
REQUEST, ACK, EXCL, CREATE, REPLACE = 0x1, 0x4, 0x200, 0x400, 0x100
CLSACT, INGRESS, EGRESS = 0xFFFFFFF1, 0xFFFFFFF2, 0xFFFFFFF3  # TC_H_CLSACT; what comes in on a link, what goes out
TCA_KIND, TCA_OPTIONS = 1, 2
TCA_BPF_FD, TCA_BPF_NAME, TCA_BPF_FLAGS, DIRECT_ACTION = 6, 7, 8, 1
ETH_P_ALL, ETH_P_8021Q = 0x0003, 0x8100

_libc = ctypes.CDLL(None, use_errno=True)
Code = list[bytes]


def _op(code: int, to: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", code, source << 4 | to, offset, value)


def _set(register: int, value: int) -> bytes:
    return _op(0xB7, register, value=value)


def _copy(to: int, source: int) -> bytes:
    return _op(0xBF, to, source)


def _load(to: int, source: int, offset: int) -> bytes:
    return _op(0x61, to, source, offset)


def _call(number: int) -> bytes:
    return _op(0x85, value=number)


def _leave(value: int) -> Code:
    return [_set(0, value), _op(0x95)]


def _send(tail: Code) -> Code:
    """After a helper that answered in r0: drop when it failed, else `tail` with what it needs."""
    return [_op(0x15, 0, offset=2), *_leave(DROP), *tail]


def untag(links: Sequence[tuple[int, int]]) -> Code:
    """Frames with one of the tags go, without it, out of that tag's link: (tag, index of the link). Others with a tag are
    dropped; those without one pass."""
    code = [_copy(6, 1), _load(2, 6, VLAN_PRESENT), _op(0x55, 2, offset=2), *_leave(PASS),
            _load(7, 6, VLAN_TCI), _op(0x57, 7, value=0xFFF)]
    for tag, index in links:
        out = [_copy(1, 6), _call(VLAN_POP), *_send([_set(1, index), _set(2, 0), _call(REDIRECT), _op(0x95)])]
        code += [_op(0x55, 7, offset=len(out), value=tag), *out]
    return [*code, *_leave(DROP)]


def tag(number: int, index: int) -> Code:
    """Every frame gets the tag and our mark, and goes out of the link of that index."""
    return [_set(2, socket.htons(ETH_P_8021Q)), _set(3, number), _copy(6, 1), _call(VLAN_PUSH),
            *_send([_set(2, OURS), _op(0x63, 6, 2, MARK), _set(1, index), _set(2, 0), _call(REDIRECT), _op(0x95)])]


def no_other_tags() -> Code:
    """Frames with a tag go on only if it was put on here; those without one pass."""
    return [_load(2, 1, VLAN_PRESENT), _op(0x55, 2, offset=2), *_leave(PASS), _load(2, 1, MARK),
            _op(0x15, 2, offset=2, value=OURS), *_leave(DROP), *_leave(PASS)]


def only(number: int) -> Code:
    """Frames with the tag go on without it; all others are dropped."""
    return [_copy(6, 1), _load(2, 6, VLAN_PRESENT), _op(0x55, 2, offset=2), *_leave(DROP), _load(7, 6, VLAN_TCI),
            _op(0x57, 7, value=0xFFF), _op(0x15, 7, offset=2, value=number), *_leave(DROP), _copy(1, 6), _call(VLAN_POP),
            *_send(_leave(PASS))]


def add_tag(number: int) -> Code:
    """Every frame goes on with the tag."""
    return [_set(2, socket.htons(ETH_P_8021Q)), _set(3, number), _copy(6, 1), _call(VLAN_PUSH), *_send(_leave(PASS))]


def load(code: Code) -> int:
    """A descriptor on the program. The caller closes it; a link that it was put on keeps it alive."""
    number = SYS_BPF.get(os.uname().machine)
    if number is None:
        raise FabricError(f"no programs can be loaded on {os.uname().machine}")
    fd, error, _ = _load_program(number, code, 0)  # a log that is too short for a long program would fail it
    if fd < 0:
        fd, _, said = _load_program(number, code, 65536)
    if fd < 0:
        raise FabricError(f"the kernel takes no program for a link ({os.strerror(error)}): {said[-300:]}")
    return fd


def _load_program(number: int, code: Code, log_bytes: int) -> tuple[int, int, str]:
    """The descriptor, or -1 with the error; and what the kernel said of the program, if it was asked for that."""
    text, license = b"".join(code), ctypes.create_string_buffer(b"Apache-2.0")
    body, log = ctypes.create_string_buffer(text, len(text)), ctypes.create_string_buffer(max(1, log_bytes))
    attributes = struct.pack("=IIQQIIQII", SCHED_CLS, len(code), ctypes.addressof(body), ctypes.addressof(license),
                             1 if log_bytes else 0, log_bytes, ctypes.addressof(log) if log_bytes else 0, 0, 0).ljust(128, b"\0")
    fd = int(_libc.syscall(number, PROG_LOAD, ctypes.create_string_buffer(attributes, 128), 128))
    return fd, ctypes.get_errno(), log.value.decode(errors="replace")


def put(link: str, code: Code, side: int = INGRESS) -> None:
    """The program on what comes in on the link (or goes out of it), in place of the one there: it is never without one."""
    index = socket.if_nametoindex(link)
    _ask(RTM_NEWQDISC, CREATE | EXCL, _tcm(index, 0xFFFF0000, CLSACT, 0) + _attribute(TCA_KIND, b"clsact\0"), exists=True)
    fd = load(code)
    try:
        options = (_attribute(TCA_BPF_FD, struct.pack("=I", fd)) + _attribute(TCA_BPF_NAME, b"haneul\0")
                   + _attribute(TCA_BPF_FLAGS, struct.pack("=I", DIRECT_ACTION)))
        _ask(RTM_NEWTFILTER, CREATE | REPLACE, _filter(index, 1, side) + _attribute(TCA_KIND, b"bpf\0")
             + _attribute(TCA_OPTIONS, options))
    finally:
        os.close(fd)


def take_off(link: str) -> None:
    """No program of ours on the link; that there was none is fine."""
    for side in (INGRESS, EGRESS):
        _ask(RTM_DELTFILTER, 0, _filter(socket.if_nametoindex(link), 0, side), missing=True)


def _filter(index: int, handle: int, side: int) -> bytes:
    return _tcm(index, handle, side, 1 << 16 | socket.htons(ETH_P_ALL))


def _tcm(index: int, handle: int, parent: int, info: int) -> bytes:
    return struct.pack("=BxxxiIII", socket.AF_UNSPEC, index, handle, parent, info)


def _attribute(kind: int, value: bytes) -> bytes:
    return (struct.pack("=HH", 4 + len(value), kind) + value).ljust((4 + len(value) + 3) & ~3, b"\0")


def _ask(kind: int, flags: int, body: bytes, *, exists: bool = False, missing: bool = False) -> None:
    """One netlink request and its answer. `exists`, `missing`: that something is there or not there already is fine."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as handle:
        handle.send(struct.pack("=IHHII", 16 + len(body), kind, REQUEST | ACK | flags, 1, 0) + body)
        answer = handle.recv(65536)
    number = -struct.unpack_from("=i", answer, 16)[0]
    fine = ({errno.EEXIST} if exists else set()) | ({errno.ENOENT, errno.EINVAL} if missing else set())
    if number and number not in fine:
        raise FabricError(f"traffic control refused a request ({kind}): {os.strerror(number)}")
