"""A point-in-time copy of a running server's disk, by QEMU's own job."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from haneul.host.contract import HostError, NoRoom
from haneul.host.disks.file.tools import own
from haneul.host.hypervisor.qemu.command import device_id
from haneul.host.hypervisor.qemu.drives import below
from haneul.host.hypervisor.qemu.monitor import Monitor, MonitorError

COPY_SECONDS = 4 * 3600.0


def copy_disk(monitor: Monitor, name: str, target: Path) -> None:
    own(target, 0o600)
    copy_node(monitor, device_id("node", name), target, "qcow2")


def copy_node(monitor: Monitor, source: str, target: Path, format: str) -> None:
    """`target` is an empty file of the node's size. The copy is as of one moment during this call."""
    short = uuid.uuid4().hex[:12]
    node, job = f"copy-{short}", f"job-{short}"
    options = {"driver": format, "node-name": node, "discard": "unmap", "file": {"driver": "file", "filename": str(target)}}
    monitor.execute("blockdev-add", options | ({"backing": None} if format == "qcow2" else {}))
    try:
        run = {"job-id": job, "device": source, "target": node, "sync": "full", "auto-dismiss": False,
               "on-target-error": "report"}
        if format == "raw" and not source.startswith(below("")):  # of what lies below LUKS, QEMU makes no mirrors
            _mirror(monitor, job, run)
        else:
            _backup(monitor, job, run)
    finally:
        monitor.execute("blockdev-del", {"node-name": node})


def _mirror(monitor: Monitor, job: str, run: dict[str, object]) -> None:
    """Into a raw file a backup job writes zeros that take room, all of the volume's size; a mirror leaves holes. Writes of the
    guest go to both, so that it comes to an end; left when it is ready, it is a copy of that moment."""
    monitor.execute("blockdev-mirror", run | {"copy-mode": "write-blocking"})
    try:
        wait_for(monitor, job, ("ready", "concluded"))
        monitor.execute("block-job-cancel", {"device": job})
        wait_for(monitor, job, ("concluded",))
    finally:
        monitor.execute("job-dismiss", {"id": job})


def _backup(monitor: Monitor, job: str, run: dict[str, object]) -> None:
    monitor.execute("blockdev-backup", run)
    try:
        wait_for(monitor, job, ("concluded",))
    finally:
        monitor.execute("job-dismiss", {"id": job})


def drop_copies(monitor: Monitor) -> None:
    """Ends the copies of an agent that was killed; their files are swept by the disks."""
    for job in monitor.execute("query-jobs"):
        if job["status"] != "concluded":
            monitor.execute("job-cancel", {"id": job["id"]})
            try:
                wait_for(monitor, job["id"], ("concluded",))
            except HostError:
                pass  # cancelled, as wanted
        monitor.execute("job-dismiss", {"id": job["id"]})
    for node in monitor.execute("query-named-block-nodes", {"flat": True}):
        if node["node-name"].startswith("copy-"):
            monitor.execute("blockdev-del", {"node-name": node["node-name"]})


def wait_for(monitor: Monitor, job: str, wanted: tuple[str, ...]) -> None:
    """Until the job is in one of these states; raises what it failed with."""
    deadline, pause = time.monotonic() + COPY_SECONDS, 0.02
    while True:
        state = next((each for each in monitor.execute("query-jobs") if each["id"] == job), None)
        if state is None:
            raise MonitorError("the copy of the disk was ended by somebody else")
        if state["status"] == "concluded" and (error := state.get("error")):
            raise (NoRoom if "No space left" in error else HostError)(f"the disk could not be copied: {error}")
        if state["status"] in wanted:
            return
        if time.monotonic() > deadline:
            monitor.execute("job-cancel", {"id": job})
            deadline += 60
        time.sleep(pause)
        pause = min(1.0, pause * 1.5)
