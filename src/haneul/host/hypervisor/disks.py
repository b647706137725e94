"""What no disk can be, whichever driver is asked: refused before anything is opened."""

from __future__ import annotations

from collections.abc import Collection

from haneul.host.contract import Conflict, DiskSpec, Refused
from haneul.host.storage import DiskLimits, VolumeSource

UNITS = ("bytes_sec", "iops_sec")


def check(disk: DiskSpec) -> None:
    """At the start of a server as well as later."""
    if disk.limits is not None:
        _check_limits(disk.limits)
    if disk.source is not None:
        _check_source(disk, disk.source)


def check_hot(disk: DiskSpec, controllers: Collection[str], server_id: str) -> None:
    """Of a disk that is to be plugged into a server that is on, and was started with these buses."""
    if disk.source is None:
        raise Refused(f"disk {disk.name} is no volume")
    check(disk)
    if disk.bus == "ide" or (disk.bus == "usb" and disk.device == "cdrom"):
        raise Conflict(f"no {disk.bus.upper()} {disk.device} can be plugged into a server that is on")
    if disk.bus != "virtio" and disk.bus not in controllers:
        raise Conflict(f"server {server_id} was started without {disk.bus.upper()} disks and can get none while it is on")


def _check_source(disk: DiskSpec, source: VolumeSource) -> None:
    if disk.shared and source.format != "raw" and not disk.read_only:
        raise Refused(f"volume {source.volume} is {source.format}: only raw ones can be written by several guests")
    if source.key is not None and source.format != "raw":
        raise Refused(f"volume {source.volume} is {source.format}: only raw ones can be encrypted")
    if disk.bus == "ide" and disk.read_only and disk.device == "disk":
        raise Refused(f"disk {disk.name}: an IDE disk cannot be read-only")


def _check_limits(limits: DiskLimits) -> None:
    """As QEMU understands them."""
    for unit in UNITS:
        rate = {way: getattr(limits, f"{way}_{unit}") for way in ("total", "read", "write")}
        burst = {way: getattr(limits, f"{way}_{unit}_max") for way in rate}
        if (rate["total"] or burst["total"]) and any(rate[way] or burst[way] for way in ("read", "write")):
            raise Refused(f"limits of {unit}: either in total or for reads and writes")
        for way in rate:
            if burst[way] and not 0 < rate[way] <= burst[way]:
                raise Refused(f"limits of {unit}: a burst is more than what is allowed for long")
    if limits.size_iops_sec and not (limits.total_iops_sec or limits.read_iops_sec or limits.write_iops_sec):
        raise Refused("limits: a size of operations without a limit of operations")
