"""The verbs on servers, by QEMU."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from haneul.host.accounts import QEMU_USER, qemu_account
from haneul.host.contract import (
    Conflict,
    DiskSpec,
    HostError,
    HostFacts,
    Hypervisor,
    NicSpec,
    NotThere,
    Refused,
    ServerCounters,
    ServerSpec,
    ServerState,
)
from haneul.host.disks.file import FileDisks
from haneul.host.hypervisor import disks
from haneul.host.hypervisor.qemu import cgroups, counters, drives, memory, moves, probe, serial, volumes
from haneul.host.hypervisor.qemu.backup import copy_disk, copy_node
from haneul.host.hypervisor.qemu.command import device_id, netdev, nic_device
from haneul.host.hypervisor.qemu.drives import Drive, Stores
from haneul.host.hypervisor.qemu.machine import Machine, new_record
from haneul.host.hypervisor.qemu.monitor import MonitorError
from haneul.host.hypervisor.qemu.process import find_below
from haneul.host.hypervisor.qemu.record import Folder
from haneul.host.segments import segment
from haneul.host.storage import VolumeFormat

ADOPT_SECONDS = 0.5  # that the start waits; a QEMU that does not answer is waited for in the background
BOUND_SECONDS = 5.0  # between looks at the consoles' length

log = logging.getLogger(__name__)


class QemuHypervisor(Hypervisor):
    """`fabric` says whether ports have taps: with the fake one, cards hang in the air."""

    volumes: Stores | None = None  # the host gives them

    def __init__(self, name: str, folder: Path, disks: FileDisks, *, cloud_id: str, fabric: str,
                 tunnel_ip: str) -> None:
        self._name = name
        self._folder = folder / "servers"
        self._disks = disks
        self._cloud_id = cloud_id
        self._fabric: Literal["linux", "fake"] = "fake" if fabric == "fake" else "linux"
        self._tunnel_ip = tunnel_ip
        self._guard = threading.Lock()
        self._machines: dict[str, Machine] = {}
        self._events = ThreadPoolExecutor(4, "qemu-event")
        self._folder.mkdir(parents=True, exist_ok=True)
        for each in (folder, self._folder):
            os.chmod(each, 0o711)
        self._problems = [*cgroups.problems(cloud_id), *_path_problems(self._folder)]
        self._found: Future[probe.Findings] = self._events.submit(probe.findings, folder / "probe.json")
        disks.guests = self
        self._adopt()
        threading.Thread(target=self._bound_consoles, name="consoles", daemon=True).start()

    # ------------------------------------------------------------ which servers

    def _adopt(self) -> None:
        folders = sorted(self._folder.iterdir())
        strays = find_below(self._folder.resolve()) if folders else {}
        for path in folders:
            machine = self._machine(path.name)
            if machine.record is None:
                shutil.rmtree(path)
            else:
                self._machines[path.name] = machine

        def adopt(id: str, machine: Machine) -> None:
            with machine.lock:
                machine.adopt(strays.get(id))

        pool = ThreadPoolExecutor(16, "adopt")
        wait([pool.submit(adopt, id, machine) for id, machine in self._machines.items()], ADOPT_SECONDS)
        pool.shutdown(wait=False)

    def _machine(self, id: str) -> Machine:
        return Machine(Folder(self._folder / segment(id)), self._cloud_id, self._open_tap, self._on_event)

    @contextmanager
    def _known(self, id: str) -> Iterator[Machine]:
        """The server, locked; NotThere when there is none."""
        with self._guard:
            machine = self._machines.get(id)
        if machine is None:
            raise NotThere(f"no server {id} on this host")
        with machine.lock:
            if machine.record is None:
                raise NotThere(f"no server {id} on this host")
            machine.see_shutdown()
            yield machine

    @contextmanager
    def _known_or_new(self, id: str) -> Iterator[Machine]:
        """Locked, and still the one that is known by this id once the lock was had."""
        while True:
            with self._guard:
                machine = self._machines.setdefault(segment(id), self._machine(id))
            with machine.lock:
                if self._machines.get(id) is machine:
                    yield machine
                    return

    def _open_tap(self, port_id: str) -> int | None:
        if self._fabric == "fake":
            return None
        from haneul.host.fabric.linux.taps import open_tap

        return open_tap(self._cloud_id, port_id)

    def _on_event(self, machine: Machine, name: str, data: dict[str, Any]) -> None:
        """On the monitors' thread: what needs an answer to QEMU is done elsewhere."""
        if name in ("SHUTDOWN", "GONE"):
            self._events.submit(self._see_end, machine)
        elif name == "DEVICE_DELETED":
            kind, _, rest = str(data.get("device", "")).partition("-")
            if kind == "nic":
                self._events.submit(self._see_unplugged, machine, rest)
            elif kind == "disk":
                self._events.submit(self._see_detached, machine, rest)

    def _see_end(self, machine: Machine) -> None:
        with machine.lock:
            if machine.record is None or machine.record.ended or machine.process is None:
                return
            machine.see_shutdown()
            if machine.monitor is not None and not machine.monitor.gone:
                return  # the event came from a process before this one: the server was suspended and is back
            if not machine.record.ended and machine.process.wait(5.0):
                machine.ended("crashed", machine.obituary())
                log.warning("server %s: %s", machine.record.spec.id, machine.record.reason)

    def _see_unplugged(self, machine: Machine, port_id: str) -> None:
        with machine.lock:
            if machine.alive():
                machine.let_go(port_id)

    def _see_detached(self, machine: Machine, name: str, *, only_if_gone: bool = False) -> None:
        with machine.lock:
            if machine.alive() and machine.monitor is not None:
                try:
                    if only_if_gone and device_id("disk", name) in machine.monitor.devices():
                        return
                    volumes.let_go(machine, name)
                except HostError as error:  # a copy of it is being taken: `detach` is asked again
                    log.warning("server %s: disk %s is out, its volume still open: %s", machine.folder.path.name, name, error)

    def close(self) -> None:
        """Lets go of every server; they run on."""
        with self._guard:
            machines = list(self._machines.values())
        for machine in machines:
            with machine.lock:
                if machine.monitor is not None and not machine.monitor.gone:
                    try:
                        machine.monitor.close()
                    except MonitorError as error:
                        log.info("%s: %s", machine.folder.path.name, error)

    # ------------------------------------------------------------ questions

    def facts(self) -> HostFacts:
        return probe.facts(self._name, self._found.result(), self._folder, self._fabric, self._tunnel_ip,
                           self._problems)

    def servers(self) -> list[ServerState]:
        """Without locks: a server in the middle of something must not hold up the heartbeat."""
        with self._guard:
            machines = list(self._machines.values())
        states: list[ServerState] = []
        for machine in machines:
            with suppress(NotThere):
                states.append(machine.state())
        return states

    def server(self, id: str) -> ServerState:
        with self._known(id) as machine:
            return machine.state()

    def counters(self, id: str) -> ServerCounters:
        with self._known(id) as machine:
            if machine.power() not in ("running", "paused") or machine.record is None or machine.process is None:
                return ServerCounters(power=machine.power())
            return counters.measure(machine, self._cloud_id if self._fabric == "linux" else None)

    def uses_disks(self, server_id: str) -> bool:
        with suppress(NotThere), self._known(server_id) as machine:
            return machine.alive()
        return False

    def copy_disk(self, server_id: str, name: str, target: Path) -> None:
        with self._known(server_id) as machine:
            monitor = machine.connected()
        copy_disk(monitor, name, target)  # minutes: the server's other verbs need not wait

    # ------------------------------------------------------------ life

    def _drives(self, id: str, disks: list[DiskSpec]) -> list[Drive]:
        return [drives.of_file(disk, self._disks.locate(id, disk.name), f"node-{disk.name}") if disk.source is None
                else drives.of_volume(disk, self._stores(), f"node-{disk.name}") for disk in disks]

    def create(self, spec: ServerSpec) -> ServerState:
        with self._known_or_new(spec.id) as machine:
            machine.see_shutdown()
            if machine.record is None or machine.power() in ("off", "crashed"):
                if machine.alive():
                    machine.end("off")
                for disk in spec.disks:
                    disks.check(disk)
                try:
                    record = new_record(spec, self._found.result().virt)
                    record.networked = self.volumes is not None and self.volumes.networked()
                    machine.start(record, self._drives(spec.id, spec.disks))
                finally:
                    if machine.record is None:
                        self._drop(spec.id)
            return machine.state()

    def run(self, id: str) -> ServerState:
        with self._known(id) as machine:
            monitor = machine.connected()
            if monitor.status != "running":
                monitor.execute("cont")
                monitor.refresh()
                machine.folder.memory.unlink(missing_ok=True)
            return machine.state()

    def pause(self, id: str) -> ServerState:
        with self._known(id) as machine:
            monitor = machine.connected()
            if monitor.status == "running":
                monitor.execute("stop")
                monitor.refresh()
            return machine.state()

    def press_power_button(self, id: str) -> ServerState:
        with self._known(id) as machine:
            if machine.power() == "running":
                machine.connected().execute("system_powerdown")
            elif machine.power() == "suspended":
                raise Conflict(f"server {id} is suspended")
            return machine.state()

    def reset(self, id: str) -> ServerState:
        with self._known(id) as machine:
            if machine.power() != "running":
                raise Conflict(f"server {id} is {machine.power()}")
            machine.connected().execute("system_reset")
            return machine.state()

    def interrupt(self, id: str) -> ServerState:
        with self._known(id) as machine:
            if machine.power() not in ("running", "paused"):
                raise Conflict(f"server {id} is {machine.power()}")
            machine.connected().execute("inject-nmi")
            return machine.state()

    def suspend(self, id: str) -> ServerState:
        with self._known(id) as machine:
            if machine.power() != "suspended":
                memory.save(machine)
            return machine.state()

    def resume(self, spec: ServerSpec) -> ServerState:
        with self._known(spec.id) as machine:
            power = machine.power()
            if power == "suspended":
                assert machine.record is not None
                there = drives.to_resume(machine.record, spec)
                made = self._drives(spec.id, there)
                machine.record.set_disks([drives.without_key(disk) for disk in there])
                machine.record.encrypted = [disk.name for disk in there if disk.source is not None and disk.source.key]
                memory.restore(machine, made)
            elif power != "running":
                raise Conflict(f"server {spec.id} is {power}")
            return machine.state()

    def kill(self, id: str) -> ServerState:
        try:
            with self._known(id) as machine:
                machine.end("off")
                return machine.state()
        except NotThere:
            return ServerState(id=id, power="off")

    def forget(self, id: str) -> None:
        try:
            with self._known(id) as machine:
                machine.end("off")
                machine.record = None
                shutil.rmtree(machine.folder.path, ignore_errors=True)
                self._drop(id)
        except NotThere:
            cgroups.remove(self._cloud_id, segment(id))

    def _drop(self, id: str) -> None:
        with self._guard:
            self._machines.pop(id, None)

    # ------------------------------------------------------------ cards

    def plug(self, id: str, nic: NicSpec) -> ServerState:
        with self._known(id) as machine:
            monitor, record = machine.connected(), machine.record
            assert record is not None
            if any(each.port_id == nic.port_id for each in record.nics):
                return machine.state()
            device = nic_device(record, nic)
            name = f"tap-{record.slots[device['id']]}"
            tap: int | None = None
            try:
                tap = self._open_tap(nic.port_id)
                if tap is not None:
                    monitor.give(tap, name)
                monitor.execute("netdev_add", netdev(nic, record.slots[device["id"]], None if tap is None else name))
                try:
                    monitor.execute("device_add", device)
                except MonitorError:
                    monitor.execute("netdev_del", {"id": device_id("net", nic.port_id)})
                    raise
            except HostError:
                record.slots.pop(device["id"], None)
                raise
            finally:
                if tap is not None:
                    os.close(tap)
            record.nics.append(nic)
            machine.folder.save(record)
            return machine.state()

    def unplug(self, id: str, port_id: str) -> ServerState:
        with self._known(id) as machine:
            assert machine.record is not None
            if machine.power() not in ("running", "paused"):
                return machine.state()
            device = device_id("nic", port_id)
            if any(nic.port_id == port_id for nic in machine.record.nics):
                monitor = machine.connected()
                if device not in monitor.devices():
                    machine.let_go(port_id)
                else:
                    try:
                        monitor.execute("device_del", {"id": device})
                    except MonitorError as error:
                        if "not found" in str(error):  # it went this very moment
                            machine.let_go(port_id)
                        elif "already in the process of unplug" not in str(error):
                            raise
            return machine.state()

    # ------------------------------------------------------------ volumes

    def attach(self, id: str, disk: DiskSpec) -> ServerState:
        with self._known(id) as machine:
            volumes.attach(machine, disk, self._stores())
            return machine.state()

    def detach(self, id: str, name: str) -> ServerState:
        with self._known(id) as machine:
            volumes.detach(machine, name)
            return machine.state()

    def resize_disk(self, id: str, name: str, size_bytes: int) -> ServerState:
        with self._known(id) as machine:
            volumes.resize(machine, name, size_bytes)
            return machine.state()

    def replace_disk(self, id: str, disk: DiskSpec) -> ServerState:
        with self._known(id) as machine:
            source = volumes.plugged(machine, disk.name).source
        assert source is not None
        users = self._opening(source.backend, source.volume, suspended=True)
        if {each.folder.path.name for each, _ in users} != {id}:
            raise Refused(f"volume {source.volume} has several servers: it cannot be moved while they run")
        moves.replace(machine, disk, self._stores())  # minutes: the server's other verbs need not wait
        return machine.state()

    def _stores(self) -> Stores:
        if self.volumes is None:
            raise HostError("this host has no stores of volumes")
        return self.volumes

    # ------------------------------------------------------------ what stores ask

    def _opening(self, backend: str, volume: str, *, suspended: bool) -> list[tuple[Machine, str]]:
        """Servers that have the volume open, and as which disk; without locks, which others hold for minutes."""
        with self._guard:
            machines = list(self._machines.values())
        found: list[tuple[Machine, str]] = []
        for machine in machines:
            record = machine.record
            if record is not None and (machine.alive() or (suspended and record.ended == "suspended")):
                disks = [*record.spec.disks, *(move.disk for move in list(record.moves.values()))]
                found += [(machine, disk.name) for disk in disks
                          if disk.source is not None and (disk.source.backend, disk.source.volume) == (backend, volume)]
        return found

    def uses(self, backend: str, volume: str) -> bool:
        return bool(self._opening(backend, volume, suspended=True))

    def writes(self, backend: str, volume: str) -> bool:
        return bool(self._opening(backend, volume, suspended=False))

    @contextmanager
    def _writer(self, backend: str, volume: str) -> Iterator[tuple[Machine, str]]:
        found = self._opening(backend, volume, suspended=False)
        if not found:
            raise Conflict(f"no server has volume {volume} open")
        if len(found) > 1:
            raise Conflict(f"volume {volume} is open more than once: it cannot be copied as of one moment")
        machine, name = found[0]
        with machine.lock:
            source = volumes.plugged(machine, name).source
            if source is None or (source.backend, source.volume) != (backend, volume):
                raise Conflict(f"a disk is being moved to volume {volume}")
            yield machine, name

    def copy(self, backend: str, volume: str, target: Path, format: VolumeFormat) -> None:
        with self._writer(backend, volume) as (machine, name):
            monitor, node = machine.connected(), volumes.stored_node(machine, name)
        try:
            copy_node(monitor, node, target, format)  # minutes: the server's other verbs need not wait
        finally:
            self._see_detached(machine, name, only_if_gone=True)

    def take_snapshot(self, backend: str, volume: str, snapshot: str) -> None:
        with self._writer(backend, volume) as (machine, name):
            volumes.take_snapshot(machine, name, snapshot)

    def drop_snapshot(self, backend: str, volume: str, snapshot: str) -> None:
        with self._writer(backend, volume) as (machine, name):
            volumes.drop_snapshot(machine, name, snapshot)

    # ------------------------------------------------------------ consoles

    def console_log(self, id: str, tail_bytes: int = 1 << 20) -> str:
        with self._guard:
            machine = self._machines.get(id)
        if machine is None:
            raise NotThere(f"no server {id} on this host")
        return serial.tail(machine.folder.console, min(tail_bytes, serial.KEEP))

    def vnc_socket(self, id: str) -> str:
        with self._known(id) as machine:
            machine.connected()
            path = machine.folder.vnc
            try:
                found = os.lstat(path)
            except FileNotFoundError as error:
                raise Conflict(f"server {id} has no screen") from error
            # The folder is QEMU's: one that was taken over must not lead the agent to a socket of somebody else.
            if not stat.S_ISSOCK(found.st_mode) or found.st_uid != qemu_account().uid:
                raise HostError(f"server {id}: its screen is not a socket of QEMU's")
            return str(path)

    def _bound_consoles(self) -> None:
        while True:
            time.sleep(BOUND_SECONDS)
            with self._guard:
                machines = list(self._machines.values())
            for machine in machines:
                try:
                    serial.bound(machine.folder.console)
                except OSError as error:
                    log.warning("%s: %s", machine.folder.console, error)


def _path_problems(folder: Path) -> list[str]:
    problems: list[str] = []
    if qemu_account().name != QEMU_USER:
        problems.append(f"There is no user {QEMU_USER}: QEMU runs as {qemu_account().name}, as other programs do.")
    for parent in folder.parents:
        if not parent.stat().st_mode & stat.S_IXOTH:
            problems.append(f"QEMU's user cannot pass through {parent}: servers will not start (chmod o+x).")
    return problems
