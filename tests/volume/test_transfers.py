"""Volumes that change hands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from volume_world import Cinder, Make

from haneul.volume.model import TransferRow
from running import RunningCloud

OLD, NEW = "/os-volume-transfer", "/volume-transfers"


@pytest.fixture
def other(cinder: Cinder, cloud: RunningCloud) -> Iterator[Cinder]:
    yield Cinder(cloud, "other")
    cinder.call("DELETE", f"/os-quota-sets/{cloud.connect('other').current_project_id}", status=200)


@pytest.mark.parametrize("path", [OLD, NEW])
def test_a_volume_changes_hands(cinder: Cinder, member: Cinder, other: Cinder, make: Make, cloud: RunningCloud, path: str
                                ) -> None:
    volume = make(by=member)
    made = member.call("POST", path, {"transfer": {"volume_id": volume["id"], "name": "gift"}}, status=202)["transfer"]
    assert made["accepted"] is False and made["no_snapshots"] is False and made["destination_project_id"] is None
    assert member.volume(volume["id"])["status"] == "awaiting-transfer"
    id = made["id"]
    shown = member.get(f"{path}/{id}")["transfer"]
    assert shown == {key: value for key, value in made.items() if key != "auth_key"}
    assert set(member.get(f"{path}/{id}", version="3.56" if path == NEW else "3.0")["transfer"]) == {
        "id", "volume_id", "name", "links", "created_at"} | ({"no_snapshots"} if path == NEW else set())
    assert shown in member.get(f"{path}/detail")["transfers"]
    assert set(member.get(path)["transfers"][0]) == {"id", "volume_id", "name", "links"}
    assert other.get(path)["transfers"] == [] and other.get(f"{path}/{id}", status=404)
    assert id in [one["id"] for one in cinder.get(f"{path}?all_tenants=1")["transfers"]]
    with cloud.cloud.database.read() as tx:
        assert made["auth_key"] not in str(tx.get(TransferRow, id).__dict__)
    accept = f"{path}/{id}/accept"
    said = other.call("POST", accept, {"accept": {"auth_key": "0" * 16}}, status=400)["badRequest"]["message"]
    assert "invalid auth key" in said
    other.call("POST", f"{path}/{volume['id']}/accept", {"accept": {"auth_key": made["auth_key"]}}, status=404)
    member.call("DELETE", f"/volumes/{volume['id']}", status=400)
    taken = other.call("POST", accept, {"accept": {"auth_key": made["auth_key"]}}, status=202)["transfer"]
    assert taken["id"] == id and set(taken) == {"id", "volume_id", "name", "links"}
    mine = other.volume(volume["id"])
    assert mine["status"] == "available" and mine["os-vol-tenant-attr:tenant_id"] == cloud.connect("other").current_project_id
    assert mine["user_id"] == cloud.connect("other").current_user_id
    member.get(f"/volumes/{volume['id']}", status=404)
    other.call("POST", accept, {"accept": {"auth_key": made["auth_key"]}}, status=404)
    member.get(f"{path}/{id}", status=404)


def test_an_offer_is_withdrawn(member: Cinder, other: Cinder, make: Make, cloud: RunningCloud) -> None:
    volume = make(by=member)
    made = member.call("POST", NEW, {"transfer": {"volume_id": volume["id"]}})["transfer"]
    other.call("DELETE", f"{NEW}/{made['id']}", status=404)
    Cinder(cloud, "reader").call("DELETE", f"{NEW}/{made['id']}", status=403)
    Cinder(cloud, "reader").call("POST", f"{NEW}/{made['id']}/accept", {"accept": {"auth_key": made["auth_key"]}}, status=403)
    member.call("POST", NEW, {"transfer": {"volume_id": volume["id"]}}, status=400)
    member.call("DELETE", f"{NEW}/{made['id']}", status=202)
    assert member.volume(volume["id"])["status"] == "available"
    other.call("POST", f"{NEW}/{made['id']}/accept", {"accept": {"auth_key": made["auth_key"]}}, status=404)


@pytest.mark.parametrize("stay", [False, True])
def test_snapshots_go_along_unless_they_stay(member: Cinder, other: Cinder, make: Make, stay: bool) -> None:
    volume = make(by=member)
    snapshot = member.call("POST", "/snapshots", {"snapshot": {"volume_id": volume["id"]}}, status=202)["snapshot"]
    member.wait(snapshot["id"], kind="snapshots")
    made = member.call("POST", NEW, {"transfer": {"volume_id": volume["id"], "no_snapshots": stay}})["transfer"]
    other.call("POST", f"{NEW}/{made['id']}/accept", {"accept": {"auth_key": made["auth_key"]}}, status=202)
    (member if stay else other).get(f"/snapshots/{snapshot['id']}", status=200)
    (other if stay else member).get(f"/snapshots/{snapshot['id']}", status=404)
    (member if stay else other).call("DELETE", f"/snapshots/{snapshot['id']}", status=202)
    (member if stay else other).wait_gone(snapshot["id"], kind="snapshots")


def test_nobody_goes_back_to_what_an_earlier_owner_kept(member: Cinder, other: Cinder, make: Make) -> None:
    volume = make(by=member)
    kept = member.call("POST", "/snapshots", {"snapshot": {"volume_id": volume["id"]}}, status=202)["snapshot"]["id"]
    member.wait(kept, kind="snapshots")
    offer = member.call("POST", NEW, {"transfer": {"volume_id": volume["id"], "no_snapshots": True}})["transfer"]
    other.call("POST", f"{NEW}/{offer['id']}/accept", {"accept": {"auth_key": offer["auth_key"]}}, status=202)
    answer = other.http.post(f"/volume/v3/volumes/{volume['id']}/action", json={"revert": {"snapshot_id": kept}})
    assert answer.status_code == 400 and "not the latest one" in answer.text
    member.call("DELETE", f"/snapshots/{kept}", status=202)
    member.wait_gone(kept, kind="snapshots")


def test_backups_do_not_go_along_and_nothing_stands_on_them(member: Cinder, other: Cinder, make: Make) -> None:
    """The earlier owner could not delete them any more, and the new one could not see what they stand on."""
    volume = make(by=member)
    whole = member.call("POST", "/backups", {"backup": {"volume_id": volume["id"]}}, status=202)["backup"]["id"]
    member.wait(whole, kind="backups")
    offer = member.call("POST", NEW, {"transfer": {"volume_id": volume["id"]}})["transfer"]
    other.call("POST", f"{NEW}/{offer['id']}/accept", {"accept": {"auth_key": offer["auth_key"]}}, status=202)
    other.get(f"/backups/{whole}", status=404)
    answer = other.http.post("/volume/v3/backups", json={"backup": {"volume_id": volume["id"], "incremental": True}})
    assert answer.status_code == 400 and "No backups available to do an incremental backup." in answer.text
    member.call("DELETE", f"/backups/{whole}", status=202)
    member.wait_gone(whole, kind="backups")


def test_the_receiver_has_a_quota(cinder: Cinder, member: Cinder, other: Cinder, make: Make, cloud: RunningCloud) -> None:
    volume = make(by=member)
    made = member.call("POST", NEW, {"transfer": {"volume_id": volume["id"]}})["transfer"]
    project = cloud.connect("other").current_project_id
    accept = f"{NEW}/{made['id']}/accept"
    for limits in ({"volumes": 0, "gigabytes": -1}, {"volumes": -1, "gigabytes": 0}):
        cinder.call("PUT", f"/os-quota-sets/{project}", {"quota_set": limits})
        other.call("POST", accept, {"accept": {"auth_key": made["auth_key"]}}, status=413)
    assert member.volume(volume["id"])["status"] == "awaiting-transfer"
    cinder.call("PUT", f"/os-quota-sets/{project}", {"quota_set": {"volumes": 1, "gigabytes": 1}})
    other.call("POST", accept, {"accept": {"auth_key": made["auth_key"]}}, status=202)


def test_what_is_not_offered(cinder: Cinder, member: Cinder, other: Cinder, make: Make) -> None:
    volume = make(by=member)
    other.call("POST", NEW, {"transfer": {"volume_id": volume["id"]}}, status=404)
    member.call("POST", NEW, {"transfer": {"volume_id": "x"}}, status=400)
    member.call("POST", NEW, {"transfer": {}}, status=400)
    member.call("POST", OLD, {"transfer": {"volume_id": volume["id"], "no_snapshots": True}}, version="3.54", status=400)
    member.call("POST", NEW, {"transfer": {"volume_id": volume["id"]}}, version="3.54", status=404)
    cinder.call("POST", f"/volumes/{volume['id']}/action", {"os-reset_status": {"status": "error"}}, status=202)
    said = member.call("POST", NEW, {"transfer": {"volume_id": volume["id"]}}, status=400)["badRequest"]["message"]
    assert said == "Invalid volume: status must be available"


def test_encrypted_volumes_go_since_3_70(cinder: Cinder, member: Cinder, make: Make) -> None:
    kind = cinder.call("POST", "/types", {"volume_type": {"name": "luks-to-go"}})["volume_type"]
    cinder.call("POST", f"/types/{kind['id']}/encryption", {"encryption": {"provider": "luks"}})
    volume = make(by=member, volume_type=kind["id"])
    body = {"transfer": {"volume_id": volume["id"]}}
    said = member.call("POST", NEW, body, version="3.69", status=400)["badRequest"]["message"]
    assert said == "Invalid volume: transferring encrypted volume is not supported"
    made = member.call("POST", NEW, body, status=202)["transfer"]
    member.call("DELETE", f"{NEW}/{made['id']}", status=202)
