"""Backups: what they hold, what an increment leaves out, what a restore brings back, and what is refused."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from volume_world import Cinder, Make

from haneul.volume.backup_store import SERVICE
from running import RunningCloud

MIB = 1 << 20
Back = Callable[..., dict[str, Any]]


def data(cloud: RunningCloud, volume: dict[str, Any]) -> Path:
    """The volume's own file: what a guest would see."""
    return next((cloud.paths.host / "volumes").glob(f"*/volume-{volume['id']}.raw"))


def put(path: Path, offset: int, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(content)


def read(path: Path, offset: int, length: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(length)


def chunks(cloud: RunningCloud, backup_id: str) -> list[str]:
    return sorted(path.name for path in (cloud.paths.backups / "volumebackups" / backup_id).glob("*.z"))


@pytest.fixture
def back(cinder: Cinder) -> Iterator[Back]:
    """Makes backups that are available (or whatever `until` says) and end with the test, the newest first."""
    made: list[str] = []

    def one(volume_id: str, until: str = "available", **values: Any) -> dict[str, Any]:
        found = cinder.call("POST", "/backups", {"backup": {"volume_id": volume_id, **values}}, status=202)["backup"]
        made.append(found["id"])
        return cinder.wait(found["id"], until, kind="backups")

    yield one
    for id in reversed(made):
        if cinder.http.get(f"/volume/v3/backups/{id}").status_code == 200:
            cinder.call("DELETE", f"/backups/{id}", status=202)
            cinder.wait_gone(id, kind="backups")


def restore(cinder: Cinder, backup_id: str, **into: Any) -> dict[str, Any]:
    said = cinder.call("POST", f"/backups/{backup_id}/restore", {"restore": into}, status=202)["restore"]
    assert said["backup_id"] == backup_id
    cinder.wait(backup_id, kind="backups")
    return cinder.wait(said["volume_id"])


def test_a_backup_has_the_data_and_the_words_of_its_volume(cloud: RunningCloud, cinder: Cinder, make: Make, back: Back) -> None:
    volume = make(metadata={"color": "blue"}, name="of value")
    secret = secrets.token_bytes(MIB)
    put(data(cloud, volume), 9 * MIB + 77, secret)
    made = back(volume["id"], name="first", description="whole", metadata={"why": "test"})
    assert made["is_incremental"] is False and made["has_dependent_backups"] is False and made["size"] == 1
    assert made["metadata"] == {"why": "test"} and made["container"] == "volumebackups" and made["fail_reason"] is None
    assert made["object_count"] == 1 and len(chunks(cloud, made["id"])) == 1
    assert cinder.volume(volume["id"])["status"] == "available"
    again = restore(cinder, made["id"])
    assert again["name"] == f"restore_backup_{made['id']}" and again["metadata"]["color"] == "blue"
    assert read(data(cloud, again), 9 * MIB + 77, MIB) == secret
    assert read(data(cloud, again), 0, 9 * MIB + 77).strip(b"\0") == b""
    cinder.call("DELETE", f"/volumes/{again['id']}", status=202)


def test_an_increment_holds_only_what_changed(cloud: RunningCloud, cinder: Cinder, make: Make, back: Back) -> None:
    volume = make()
    put(data(cloud, volume), 0, b"one" * 1000)
    put(data(cloud, volume), 100 * MIB, b"two" * 1000)
    whole = back(volume["id"])
    put(data(cloud, volume), 100 * MIB, b"TWO" * 1000)
    part = back(volume["id"], incremental=True)
    assert part["is_incremental"] is True and part["object_count"] == 1 and len(chunks(cloud, whole["id"])) == 2
    assert cinder.get(f"/backups/{whole['id']}")["backup"]["has_dependent_backups"] is True
    cinder.call("DELETE", f"/backups/{whole['id']}", status=400)
    for id, second in ((whole["id"], b"two"), (part["id"], b"TWO")):
        again = restore(cinder, id, name="again")
        assert read(data(cloud, again), 0, 3) == b"one" and read(data(cloud, again), 100 * MIB, 3) == second
        cinder.call("DELETE", f"/volumes/{again['id']}", status=202)


def test_into_an_existing_volume(cloud: RunningCloud, cinder: Cinder, make: Make, back: Back) -> None:
    volume, larger = make(), make(size=2)
    put(data(cloud, volume), 5, b"kept")
    put(data(cloud, larger), 5, b"lost")
    made = back(volume["id"])
    restore(cinder, made["id"], volume_id=larger["id"])
    assert read(data(cloud, larger), 5, 4) == b"kept" and data(cloud, larger).stat().st_size == 2 << 30
    small = back(larger["id"])
    cinder.call("POST", f"/backups/{small['id']}/restore", {"restore": {"volume_id": volume["id"]}}, status=400)
    assert cinder.volume(volume["id"])["status"] == "available"


def test_of_a_snapshot(cloud: RunningCloud, cinder: Cinder, make: Make, back: Back) -> None:
    volume = make()
    put(data(cloud, volume), 0, b"before")
    snapshot = cinder.call("POST", "/snapshots", {"snapshot": {"volume_id": volume["id"]}}, status=202)["snapshot"]
    cinder.wait(snapshot["id"], kind="snapshots")
    put(data(cloud, volume), 0, b"after!")
    made = back(volume["id"], snapshot_id=snapshot["id"])
    assert made["snapshot_id"] == snapshot["id"]
    cinder.wait(snapshot["id"], kind="snapshots")
    again = restore(cinder, made["id"])
    assert read(data(cloud, again), 0, 6) == b"before"
    cinder.call("DELETE", f"/volumes/{again['id']}", status=202)


def test_a_volume_made_of_a_backup(cloud: RunningCloud, cinder: Cinder, make: Make, back: Back) -> None:
    volume = make()
    put(data(cloud, volume), 0, b"backed up")
    made = back(volume["id"])
    again = make(backup_id=made["id"], size=2)
    assert again["size"] == 2
    assert read(data(cloud, again), 0, 9) == b"backed up"
    cinder.wait(made["id"], kind="backups")


def test_records_travel(cloud: RunningCloud, cinder: Cinder, make: Make, back: Back) -> None:
    """The record of a backup that the database has lost brings it back."""
    volume = make()
    put(data(cloud, volume), 0, b"travels")
    made = back(volume["id"], name="traveller")
    record = cinder.get(f"/backups/{made['id']}/export_record")["backup-record"]
    assert record["backup_service"] == SERVICE
    cinder.call("POST", "/backups/import_record", {"backup-record": record}, status=400)  # it is here
    known = json.loads(base64.b64decode(record["backup_url"]))
    kept = shutil.copytree(cloud.paths.backups / "volumebackups" / made["id"], cloud.paths.state / f"kept-{made['id']}")
    cinder.call("DELETE", f"/backups/{made['id']}", status=202)
    cinder.wait_gone(made["id"], kind="backups")
    kept.rename(cloud.paths.backups / "volumebackups" / made["id"])
    cinder.call("POST", "/backups/import_record", {"backup-record": record}, status=201)
    found = cinder.wait(made["id"], kind="backups")
    assert found["name"] == "traveller" and found["object_count"] == 1
    again = restore(cinder, made["id"])
    assert read(data(cloud, again), 0, 7) == b"travels"
    cinder.call("DELETE", f"/volumes/{again['id']}", status=202)
    for broken in ({**known, "service_metadata": "../../etc"}, {**known, "container": "../x"}, {"id": known["id"]}):
        url = base64.b64encode(json.dumps(broken).encode()).decode()
        cinder.call("POST", "/backups/import_record", {"backup-record": {**record, "backup_url": url}}, status=400)
    cinder.call("POST", "/backups/import_record", {"backup-record": {**record, "backup_url": "%%"}}, status=400)


def test_damage_is_noticed(cloud: RunningCloud, cinder: Cinder, make: Make, back: Back) -> None:
    volume = make()
    put(data(cloud, volume), 0, b"whole")
    made = back(volume["id"])
    path = cloud.paths.backups / "volumebackups" / made["id"] / "0.z"
    content = path.read_bytes()
    path.write_bytes(content[:-4] + bytes(4))
    said = cinder.call("POST", f"/backups/{made['id']}/restore", {"restore": {"volume_id": volume["id"]}}, status=202)["restore"]
    cinder.wait(said["volume_id"], "error_restoring")
    assert read(data(cloud, volume), 0, 5) == b"whole", "the old data went before the new was whole"
    path.write_bytes(content)
    restore(cinder, made["id"], volume_id=volume["id"])


def test_refused(cinder: Cinder, member: Cinder, make: Make, back: Back) -> None:
    volume = make()
    nowhere = "0e0e0e0e-0000-4000-8000-00000000000e"
    for body, status in (({"volume_id": nowhere}, 404), ({}, 400), ({"volume_id": "x"}, 400),
                         ({"volume_id": volume["id"], "incremental": True}, 400),
                         ({"volume_id": volume["id"], "container": "a/b"}, 400),
                         ({"volume_id": volume["id"], "container": ".."}, 400),
                         ({"volume_id": volume["id"], "snapshot_id": nowhere}, 404),
                         ({"volume_id": volume["id"], "name": "n" * 256}, 400)):
        cinder.call("POST", "/backups", {"backup": body}, status=status)
    made = back(volume["id"])
    for method, path, body in (("GET", "", None), ("DELETE", "", None), ("PUT", "", {"backup": {"name": "x"}}),
                               ("POST", "/restore", {"restore": {}})):
        member.call(method, f"/backups/{made['id']}{path}", body, status=404)
    cinder.call("POST", f"/backups/{made['id']}/restore", {"restore": {"volume_id": nowhere}}, status=404)
    changed = cinder.call("PUT", f"/backups/{made['id']}", {"backup": {"name": "two", "description": "d"}}, status=200)["backup"]
    assert changed["name"] == "two"
    cinder.call("PUT", f"/backups/{made['id']}", {"backup": {}}, status=400)
    cinder.call("POST", f"/backups/{made['id']}/action", {"os-reset_status": {"status": "error"}}, status=202)
    assert cinder.get(f"/backups/{made['id']}")["backup"]["status"] == "error"
    assert made["id"] in [one["id"] for one in cinder.get("/backups?status=error")["backups"]]
    assert cinder.get("/backups/detail?with_count=true&limit=1")["count"] >= 1


def test_of_an_encrypted_volume(cloud: RunningCloud, cinder: Cinder, make: Make, back: Back) -> None:
    """What lies in the container is as unreadable as the volume, and comes back with its key."""
    kind = cinder.call("POST", "/types", {"volume_type": {"name": "backed-up-luks"}}, status=200)["volume_type"]
    cinder.call("POST", f"/types/{kind['id']}/encryption", {"encryption": {
        "provider": "luks", "control_location": "front-end", "cipher": "aes-xts-plain64", "key_size": 256}}, status=200)
    volume, plain = make(volume_type=kind["id"]), make()
    made = back(volume["id"])
    cinder.get(f"/backups/{made['id']}/export_record", status=400)
    cinder.call("POST", f"/backups/{made['id']}/restore", {"restore": {"volume_id": plain["id"]}}, status=400)
    again = restore(cinder, made["id"])
    assert again["encrypted"] is True and again["volume_type_id"] == kind["id"]
    folder = cloud.paths.host / "volumes"  # of either back end
    before, after = (next(folder.glob(f"*/volume-{one['id']}.luks")) for one in (volume, again))
    assert read(before, 0, MIB) == read(after, 0, MIB) and read(after, 0, 4) == b"LUKS"
    cinder.call("DELETE", f"/volumes/{again['id']}", status=202)
    cinder.wait_gone(again["id"])


def test_quota(cloud: RunningCloud, cinder: Cinder, make: Make, back: Back) -> None:
    volume = make()
    back(volume["id"])
    project = cloud.connect("admin").current_project_id
    cinder.call("PUT", f"/os-quota-sets/{project}", {"quota_set": {"backups": 1}})
    try:
        cinder.call("POST", "/backups", {"backup": {"volume_id": volume["id"]}}, status=413)
    finally:
        cinder.call("PUT", f"/os-quota-sets/{project}", {"quota_set": {"backups": -1}})
    assert cinder.volume(volume["id"])["status"] == "available"
