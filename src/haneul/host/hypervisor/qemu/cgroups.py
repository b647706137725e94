"""Limits of a server's process by control groups, version 2 or 1, whichever the machine has."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

from haneul.host.contract import CpuLimits

ROOT = Path("/sys/fs/cgroup")
LARGEST_SHARES = 262144  # the kernel's
WANTED = ("memory", "cpu", "pids")


@cache
def _version_2() -> bool:
    try:
        return "memory" in (ROOT / "cgroup.controllers").read_text().split()
    except OSError:
        return False


@cache
def _version_1() -> dict[str, Path]:
    """Where each controller is mounted."""
    found: dict[str, Path] = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _, path, kind, options, *_rest = line.split()
        if kind == "cgroup":
            found |= {name: Path(path) for name in WANTED if name in options.split(",")}
    return found


def _folders(cloud_id: str, server_id: str) -> dict[str, Path]:
    """The server's group of each controller that there is."""
    if _version_2():
        return dict.fromkeys(WANTED, ROOT / f"haneul-{cloud_id}" / server_id)
    return {name: root / f"haneul-{cloud_id}" / server_id for name, root in _version_1().items()}


def problems(cloud_id: str) -> list[str]:
    """Plain sentences about limits that cannot be set here."""
    said: list[str] = []
    for name in WANTED:
        try:
            folder = _folders(cloud_id, "probe")[name]
            _prepare(folder)
            folder.rmdir()
            _remove_if_empty(folder.parent)
        except KeyError:
            said.append(f"The kernel has no control group for {name}: servers run without that limit.")
        except OSError as error:
            if not said:
                said.append(f"Control groups cannot be made ({error.strerror}): servers run without limits.")
    return said


def _prepare(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if _version_2():
            for parent in (ROOT, folder.parent):
                (parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in WANTED))


def limit(cloud_id: str, server_id: str, pid: int, *, memory_bytes: int, vcpus: int, cpu: CpuLimits | None = None) -> None:
    """Best effort: what is impossible stands in `problems`."""
    values: dict[str, int | str] = {"pids.max": 512 + vcpus,
                                    ("memory.max" if _version_2() else "memory.limit_in_bytes"): memory_bytes}
    values |= _cpu(vcpus, cpu or CpuLimits())
    for name, folder in _folders(cloud_id, server_id).items():
        try:
            _prepare(folder)
            for key, value in values.items():
                if key.startswith(f"{name}."):
                    (folder / key).write_text(str(value))
            (folder / "cgroup.procs").write_text(str(pid))
        except OSError:
            continue


def _cpu(vcpus: int, cpu: CpuLimits) -> dict[str, int | str]:
    """The group has all virtual CPUs in it, and QEMU's own work: what one may is multiplied."""
    shares = min(LARGEST_SHARES, max(2, (cpu.shares or 1024) * vcpus))
    period = min(1_000_000, max(1000, cpu.period or 100_000))
    quota = max(1000, cpu.quota * vcpus) if cpu.quota is not None and cpu.quota > 0 else None
    if _version_2():
        return {"cpu.weight": min(10000, max(1, shares * 100 // 1024)), "cpu.max": f"{quota or 'max'} {period}"}
    return {"cpu.shares": shares, "cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota or -1}


def remove(cloud_id: str, server_id: str) -> None:
    """Its process must be gone; the kernel needs a moment to notice."""
    for folder in set(_folders(cloud_id, server_id).values()):
        for _ in range(20):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.02)
            else:
                break
        _remove_if_empty(folder.parent)


def _remove_if_empty(folder: Path) -> None:
    try:
        os.rmdir(folder)
    except OSError:
        pass  # other servers are in it
