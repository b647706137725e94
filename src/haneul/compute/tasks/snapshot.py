"""Images of servers: createImage, createBackup, and the copy that a shelved server comes back from."""

from __future__ import annotations

from typing import Any

from haneul.compute import servers
from haneul.compute.model import ServerRow
from haneul.compute.tasks import machine
from haneul.compute.tasks.machine import OnServer, plain
from haneul.fleet.agents import Agents
from haneul.image import images, store
from haneul.kernel import clock
from haneul.kernel.tasks import Again, Fault, Task, Work
from haneul.volume import snapshots


class SnapshotArguments(OnServer, kw_only=True):
    """The image exists already, queued; `discard` are backups that are one too many once this one is there."""

    image_id: str
    discard: list[str] = []


class VolumesArguments(OnServer, kw_only=True):
    """The image exists already, queued, and its properties name the snapshots."""

    image_id: str
    snapshot_ids: list[str]


snapshot_server = Task("compute.server.snapshot", SnapshotArguments, deadline=3600.0)
snapshot_of_volumes = Task("compute.server.snapshot_volumes", VolumesArguments, deadline=5400.0)
snapshot_server.failed(machine.fail_softly)
snapshot_of_volumes.failed(machine.fail_softly)


def copy(work: Work[Any], row: ServerRow, image_id: str) -> None:
    """A flat copy of the root disk on its host, under the image's id."""
    machine.agent(work.cloud, row).disks.snapshot(row.id, "root", image_id)


def bring(work: Work[Any], host: str, image_id: str) -> None:
    """The copy's bytes into the image service, and the copy gone."""
    agent = work.cloud.get(Agents).of(host)
    store.write(work.cloud, image_id, agent.read_snapshot(image_id))
    agent.disks.drop_snapshot(image_id)


def give_up(work: Work[Any], host: str | None, image_id: str) -> None:
    if host is not None:
        work.cloud.get(Agents).of(host).disks.drop_snapshot(image_id)
    with work.commit() as tx:
        images.discard(tx, image_id)


@snapshot_server.step(deadline=1800)
@plain
def take(work: Work[SnapshotArguments]) -> None:
    row = machine.load(work)
    copy(work, row, work.arguments.image_id)
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        row.task_state, row.updated_at = "image_uploading", clock.now()
        work.result = {"host": row.host}


@take.undo
def drop(work: Work[SnapshotArguments]) -> None:
    with work.cloud.database.read() as tx:
        row = servers.by_id(tx, work.arguments.server_id)
    give_up(work, row.host if row is not None else None, work.arguments.image_id)


@snapshot_server.step(deadline=1800)
@plain
def upload(work: Work[SnapshotArguments]) -> None:
    bring(work, work.results["take"]["host"], work.arguments.image_id)
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        row.task_state, row.updated_at = None, clock.now()
        for image_id in work.arguments.discard:
            images.discard(tx, image_id)


# ---------------------------------------------------------------- of servers that boot from a volume


@snapshot_of_volumes.step(deadline=3600)
@plain
def wait(work: Work[VolumesArguments]) -> None:
    """For the snapshots that the request began."""
    with work.cloud.database.read() as tx:
        found = {id: snapshots.by_id(tx, id) for id in work.arguments.snapshot_ids}
    for id, row in found.items():
        if row is None or row.status.startswith("error") or row.status == "deleting":
            raise Fault(f"Snapshot {id} of one of the server's volumes could not be made.")
    if any(row is not None and row.status != "available" for row in found.values()):
        raise Again("the snapshots of the server's volumes", 0.1)


@wait.undo
def forget_snapshots(work: Work[VolumesArguments]) -> None:
    """Asked again until those that are being made can be deleted."""
    busy = False
    with work.cloud.database.write() as tx:
        for id in work.arguments.snapshot_ids:
            row = snapshots.by_id(tx, id)
            if row is not None and row.status in ("available", "error"):
                snapshots.delete(tx, machine.project(row.project_id, row.user_id), row)
            busy = busy or (row is not None and row.status == "creating")
    if busy:
        raise Again("the snapshots of the server's volumes", 0.5)
    with work.commit() as tx:
        images.discard(tx, work.arguments.image_id)


@snapshot_of_volumes.step(deadline=120)
@plain
def publish(work: Work[VolumesArguments]) -> None:
    """The image has no data of its own: its properties say of what volumes' snapshots a server is made."""
    store.write(work.cloud, work.arguments.image_id, iter(()))
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        row.task_state, row.updated_at = None, clock.now()
