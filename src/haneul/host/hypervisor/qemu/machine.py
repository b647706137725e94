"""One server: its record, its process and the connection to it."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable
from typing import Any, Literal

from msgspec import structs

from haneul.host.accounts import qemu_account
from haneul.host.contract import Conflict, HostError, NoRoom, NotThere, Power, ServerSpec, ServerState
from haneul.host.hypervisor.qemu import cgroups, moves, serial, volumes
from haneul.host.hypervisor.qemu.backup import drop_copies
from haneul.host.hypervisor.qemu.command import command, device_id
from haneul.host.hypervisor.qemu.drives import Drive, key_file, without_key
from haneul.host.hypervisor.qemu.monitor import Monitor, MonitorError
from haneul.host.hypervisor.qemu.process import Process, boot_id, confined, start_time
from haneul.host.hypervisor.qemu.record import Folder, Record

START_SECONDS = 30.0
RECONNECT_SECONDS = 5.0
OVERHEAD_BYTES = 512 << 20  # of QEMU itself: its code, the screen, I/O buffers
DISK_BYTES = 48 << 20  # of each disk: tables of a qcow2, buffers of a copy
TCG_BYTES = 1 << 30  # of translated code, at most
SOCKET_PATH_LENGTH = 107

log = logging.getLogger(__name__)

OpenTap = Callable[[str], int | None]
Report = Callable[["Machine", str, dict[str, Any]], None]


class Machine:
    """Every method but `state` wants `lock` held."""

    def __init__(self, folder: Folder, cloud_id: str, open_tap: OpenTap, report: Report) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.moving = threading.Lock()  # one disk at a time; taken before `lock`
        self.record: Record | None = folder.load()
        self.process: Process | None = None
        self.monitor: Monitor | None = None
        self._cloud_id = cloud_id
        self._open_tap = open_tap
        self._report = report

    # ------------------------------------------------------------ what it is

    def alive(self) -> bool:
        return self.process is not None and self.process.alive()

    def power(self) -> Power:
        record = self.record
        if record is None:
            return "off"
        if record.ended:
            return record.ended
        if not self.alive():
            return "crashed"
        status = self.monitor.status if self.monitor else "unknown"
        if status in ("running", "unknown"):
            return "running"
        return {"shutdown": "off", "internal-error": "crashed", "guest-panicked": "crashed"}.get(status, "paused")  # type: ignore[return-value]

    def state(self) -> ServerState:
        """NotThere for one that was forgotten meanwhile."""
        record = self.record
        if record is None:
            raise NotThere(f"no server {self.folder.path.name} on this host")
        power = self.power()
        there = power in ("running", "paused")
        reason = record.reason
        if power == "crashed" and not reason:
            reason = self.obituary()
        return ServerState(id=record.spec.id, power=power, nics=[nic.port_id for nic in record.nics] if there else [],
                           disks=[disk.name for disk in record.spec.disks] if self.alive() else [],
                           pid=record.pid if there else None, reason=reason)

    def obituary(self) -> str:
        words = self.folder.last_words()
        return (self.process.epitaph() if self.process else "QEMU ended") + (f": {words}" if words else "")

    def connected(self) -> Monitor:
        """The connection of a server that is there; Conflict when it is not, MonitorError when QEMU does not answer."""
        if self.power() not in ("running", "paused"):
            raise Conflict(f"server {self.folder.path.name} is {self.power()}")
        if self.monitor is None or self.monitor.gone:
            self.connect(RECONNECT_SECONDS)
        assert self.monitor is not None
        return self.monitor

    # ------------------------------------------------------------ beginning

    def start(self, record: Record, drives: list[Drive], *, incoming: bool = False) -> None:
        """A process with stopped virtual CPUs. On failure nothing of it remains and the record says why."""
        secrets = {id: secret for drive in drives for id, secret in drive.secrets().items()}
        keys = {id: key_file(secret) for id, secret in secrets.items()}
        try:
            self._start(record, drives, keys, incoming)
        finally:
            for fd in keys.values():
                os.ftruncate(fd, 0)  # QEMU has read it, or never will: nobody finds it in what it inherited
                os.close(fd)

    def _start(self, record: Record, drives: list[Drive], keys: dict[str, int], incoming: bool) -> None:
        self._prepare()
        record.nodes, record.moves = {}, {}  # of a process that was
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        fds: list[int] = []
        try:
            listener.bind(str(self.folder.monitor))
            os.chmod(self.folder.monitor, 0o600)
            listener.listen(4)
            fds.append(serial.open_new(self.folder.console))
            taps = {nic.port_id: self._open_tap(nic.port_id) for nic in record.nics}
            fds += [fd for fd in taps.values() if fd is not None]
            argv = confined(command(record, drives, keys, taps, listener.fileno(), fds[0], self.folder.vnc,
                                    incoming=incoming), networked=record.networked)
            record.ended, record.reason, record.boot_id = "", "", boot_id()
            record.pid = record.started = 0
            self.folder.save(record)
            self.record = record
            with open(self.folder.errors, "wb") as errors:
                self.process = Process.start(argv, self.folder.path, errors,
                                             [listener.fileno(), *fds, *keys.values()])
        finally:
            listener.close()
            for fd in fds:
                os.close(fd)
        record.pid, record.started = self.process.pid, self.process.started
        self.folder.save(record)
        self.limit(record)
        try:
            self.connect()
            self._forget_keys(keys)
            self._throttle(record)
        except MonitorError as error:
            self.process.end(0.0)
            said = self.folder.last_words() or str(error)
            self.ended("off", said)
            kind = NoRoom if "Cannot allocate memory" in said or "cannot set up guest memory" in said else HostError
            raise kind(f"QEMU did not start: {said}") from error

    def _forget_keys(self, keys: dict[str, int]) -> None:
        assert self.monitor is not None
        for secret in keys:
            self.monitor.execute("object-del", {"id": secret})

    def _throttle(self, record: Record) -> None:
        assert self.monitor is not None
        for disk in record.spec.disks:
            if disk.limits is not None:
                volumes.throttle(self.monitor, disk)

    def _prepare(self) -> None:
        folder = self.folder
        if len(str(folder.vnc)) > SOCKET_PATH_LENGTH:
            raise HostError(f"the state directory's name is too long for sockets below it: {folder.vnc}")
        folder.path.mkdir(exist_ok=True)
        os.chmod(folder.path, 0o711)
        folder.vnc.parent.mkdir(exist_ok=True)
        os.chown(folder.vnc.parent, qemu_account().uid, qemu_account().gid)
        os.chmod(folder.vnc.parent, 0o700)
        for path in (folder.monitor, folder.vnc):
            path.unlink(missing_ok=True)

    def limit(self, record: Record) -> None:
        memory = (record.spec.memory_mib << 20) + OVERHEAD_BYTES + (TCG_BYTES if record.virt == "tcg" else 0)
        memory += DISK_BYTES * len(record.spec.disks)
        cgroups.limit(self._cloud_id, record.spec.id, record.pid, memory_bytes=memory, vcpus=record.spec.vcpus,
                      cpu=record.spec.cpu)

    def connect(self, seconds: float = START_SECONDS) -> None:
        def on_event(name: str, data: dict[str, Any]) -> None:
            self._report(self, name, data)

        self.monitor = Monitor(str(self.folder.monitor), on_event, seconds)

    def adopt(self, stray_pid: int | None) -> None:
        """After a restart of the agent: finds out what became of the server meanwhile. One that vanished unwatched, with the
        whole machine or with its agent, is forgotten: who asks for it is told that it is not there, and starts it again."""
        record = self.record
        assert record is not None
        if record.boot_id != boot_id():
            if not record.ended:
                self.vanished("the host was restarted")
            return
        if not record.pid and stray_pid:
            record.pid, record.started = stray_pid, start_time(stray_pid) or 0
            self.folder.save(record)
        process = Process(record.pid, record.started)
        if not record.pid or not process.alive():
            if not record.ended:
                self.vanished(f"{self.obituary()} while no agent watched")
            return
        self.process = process
        if record.ended:  # the agent was killed between writing that down and doing it
            process.end()
            return
        try:
            self.connect(RECONNECT_SECONDS)
            self.tidy()
        except MonitorError as error:
            log.warning("server %s: QEMU (process %d) does not answer: %s", record.spec.id, record.pid, error)
        except HostError as error:
            log.warning("server %s: something of it is left over: %s", record.spec.id, error)

    def vanished(self, how: str) -> None:
        log.warning("server %s is gone: %s", self.folder.path.name, how)
        self.record = None
        cgroups.remove(self._cloud_id, self.folder.path.name)
        shutil.rmtree(self.folder.path, ignore_errors=True)

    def tidy(self) -> None:
        """What a killed agent left open in QEMU: disks on the move, copies of disks, disks and cards half plugged or unplugged, a
        resume half done."""
        assert self.monitor is not None and self.record is not None
        moves.settle(self)
        volumes.drop_secrets(self.monitor)
        drop_copies(self.monitor)
        devices = self.monitor.devices()
        for disk in self.record.spec.disks:
            if disk.source is not None and device_id("disk", disk.name) not in devices:
                volumes.let_go(self, disk.name)
        for nic in list(self.record.nics):
            if device_id("nic", nic.port_id) not in devices:
                self.let_go(nic.port_id)
        if self.folder.kept_memory.exists():
            if self.monitor.status == "running":
                self.folder.kept_memory.unlink()
            else:
                self.folder.kept_memory.rename(self.folder.memory)
                self.end("suspended")
        self.see_shutdown()

    # ------------------------------------------------------------ ending

    def see_shutdown(self) -> None:
        """A guest that turned itself off leaves QEMU waiting (`-action shutdown=pause`): written down, then ended."""
        monitor = self.monitor
        if monitor and monitor.status == "shutdown" and self.alive() and self.record and not self.record.ended:
            self.end("off")

    def end(self, power: Power, reason: str = "") -> None:
        """No process afterwards."""
        self.ended(power, reason)
        if self.process is not None:
            self.process.end()
        cgroups.remove(self._cloud_id, self.folder.path.name)
        for path in (self.folder.monitor, self.folder.vnc):
            path.unlink(missing_ok=True)

    def ended(self, power: Power, reason: str) -> None:
        record = self.record
        if record is not None and (record.ended, record.reason) != (power, reason):
            record.ended, record.reason = power, reason
            self.folder.save(record)
        if power != "suspended":
            self.folder.memory.unlink(missing_ok=True)

    # ------------------------------------------------------------ cards

    def let_go(self, port_id: str) -> None:
        """The card is out of the guest: its backend goes, and with it the hold on the tap."""
        assert self.record is not None and self.monitor is not None
        mine = [nic for nic in self.record.nics if nic.port_id == port_id]
        if not mine:
            return
        try:
            self.monitor.execute("netdev_del", {"id": device_id("net", port_id)})
        except MonitorError as error:
            log.info("server %s: %s", self.record.spec.id, error)
        self.record.nics = [nic for nic in self.record.nics if nic.port_id != port_id]
        self.record.slots.pop(device_id("nic", port_id), None)
        self.folder.save(self.record)


def new_record(spec: ServerSpec, virt: Literal["kvm", "tcg"]) -> Record:
    encrypted = [disk.name for disk in spec.disks if disk.source is not None and disk.source.key is not None]
    spec = structs.replace(spec, disks=[without_key(disk) for disk in spec.disks])
    return Record(spec=spec, virt=virt, nics=list(spec.nics), encrypted=encrypted,
                  controllers=sorted({disk.bus for disk in spec.disks if disk.bus in ("scsi", "usb")}))
