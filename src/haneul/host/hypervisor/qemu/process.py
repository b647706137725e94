"""QEMU as a process: how it is confined, whether it lives, how it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from haneul.host.accounts import qemu_account
from haneul.host.contract import HostError

QEMU = "qemu-system-x86_64"
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def confined(arguments: list[str], *, networked: bool = False) -> list[str]:
    """QEMU in network, IPC and UTS namespaces with nothing in them, as its own user, without capabilities, under seccomp. A
    `networked` one, which opens volumes over the network, sees the machine's network."""
    account = qemu_account()
    kvm = _kvm_group()
    groups = [f"--groups={kvm}"] if kvm is not None else ["--clear-groups"]
    setpriv = [word for word in account.setpriv if word != "--clear-groups"]
    empty = ["--ipc", "--uts"] if networked else ["--net", "--ipc", "--uts"]
    return ["unshare", *empty, "--", "prlimit", "--core=0", "--",
            setpriv[0], *groups, *setpriv[1:], QEMU, "-sandbox", SANDBOX, "-nodefaults", "-no-user-config", *arguments]


def _kvm_group() -> int | None:
    try:
        return os.stat("/dev/kvm").st_gid or None
    except OSError:
        return None


class Process:
    """A process by id and start time, so that an id that was given away again is never taken for it."""

    def __init__(self, pid: int, started: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self.started = started
        self._child = child

    @classmethod
    def start(cls, argv: list[str], folder: Path, errors: IO[bytes], fds: Iterable[int]) -> Process:
        try:
            child = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                     pass_fds=tuple(fds), start_new_session=True, env={"PATH": PATH, "LC_ALL": "C"})
        except FileNotFoundError as error:
            raise HostError(f"the program {error.filename} is not installed") from error
        return cls(child.pid, start_time(child.pid) or 0, child)

    def alive(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return start_time(self.pid) == self.started

    def epitaph(self) -> str:
        """How it ended, when it was our child: that is not known of an adopted one."""
        code = self._child.poll() if self._child is not None else None
        if code is None:
            return "QEMU ended"
        return f"QEMU was killed by {signal.Signals(-code).name}" if code < 0 else f"QEMU ended with status {code}"

    def end(self, patience: float = 3.0) -> None:
        """Asks, so that caches of disks are written; then insists. Returns when it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self.alive()
            return
        try:
            if not self.alive():
                return
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            if not _wait(handle, patience):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                if not _wait(handle, 30.0):
                    raise HostError(f"process {self.pid} survives SIGKILL: the kernel holds it, probably on a disk")
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)
        if self._child is not None:
            self._child.wait()

    def wait(self, seconds: float) -> bool:
        """True when it is gone within that time."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return not self.alive() or _wait(handle, seconds)
        finally:
            os.close(handle)
            self.alive()


def _wait(handle: int, seconds: float) -> bool:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def start_time(pid: int) -> int | None:
    """In clock ticks since boot; None for a process that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == b"Z" else int(fields[19])


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def find_below(folder: Path) -> dict[str, int]:
    """Processes of QEMU by the name of the folder they were started in, directly below this one: among them those whose
    start was not written down before the agent was killed."""
    found: dict[str, int] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            place = Path(os.readlink(f"{entry.path}/cwd"))
            program = Path(os.readlink(f"{entry.path}/exe")).name
        except OSError:
            continue
        if place.parent == folder and program.startswith("qemu-system"):
            found[place.name] = int(entry.name)
    return found
