"""Volumes in and out of a running server. A disk is in the record before QEMU opens anything and until all of it is closed, so
that an agent that is killed in between leaves nothing open that nobody knows of."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Any

from msgspec import structs

from haneul.host.contract import Conflict, DiskSpec, HostError, NoRoom, NotThere, Refused
from haneul.host.hypervisor import disks
from haneul.host.hypervisor.qemu.command import device_id, disk_device
from haneul.host.hypervisor.qemu.drives import Drive, Stores, below, of_volume, secret_id, without_key
from haneul.host.hypervisor.qemu.monitor import Monitor, MonitorError
from haneul.host.storage import DiskLimits

if TYPE_CHECKING:
    from haneul.host.hypervisor.qemu.machine import Machine
    from haneul.host.hypervisor.qemu.record import Record

CLOSE_SECONDS = 2.0  # that a node may still be held by the device that has just gone
_DEVICE = re.compile(r"(?:^|/)(disk-[^/]+)")
_THROTTLE = {"bps": "total_bytes_sec", "bps_rd": "read_bytes_sec", "bps_wr": "write_bytes_sec", "iops": "total_iops_sec",
             "iops_rd": "read_iops_sec", "iops_wr": "write_iops_sec"}
_BURSTS = {"bps_max": "total_bytes_sec_max", "bps_rd_max": "read_bytes_sec_max", "bps_wr_max": "write_bytes_sec_max",
           "iops_max": "total_iops_sec_max", "iops_rd_max": "read_iops_sec_max", "iops_wr_max": "write_iops_sec_max",
           "iops_size": "size_iops_sec"}

log = logging.getLogger(__name__)

# ---------------------------------------------------------------- what QEMU has


def frontends(monitor: Monitor) -> dict[str, dict[str, Any]]:
    """QEMU's words about every disk that guests see, by device."""
    found: dict[str, dict[str, Any]] = {}
    for block in monitor.execute("query-block"):
        if match := _DEVICE.search(block.get("qdev", "")):
            found[match[1]] = block
    return found


def frontend(monitor: Monitor, name: str) -> dict[str, Any]:
    block = frontends(monitor).get(device_id("disk", name))
    if block is None or "inserted" not in block:
        raise NotThere(f"QEMU has no disk {name}")
    return block


def plugged(machine: Machine, name: str) -> DiskSpec:
    """The volume of this name that a running or paused server has."""
    machine.connected()
    assert machine.record is not None
    disk = machine.record.disk(name)
    if disk is None or disk.source is None:
        raise NotThere(f"server {machine.record.spec.id} has no volume {name}")
    return disk


def open_node(monitor: Monitor, drive: Drive) -> None:
    """Its secrets are with QEMU for as long as it opens the node."""
    given: list[str] = []
    try:
        for id, secret in drive.secrets().items():
            monitor.execute("object-add", {"qom-type": "secret", "id": id, "format": "base64", "data": secret})
            given.append(id)
        monitor.execute("blockdev-add", drive.node)
    finally:
        for id in given:
            monitor.execute("object-del", {"id": id})


def must_reach(record: Record, drive: Drive) -> None:
    if drive.networked and not record.networked:
        raise Conflict(f"server {record.spec.id} was started when this host had no volumes over the network: start it anew first")


def close_node(monitor: Monitor, node: str) -> None:
    """Not open afterwards; one that never was is fine. Conflict while something uses it."""
    deadline = time.monotonic() + CLOSE_SECONDS
    while True:
        try:
            monitor.execute("blockdev-del", {"node-name": node})
            return
        except MonitorError as error:
            if "Failed to find node" in str(error):
                return
            if "in use" not in str(error) and "busy" not in str(error):
                raise
            if time.monotonic() > deadline:
                raise Conflict(f"volume is still used: {error}") from error
        time.sleep(0.01)


# ---------------------------------------------------------------- limits


def throttle(monitor: Monitor, disk: DiskSpec) -> None:
    limits = disk.limits or DiskLimits()
    wish = {key: getattr(limits, name) for key, name in _THROTTLE.items()}
    wish |= {key: value for key, name in _BURSTS.items() if (value := getattr(limits, name))}
    monitor.execute("block_set_io_throttle", {"id": frontend(monitor, disk.name)["qdev"], **wish})


# ---------------------------------------------------------------- in and out


def attach(machine: Machine, disk: DiskSpec, stores: Stores) -> None:
    monitor, record = machine.connected(), machine.record
    assert record is not None
    if record.disk(disk.name) is not None:
        disks.check(disk)
        _set_limits(machine, disk)
        return
    disks.check_hot(disk, record.controllers, record.spec.id)
    disk = structs.replace(disk, boot_index=None)  # the firmware has chosen; QEMU wants no index twice
    drive = of_volume(disk, stores, f"node-{disk.name}")
    must_reach(record, drive)
    record.set_disks([*record.spec.disks, without_key(disk)])
    if drive.key is not None:
        record.encrypted.append(disk.name)
    try:
        devices = disk_device(record, disk)
        machine.folder.save(record)
        open_node(monitor, drive)
        for device in devices:
            monitor.execute("device_add", device)
    except HostError as error:
        let_go(machine, disk.name)
        raise _plain(error) from error
    machine.limit(record)
    if disk.limits is not None:
        throttle(monitor, disk)


def _set_limits(machine: Machine, disk: DiskSpec) -> None:
    known, record = plugged(machine, disk.name), machine.record
    assert record is not None and machine.monitor is not None
    if known.source != without_key(disk).source:
        raise Conflict(f"server {record.spec.id} has another volume as {disk.name}")
    if device_id("disk", disk.name) not in machine.monitor.devices():
        raise Conflict(f"disk {disk.name} is being let go by server {record.spec.id}")
    throttle(machine.monitor, disk)
    if known.limits != disk.limits:
        fresh = structs.replace(known, limits=disk.limits)
        record.set_disks([fresh if each is known else each for each in record.spec.disks])
        machine.folder.save(record)


def detach(machine: Machine, name: str) -> None:
    record = machine.record
    assert record is not None
    if machine.power() not in ("running", "paused") or record.disk(name) is None:
        return
    plugged(machine, name)
    if name in record.moves:
        raise Conflict(f"disk {name} of server {record.spec.id} is being moved")
    monitor, device = machine.connected(), device_id("disk", name)
    if device not in monitor.devices():
        let_go(machine, name)
        return
    try:
        monitor.execute("device_del", {"id": device})
    except MonitorError as error:
        if "not found" in str(error):  # it went this very moment
            let_go(machine, name)
        elif "already in the process of unplug" not in str(error):
            raise


def let_go(machine: Machine, name: str) -> None:
    """The device is out of the guest, or never was in it: the volume is closed. Only then the record forgets it."""
    record, monitor = machine.record, machine.monitor
    assert record is not None and monitor is not None
    if record.disk(name) is None:
        return
    close_node(monitor, record.node(name))
    record.set_disks([disk for disk in record.spec.disks if disk.name != name])
    record.slots.pop(device_id("disk", name), None)
    record.units.pop(name, None)
    record.nodes.pop(name, None)
    if name in record.encrypted:
        record.encrypted.remove(name)
    machine.folder.save(record)


def resize(machine: Machine, name: str, size_bytes: int) -> None:
    disk, record, monitor = plugged(machine, name), machine.record, machine.monitor
    assert record is not None and monitor is not None
    size_bytes = -(-size_bytes // 512) * 512
    size = frontend(monitor, name)["inserted"]["image"]["virtual-size"]
    if size_bytes < size:
        raise Refused(f"disk {name} has {size} bytes and would shrink")
    if size_bytes == size:
        return
    if disk.read_only:
        raise Conflict(f"disk {name} of server {record.spec.id} is read-only")
    try:
        monitor.execute("block_resize", {"node-name": record.node(name), "size": size_bytes})
    except MonitorError as error:
        raise _plain(error) from error


def stored_node(machine: Machine, name: str) -> str:
    """The node of the volume's bytes as its store knows them: below LUKS."""
    assert machine.record is not None
    node = machine.record.node(name)
    return below(node) if name in machine.record.encrypted else node


def take_snapshot(machine: Machine, name: str, snapshot: str) -> None:
    """Inside the qcow2 file. One that exists is left as it is."""
    monitor = machine.connected()
    if snapshot not in _snapshots(monitor, name):
        assert machine.record is not None
        _snapshot_verb(monitor, "blockdev-snapshot-internal-sync", machine.record.node(name), snapshot)


def drop_snapshot(machine: Machine, name: str, snapshot: str) -> None:
    monitor = machine.connected()
    if snapshot in _snapshots(monitor, name):
        assert machine.record is not None
        _snapshot_verb(monitor, "blockdev-snapshot-delete-internal-sync", machine.record.node(name), snapshot)


def _snapshots(monitor: Monitor, name: str) -> set[str]:
    return {each["name"] for each in frontend(monitor, name)["inserted"]["image"].get("snapshots", [])}


def _snapshot_verb(monitor: Monitor, verb: str, node: str, snapshot: str) -> None:
    try:
        monitor.execute(verb, {"device": node, "name": snapshot})
    except MonitorError as error:
        raise _plain(error) from error


def drop_secrets(monitor: Monitor) -> None:
    """Of an agent that was killed while QEMU opened a volume."""
    for entry in monitor.execute("qom-list", {"path": "/objects"}):
        if entry["name"].startswith(secret_id("")):
            monitor.execute("object-del", {"id": entry["name"]})


def _plain(error: HostError) -> HostError:
    """QEMU's words, as the failure that they are."""
    said = str(error)
    if "No space left" in said:
        return NoRoom(said)
    if "Failed to get" in said and "lock" in said:
        return Conflict(f"the volume is open elsewhere: {said}")
    return error
