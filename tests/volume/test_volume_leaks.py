"""`volume.leaks`: one of each thing that tasks leave behind, planted, found and mended; and what is nobody's stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update
from volume_world import Cinder, Make

from haneul.fleet.agents import Agents
from haneul.kernel import clock, ids
from haneul.kernel.leaks import LeakRow
from haneul.kernel.tasks import TaskRow
from haneul.volume import stores
from haneul.volume.model import BackupRow, SnapshotRow, VolumeRow
from running import RunningCloud

POOL = "host-1@file#file"
GIB = 1 << 30


def mend(cloud: RunningCloud) -> None:
    cloud.cloud.reconcilers.run_once("volume.leaks")


def there(cloud: RunningCloud) -> set[str]:
    return {one.name for one in stores.of(cloud.cloud, POOL).volumes()}


def plant(cloud: RunningCloud, name: str) -> None:
    stores.of(cloud.cloud, POOL).create(name, "raw", GIB)


def ended(cloud: RunningCloud, id: str, kind: str, resource: str, state: str) -> None:
    now = clock.seconds()
    with cloud.cloud.database.write() as tx:
        tx.execute(insert(TaskRow), [{
            "id": id, "kind": kind, "resource": resource, "arguments": {}, "request_id": "", "state": state, "step": 0,
            "record": [], "attempts": 0, "cancel": False, "run_at": now, "deadline": now, "created": now, "finished": now,
            "lease_until": 0.0}])


def told(cloud: RunningCloud, kind: str, name: str) -> bool:
    with cloud.cloud.database.read() as tx:
        return tx.execute(select(LeakRow.mended).where(LeakRow.kind == kind, LeakRow.name == name)).scalar() is not None


def test_what_failed_tasks_left_is_removed(cloud: RunningCloud, cinder: Cinder) -> None:
    failed_create, failed_copy = ids.new(), ids.new()
    for id in (failed_create, failed_copy):
        plant(cloud, f"volume-{id}")
    ended(cloud, ids.new(), "volume.create", f"volume:{failed_create}", "failed")
    ended(cloud, failed_copy, "volume.move", f"volume:{ids.new()}", "failed")
    mend(cloud)
    for id in (failed_create, failed_copy):
        assert f"volume-{id}" not in there(cloud) and told(cloud, "volume", f"volume-{id}")


def test_what_a_volume_moved_away_from_is_removed(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    id = make()["id"]
    with cloud.cloud.database.write() as tx:
        host, before = tx.execute(select(VolumeRow.host, VolumeRow.stored_as).where(VolumeRow.id == id)).one()
        tx.execute(update(VolumeRow).where(VolumeRow.id == id).values(host=POOL, stored_as="volume-" + ids.new()))
    with cloud.cloud.database.read() as tx:
        stored_as = tx.execute(select(VolumeRow.stored_as).where(VolumeRow.id == id)).scalar_one()
    stores.of(cloud.cloud, host).delete(before)
    for name in (stored_as, before):
        plant(cloud, name)
    mend(cloud)
    assert stored_as in there(cloud) and before not in there(cloud)


def test_what_is_nobodys_on_purpose_stays(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    """Unmanaged volumes have such names; so may another cloud's, in a store that two share."""
    unmanaged, foreign = ids.new(), ids.new()
    ended(cloud, ids.new(), "volume.create", f"volume:{unmanaged}", "done")
    ended(cloud, ids.new(), "volume.move", f"volume:{unmanaged}", "failed")
    kept = {f"volume-{unmanaged}", f"volume-{foreign}", "an-administrators-own"}
    for name in kept:
        plant(cloud, name)
    mend(cloud)
    assert kept <= there(cloud)
    for name in kept:
        stores.of(cloud.cloud, POOL).delete(name)


def test_transfers_without_a_task_are_dropped(cloud: RunningCloud, cinder: Cinder) -> None:
    transfers = cloud.cloud.get(Agents).of("host-1").transfers
    lost, other = f"image-{ids.new()}", "by-hand"
    for name in (lost, other):
        transfers.begin(name, 4096)
    mend(cloud)
    left = {state.id for state in transfers.transfers()}
    assert lost not in left and other in left and told(cloud, "transfer", lost)
    transfers.drop(other)


@pytest.mark.parametrize("stuck, after", [("creating", "error"), ("deleting", "error_deleting"), ("extending", "error_extending"),
                                          ("uploading", "available"), ("retyping", "available"), ("maintenance", "maintenance")])
def test_a_volume_that_waits_for_no_task(cloud: RunningCloud, cinder: Cinder, make: Make, stuck: str, after: str) -> None:
    id = make()["id"]
    cloud.settle()

    def put(age: float) -> None:
        with cloud.cloud.database.write() as tx:
            tx.execute(update(VolumeRow).where(VolumeRow.id == id).values(
                status=stuck, updated_at=clock.now() - timedelta(seconds=age)))

    put(10)
    mend(cloud)
    assert cinder.volume(id)["status"] == stuck, "it may have a task in a moment"
    put(120)
    mend(cloud)
    assert cinder.volume(id)["status"] == after


def test_a_snapshot_that_waits_for_no_task(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    volume = make()["id"]
    id = cinder.call("POST", "/snapshots", {"snapshot": {"volume_id": volume}})["snapshot"]["id"]
    cinder.wait(id, kind="snapshots")
    cloud.settle()
    with cloud.cloud.database.write() as tx:
        tx.execute(update(SnapshotRow).where(SnapshotRow.id == id).values(
            status="deleting", updated_at=clock.now() - timedelta(seconds=120)))
    mend(cloud)
    assert cinder.get(f"/snapshots/{id}")["snapshot"]["status"] == "error_deleting"


def test_nothing_that_is_being_made_is_a_leak(cloud: RunningCloud, cinder: Cinder, make: Make, picture: str) -> None:
    made = [make(until=None, imageRef=picture)["id"] for _ in range(6)]
    for _ in range(10):
        mend(cloud)
    for id in made:
        cinder.wait(id)
        assert not told(cloud, "volume", f"volume-{id}")


def test_a_backup_that_waits_for_no_task(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    volume = make()
    made = cinder.call("POST", "/backups", {"backup": {"volume_id": volume["id"]}}, status=202)["backup"]
    cinder.wait(made["id"], kind="backups")
    for busy, rest in (("restoring", "available"), ("deleting", "error_deleting")):
        with cloud.cloud.database.write() as tx:
            tx.execute(update(BackupRow).where(BackupRow.id == made["id"]).values(
                status=busy, updated_at=clock.now() - timedelta(seconds=3600)))
        mend(cloud)
        assert cinder.get(f"/backups/{made['id']}")["backup"]["status"] == rest
    cinder.call("DELETE", f"/backups/{made['id']}", status=202)
    cinder.wait_gone(made["id"], kind="backups")
