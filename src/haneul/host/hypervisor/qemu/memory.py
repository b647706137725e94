"""A server's memory in a file and back: suspend and resume."""

from __future__ import annotations

import os
import time

from haneul.host.contract import Conflict, HostError, NoRoom
from haneul.host.hypervisor.qemu.drives import Drive
from haneul.host.hypervisor.qemu.machine import Machine
from haneul.host.hypervisor.qemu.monitor import Monitor, MonitorError

SAVE_SECONDS = 600.0
UNLIMITED = 1 << 50  # bytes a second


def save(machine: Machine) -> None:
    """Stopped, written, ended. On failure the server runs on (or stays paused) as before and no file remains."""
    monitor, record = machine.connected(), machine.record
    assert record is not None
    partial = machine.folder.memory.with_suffix(".partial")
    disk = os.statvfs(machine.folder.path)
    if disk.f_bavail * disk.f_frsize < record.spec.memory_mib << 20:
        raise NoRoom(f"no room for {record.spec.memory_mib} MiB of memory on the host's disk")
    was_running = monitor.status == "running"
    monitor.execute("stop")
    file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        monitor.execute("migrate-set-parameters", {"max-bandwidth": UNLIMITED})
        monitor.give(file, "memory")
        monitor.execute("migrate", {"uri": "fd:memory"})
        _wait_saved(monitor)
        os.fsync(file)
    except HostError:
        partial.unlink(missing_ok=True)
        if was_running:
            monitor.execute("cont")
            monitor.refresh()
        raise
    finally:
        os.close(file)
    partial.rename(machine.folder.memory)
    machine.end("suspended")


def _wait_saved(monitor: Monitor) -> None:
    deadline = time.monotonic() + SAVE_SECONDS
    while time.monotonic() < deadline:
        answer = monitor.execute("query-migrate")
        status = answer.get("status")
        if status == "completed":
            return
        if status in ("failed", "cancelled"):
            raise HostError(f"the memory could not be saved: {answer.get('error-desc', status)}")
        time.sleep(0.02)
    monitor.execute("migrate_cancel")
    raise HostError(f"the memory was not saved within {SAVE_SECONDS:.0f} s")


def restore(machine: Machine, drives: list[Drive]) -> None:
    """On failure the server stays suspended, its memory kept."""
    record = machine.record
    assert record is not None
    try:
        file = os.open(machine.folder.memory, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Conflict(f"server {record.spec.id} has no saved memory") from error
    kept = machine.folder.kept_memory  # `ended` drops the memory of a server that did not start
    machine.folder.memory.rename(kept)
    try:
        machine.start(record, drives, incoming=True)
        monitor = machine.connected()
        monitor.give(file, "memory")
        monitor.execute("migrate-incoming", {"uri": "fd:memory"})
        _wait_restored(monitor)
        monitor.execute("cont")
        monitor.refresh()
    except HostError as error:
        kept.rename(machine.folder.memory)
        if isinstance(error, MonitorError) and not machine.alive():
            error = HostError(f"QEMU did not take the saved memory: {machine.folder.last_words()}")
        machine.end("suspended", str(error))
        raise error
    finally:
        os.close(file)
    kept.unlink()


def _wait_restored(monitor: Monitor) -> None:
    deadline = time.monotonic() + SAVE_SECONDS
    while time.monotonic() < deadline:
        if monitor.execute("query-status")["status"] != "inmigrate":
            return
        time.sleep(0.02)
    raise HostError(f"the memory was not restored within {SAVE_SECONDS:.0f} s")
