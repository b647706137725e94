"""A disk of a running server changes over to another volume: QEMU's mirror job copies, then the guest goes on there."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

from msgspec import structs

from haneul.host.contract import Conflict, DiskSpec, HostError, Refused
from haneul.host.hypervisor import disks
from haneul.host.hypervisor.qemu.backup import wait_for
from haneul.host.hypervisor.qemu.command import device_id
from haneul.host.hypervisor.qemu.drives import Drive, Stores, of_volume, without_key
from haneul.host.hypervisor.qemu.monitor import Monitor, MonitorError
from haneul.host.hypervisor.qemu.record import Move
from haneul.host.hypervisor.qemu.volumes import (
    close_node,
    frontend,
    frontends,
    let_go,
    must_reach,
    open_node,
    plugged,
    throttle,
)

if TYPE_CHECKING:
    from haneul.host.hypervisor.qemu.machine import Machine


log = logging.getLogger(__name__)


def job_id(node: str) -> str:
    return f"move-{node}"


def replace(machine: Machine, disk: DiskSpec, stores: Stores) -> None:
    """Without the machine's lock, which is only held at the beginning and at the end; asked again, it is awaited."""
    with machine.moving:
        with machine.lock:
            known = plugged(machine, disk.name)
            if known.source == without_key(disk).source:
                return
            node = f"node-{uuid.uuid4().hex[:12]}"
            drive = of_volume(disk, stores, node)
            monitor = _begin(machine, known, disk, drive)
        try:
            wait_for(monitor, job_id(node), ("ready", "concluded"))
        except MonitorError:
            if not machine.alive():
                raise Conflict(f"server {machine.folder.path.name} ended while its disk was moved") from None
            raise
        finally:
            with machine.lock:
                if machine.alive() and machine.monitor is not None and not machine.monitor.gone:
                    _finish(machine, disk.name)
        with machine.lock:
            if plugged(machine, disk.name).source != without_key(disk).source:
                raise HostError(f"disk {disk.name} was not moved")
            throttle(machine.connected(), disk)


def _begin(machine: Machine, known: DiskSpec, disk: DiskSpec, drive: Drive) -> Monitor:
    monitor, record = machine.connected(), machine.record
    assert record is not None
    if known.read_only:
        raise Refused(f"disk {disk.name} of server {record.spec.id} is read-only")
    disks.check(disk)
    must_reach(record, drive)
    fresh = structs.replace(known, source=disk.source, format=disk.format, limits=disk.limits)
    record.moves[disk.name] = Move(disk=without_key(fresh), node=drive.name, encrypted=drive.key is not None)
    machine.folder.save(record)
    try:
        open_node(monitor, drive)
        size, other = frontend(monitor, disk.name)["inserted"]["image"]["virtual-size"], _size(monitor, drive.name)
        if other != size:  # the job would say so too, but later
            raise Refused(f"disk {disk.name} has {size} bytes and the volume that it shall move to {other}")
        monitor.execute("blockdev-mirror", {
            "job-id": job_id(drive.name), "device": record.node(disk.name), "target": drive.name, "sync": "full",
            "auto-dismiss": False, "on-target-error": "report"})
    except HostError:
        _finish(machine, disk.name)
        raise
    return monitor


def _size(monitor: Monitor, node: str) -> int:
    return next(each["image"]["virtual-size"] for each in monitor.execute("query-named-block-nodes", {"flat": True})
                if each["node-name"] == node)


def _finish(machine: Machine, name: str) -> None:
    """The job is ended, completed if it can be; the node that the guest does not use is closed, and the record says which."""
    monitor, record = machine.monitor, machine.record
    assert monitor is not None and record is not None
    move = record.moves.get(name)
    if move is None:
        return
    failure = _end_job(monitor, job_id(move.node))
    inserted = frontends(monitor).get(device_id("disk", name), {}).get("inserted", {}).get("node-name")
    if inserted == move.node:
        old = record.node(name)
        record.set_disks([move.disk if disk.name == name else disk for disk in record.spec.disks])
        record.nodes[name] = move.node
        record.encrypted = [each for each in record.encrypted if each != name] + ([name] if move.encrypted else [])
        machine.folder.save(record)
        close_node(monitor, old)
    else:
        close_node(monitor, move.node)
    del record.moves[name]
    machine.folder.save(record)
    if inserted is None:  # the guest let go meanwhile, and the job held the volume
        let_go(machine, name)
    if failure is not None and inserted != move.node:
        raise failure


def _end_job(monitor: Monitor, id: str) -> HostError | None:
    """Completed when it is ready, cancelled before that; what went wrong otherwise."""
    state = next((each for each in monitor.execute("query-jobs") if each["id"] == id), None)
    if state is None:
        return None
    if state["status"] == "ready":
        monitor.execute("job-complete", {"id": id})
    elif state["status"] in ("created", "running", "paused", "standby"):
        monitor.execute("job-cancel", {"id": id})
    try:
        wait_for(monitor, id, ("concluded",))
        return None
    except HostError as error:
        return error
    finally:
        monitor.execute("job-dismiss", {"id": id})


def settle(machine: Machine) -> None:
    """After a restart of the agent: what is ready is finished, what is not is dropped, and will be asked for again."""
    assert machine.record is not None
    for name in list(machine.record.moves):
        try:
            _finish(machine, name)
        except MonitorError:
            raise
        except HostError as error:
            log.info("server %s: disk %s was not moved: %s", machine.folder.path.name, name, error)  # cancelled, as wanted
