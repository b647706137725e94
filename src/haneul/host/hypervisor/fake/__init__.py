"""Servers that are only remembered. Instant; a thousand hosts of it fit into one process."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, structs

from haneul.host.contract import (
    Conflict,
    DiskCounters,
    DiskSpec,
    HostError,
    HostFacts,
    Hypervisor,
    NicSpec,
    NotThere,
    Power,
    Refused,
    ServerCounters,
    ServerSpec,
    ServerState,
)
from haneul.host.disks.fake import FakeDisks
from haneul.host.hypervisor import disks
from haneul.host.hypervisor.fake import copying
from haneul.host.journal import Journal
from haneul.host.segments import segment
from haneul.host.storage import StoredVolume, VolumeFormat, VolumeSource

if TYPE_CHECKING:
    from haneul.host.volumes.users import Users

CPUS, MEMORY_MIB, DISK_GIB = 32, 128 << 10, 2048
MAX_EVENTS = 50


class Server(Struct):
    spec: ServerSpec
    power: Power
    nics: list[str]
    events: list[tuple[float, str]]
    reason: str = ""
    controllers: list[str] = []  # buses of disks that it was started with
    encrypted: list[str] = []  # volumes


class Store(Protocol):
    def volume(self, name: str) -> StoredVolume: ...

    def grow(self, name: str, size_bytes: int, key: str | None = None) -> StoredVolume: ...


class Stores(Protocol):
    users: list[Users]

    def node(self, source: VolumeSource) -> dict[str, Any]: ...

    def named(self, backend: str) -> Store: ...


class FakeHypervisor(Hypervisor):
    volumes: Stores | None = None  # the host gives them

    def __init__(self, name: str, journal: Journal, disks: FakeDisks, fabric: str, tunnel_ip: str) -> None:
        self._journal = journal
        self._disks = disks
        self._lock = threading.RLock()
        self._servers: dict[str, Server] = journal.load("server", Server)
        self._keys: dict[tuple[str, str], str] = {}  # of encrypted volumes: never in the journal
        self._facts = HostFacts(
            name=name, hypervisor="fake", virt="fake", hypervisor_version=1_000_000, architecture="x86_64",
            cpu_model="fake", cpu_features=["fpu", "sse2"], cpus=CPUS, memory_mib=MEMORY_MIB, disk_gib=DISK_GIB,
            fabric="linux" if fabric == "linux" else "fake", tunnel_ip=tunnel_ip)
        disks.guests = self

    # ------------------------------------------------------------ questions

    def facts(self) -> HostFacts:
        return self._facts

    def servers(self) -> list[ServerState]:
        with self._lock:
            return [_state(server) for server in self._servers.values()]

    def server(self, id: str) -> ServerState:
        with self._lock:
            return _state(self._find(id))

    def uses_disks(self, server_id: str) -> bool:
        server = self._servers.get(server_id)
        return server is not None and server.power in ("running", "paused")

    def copy_disk(self, server_id: str, name: str, target: Path) -> None:
        raise NotImplementedError("fake disks have no bytes to copy")

    def _find(self, id: str) -> Server:
        server = self._servers.get(id)
        if server is None:
            raise NotThere(f"no server {id} on this host")
        return server

    # ------------------------------------------------------------ changes

    def _change(self, id: str, power: Power, what: str, *, allowed: tuple[Power, ...]) -> ServerState:
        with self._lock:
            server = self._find(id)
            if server.power not in allowed:
                raise Conflict(f"server {id} is {server.power}")
            return self._set(server, power, what)

    def _set(self, server: Server, power: Power, what: str, reason: str = "") -> ServerState:
        if server.power != power or what == "reset":
            server.events = [*server.events[-MAX_EVENTS + 1:], (time.time(), what)]
        server.power = power
        server.reason = reason
        self._journal.put("server", server.spec.id, server)
        return _state(server)

    def create(self, spec: ServerSpec) -> ServerState:
        with self._lock:
            known = self._servers.get(segment(spec.id))
            if known and known.power in ("running", "paused", "suspended"):
                return _state(known)
            for disk in spec.disks:
                disks.check(disk)
                if disk.source is not None:
                    self._check(disk)
                elif not self._disks.has_disk(spec.id, disk.name):
                    raise NotThere(f"server {spec.id} has no disk {disk.name} here")
            encrypted = _encrypted(spec.disks)
            spec = structs.replace(spec, disks=[self._without_key(disk) for disk in spec.disks])
            server = Server(spec, "off", [nic.port_id for nic in spec.nics], known.events if known else [],
                            controllers=sorted({disk.bus for disk in spec.disks}), encrypted=encrypted)
            self._servers[spec.id] = server
            return self._set(server, "paused", "power on")

    def run(self, id: str) -> ServerState:
        return self._change(id, "running", "virtual CPUs run", allowed=("running", "paused"))

    def pause(self, id: str) -> ServerState:
        return self._change(id, "paused", "virtual CPUs stopped", allowed=("running", "paused"))

    def press_power_button(self, id: str) -> ServerState:
        """The fake guest obeys at once; a paused one cannot."""
        with self._lock:
            if self._find(id).power == "paused":
                return _state(self._find(id))
            return self._change(id, "off", "power button: the guest shut down", allowed=("running", "off", "crashed"))

    def reset(self, id: str) -> ServerState:
        return self._change(id, "running", "reset", allowed=("running",))

    def interrupt(self, id: str) -> ServerState:
        with self._lock:
            server = self._plugged_in(id)
            return self._set(server, server.power, "interrupted")

    def suspend(self, id: str) -> ServerState:
        return self._change(id, "suspended", "memory saved", allowed=("running", "paused", "suspended"))

    def resume(self, spec: ServerSpec) -> ServerState:
        with self._lock:
            state = self._change(spec.id, "running", "memory restored", allowed=("suspended", "running"))
            for disk in spec.disks:
                self._without_key(disk)
            return state

    def kill(self, id: str) -> ServerState:
        with self._lock:
            server = self._servers.get(id)
            if server is None:
                return ServerState(id=id, power="off")
            return self._set(server, "off", "killed")

    def forget(self, id: str) -> None:
        with self._lock:
            if self._servers.pop(id, None):
                self._journal.put("server", id, None)

    def plug(self, id: str, nic: NicSpec) -> ServerState:
        with self._lock:
            server = self._find(id)
            if server.power not in ("running", "paused"):
                raise Conflict(f"server {id} is {server.power}")
            if nic.port_id not in server.nics:
                server.nics.append(nic.port_id)
                self._journal.put("server", id, server)
            return _state(server)

    def unplug(self, id: str, port_id: str) -> ServerState:
        with self._lock:
            server = self._find(id)
            if port_id in server.nics:
                server.nics.remove(port_id)
                self._journal.put("server", id, server)
            return _state(server)

    # ------------------------------------------------------------ volumes

    def _stores(self) -> Stores:
        if self.volumes is None:
            raise HostError("this host has no stores of volumes")
        return self.volumes

    def _check(self, disk: DiskSpec) -> None:
        """What QEMU would stumble over when it opens the volume."""
        source = disk.source
        if source is None:
            raise Refused(f"disk {disk.name} is no volume")
        disks.check(disk)
        self._stores().node(source)
        if not disk.shared and any(user.uses(source.backend, source.volume) for user in self._stores().users):
            raise Conflict(f"volume {source.volume} is open elsewhere")

    def _without_key(self, disk: DiskSpec) -> DiskSpec:
        """The key stays in memory, where the store needs it to grow the volume."""
        source = disk.source
        if source is None or source.key is None:
            return disk
        self._keys[source.backend, source.volume] = source.key
        return structs.replace(disk, source=structs.replace(source, key=None))

    def uses(self, backend: str, volume: str) -> bool:
        """Without a lock: others ask while they hold their own."""
        return any(_has(server, backend, volume) for server in list(self._servers.values()))

    def writes(self, backend: str, volume: str) -> bool:
        return False

    def copy(self, backend: str, volume: str, target: Path, format: VolumeFormat) -> None:
        raise Conflict("no guest of a fake host has a file open")

    def take_snapshot(self, backend: str, volume: str, snapshot: str) -> None:
        raise Conflict("no guest of a fake host has a file open")

    def drop_snapshot(self, backend: str, volume: str, snapshot: str) -> None:
        raise Conflict("no guest of a fake host has a file open")

    def _plugged_in(self, id: str) -> Server:
        server = self._find(id)
        if server.power not in ("running", "paused"):
            raise Conflict(f"server {id} is {server.power}")
        return server

    def _volume(self, server: Server, name: str) -> DiskSpec:
        for disk in server.spec.disks:
            if disk.name == name and disk.source is not None:
                return disk
        raise NotThere(f"server {server.spec.id} has no volume {name}")

    def _set_disks(self, server: Server, disks: list[DiskSpec]) -> ServerState:
        server.encrypted += _encrypted(disks)
        server.spec = structs.replace(server.spec, disks=[self._without_key(disk) for disk in disks])
        self._journal.put("server", server.spec.id, server)
        return _state(server)

    def attach(self, id: str, disk: DiskSpec) -> ServerState:
        with self._lock:
            server = self._plugged_in(id)
            others = [each for each in server.spec.disks if each.name != disk.name]
            if len(others) < len(server.spec.disks):
                plugged = self._volume(server, disk.name)
                if plugged.source != self._without_key(disk).source:
                    raise Conflict(f"server {id} has another volume as {disk.name}")
                disks.check(disk)
                kept = structs.replace(plugged, limits=disk.limits)
                return self._set_disks(server, [kept if each is plugged else each for each in server.spec.disks])
            disks.check_hot(disk, server.controllers, id)
            self._check(disk)
            return self._set_disks(server, [*others, disk])

    def detach(self, id: str, name: str) -> ServerState:
        """The fake guest lets go at once."""
        with self._lock:
            server = self._find(id)
            if any(disk.name == name for disk in server.spec.disks):
                self._volume(server, name)
                return self._set_disks(server, [disk for disk in server.spec.disks if disk.name != name])
            return _state(server)

    def resize_disk(self, id: str, name: str, size_bytes: int) -> ServerState:
        with self._lock:
            disk = self._volume(self._plugged_in(id), name)
        source = disk.source
        assert source is not None
        if disk.read_only:
            raise Conflict(f"disk {name} of server {id} is read-only")
        key = self._keys.get((source.backend, source.volume))
        self._stores().named(source.backend).grow(source.volume, size_bytes, key)
        return self.server(id)

    def replace_disk(self, id: str, disk: DiskSpec) -> ServerState:
        """A key that went with an agent that was restarted may be that of the other volume."""
        with self._lock:
            server = self._plugged_in(id)
            old, encrypted = self._volume(server, disk.name), list(server.encrypted)
            if old.source == self._without_key(disk).source:
                return self.server(id)
            assert old.source is not None
            users = [user for user in self._stores().users if user.uses(old.source.backend, old.source.volume)]
            mine = [each for each in self._servers.values() if _has(each, old.source.backend, old.source.volume)]
            if users != [self] or len(mine) > 1:
                raise Refused(f"volume {old.source.volume} has several servers: it cannot be moved while they run")
            self._check(disk)
            if old.read_only:
                raise Refused(f"disk {disk.name} of server {id} is read-only")
            sizes = [self._stores().named(source.backend).volume(source.volume).size_bytes
                     for source in (old.source, disk.source) if source is not None]
            if sizes[0] != sizes[1]:
                raise Refused(f"disk {disk.name} has {sizes[0]} bytes and the volume that it shall move to {sizes[1]}")
        assert disk.source is not None
        key = self._keys.get((old.source.backend, old.source.volume))
        before = structs.replace(old.source, key=(key or disk.source.key) if old.source.volume in encrypted else None)
        copying.copy(copying.End(self._stores().node(before), before.key),
                     copying.End(self._stores().node(disk.source), disk.source.key))
        with self._lock:
            server = self._plugged_in(id)
            fresh = structs.replace(old, source=disk.source, format=disk.format, limits=disk.limits)
            return self._set_disks(server, [fresh if each.name == disk.name else each for each in server.spec.disks])

    def set_power(self, id: str, power: Power, reason: str) -> ServerState:
        """Not a verb of the contract: what happened to the guest without being asked."""
        with self._lock:
            return self._set(self._find(id), power, f"by itself: {power} {reason}".rstrip(), reason)

    def counters(self, id: str) -> ServerCounters:
        """Nothing runs, so nothing is used."""
        with self._lock:
            server = self._find(id)
            state = _state(server)
            return ServerCounters(
                power=state.power, cpu_nanoseconds=[0] * server.spec.vcpus if state.disks else [],
                disks=[DiskCounters(name=name, read_bytes=0, read_requests=0, write_bytes=0, write_requests=0, errors=0)
                       for name in state.disks])

    # ------------------------------------------------------------ consoles

    def console_log(self, id: str, tail_bytes: int = 1 << 20) -> str:
        with self._lock:
            text = _log_of(self._find(id))
        return text.encode()[-tail_bytes:].decode(errors="replace") if tail_bytes > 0 else ""

    def vnc_socket(self, id: str) -> str:
        with self._lock:
            self._find(id)
        raise Conflict("a fake server has no screen")


def _state(server: Server) -> ServerState:
    plugged = server.power in ("running", "paused")
    return ServerState(id=server.spec.id, power=server.power, nics=list(server.nics) if plugged else [],
                       disks=[disk.name for disk in server.spec.disks] if plugged else [], reason=server.reason)


def _encrypted(disks: list[DiskSpec]) -> list[str]:
    return [disk.source.volume for disk in disks if disk.source is not None and disk.source.key is not None]


def _has(server: Server, backend: str, volume: str) -> bool:
    return server.power in ("running", "paused", "suspended") and any(
        disk.source is not None and (disk.source.backend, disk.source.volume) == (backend, volume) for disk in server.spec.disks)


def _log_of(server: Server) -> str:
    spec = server.spec
    lines = [f"fake machine {spec.machine}: {spec.vcpus} virtual CPUs, {spec.memory_mib} MiB", f"uuid {spec.id}"]
    lines += [f"disk {disk.name}: {disk.bus} {disk.device} {disk.format} serial {disk.serial or '-'}"
              for disk in spec.disks]
    lines += [f"nic {nic.model} {nic.mac} mtu {nic.mtu} port {nic.port_id}" for nic in spec.nics]
    for at, what in server.events:
        lines.append(f"[{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(at))}] {what}")
        if what in ("virtual CPUs run", "reset"):
            lines += ["booting from " + (min((disk for disk in spec.disks if disk.boot_index is not None),
                                             key=lambda disk: disk.boot_index or 0).name
                                         if any(disk.boot_index is not None for disk in spec.disks) else "nothing"),
                      *(f"{nic.mac}: link up" for nic in spec.nics), "", f"{spec.name} login:"]
    return "\n".join(lines) + "\n"
