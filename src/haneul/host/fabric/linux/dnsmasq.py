"""The dnsmasq processes: started, told to read again, adopted after a restart of the agent, stopped.

Each has a directory below /run that its own unprivileged user may read. A process is known by its pid file and by the
configuration path in its command line together, so that a recycled pid is never taken for one of ours. Guests need
their leases while the agent is down, so the processes outlive it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

from .namespaces import FabricError, inside

START_SECONDS = 5.0
STOP_SECONDS = 2.0
MAX_LOG_BYTES = 1 << 20
# It starts as root to bind its ports, and can never become more than it is: afterwards its user holds NET_ADMIN alone.
CONFINED = ["setpriv", "--no-new-privs", "--inh-caps=-all",
            "--bounding-set=-all,+net_admin,+net_raw,+net_bind_service,+setuid,+setgid,+setpcap,+chown,+dac_override", "--"]


def run_directory(cloud_id: str) -> Path:
    return Path(f"/run/hn-{cloud_id}")


def _user() -> pwd.struct_passwd:
    for name in ("dnsmasq", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise FabricError("neither the user dnsmasq nor nobody exists")


def _write(path: Path, text: str) -> bool:
    """Replaces a file whole; False when it already says that."""
    try:
        if path.read_text() == text:
            return False
    except FileNotFoundError:
        pass
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(0o644)
    fresh.rename(path)
    return True


class Dnsmasq:
    """One process in one namespace."""

    def __init__(self, cloud_id: str, key: str, namespace: str) -> None:
        self.namespace = namespace
        self.directory = run_directory(cloud_id) / "dnsmasq" / key
        self.conf = self.directory / "conf"
        self._child: subprocess.Popen[bytes] | None = None

    def pid(self) -> int | None:
        """Of the living process; None when there is none."""
        if self._child is not None:
            self._child.poll()
        try:
            pid = int((self.directory / "pid").read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return pid if f"--conf-file={self.conf}".encode() in words else None

    def ensure(self, conf: str, hosts: str = "", options: str = "") -> None:
        """Runs with exactly this configuration, hosts and options when it returns."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for directory in (self.directory, self.directory.parent, self.directory.parent.parent):
            directory.chmod(0o755)
        full = "\n".join([
            conf, "keep-in-foreground", "no-resolv", "no-hosts", "no-poll", "bind-interfaces", "except-interface=lo",
            "leasefile-ro", "dhcp-authoritative", "quiet-dhcp", "quiet-dhcp6", "quiet-ra", f"user={_user().pw_name}",
            f"pid-file={self.directory}/pid", f"dhcp-hostsfile={self.directory}/hosts",
            f"dhcp-optsfile={self.directory}/options", "log-facility=-", ""])
        reload = _write(self.directory / "hosts", hosts)
        reload = _write(self.directory / "options", options) or reload
        restart = _write(self.conf, full)
        pid = self.pid()
        if pid is not None and restart:
            self.stop()
            pid = None
        if pid is None:
            self._start()
        elif reload:
            if (self.directory / "log").stat().st_size > MAX_LOG_BYTES:  # every reading adds some lines
                os.truncate(self.directory / "log", 0)
            os.kill(pid, signal.SIGHUP)

    def _start(self) -> None:
        program = shutil.which("dnsmasq") or "/usr/sbin/dnsmasq"
        for name in ("pid", "log"):
            (self.directory / name).unlink(missing_ok=True)
        with open(self.directory / "log", "ab") as log, inside(self.namespace):
            try:
                self._child = subprocess.Popen([*CONFINED, program, f"--conf-file={self.conf}"], stdin=subprocess.DEVNULL,
                                               stdout=log, stderr=log, start_new_session=True, cwd="/",
                                               env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
            except FileNotFoundError as error:
                raise FabricError("the program setpriv is not installed (package util-linux)") from error
        deadline = time.monotonic() + START_SECONDS
        while self.pid() is None:  # dnsmasq writes it when its sockets are bound
            if self._child.poll() is not None:
                text = " ".join((self.directory / "log").read_text(errors="replace").split())[-400:]
                raise FabricError(f"dnsmasq did not start in {self.namespace}: {text}")
            if time.monotonic() > deadline:
                self._child.kill()
                self._child.wait()
                raise FabricError(f"dnsmasq in {self.namespace} was not ready within {START_SECONDS:.0f} s")
            time.sleep(0.001)

    def stop(self) -> None:
        for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
            deadline = time.monotonic() + seconds
            pid = self.pid()
            if pid is not None:
                os.kill(pid, number)
            while self.pid() is not None and time.monotonic() < deadline:
                time.sleep(0.002)
        if self.pid() is not None:
            raise FabricError(f"dnsmasq in {self.namespace} does not end")
        if self._child is not None:
            self._child.wait()
            self._child = None

    def remove(self) -> None:
        """Stops it and forgets its files."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def keys(cloud_id: str) -> list[str]:
    """Of every process that has a directory, alive or not."""
    try:
        return sorted(os.listdir(run_directory(cloud_id) / "dnsmasq"))
    except FileNotFoundError:
        return []
