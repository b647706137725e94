"""What a running guest has used: asked of QEMU, of the kernel's accounts of its threads, and of its taps."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from haneul.host.contract import CardCounters, DiskCounters, ServerCounters
from haneul.host.fabric import names
from haneul.host.hypervisor.qemu.command import device_id
from haneul.host.hypervisor.qemu.machine import Machine
from haneul.host.hypervisor.qemu.monitor import Monitor

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGES_A_MIB = (1 << 20) // os.sysconf("SC_PAGE_SIZE")


def measure(machine: Machine, cloud_id: str | None) -> ServerCounters:
    """Under the machine's lock. `cloud_id` None: cards hang in the air."""
    assert machine.record is not None and machine.process is not None
    monitor, proc = machine.connected(), Path(f"/proc/{machine.process.pid}")
    spec = machine.record.spec
    resident = int((proc / "statm").read_text().split()[1]) // _PAGES_A_MIB
    return ServerCounters(
        power=machine.power(), uptime=int(time.clock_gettime(time.CLOCK_BOOTTIME) - machine.process.started / _TICKS),
        memory_used_mib=min(resident, spec.memory_mib), cpu_nanoseconds=_cpus(monitor, proc),
        disks=_disks(monitor, [disk.name for disk in spec.disks]),
        nics=_cards(cloud_id, [nic.port_id for nic in machine.record.nics]) if cloud_id is not None else [])


def _cpus(monitor: Monitor, proc: Path) -> list[int]:
    found: dict[int, int] = {}
    for cpu in monitor.execute("query-cpus-fast"):
        with suppress(FileNotFoundError):
            # behind the name, which may hold anything: the 12th and 13th are its time in the user's and the kernel's code
            fields = (proc / "task" / str(cpu["thread-id"]) / "stat").read_text().rpartition(")")[2].split()
            found[int(cpu["cpu-index"])] = (int(fields[11]) + int(fields[12])) * (1_000_000_000 // _TICKS)
    return [found[number] for number in sorted(found)]


def _disks(monitor: Monitor, disks: list[str]) -> list[DiskCounters]:
    by_device = {part: entry["stats"] for entry in monitor.execute("query-blockstats")
                 for part in str(entry.get("qdev", "")).split("/") if part}
    found = []
    for name in disks:
        stats = by_device.get(device_id("disk", name))
        if stats is not None:
            found.append(DiskCounters(
                name=name, read_bytes=stats["rd_bytes"], read_requests=stats["rd_operations"], write_bytes=stats["wr_bytes"],
                write_requests=stats["wr_operations"],
                errors=stats.get("failed_rd_operations", 0) + stats.get("failed_wr_operations", 0)))
    return found


def _cards(cloud_id: str, port_ids: list[str]) -> list[CardCounters]:
    """What the host sends into a tap is what the guest receives."""
    from haneul.host.fabric.linux.taps import counters

    counted, found = counters(cloud_id), []
    for port_id in port_ids:
        values = counted.get(names.tap(cloud_id, port_id))
        if values is not None:
            out, into = values[:4], values[8:12]  # bytes, packets, errors, drops
            found.append(CardCounters(
                port_id=port_id, rx_octets=into[0], rx_packets=into[1], rx_errors=into[2], rx_drop=into[3],
                tx_octets=out[0], tx_packets=out[1], tx_errors=out[2], tx_drop=out[3]))
    return found
