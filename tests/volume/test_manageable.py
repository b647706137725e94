"""What lies on a back end and is nobody's becomes a volume or a snapshot, and is let go of again, bytes untouched."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import delete
from volume_world import Cinder, Make

from haneul.kernel.tasks import TaskRow
from haneul.volume import quotas, stores
from haneul.volume.tasks import delete as deleting
from haneul.volume.tasks.steps import OnVolume
from running import RunningCloud

HOST = "os-vol-host-attr:host"


def manage(client: Cinder, host: str, ref: Any, until: str = "available", **values: Any) -> dict[str, Any]:
    made = client.call("POST", "/manageable_volumes", {"volume": {"host": host, "ref": ref, **values}}, status=202)["volume"]
    return client.wait(made["id"], until)


def gone(client: Cinder, id: str) -> None:
    client.call("DELETE", f"/volumes/{id}")
    client.wait_gone(id)


def test_a_volume_goes_and_comes_back(cinder: Cinder, make: Make) -> None:
    volume = make()
    host, id = volume[HOST], volume["id"]
    cinder.action(id, "os-unmanage", {}, status=202)
    cinder.get(f"/volumes/{id}", status=404)
    assert stored(cinder, host, f"volume-{id}")["safe_to_manage"] is True
    found = manage(cinder, host, {"source-name": f"volume-{id}"}, name="back", description="d", metadata={"k": "v"},
                   bootable=True, cluster=None)
    assert found["id"] != id and found["size"] == 1 and found[HOST] == host and found["name"] == "back"
    assert found["metadata"] == {"k": "v"} and found["bootable"] == "true" and found["status"] == "available"
    cinder.action(found["id"], "os-unmanage", {}, status=202)
    again = manage(cinder, host.partition("#")[0], {"source-id": found["id"]}, bootable=None)
    assert again["size"] == 1 and again[HOST] == host
    gone(cinder, again["id"])
    assert not [one for one in listed(cinder, host) if one["reference"]["source-name"] == f"volume-{again['id']}"]


def listed(client: Cinder, host: str, query: str = "", kind: str = "volumes", detail: bool = True) -> list[dict[str, Any]]:
    path = f"/manageable_{kind}{'/detail' if detail else ''}?host={host.replace('#', '%23')}{query}"
    return list(client.get(path)[f"manageable-{kind}"])


def stored(client: Cinder, host: str, name: str, kind: str = "volumes") -> dict[str, Any]:
    return next(one for one in listed(client, host, kind=kind) if one["reference"]["source-name"] == name)


def test_what_is_not_there_or_taken_is_an_error(cinder: Cinder, make: Make) -> None:
    volume = make()
    host = volume[HOST]
    for ref in ({"source-name": "no-such-thing"}, {"source-name": f"volume-{volume['id']}"}, f"volume-{volume['id']}"):
        failed = manage(cinder, host, ref, "error_managing")
        gone(cinder, failed["id"])
    assert stored(cinder, host, f"volume-{volume['id']}")["cinder_id"] == volume["id"]
    assert cinder.volume(volume["id"])["status"] == "available"


def test_bad_requests(cinder: Cinder, member: Cinder, make: Make) -> None:
    host = make()[HOST]
    for body, status in (({"ref": {"source-name": "x"}}, 400), ({"host": host}, 400), ({"host": host, "ref": {"name": "x"}}, 400),
                         ({"host": "nowhere@none#none", "ref": {"source-name": "x"}}, 404),
                         ({"host": host, "ref": {"source-name": "x"}, "volume_type": "none"}, 404),
                         ({"host": host, "ref": {"source-name": "x"}, "size": 3}, 400)):
        cinder.call("POST", "/manageable_volumes", {"volume": body}, status=status)
    cinder.call("POST", "/manageable_volumes", {"volume": {"host": host, "ref": "x"}}, version="3.7", status=404)
    member.call("POST", "/manageable_volumes", {"volume": {"host": host, "ref": "x"}}, status=403)
    member.get("/manageable_volumes?host=x", status=403)
    cinder.get("/manageable_volumes", status=400)
    cinder.get("/manageable_volumes?host=nowhere@none", status=404)
    cinder.get("/os-volume-manage?host=nowhere@none", status=404, version="3.0")


def test_unmanage_is_refused(cloud: RunningCloud, cinder: Cinder, member: Cinder, make: Make) -> None:
    id = make(by=member)["id"]
    member.action(id, "os-unmanage", {}, status=403)
    taken = member.call("POST", "/snapshots", {"snapshot": {"volume_id": id}})["snapshot"]["id"]
    member.wait(taken, kind="snapshots")
    cinder.action(id, "os-unmanage", {}, status=400)


def test_a_copy_in_the_making_is_nobodys(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    host = make()[HOST]
    with cloud.cloud.database.write() as tx:
        id = deleting.delete.submit(tx, OnVolume(volume_id="0e0e0e0e-0000-4000-8000-00000000000e"), after=600)
    store, name = stores.of(cloud.cloud, host), f"volume-{id}"
    store.create(name, "raw", 1 << 30)
    try:
        assert stored(cinder, host, name)["reason_not_safe"] == "being made"
        gone(cinder, manage(cinder, host, {"source-name": name}, "error_managing")["id"])
        assert store.volume(name).name == name
    finally:
        store.delete(name)
        with cloud.cloud.database.write() as tx:
            tx.execute(delete(TaskRow).where(TaskRow.id == id))


def test_quota_of_what_is_found(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    volume, project = make(size=2), cloud.connect("admin").current_project_id
    cinder.action(volume["id"], "os-unmanage", {}, status=202)
    with cloud.cloud.database.write() as tx:
        quotas.set_limits(tx, project, {"gigabytes": quotas.used(tx, project)["gigabytes"] + 1})
    failed = manage(cinder, volume[HOST], {"source-name": f"volume-{volume['id']}"}, "error_managing")
    gone(cinder, failed["id"])
    with cloud.cloud.database.write() as tx:
        quotas.set_limits(tx, project, {"gigabytes": -1})
    found = manage(cinder, volume[HOST], {"source-name": f"volume-{volume['id']}"})
    assert found["size"] == 2
    gone(cinder, found["id"])


def test_lists_are_sorted_and_paged(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    host = make()[HOST]
    store = stores.of(cloud.cloud, host)
    for name, size in (("zz-a", 1), ("zz-b", 3), ("zz-c", 2)):
        store.create(name, "raw", size << 30)
    try:
        names = [one["reference"]["source-name"] for one in listed(cinder, host, "&sort=reference:asc", detail=False)]
        assert names == sorted(names) and {"zz-a", "zz-b", "zz-c"} <= set(names)
        sizes = [one["size"] for one in listed(cinder, host, "&sort=size:desc,reference:asc")]
        assert sizes == sorted(sizes, reverse=True)
        marker = json.dumps({"source-name": "zz-a"})
        assert [one["reference"]["source-name"] for one in listed(cinder, host, f"&sort=reference:asc&marker={marker}&limit=1")
                ] == ["zz-b"]
        found = next(one for one in listed(cinder, host) if one["reference"]["source-name"] == "zz-b")
        assert found == {"reference": {"source-name": "zz-b"}, "size": 3, "safe_to_manage": True, "reason_not_safe": None,
                         "cinder_id": None, "extra_info": None}
        for query in ("&sort=name", "&marker=x", "&marker={}", "&limit=x"):
            cinder.get(f"/manageable_volumes?host={host.replace('#', '%23')}{query}", status=400)
    finally:
        for name in ("zz-a", "zz-b", "zz-c"):
            store.delete(name)


def test_a_snapshot_goes_and_comes_back(cinder: Cinder, make: Make) -> None:
    volume = make()
    host, id = volume[HOST], volume["id"]
    taken = cinder.call("POST", "/snapshots", {"snapshot": {"volume_id": id}})["snapshot"]["id"]
    cinder.wait(taken, kind="snapshots")
    there = stored(cinder, host, f"_snapshot-{taken}", "snapshots")
    assert there["cinder_id"] == taken and there["reason_not_safe"] == "already managed"
    assert there["source_reference"] == {"source-name": f"volume-{id}"}

    def take_back(ref: Any, until: str = "available") -> dict[str, Any]:
        body = {"snapshot": {"volume_id": id, "ref": ref, "name": "back", "metadata": {"k": "v"}}}
        made = cinder.call("POST", "/os-snapshot-manage", body, status=202)["snapshot"]
        return cinder.wait(made["id"], until, kind="snapshots")

    for ref in ({"source-name": f"_snapshot-{taken}"}, {"source-name": "none"}):
        failed = take_back(ref, "error")["id"]
        cinder.call("DELETE", f"/snapshots/{failed}")
        cinder.wait_gone(failed, kind="snapshots")
    cinder.call("POST", f"/snapshots/{taken}/action", {"os-unmanage": {}}, status=202)
    cinder.get(f"/snapshots/{taken}", status=404)
    assert stored(cinder, host, f"_snapshot-{taken}", "snapshots")["safe_to_manage"] is True
    found = take_back({"source-name": f"_snapshot-{taken}"})
    assert found["name"] == "back" and found["size"] == 1 and found["metadata"] == {"k": "v"}
    copy = make(snapshot_id=found["id"], size=None)
    assert copy["size"] == 1
    cinder.call("DELETE", f"/snapshots/{found['id']}")
    cinder.wait_gone(found["id"], kind="snapshots")
    cinder.call("POST", "/manageable_snapshots", {"snapshot": {"volume_id": id}}, status=400)
