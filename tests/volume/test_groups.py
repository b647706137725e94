"""Group types, groups and group snapshots."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from volume_world import Cinder, Make

from haneul.host.contract import HostError
from haneul.volume import quotas, stores
from running import RunningCloud, wait_until

_numbers = itertools.count(1)
NOTHING = "0e0e0e0e-0000-4000-8000-00000000000e"


class Groups:
    """Makes a group type and groups of it; what is left of them ends with the test."""

    def __init__(self, client: Cinder, admin: Cinder) -> None:
        self.client, self.admin = client, admin
        self.type = admin.call("POST", "/group_types", {"group_type": {"name": f"gt-{next(_numbers)}"}}, status=202)["group_type"]
        self.volume_type = next(one for one in admin.get("/types")["volume_types"] if one["name"] == "__DEFAULT__")
        self.made: list[str] = []

    def create(self, until: str | None = "available", **values: Any) -> dict[str, Any]:
        body = {"name": f"group-{next(_numbers)}", "group_type": self.type["id"], "volume_types": [self.volume_type["id"]],
                **values}
        made = self.client.call("POST", "/groups", {"group": body}, status=202)["group"]
        self.made.append(made["id"])
        return self.client.wait(made["id"], until, kind="groups") if until else made

    def from_source(self, **values: Any) -> dict[str, Any]:
        made = self.client.call("POST", "/groups/action", {"create-from-src": values}, status=202)["group"]
        self.made.append(made["id"])
        return self.client.wait(made["id"], kind="groups")

    def snapshot(self, group_id: str, until: str = "available", **values: Any) -> dict[str, Any]:
        made = self.client.call("POST", "/group_snapshots", {"group_snapshot": {"group_id": group_id, "name": "gs", **values}},
                                status=202)["group_snapshot"]
        return self.client.wait(made["id"], until, kind="group_snapshots")

    def drop_snapshot(self, id: str) -> None:
        self.client.call("DELETE", f"/group_snapshots/{id}", status=202)
        self.client.wait_gone(id, kind="group_snapshots")

    def delete(self, id: str, volumes: bool = True) -> None:
        self.client.call("POST", f"/groups/{id}/action", {"delete": {"delete-volumes": volumes}}, status=202)
        self.client.wait_gone(id, kind="groups")

    def volume(self, make: Make, group_id: str, **values: Any) -> dict[str, Any]:
        return make(by=self.client, group_id=group_id, volume_type=self.volume_type["id"], **values)

    def members(self, id: str) -> list[str]:
        return list(self.client.get(f"/groups/{id}?list_volume=true")["group"]["volumes"])


@pytest.fixture
def groups(cinder: Cinder, member: Cinder, make: Make) -> Iterator[Groups]:
    """Ends before `make` does, which deletes no volume that is in a group."""
    found = Groups(member, cinder)
    yield found
    for one in cinder.get("/group_snapshots/detail?all_tenants=1")["group_snapshots"]:
        if one["group_id"] in found.made:
            cinder.call("POST", f"/group_snapshots/{one['id']}/action", {"reset_status": {"status": "available"}})
            cinder.call("DELETE", f"/group_snapshots/{one['id']}")
            cinder.wait_gone(one["id"], kind="group_snapshots")
    for id in reversed(found.made):
        if cinder.http.get(f"/volume/v3/groups/{id}").status_code == 200:
            found.delete(id)
    cinder.call("DELETE", f"/group_types/{found.type['id']}", status=202)


def test_group_types(cinder: Cinder, member: Cinder) -> None:
    made = cinder.call("POST", "/group_types", {"group_type": {
        "name": "kinds", "description": "d", "is_public": False, "group_specs": {"a": "1"}}}, status=202)["group_type"]
    path = f"/group_types/{made['id']}"
    assert made["group_specs"] == {"a": "1"} and made["is_public"] is False
    member.get(path, status=404)
    assert made["id"] not in [one["id"] for one in member.get("/group_types?is_public=false")["group_types"]]
    assert made["id"] not in [one["id"] for one in cinder.get("/group_types")["group_types"]]
    for query in ("is_public=None", "is_public=False", "is_public=none&sort=name:asc"):
        assert made["id"] in [one["id"] for one in cinder.get(f"/group_types?{query}")["group_types"]]
    cinder.get("/group_types?is_public=maybe", status=400)
    cinder.call("POST", "/group_types", {"group_type": {"name": "kinds"}}, status=409)
    for body in ({}, {"name": ""}, {"name": " "}, {"name": "n" * 256}, {"name": "x", "more": 1}):
        cinder.call("POST", "/group_types", {"group_type": body}, status=400)
    assert cinder.call("PUT", path, {"group_type": {"name": "sorts", "is_public": True}})["group_type"]["name"] == "sorts"
    shown = member.get(path)["group_type"]
    assert "group_specs" not in shown and shown["name"] == "sorts"
    for body, status in (({}, 400), ({"name": " "}, 400), ({"name": "default_cgsnapshot_type"}, 409)):
        cinder.call("PUT", path, {"group_type": body}, status=status)
    for method, where, body in (("POST", "/group_types", {"group_type": {"name": "m"}}), ("DELETE", path, None),
                                ("PUT", path, {"group_type": {"name": "m"}}), ("GET", path + "/group_specs", None)):
        member.call(method, where, body, status=403)
    cinder.get("/group_types/default", status=404)
    cinder.get(path, version="3.10", status=404)
    cinder.call("DELETE", path, status=202)
    cinder.get(path, status=404)


def test_group_specs(cinder: Cinder, groups: Groups) -> None:
    path = f"/group_types/{groups.type['id']}/group_specs"
    assert cinder.call("POST", path, {"group_specs": {"a": "1", "b": "2"}}, status=202) == {"group_specs": {"a": "1", "b": "2"}}
    assert cinder.call("POST", path, {"group_specs": {"b": "3"}}) == {"group_specs": {"b": "3"}}
    assert cinder.get(path) == {"group_specs": {"a": "1", "b": "3"}}
    assert cinder.call("PUT", path + "/a", {"a": "4"}, status=200) == {"a": "4"} and cinder.get(path + "/a") == {"a": "4"}
    for body in ({"b": "4"}, {"a": "4", "b": "4"}, {}, {"a": 4}):
        cinder.call("PUT", path + "/a", body, status=400)
    cinder.call("POST", path, {"group_specs": {"k k": "1"}}, status=400)
    cinder.call("DELETE", path + "/a", status=202)
    cinder.call("DELETE", path + "/a", status=404)
    cinder.get(path + "/a", status=404)


def test_create_show_list_delete(cloud: RunningCloud, cinder: Cinder, groups: Groups, make: Make) -> None:
    client = groups.client
    made = groups.create(description="d")
    assert made["group_type"] == groups.type["id"] and made["volume_types"] == [groups.volume_type["id"]]
    assert made["replication_status"] == "disabled" and "volumes" not in made and "project_id" not in made
    assert cinder.get(f"/groups/{made['id']}")["group"]["project_id"] == cloud.connect("member").current_project_id
    old = client.get(f"/groups/{made['id']}", version="3.13")["group"]
    assert not {"source_group_id", "replication_status", "volumes"} & set(old)
    client.get(f"/groups/{made['id']}", version="3.12", status=404)
    volume = groups.volume(make, made["id"])
    assert volume["group_id"] == made["id"] and groups.members(made["id"]) == [volume["id"]]
    listed = client.get("/groups/detail?list_volume=1&sort=name:desc")["groups"]
    assert [one["volumes"] for one in listed if one["id"] == made["id"]] == [[volume["id"]]]
    assert {"id": made["id"], "name": made["name"]} in client.get(f"/groups?name={made['name']}")["groups"]
    assert Cinder(cloud, "other").get("/groups?all_tenants=1")["groups"] == []
    Cinder(cloud, "other").get(f"/groups/{made['id']}", status=404)
    client.call("DELETE", f"/volumes/{volume['id']}", status=400)
    client.call("POST", f"/groups/{made['id']}/action", {"delete": {"delete-volumes": False}}, status=400)
    client.call("POST", f"/groups/{made['id']}/action", {"delete": {"more": False}}, status=400)
    cinder.call("DELETE", f"/group_types/{groups.type['id']}", status=400)
    groups.delete(made["id"])
    client.get(f"/volumes/{volume['id']}", status=404)


def test_bad_requests(cinder: Cinder, groups: Groups, make: Make) -> None:
    client, kind, of_volumes = groups.client, groups.type["id"], [groups.volume_type["id"]]
    reserved = next(one["id"] for one in cinder.get("/group_types")["group_types"] if one["name"] == "default_cgsnapshot_type")
    for body, status in (({"group_type": kind}, 400), ({"group_type": kind, "volume_types": []}, 400),
                         ({"group_type": NOTHING, "volume_types": of_volumes}, 404),
                         ({"group_type": kind, "volume_types": ["none"]}, 404),
                         ({"group_type": kind, "volume_types": of_volumes * 2}, 400),
                         ({"group_type": reserved, "volume_types": of_volumes}, 400),
                         ({"group_type": kind, "volume_types": of_volumes, "availability_zone": "nowhere"}, 400)):
        client.call("POST", "/groups", {"group": body}, status=status)
    for values, status in (({}, 400), ({"source_group_id": NOTHING}, 404), ({"group_snapshot_id": NOTHING}, 404),
                           ({"source_group_id": NOTHING, "group_snapshot_id": NOTHING}, 400)):
        client.call("POST", "/groups/action", {"create-from-src": values}, status=status)
    empty = groups.create()["id"]
    client.call("POST", "/groups/action", {"create-from-src": {"source_group_id": empty}}, status=400)
    client.call("POST", f"/groups/{empty}/action", {"reset_status": {"status": "error"}}, status=403)
    cinder.call("POST", f"/groups/{empty}/action", {"reset_status": {"status": "nonsense"}}, status=400)
    cinder.call("POST", f"/groups/{empty}/action", {"enable_replication": {}}, status=400)
    client.call("POST", "/volumes", {"volume": {"size": 1, "group_id": NOTHING}}, status=404)
    client.call("POST", "/volumes", {"volume": {"size": 1, "group_id": empty}}, status=400)
    client.get("/consistencygroups", status=404)


def test_a_type_that_no_back_end_fits_makes_an_error(cinder: Cinder, groups: Groups) -> None:
    cinder.call("POST", f"/group_types/{groups.type['id']}/group_specs",
                {"group_specs": {"consistent_group_snapshot_enabled": "<is> True"}})
    made = groups.create("error")
    groups.delete(made["id"], volumes=False)


def test_quota(cloud: RunningCloud, groups: Groups) -> None:
    project = cloud.connect("member").current_project_id
    with cloud.cloud.database.write() as tx:
        quotas.set_limits(tx, project, {"groups": quotas.used(tx, project)["groups"]})
    groups.client.call("POST", "/groups", {"group": {"group_type": groups.type["id"],
                                                     "volume_types": [groups.volume_type["id"]]}}, status=413)
    with cloud.cloud.database.write() as tx:
        quotas.set_limits(tx, project, {"groups": -1})


def test_members_come_and_go(cinder: Cinder, groups: Groups, make: Make) -> None:
    made, client = groups.create(), groups.client
    path, one, two = f"/groups/{made['id']}", groups.volume(make, made["id"])["id"], groups.volume(make, made["id"])["id"]
    client.call("PUT", path, {"group": {"name": "renamed", "description": "new", "remove_volumes": two}}, status=202)
    shown = client.wait(made["id"], kind="groups")
    assert shown["name"] == "renamed" and shown["description"] == "new" and groups.members(made["id"]) == [one]
    other = groups.create()["id"]
    foreign = make()["id"]
    for body in ({"remove_volumes": two}, {"add_volumes": NOTHING}, {"add_volumes": foreign}, {"name": "renamed"}, {},
                 {"add_volumes": f"{two},", "remove_volumes": two}, {"add_volumes": one}, {"size": 3}):
        client.call("PUT", path, {"group": body}, status=400)
    client.call("PUT", path, {"group": {"add_volumes": f"{two},{one}"}}, status=202)
    assert groups.members(made["id"]) == [one, two]
    client.call("PUT", f"/groups/{other}", {"group": {"add_volumes": two}}, status=400)
    cinder.call("POST", f"{path}/action", {"reset_status": {"status": "error"}}, status=202)
    client.call("PUT", path, {"group": {"name": "again"}}, status=400)


def test_group_snapshots(cinder: Cinder, groups: Groups, make: Make) -> None:
    made, client = groups.create(), groups.client
    volumes = {groups.volume(make, made["id"])["id"] for _ in range(2)}
    taken = groups.snapshot(made["id"], description="d")
    assert taken["group_id"] == made["id"] and taken["group_type_id"] == groups.type["id"] and taken["status"] == "available"
    snapshots = [one for one in client.get("/snapshots/detail")["snapshots"] if one["group_snapshot_id"] == taken["id"]]
    assert {one["volume_id"] for one in snapshots} == volumes and {one["status"] for one in snapshots} == {"available"}
    client.call("DELETE", f"/snapshots/{snapshots[0]['id']}", status=400)
    cinder.call("POST", f"/snapshots/{snapshots[0]['id']}/action", {"os-force_delete": {}}, status=400)
    client.call("POST", f"/groups/{made['id']}/action", {"delete": {"delete-volumes": True}}, status=400)
    assert {"id": taken["id"], "name": "gs"} in client.get(f"/group_snapshots?group_id={made['id']}")["group_snapshots"]
    copy = groups.from_source(group_snapshot_id=taken["id"], name="copy")
    assert copy["group_snapshot_id"] == taken["id"] and len(groups.members(copy["id"])) == 2
    copied = [client.volume(id) for id in groups.members(copy["id"])]
    assert {one["snapshot_id"] for one in copied} == {one["id"] for one in snapshots}
    cinder.call("POST", f"/group_snapshots/{taken['id']}/action", {"reset_status": {"status": "creating"}}, status=202)
    client.call("DELETE", f"/group_snapshots/{taken['id']}", status=400)
    cinder.call("POST", f"/group_snapshots/{taken['id']}/action", {"reset_status": {"status": "error"}}, status=202)
    client.call("POST", "/groups/action", {"create-from-src": {"group_snapshot_id": taken["id"]}}, status=400)
    groups.drop_snapshot(taken["id"])
    assert not [one for one in client.get("/snapshots")["snapshots"] if one["volume_id"] in volumes]


def test_a_copy_of_a_group(groups: Groups, make: Make) -> None:
    made = groups.create()
    source = groups.volume(make, made["id"])
    copy = groups.from_source(source_group_id=made["id"], name="copy")
    assert copy["source_group_id"] == made["id"] and copy["volume_types"] == made["volume_types"]
    [id] = groups.members(copy["id"])
    assert groups.client.volume(id)["source_volid"] == source["id"]


def test_failures_of_members_are_the_groups(cloud: RunningCloud, cinder: Cinder, groups: Groups, make: Make,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    made = groups.create()
    groups.volume(make, made["id"])
    real = stores.of

    class Broken:
        def __init__(self, store: Any, verbs: tuple[str, ...]) -> None:
            self._store, self._verbs = store, verbs

        def __getattr__(self, name: str) -> Any:
            if name not in self._verbs:
                return getattr(self._store, name)

            def fail(*_: Any, **__: Any) -> None:
                raise HostError("broken")

            return fail

    monkeypatch.setattr(stores, "of", lambda cloud, pool: Broken(real(cloud, pool), ("snapshot", "clone")))
    taken = groups.snapshot(made["id"], "error")
    failed = groups.client.call("POST", "/groups/action", {"create-from-src": {"source_group_id": made["id"]}})["group"]
    groups.made.append(failed["id"])
    groups.client.wait(failed["id"], "error", kind="groups")
    monkeypatch.setattr(stores, "of", real)
    groups.drop_snapshot(taken["id"])
    groups.delete(failed["id"])
    monkeypatch.setattr(stores, "of", lambda cloud, pool: Broken(real(cloud, pool), ("delete",)))
    groups.client.call("POST", f"/groups/{made['id']}/action", {"delete": {"delete-volumes": True}}, status=202)
    wait_until(lambda: groups.client.get(f"/groups/{made['id']}")["group"]["status"] == "error", what="the group's error")
    monkeypatch.setattr(stores, "of", real)
    groups.delete(made["id"])
