"""Network namespaces, programs run inside them, and kernel settings.

A thread enters a namespace with `inside` and comes back to where it was; the process itself never moves. Programs that
are started meanwhile inherit the thread's namespace, which is cheaper and sturdier than `ip netns exec`.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from haneul.host.contract import HostError

NETNS_DIR = Path("/run/netns")
CLONE_NEWNET = 0x40000000
PROGRAM_SECONDS = 30.0

_libc = ctypes.CDLL(None, use_errno=True)


class FabricError(HostError):
    """The kernel or a program refused what the fabric asked of it."""


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise FabricError(f"cannot enter a network namespace: {os.strerror(number)}")


@contextmanager
def inside(namespace: str | None) -> Iterator[None]:
    """This thread works in the namespace until the block ends; None stays where it is."""
    if namespace is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            there = os.open(NETNS_DIR / namespace, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise FabricError(f"the network namespace {namespace} does not exist") from error
        try:
            _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def exists(namespace: str) -> bool:
    """True for a live namespace; a left-over file that is no mount point does not count."""
    path = NETNS_DIR / namespace
    try:
        return path.stat().st_dev != NETNS_DIR.stat().st_dev
    except FileNotFoundError:
        return False


def add(namespace: str) -> None:
    if exists(namespace):
        return
    (NETNS_DIR / namespace).unlink(missing_ok=True)
    run(["ip", "netns", "add", namespace])


def delete(namespace: str) -> None:
    """A name that is mounted twice (an agent died while its `ip netns add` was at work, the next one added it too) is
    busy once: each attempt takes off one."""
    if not exists(namespace):
        (NETNS_DIR / namespace).unlink(missing_ok=True)
    elif run(["ip", "netns", "delete", namespace], ok=(0, 1)).returncode:
        run(["ip", "netns", "delete", namespace])


def named(prefix: str) -> list[str]:
    """Names of the namespaces that start so."""
    try:
        return sorted(entry.name for entry in os.scandir(NETNS_DIR) if entry.name.startswith(prefix))
    except FileNotFoundError:
        return []


def run(argv: Sequence[str], *, stdin: str = "", ok: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
    """A program to its end, in this thread's namespace. An exit status that is not in `ok` is a FabricError."""
    try:
        done = subprocess.run(list(argv), input=stdin, capture_output=True, text=True, timeout=PROGRAM_SECONDS)
    except FileNotFoundError as error:
        raise FabricError(f"the program {argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise FabricError(f"{argv[0]} did not end within {PROGRAM_SECONDS:.0f} s") from error
    if done.returncode not in ok:
        text = " ".join(done.stderr.split())[:500]
        raise FabricError(f"{' '.join(argv[:6])} failed ({done.returncode}): {text}")
    return done


def has_ipv6() -> bool:
    """False on a machine that was started without IPv6."""
    return os.path.isdir("/proc/sys/net/ipv6")


def sysctl(values: dict[str, str | int]) -> None:
    """Sets keys below /proc/sys/net of this thread's namespace ("ipv4.ip_forward"; a link's name may hold no dot)."""
    for key, value in values.items():
        if key.startswith("ipv6.") and not has_ipv6():
            continue
        path = "/proc/sys/net/" + key.replace(".", "/")
        try:
            with open(path, "w") as file:
                file.write(str(value))
        except OSError as error:
            raise FabricError(f"cannot set {key} to {value}: {error.strerror}") from error
