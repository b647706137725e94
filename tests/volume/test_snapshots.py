"""Snapshots: what they are on the wire, when they may be taken and dropped, and what going back to one means."""

from __future__ import annotations

from typing import Any

import pytest
from volume_world import Cinder, Make

from haneul.host.contract import Conflict, HostError
from haneul.volume import quotas, rows, stores
from running import RunningCloud, wait_until


def snapshot(client: Cinder, volume_id: str, until: str | None = "available", **values: Any) -> dict[str, Any]:
    made = client.call("POST", "/snapshots", {"snapshot": {"volume_id": volume_id, **values}}, status=202)["snapshot"]
    return client.wait(made["id"], until, kind="snapshots") if until else made


def put_status(cloud: RunningCloud, volume_id: str, status: str) -> None:
    with cloud.cloud.database.write() as tx:
        row = rows.by_id(tx, volume_id)
        assert row is not None
        row.status = status


def test_create_show_update_delete(cinder: Cinder, make: Make) -> None:
    volume = make()
    made = snapshot(cinder, volume["id"], name="one", description="d", metadata={"k": "v"})
    assert made["size"] == 1 and made["metadata"] == {"k": "v"} and made["name"] == "one"
    assert made["os-extended-snapshot-attributes:progress"] == "100%" and made["consumes_quota"] is True
    assert made["group_snapshot_id"] is None and made["user_id"] and not made["created_at"].endswith("Z")
    old = cinder.get(f"/snapshots/{made['id']}", version="3.0")["snapshot"]
    assert not {"group_snapshot_id", "user_id", "consumes_quota"} & set(old)
    changed = cinder.call("PUT", f"/snapshots/{made['id']}", {"snapshot": {"name": "two", "description": None}})["snapshot"]
    assert changed["name"] == "two" and changed["description"] is None
    cinder.call("PUT", f"/snapshots/{made['id']}", {"snapshot": {}}, status=400)
    cinder.call("PUT", f"/snapshots/{made['id']}", {"snapshot": {"size": 3}}, status=400)
    cinder.call("DELETE", f"/volumes/{volume['id']}", status=400)
    cinder.call("DELETE", f"/snapshots/{made['id']}", status=202)
    cinder.wait_gone(made["id"], kind="snapshots")
    cinder.get(f"/snapshots/{made['id']}", status=404)


def test_bad_requests(cinder: Cinder, make: Make) -> None:
    id = make()["id"]
    for body, status in (({"volume_id": "0e0e0e0e-0000-4000-8000-00000000000e"}, 404), ({"volume_id": None}, 404), ({}, 400),
                         ({"volume_id": "x"}, 400), ({"volume_id": id, "name": "n" * 256}, 400),
                         ({"volume_id": id, "metadata": {"k": "v" * 256}}, 400), ({"volume_id": id, "force": "maybe"}, 400),
                         ({"volume_id": id, "more": 1}, 400)):
        cinder.call("POST", "/snapshots", {"snapshot": body}, status=status)


def test_of_another_project_nothing_is_there(cloud: RunningCloud, cinder: Cinder, member: Cinder, make: Make) -> None:
    other = Cinder(cloud, "other")
    volume = make(by=member)
    id = snapshot(member, volume["id"])["id"]
    for method, path, body in (("GET", "", None), ("DELETE", "", None), ("PUT", "", {"snapshot": {"name": "x"}}),
                               ("GET", "/metadata", None), ("PUT", "/metadata", {"metadata": {}})):
        other.call(method, f"/snapshots/{id}{path}", body, status=404)
    other.call("POST", "/snapshots", {"snapshot": {"volume_id": volume["id"]}}, status=404)
    other.action(volume["id"], "revert", {"snapshot_id": id}, status=404)
    assert id not in [one["id"] for one in other.get("/snapshots")["snapshots"]]
    assert id not in [one["id"] for one in other.get("/snapshots?all_tenants=1")["snapshots"]]
    assert id in [one["id"] for one in cinder.get("/snapshots?all_tenants=1")["snapshots"]]
    assert id not in [one["id"] for one in cinder.get("/snapshots")["snapshots"]]
    member.call("POST", f"/snapshots/{id}/action", {"os-force_delete": {}}, status=403)
    member.call("POST", f"/snapshots/{id}/action", {"os-unmanage": {}}, status=403)
    Cinder(cloud, "reader").call("DELETE", f"/snapshots/{id}", status=403)


def test_force_and_volumes_in_use(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    id = make()["id"]
    put_status(cloud, id, "in-use")
    cinder.call("POST", "/snapshots", {"snapshot": {"volume_id": id, "force": False}}, version="3.65", status=400)
    cinder.call("POST", "/snapshots", {"snapshot": {"volume_id": id}}, version="3.65", status=400)
    cinder.call("POST", "/snapshots", {"snapshot": {"volume_id": id, "force": "true"}}, version="3.65", status=202)
    cinder.call("POST", "/snapshots", {"snapshot": {"volume_id": id, "force": False}}, status=400)
    snapshot(cinder, id)
    put_status(cloud, id, "error")
    cinder.call("POST", "/snapshots", {"snapshot": {"volume_id": id, "force": True}}, version="3.0", status=400)
    put_status(cloud, id, "available")


def test_what_something_has_is_snapshotted_and_not_reverted(cinder: Cinder, make: Make) -> None:
    id = make()["id"]
    first = snapshot(cinder, id)["id"]
    held = cinder.call("POST", "/attachments", {"attachment": {
        "volume_uuid": id, "instance_uuid": "0e0e0e0e-0000-4000-8000-00000000000e"}}, status=200)["attachment"]["id"]
    cinder.call("POST", f"/volumes/{id}/action", {"os-reset_status": {"status": "available"}}, status=202)
    cinder.action(id, "revert", {"snapshot_id": first}, status=409)
    cinder.call("DELETE", f"/attachments/{held}", status=200)
    cinder.action(id, "revert", {"snapshot_id": first}, status=202)
    cinder.wait(id)


def test_metadata(cinder: Cinder, make: Make) -> None:
    path = f"/snapshots/{snapshot(cinder, make()['id'])['id']}/metadata"
    assert cinder.call("POST", path, {"metadata": {"a": "1", "b": "2"}}, status=200) == {"metadata": {"a": "1", "b": "2"}}
    assert cinder.call("POST", path, {"metadata": {"b": "3"}}) == {"metadata": {"a": "1", "b": "3"}}
    assert cinder.call("PUT", path, {"metadata": {"c": "4"}}) == {"metadata": {"c": "4"}}
    assert cinder.call("PUT", path + "/c", {"meta": {"c": "5"}}) == {"meta": {"c": "5"}}
    assert cinder.get(path + "/c") == {"meta": {"c": "5"}}
    cinder.call("PUT", path + "/c", {"meta": {"d": "5"}}, status=400)
    cinder.call("PUT", path + "/c", {"meta": {"c": "5", "d": "5"}}, status=400)
    cinder.call("PUT", path, {"metadata": {"": "5"}}, status=400)
    cinder.get(path + "/none", status=404)
    cinder.call("DELETE", path + "/none", status=404)
    cinder.call("DELETE", path + "/c", status=200)
    assert cinder.get(path) == {"metadata": {}}


def test_lists(cinder: Cinder, make: Make) -> None:
    volume = make()["id"]
    made = [snapshot(cinder, volume, name=f"list-{number}", metadata={"n": str(number)})["id"] for number in range(3)]
    mine = f"volume_id={volume}"

    def found(query: str, **options: Any) -> list[int]:
        return [made.index(one["id"]) for one in cinder.get(f"/snapshots?{mine}&{query}", **options)["snapshots"]]

    assert found("") == [2, 1, 0] and found("sort=name:asc") == [0, 1, 2] and found("sort_key=display_name&sort_dir=asc")[0] == 0
    assert found("limit=1&offset=1") == [1] and found(f"marker={made[1]}") == [0] and found("limit=0") == []
    assert found("name=list-1") == [1] and found("name~=list-") == [2, 1, 0] and found("status=error") == []
    assert found("metadata={'n': '2'}") == [2] and found('metadata={"n":"2","x":"y"}') == []
    page = cinder.get(f"/snapshots/detail?{mine}&limit=2&with_count=true")
    assert page["count"] == 3 and "os-extended-snapshot-attributes:project_id" in page["snapshots"][0]
    following = cinder.get(page["snapshots_links"][0]["href"].partition("/volume/v3")[2])
    assert [one["id"] for one in following["snapshots"]] == [made[0]]
    for query in ("limit=-1", "limit=x", "sort_key=nonsense", "sort=name:up", "sort=name&sort_key=name", "offset=-1",
                  "metadata=[1]", "with_count=maybe", "all_tenants=maybe"):
        cinder.get(f"/snapshots?{query}", status=400)
    cinder.get("/snapshots?marker=0e0e0e0e-0000-4000-8000-00000000000e", status=404)


def test_unknown_filters(member: Cinder) -> None:
    member.get("/snapshots?nonsense=1", status=400)
    member.get("/snapshots?nonsense=1", version="3.30")
    assert "count" not in member.get("/snapshots?with_count=1", version="3.30")


def test_actions(cinder: Cinder, make: Make) -> None:
    id = snapshot(cinder, make()["id"])["id"]
    path = f"/snapshots/{id}/action"
    cinder.call("POST", path, {"os-update_snapshot_status": {"status": "error"}}, status=400)
    cinder.call("POST", path, {"os-reset_status": {"status": "nonsense"}}, status=400)
    cinder.call("POST", path, {"os-reset_status": {"status": "creating"}}, status=202)
    cinder.call("POST", path, {"os-update_snapshot_status": {"status": "deleting"}}, status=400)
    cinder.call("POST", path, {"os-update_snapshot_status": {"status": "error", "progress": "101%"}}, status=400)
    cinder.call("POST", path, {"os-update_snapshot_status": {"status": "error", "progress": "80%"}}, status=202)
    shown = cinder.get(f"/snapshots/{id}")["snapshot"]
    assert shown["status"] == "error" and shown["os-extended-snapshot-attributes:progress"] == "80%"
    cinder.call("POST", path, {"os-reset_status": {"status": "deleting"}}, status=202)
    cinder.call("DELETE", f"/snapshots/{id}", status=400)
    cinder.call("POST", path, {"os-force_delete": {}}, status=202)
    cinder.wait_gone(id, kind="snapshots")


def test_quotas_count_snapshots_and_their_gigabytes(cloud: RunningCloud, cinder: Cinder, member: Cinder, make: Make) -> None:
    volume, project = make(by=member), cloud.connect("member").current_project_id
    with cloud.cloud.database.read() as tx:
        used = quotas.used(tx, project)
    for resource, limit in (("snapshots", used["snapshots"]), ("gigabytes", used["gigabytes"])):
        with cloud.cloud.database.write() as tx:
            quotas.set_limits(tx, project, {resource: limit})
        member.call("POST", "/snapshots", {"snapshot": {"volume_id": volume["id"]}}, status=413)
        with cloud.cloud.database.write() as tx:
            quotas.set_limits(tx, project, {resource: -1})


def test_a_failure_is_an_error_with_a_message(cloud: RunningCloud, cinder: Cinder, make: Make,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    volume = make()
    real = stores.of

    class Broken:
        def __init__(self, verb: str, error: HostError) -> None:
            self.verb, self.error = verb, error

        def __getattr__(self, verb: str) -> Any:
            def fail(*_: Any) -> None:
                if verb == self.verb:
                    raise self.error

            return fail

    monkeypatch.setattr(stores, "of", lambda *_: Broken("snapshot", HostError("/secret/path is broken")))
    id = snapshot(cinder, volume["id"], "error")["id"]
    monkeypatch.setattr(stores, "of", real)
    message = cinder.get(f"/messages?resource_uuid={id}")["messages"][0]
    assert message["user_message"].startswith("create snapshot:Snapshot failed")
    cinder.call("DELETE", f"/snapshots/{id}", status=202)
    cinder.wait_gone(id, kind="snapshots")
    id = snapshot(cinder, volume["id"])["id"]
    monkeypatch.setattr(stores, "of", lambda *_: Broken("delete_snapshot", Conflict("a copy stands on it")))
    cinder.call("DELETE", f"/snapshots/{id}", status=202)
    cloud.settle()
    assert cinder.get(f"/snapshots/{id}")["snapshot"]["status"] == "available"
    monkeypatch.setattr(stores, "of", lambda *_: Broken("delete_snapshot", HostError("it just fails")))
    cinder.call("DELETE", f"/snapshots/{id}", status=202)
    cinder.wait(id, "error_deleting", kind="snapshots")
    monkeypatch.setattr(stores, "of", real)
    cinder.call("POST", f"/snapshots/{id}/action", {"os-force_delete": {}}, status=202)
    cinder.wait_gone(id, kind="snapshots")


# ---------------------------------------------------------------- revert


def data(cloud: RunningCloud, volume: dict[str, Any], length: int = 64) -> bytes:
    """The first bytes of a volume as its back end exports it."""
    host = volume["os-vol-host-attr:host"]
    with cloud.cloud.database.read() as tx:
        row = rows.by_id(tx, volume["id"])
    assert row is not None
    agent, transfer = stores.agent(cloud.cloud, host), f"look-{volume['id']}"
    stores.of(cloud.cloud, host).export(row.stored_as, transfer)
    try:
        return b"".join(agent.read_transfer(transfer, 0, length))
    finally:
        agent.transfers.drop(transfer)


def scribble(cloud: RunningCloud, volume: dict[str, Any], what: bytes) -> None:
    """Writes to the start of a raw volume as a guest would."""
    [target] = cloud.paths.host.rglob(f"volume-{volume['id']}.raw")
    with open(target, "r+b") as file:
        file.write(what)


def test_revert_brings_the_data_back(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    volume = make()
    scribble(cloud, volume, b"before")
    taken = snapshot(cinder, volume["id"])
    scribble(cloud, volume, b"after!")
    assert data(cloud, volume).startswith(b"after!")
    cinder.action(volume["id"], "revert", {"snapshot_id": taken["id"]}, version="3.39", status=400)
    cinder.action(volume["id"], "revert", {"snapshot_id": taken["id"]}, status=202)
    wait_until(lambda: cinder.volume(volume["id"])["status"] != "reverting", what="the end of the revert")
    assert cinder.volume(volume["id"])["status"] == "available"
    assert cinder.get(f"/snapshots/{taken['id']}")["snapshot"]["status"] == "available"
    assert data(cloud, volume).startswith(b"before")
    cinder.action(volume["id"], "os-extend", {"new_size": 2})
    cinder.wait(volume["id"], "available")
    answer = cinder.http.post(f"/volume/v3/volumes/{volume['id']}/action", json={"revert": {"snapshot_id": taken["id"]}},
                              headers={"OpenStack-API-Version": "volume 3.40"})
    assert answer.status_code == 400 and "size" in answer.text  # what was added since would be cut off, or be somebody's guess


def test_revert_is_refused(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    id = make()["id"]
    cinder.action(id, "revert", {"snapshot_id": "0e0e0e0e-0000-4000-8000-00000000000e"}, status=400)
    first, second = snapshot(cinder, id)["id"], snapshot(cinder, id)["id"]
    cinder.action(id, "revert", {"snapshot_id": first}, status=400)
    cinder.action(id, "revert", {}, status=400)
    put_status(cloud, id, "in-use")
    cinder.action(id, "revert", {"snapshot_id": second}, status=409)
    put_status(cloud, id, "available")
    cinder.call("POST", f"/snapshots/{second}/action", {"os-reset_status": {"status": "error"}}, status=202)
    cinder.action(id, "revert", {"snapshot_id": second}, status=409)


def test_a_failed_revert_leaves_the_volume_in_error(cinder: Cinder, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    id = make()["id"]
    taken = snapshot(cinder, id)["id"]
    real = stores.of

    class Broken:
        def revert(self, *_: Any) -> None:
            raise HostError("it broke in the middle")

    monkeypatch.setattr(stores, "of", lambda *_: Broken())
    cinder.action(id, "revert", {"snapshot_id": taken}, status=202)
    cinder.wait(id, "error")
    monkeypatch.setattr(stores, "of", real)
    assert cinder.get(f"/snapshots/{taken}")["snapshot"]["status"] == "available"
