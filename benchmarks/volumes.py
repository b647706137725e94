#!/usr/bin/env python3
"""Volumes of a real guest: `benchmarks/volumes.py [--runs 15] [--json FILE]`, as root, on a machine that does nothing else.

A cloud of its own with one guest of QEMU. Printed:

    attach.api       POST os-volume_attachments until the volume is in-use, asked every 5 ms
    attach.guest     the same until the guest lists the disk (when it is asked by ssh; coarse, an upper bound)
    attach.verb      what of it is the host's: the agent's `attach`
    detach.api       DELETE until the volume is available: the guest answers in it
    snapshot.*       of a 10 GiB qcow2 volume of which every cluster is allocated: POST until available, and the agent's verb;
                     with nobody using it, and in use
    write, read      sequential MB/s of dd in the guest, past its own cache, and of dd on the same file on the host; the ratio.
                     A file store's volumes are opened with the host's cache, so dd uses that on the host too: what is
                     compared is the way through the guest and QEMU, not two disks.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import own_cloud  # noqa: F401 - sets the path

from haneul.cli import guest as guest_image
from haneul.cli.up import Steps
from haneul.fleet.agents import Agent
from haneul.fleet.connections import Connections
from haneul.host.contract import DiskSpec
from haneul.host.storage import VolumeSource
from real.ground import Ground

GIB = 1 << 30
CONFIG = "volumes = -1\ngigabytes = -1\nsnapshots = -1\n"


class Bench:
    def __init__(self, ground: Ground) -> None:
        tenant = ground.tenant("bench", "10.51.0.0/24")
        self.state, self.storage = ground.state, tenant.cloud.block_storage
        [self.guest] = tenant.boot("bench")
        self.compute = tenant.cloud.compute
        connections = Connections(f"unix:{ground.state}/run/agent.sock")
        host = Agent("", connections, 60.0, 4).reports()[0].name
        self.agent = Agent(host, connections, 60.0, 4)
        self.store = self.agent.volumes("file")
        ground.admin.block_storage.create_type(name="qcow2", extra_specs={"volume:format": "qcow2"})

    # ------------------------------------------------------------ small steps

    def reach(self, volume: str, status: str) -> None:
        deadline = time.monotonic() + 120
        while (now := self.storage.get_volume(volume).status) != status:
            if now.startswith("error") or time.monotonic() > deadline:
                raise SystemExit(f"volume {volume} is {now}, not {status}")
            time.sleep(0.005)

    def create(self, size: int = 1, kind: str | None = None) -> str:
        made = self.storage.create_volume(size=size, volume_type=kind)
        self.reach(made.id, "available")
        return str(made.id)

    def attach(self, volume: str) -> None:
        self.compute.create_volume_attachment(self.guest.id, volume_id=volume)
        self.reach(volume, "in-use")

    def detach(self, volume: str) -> None:
        self.compute.delete_volume_attachment(self.guest.id, volume, ignore_missing=False)
        self.reach(volume, "available")

    def disk(self, volume: str) -> str:
        while True:
            found = self.guest.run(f"grep -l {volume[:20]} /sys/block/vd*/serial; true").split("/")
            if len(found) > 3:
                return f"/dev/{found[3]}"

    def file(self, volume: str) -> Path:
        return next(self.state.rglob(f"volume-{volume}.*"))

    # ------------------------------------------------------------ figures

    def attachments(self, runs: int) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {"attach.api": [], "attach.guest": [], "detach.api": []}
        volume = self.create()
        for _ in range(runs):
            started = time.perf_counter()
            self.attach(volume)
            found["attach.api"].append(time.perf_counter() - started)
            self.disk(volume)
            found["attach.guest"].append(time.perf_counter() - started)
            found["detach.api"].append(timed(lambda: self.detach(volume)))
        return found | {"attach.verb": [self.verb(number) for number in range(runs)]}

    def verb(self, number: int) -> float:
        """A volume that only the agent knows of: made, plugged in, out and gone before anybody could look for leaks."""
        name = f"bench-{number}"
        self.store.create(name, "raw", GIB)
        disk = DiskSpec(name=f"vol-{name}", format="raw", source=VolumeSource(backend="file", volume=name), serial=name)
        taken = timed(lambda: self.agent.hypervisor.attach(self.guest.id, disk))
        while disk.name in self.agent.hypervisor.detach(self.guest.id, disk.name).disks:
            time.sleep(0.05)
        self.store.delete(name)
        return taken

    def snapshots(self, runs: int) -> dict[str, list[float]]:
        volume = self.create(10, "qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", self.file(volume), "10G"],
                       check=True)
        found = self._snapshots(volume, runs, "idle")
        self.attach(volume)
        found |= self._snapshots(volume, runs, "in-use")
        self.detach(volume)
        return found

    def _snapshots(self, volume: str, runs: int, word: str) -> dict[str, list[float]]:
        api, verb = [], []
        for number in range(runs):
            started = time.perf_counter()
            made = self.storage.create_snapshot(volume_id=volume, is_forced=True)
            while (status := self.storage.get_snapshot(made.id).status) != "available":
                if status == "error":
                    raise SystemExit("a snapshot failed")
                time.sleep(0.005)
            api.append(time.perf_counter() - started)
            self.storage.delete_snapshot(made.id)
            while self.storage.find_snapshot(made.id, ignore_missing=True) is not None:
                time.sleep(0.05)
            verb.append(timed(lambda n=number: self.store.snapshot(f"volume-{volume}", f"bench-{n}")))  # type: ignore[misc]
            self.store.delete_snapshot(f"volume-{volume}", f"bench-{number}")
        return {f"snapshot.{word}.api": api, f"snapshot.{word}.verb": verb}

    def throughput(self, mib: int) -> dict[str, float]:
        """The best of three, in turn with the host."""
        volume = self.create()
        self.attach(volume)
        disk, file = self.disk(volume), self.file(volume)

        def inside(words: str) -> float:  # busybox's dd tells no time
            command = f"cat /proc/uptime; sudo dd {words} bs=1M count={mib} 2>/dev/null && cat /proc/uptime"
            before, after = (float(line.split()[0]) for line in self.guest.run(command, seconds=600).splitlines())
            return mib * 1.048576 / max(after - before, 0.01)

        def outside(*words: str) -> float:
            command = ["dd", *words, "bs=1M", f"count={mib}"]
            return mib * 1.048576 / timed(lambda: subprocess.run(command, capture_output=True, check=True))

        found: dict[str, list[float]] = {"write.guest": [], "write.host": [], "read.guest": [], "read.host": []}
        for _ in range(3):
            found["write.guest"].append(inside(f"if=/dev/zero of={disk} oflag=direct conv=fsync"))
            found["read.guest"].append(inside(f"if={disk} of=/dev/null iflag=direct"))
        self.detach(volume)  # the host's turn comes when no guest has the file
        for _ in range(3):
            found["write.host"].append(outside("if=/dev/zero", f"of={file}", "conv=fsync,notrunc"))
            found["read.host"].append(outside(f"if={file}", "of=/dev/null"))
        best = {name: max(values) for name, values in found.items()}
        return best | {"write.ratio": best["write.guest"] / best["write.host"],
                       "read.ratio": best["read.guest"] / best["read.host"]}


def timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def load() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    image = guest_image.ensure(Steps())
    ground = Ground(CONFIG)
    found: dict[str, Any] = {"load.before": load()}
    try:
        ground.up()
        ground.furnish(image)
        bench = Bench(ground)
        for name, values in (bench.attachments(options.runs) | bench.snapshots(options.runs)).items():
            ms = sorted(value * 1e3 for value in values)
            found[name] = {"p50": round(statistics.median(ms), 1), "min": round(ms[0], 1), "max": round(ms[-1], 1)}
            print(f"{name:22} p50 {found[name]['p50']:8.1f} ms   ({ms[0]:.1f} - {ms[-1]:.1f})", flush=True)
        for name, value in bench.throughput(options.mib).items():
            found[name] = round(value, 3)
            print(f"{name:22}     {value:8.2f}{'' if 'ratio' in name else ' MB/s'}", flush=True)
    finally:
        ground.purge()
        shutil.rmtree(ground.state.with_name(ground.state.name + "-keys"), ignore_errors=True)
    found["load.after"] = load()
    print(f"load before {found['load.before']}, after {found['load.after']}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
