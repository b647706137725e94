"""Volume types, their extra specs, access lists and encryption, default types and QoS specs."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from volume_world import Cinder, Make

from haneul.volume import types
from running import RunningCloud

_numbers = itertools.count(1)
NOTHING = "0e0e0e0e-0000-4000-8000-00000000000e"


def new_type(cinder: Cinder, status: int = 200, **values: Any) -> dict[str, Any]:
    body = {"volume_type": {"name": f"type-{next(_numbers)}", **values}}
    return cinder.call("POST", "/types", body, status=status).get("volume_type", {})


@pytest.fixture
def kind(cinder: Cinder) -> dict[str, Any]:
    return new_type(cinder)


def test_a_type_lives_and_ends(cinder: Cinder, member: Cinder) -> None:
    made = new_type(cinder, name=" padded ", description="d",
                    extra_specs={"volume_backend_name": "x", "multiattach": "<is> True"})
    assert made["name"] == "padded" and made["is_public"] is True and "qos_specs_id" not in made
    shown = cinder.get(f"/types/{made['id']}")["volume_type"]
    assert shown["qos_specs_id"] is None and shown["os-volume-type-access:is_public"] is True
    theirs = member.get(f"/types/{made['id']}")["volume_type"]
    assert theirs["extra_specs"] == {"multiattach": "<is> True"} and "qos_specs_id" not in theirs
    changed = cinder.call("PUT", f"/types/{made['id']}", {"volume_type": {"name": "other", "is_public": False}})["volume_type"]
    assert changed["name"] == "other" and changed["is_public"] is False and changed["description"] == "d"
    member.get(f"/types/{made['id']}", status=404)
    again = cinder.call("PUT", f"/types/{made['id']}", {"volume_type": {"os-volume-type-access:is_public": True}})["volume_type"]
    assert again["is_public"] is True and again["name"] == "other"
    for bad in ({}, {"name": " "}, {"name": "__DEFAULT__"}, {"unknown": 1}):
        cinder.call("PUT", f"/types/{made['id']}", {"volume_type": bad}, status=409 if "__DEFAULT__" in bad.values() else 400)
    cinder.call("DELETE", f"/types/{made['id']}", status=202)
    cinder.get(f"/types/{made['id']}", status=404)
    cinder.call("DELETE", f"/types/{made['id']}", status=404)


@pytest.mark.parametrize("bad", [{"name": ""}, {"name": " "}, {"name": "x" * 256}, {"extra_specs": {"a b": "1"}}, {"more": 1},
                                 {"extra_specs": {"k": 5}}, {"extra_specs": {"multiattach": "yes"}},
                                 {"os-volume-type-access:is_public": "maybe"}, {"extra_specs": {"volume:format": "vmdk"}}])
def test_what_makes_no_type(cinder: Cinder, bad: dict[str, Any]) -> None:
    new_type(cinder, 400, **bad)


def test_names_are_unique_and_defaults_stay(cinder: Cinder, make: Make) -> None:
    name = new_type(cinder)["name"]
    new_type(cinder, 409, name=name)
    default = cinder.get("/types/default")["volume_type"]
    assert default["name"] == "__DEFAULT__"
    said = cinder.call("DELETE", f"/types/{default['id']}", status=400)["badRequest"]["message"]
    assert "is a default volume type" in said


def test_a_type_in_use_stays_as_it_is(cinder: Cinder, kind: dict[str, Any], make: Make) -> None:
    make(volume_type=kind["name"])
    path = f"/types/{kind['id']}"
    assert "in use" in cinder.call("DELETE", path, status=400)["badRequest"]["message"]
    cinder.call("POST", f"{path}/extra_specs", {"extra_specs": {"a": "b"}}, status=400)
    cinder.call("POST", f"{path}/encryption", {"encryption": {"provider": "luks", "control_location": "front-end"}}, status=400)


def test_lists_show_what_one_may_use(cinder: Cinder, member: Cinder, cloud: RunningCloud) -> None:
    public = new_type(cinder, extra_specs={"RESKEY:availability_zones": "nova", "secret": "s"})
    private = new_type(cinder, **{"os-volume-type-access:is_public": False})

    def ids(client: Cinder, query: str = "", **options: Any) -> set[str]:
        return {one["id"] for one in client.get(f"/types{query}", **options)["volume_types"]}

    assert public["id"] in ids(cinder) and private["id"] not in ids(cinder)
    assert {public["id"], private["id"]} <= ids(cinder, "?is_public=None")
    assert private["id"] in ids(cinder, "?is_public=false") and public["id"] not in ids(cinder, "?is_public=false")
    assert private["id"] not in ids(member, "?is_public=None")
    cinder.get("/types?is_public=maybe", status=400)
    assert ids(cinder, "?extra_specs={'secret':'s'}") == {public["id"]}
    assert ids(member, "?extra_specs={'secret':'s'}") == set()
    assert public["id"] in ids(member, "?extra_specs={'RESKEY:availability_zones':'nova'}")
    member.get("/types?colour=blue", status=400)
    assert public["id"] in ids(member, "?colour=blue", version="3.51")
    page = cinder.get("/types?limit=1&sort=name:asc")
    following = page["volume_type_links"][0]["href"].partition("/volume/v3")[2]
    assert cinder.get(following)["volume_types"][0]["name"] > page["volume_types"][0]["name"]
    cinder.get(f"/types?marker={NOTHING}", status=404)
    project = cloud.connect("member").current_project_id
    action = f"/types/{private['id']}/action"
    cinder.call("POST", action, {"addProjectAccess": {"project": project}}, status=202)
    cinder.call("POST", action, {"addProjectAccess": {"project": project}}, status=409)
    assert private["id"] in ids(member)
    assert cinder.get(f"/types/{private['id']}/os-volume-type-access") == {
        "volume_type_access": [{"volume_type_id": private["id"], "project_id": project}]}
    member.get(f"/types/{private['id']}/os-volume-type-access", status=403)
    cinder.call("POST", action, {"removeProjectAccess": {"project": project}}, status=202)
    cinder.call("POST", action, {"removeProjectAccess": {"project": project}}, status=404)
    assert private["id"] not in ids(member)
    cinder.call("POST", f"/types/{public['id']}/action", {"addProjectAccess": {"project": project}}, status=400)
    cinder.get(f"/types/{public['id']}/os-volume-type-access", status=404)


def test_extra_specs(cinder: Cinder, member: Cinder, kind: dict[str, Any]) -> None:
    path = f"/types/{kind['id']}/extra_specs"
    assert cinder.call("POST", path, {"extra_specs": {"a": "1", "multiattach": "<is> False"}}, status=200) == {
        "extra_specs": {"a": "1", "multiattach": "<is> False"}}
    assert cinder.call("PUT", f"{path}/a", {"a": "2"}) == {"a": "2"}
    assert cinder.get(path)["extra_specs"]["a"] == "2" and cinder.get(f"{path}/a") == {"a": "2"}
    assert member.get(path) == {"extra_specs": {"multiattach": "<is> False"}}
    member.get(f"{path}/a", status=404)
    member.call("POST", path, {"extra_specs": {"b": "1"}}, status=403)
    for bad in ({"b": "1"}, {"a": "1", "b": "1"}, None, {"a": None}):
        cinder.call("PUT", f"{path}/a", bad, status=400)
    for bad in ({"extra_specs": ["a"]}, {"extra_specs": None}, {"extra_specs": {"a/b": "1"}}):
        cinder.call("POST", path, bad, status=400)
    cinder.call("DELETE", f"{path}/a", status=202)
    cinder.call("DELETE", f"{path}/a", status=404)
    cinder.get(f"{path}/a", status=404)
    cinder.get(f"/types/{NOTHING}/extra_specs", status=404)


def test_encryption(cinder: Cinder, member: Cinder, kind: dict[str, Any], make: Make) -> None:
    path = f"/types/{kind['id']}/encryption"
    assert cinder.get(path) == {}
    given = {"provider": "luks", "cipher": "aes-xts-plain64", "key_size": 256, "control_location": "front-end"}
    made = cinder.call("POST", path, {"encryption": given}, status=200)["encryption"]
    assert made == {**given, "volume_type_id": kind["id"], "encryption_id": made["encryption_id"]}
    cinder.call("POST", path, {"encryption": given}, status=400)
    shown = cinder.get(path)
    assert shown["deleted"] is False and shown["created_at"] and shown["updated_at"] is None
    assert cinder.get(f"{path}/cipher") == {"cipher": "aes-xts-plain64"}
    cinder.get(f"{path}/nothing", status=404)
    assert cinder.call("PUT", f"{path}/{made['encryption_id']}", {"encryption": {"key_size": "128"}}) == {
        "encryption": {"key_size": 128}}
    assert cinder.get(path)["key_size"] == 128
    cinder.call("PUT", f"{path}/{NOTHING}", {"encryption": {"key_size": 1}}, status=404)
    cinder.call("PUT", f"{path}/{made['encryption_id']}", {"encryption": {}}, status=400)
    member.get(path, status=403)
    volume = make(until=None, volume_type=kind["id"], by=member)
    assert volume["encrypted"] is True
    told = member.get(f"/volumes/{volume['id']}/encryption")
    assert told["cipher"] == "aes-xts-plain64" and told["encryption_key_id"]
    assert member.http.get(f"/volume/v3/volumes/{volume['id']}/encryption/cipher").text == "aes-xts-plain64"
    Cinder(member.cloud, "other").get(f"/volumes/{volume['id']}/encryption", status=404)
    cinder.call("DELETE", f"{path}/{made['encryption_id']}", status=400)
    cinder.call("PUT", f"{path}/{made['encryption_id']}", {"encryption": {"key_size": 1}}, status=400)
    for bad in ({"provider": ""}, {"control_location": "x", "provider": "luks"}, {"key_size": -1, "provider": "luks"}, {}):
        cinder.call("POST", path, {"encryption": bad}, status=400)


def test_encryption_ends_while_nothing_uses_it(cinder: Cinder, kind: dict[str, Any]) -> None:
    path = f"/types/{kind['id']}/encryption"
    made = cinder.call("POST", path, {"encryption": {"provider": "luks", "control_location": "front-end"}})["encryption"]
    cinder.call("DELETE", f"{path}/{NOTHING}", status=404)
    cinder.call("DELETE", f"{path}/{made['encryption_id']}", status=202)
    assert cinder.get(path) == {}


def test_a_projects_own_default(cinder: Cinder, member: Cinder, kind: dict[str, Any], make: Make, cloud: RunningCloud) -> None:
    project = cloud.connect("member").current_project_id
    path = f"/default-types/{project}"
    cinder.get(path, status=404)
    assert cinder.call("PUT", path, {"default_type": {"volume_type": kind["name"]}}) == {
        "default_type": {"project_id": project, "volume_type_id": kind["id"]}}
    try:
        assert {"project_id": project, "volume_type_id": kind["id"]} in cinder.get("/default-types")["default_types"]
        assert member.get("/types/default")["volume_type"]["id"] == kind["id"]
        assert make(by=member)["volume_type"] == kind["name"]
        member.get(path, status=403)
        cinder.call("DELETE", f"/types/{kind['id']}", status=400)
    finally:
        cinder.call("DELETE", path, status=204)
    assert member.get("/types/default")["volume_type"]["name"] == "__DEFAULT__"
    cinder.call("PUT", path, {"default_type": {"volume_type": "none"}}, status=404)
    cinder.call("PUT", f"/default-types/{'0' * 32}", {"default_type": {"volume_type": kind["id"]}}, status=404)
    cinder.get("/default-types", version="3.61", status=404)


def test_qos_specs(cinder: Cinder, member: Cinder, kind: dict[str, Any]) -> None:
    name = f"qos-{next(_numbers)}"
    answer = cinder.call("POST", "/qos-specs", {"qos_specs": {"name": name, "consumer": "front-end", "read_iops_sec": "2000"}},
                         status=200)
    made = answer["qos_specs"]
    path = f"/qos-specs/{made['id']}"
    assert made == {"id": made["id"], "name": name, "consumer": "front-end", "specs": {"read_iops_sec": "2000"}}
    assert answer["links"][0]["rel"] == "self" and cinder.get(path)["qos_specs"] == made
    assert made in cinder.get("/qos-specs")["qos_specs"]
    cinder.call("POST", "/qos-specs", {"qos_specs": {"name": name}}, status=409)
    assert cinder.call("PUT", path, {"qos_specs": {"iops_bytes": "500"}}) == {"qos_specs": {"iops_bytes": "500"}}
    cinder.call("PUT", path, {"qos_specs": {"write_iops_sec": "many"}}, status=400)
    cinder.call("PUT", f"{path}/delete_keys", {"keys": ["iops_bytes"]}, status=202)
    cinder.call("PUT", f"{path}/delete_keys", {"keys": ["iops_bytes"]}, status=404)
    assert cinder.get(path)["qos_specs"]["specs"] == {"read_iops_sec": "2000"}
    assert cinder.call("GET", f"{path}/associate?vol_type_id={kind['id']}", status=202) is None
    assert cinder.get(f"{path}/associations") == {"qos_associations": [
        {"association_type": "volume_type", "name": kind["name"], "id": kind["id"]}]}
    assert cinder.get(f"/types/{kind['id']}")["volume_type"]["qos_specs_id"] == made["id"]
    other = cinder.call("POST", "/qos-specs", {"qos_specs": {"name": name + "-2"}})["qos_specs"]
    assert other["consumer"] == "back-end"
    cinder.get(f"/qos-specs/{other['id']}/associate?vol_type_id={kind['id']}", status=400)
    cinder.get(f"{path}/associate", status=400)
    cinder.get(f"{path}/associate?vol_type_id={NOTHING}", status=404)
    cinder.call("DELETE", path, status=400)
    cinder.get(f"{path}/disassociate?vol_type_id={kind['id']}", status=202)
    assert cinder.get(f"{path}/associations") == {"qos_associations": []}
    cinder.get(f"{path}/associate?vol_type_id={kind['id']}", status=202)
    cinder.get(f"{path}/disassociate_all", status=202)
    cinder.get(f"{path}/associate?vol_type_id={kind['id']}", status=202)
    cinder.call("DELETE", f"{path}?force=true", status=202)
    assert cinder.get(f"/types/{kind['id']}")["volume_type"]["qos_specs_id"] is None
    cinder.get(path, status=404)
    for bad in ({"name": ""}, {"name": "n", "consumer": "me"}, {"name": "n", "consumer": "both", "total_iops_sec": "x"}, {}):
        cinder.call("POST", "/qos-specs", {"qos_specs": bad}, status=400)
    member.get("/qos-specs", status=403)
    member.call("POST", "/qos-specs", {"qos_specs": {"name": "mine"}}, status=403)


@pytest.mark.parametrize(("consumer", "specs", "expected"), [
    ("front-end", {"total_bytes_sec": "1000", "iops_bytes": "1"}, {"total_bytes_sec": 1000}),
    ("both", {"total_iops_sec_per_gb": "30", "total_iops_sec_per_gb_min": "100"}, {"total_iops_sec": 100}),
    ("front-end", {"total_iops_sec_per_gb": "300", "total_iops_sec_max": "500"}, {"total_iops_sec": 500}),
    ("back-end", {"total_bytes_sec": "1000"}, None)])
def test_limits_of_a_guests_disk(cinder: Cinder, kind: dict[str, Any], cloud: RunningCloud, consumer: str,
                                 specs: dict[str, str], expected: dict[str, int] | None) -> None:
    made = cinder.call("POST", "/qos-specs", {"qos_specs": {
        "name": f"qos-{next(_numbers)}", "consumer": consumer, **specs}})["qos_specs"]
    cinder.get(f"/qos-specs/{made['id']}/associate?vol_type_id={kind['id']}", status=202)
    with cloud.cloud.database.read() as tx:
        found = types.limits_of(tx, kind["id"], 2)
    assert found is None if expected is None else all(
        getattr(found, name) == expected.get(name, 0) for name in found.__struct_fields__)
