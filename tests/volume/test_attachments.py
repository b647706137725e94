"""Cinder's attachments, and the actions that are older, for callers that are not our compute."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from volume_world import Cinder, Make

from haneul.kernel.context import system
from haneul.volume import attachments, rows
from running import RunningCloud

SERVER = "5e5e5e5e-0000-4000-8000-000000000001"
CONNECTOR = {"host": "elsewhere", "ip": "192.0.2.7", "initiator": "iqn.1993-08.org.debian:01:abc", "mountpoint": "/dev/vdc",
             "platform": "x86_64", "os_type": "linux2", "multipath": False}


def create(cinder: Cinder, volume: str, *, status: int = 200, version: str = "3.71", **values: Any) -> dict[str, Any]:
    answer = cinder.call("POST", "/attachments", {"attachment": {"volume_uuid": volume, **values}}, status=status,
                         version=version)
    return answer["attachment"] if "attachment" in answer else answer


def test_the_whole_life_of_an_attachment(cinder: Cinder, make: Make) -> None:
    volume = make()["id"]
    made = create(cinder, volume, instance_uuid=SERVER)
    assert made["status"] == "reserved" and made["instance"] == SERVER and made["connection_info"] == {}
    assert cinder.volume(volume)["status"] == "reserved"
    path = f"/attachments/{made['id']}"
    found = cinder.call("PUT", path, {"attachment": {"connector": CONNECTOR}})["attachment"]
    assert found["status"] == "attaching" and cinder.volume(volume)["status"] == "attaching"
    assert found["connection_info"]["driver_volume_type"] == "haneul" and found["attach_mode"] == "rw"
    cinder.call("POST", path + "/action", {"os-complete": made["id"]}, version="3.43", status=404)
    cinder.call("POST", path + "/action", {"os-complete": made["id"]}, status=204)
    shown = cinder.get(path)["attachment"]
    assert shown["status"] == "attached" and shown["attached_at"] and shown["detached_at"] == ""
    held = cinder.volume(volume)
    assert held["status"] == "in-use" and held["attachments"][0]["server_id"] == SERVER
    assert held["attachments"][0]["device"] == "/dev/vdc" and held["attachments"][0]["host_name"] == "elsewhere"
    cinder.call("DELETE", f"/volumes/{volume}", status=400)
    assert cinder.call("DELETE", path, status=200) == {"attachments": []}
    assert cinder.volume(volume)["status"] == "available"
    cinder.call("GET", path, status=404)


def test_connection_info_tells_nothing_of_the_host(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    volume = make()["id"]
    made = create(cinder, volume, instance_uuid=SERVER, connector=CONNECTOR)
    info = cinder.action(volume, "os-initialize_connection", {"connector": CONNECTOR})["connection_info"]
    for told in (str(made["connection_info"]), str(info)):
        assert volume in told and str(cloud.folder) not in told and "/" not in told and "host-1" not in told
    cinder.call("DELETE", f"/attachments/{made['id']}")


def test_lists(cinder: Cinder, member: Cinder, make: Make) -> None:
    one, two = make()["id"], make(by=member)["id"]
    mine, theirs = create(cinder, one, instance_uuid=SERVER), create(member, two)
    listed = cinder.get("/attachments")["attachments"]
    assert {"id": mine["id"], "status": "reserved", "instance": SERVER, "volume_id": one} in listed
    assert theirs["id"] not in str(listed) and mine["id"] not in str(member.get("/attachments"))
    assert theirs["id"] in str(cinder.get("/attachments/summary?all_tenants=1"))
    for query in (f"volume_id={one}", f"instance_id={SERVER}", f"volume_id={one}&status=reserved"):
        assert [each["id"] for each in cinder.get(f"/attachments/detail?{query}")["attachments"]] == [mine["id"]], query
    assert cinder.get(f"/attachments?volume_id={one}&status=attached")["attachments"] == []
    assert "attach_mode" in cinder.get("/attachments/detail")["attachments"][0]
    cinder.call("GET", "/attachments", version="3.26", status=404)
    for client, id in ((cinder, mine["id"]), (member, theirs["id"])):
        client.call("DELETE", f"/attachments/{id}")


def test_a_volume_is_one_caller_s(cinder: Cinder, member: Cinder, make: Make) -> None:
    volume = make()["id"]
    made = create(cinder, volume, instance_uuid=SERVER)
    create(cinder, volume, status=400)
    cinder.action(volume, "os-reserve", status=400)
    cinder.action(volume, "os-attach", {"instance_uuid": SERVER, "mountpoint": "/dev/vdb"}, status=400)
    create(member, volume, status=404)
    member.call("DELETE", f"/attachments/{made['id']}", status=404)
    member.call("PUT", f"/attachments/{made['id']}", {"attachment": {"connector": CONNECTOR}}, status=404)
    create(cinder, "0e0e0e0e-0000-4000-8000-00000000000e", status=404)
    create(cinder, "no-id", status=400)
    cinder.call("DELETE", f"/attachments/{made['id']}")


def test_a_read_only_volume_is_attached_read_only(cinder: Cinder, make: Make) -> None:
    volume = make()["id"]
    cinder.action(volume, "os-update_readonly_flag", {"readonly": True}, status=202)
    create(cinder, volume, mode="rw", status=400)
    create(cinder, volume, mode="ro", version="3.53", status=400)
    cinder.action(volume, "os-attach", {"instance_uuid": SERVER, "mode": "rw"}, status=400)
    made = create(cinder, volume)
    assert made["attach_mode"] == "ro"
    cinder.call("PUT", f"/attachments/{made['id']}", {"attachment": {"connector": {**CONNECTOR, "mode": "rw"}}}, status=400)
    cinder.call("DELETE", f"/attachments/{made['id']}")
    assert cinder.volume(volume)["status"] == "available"


def test_the_older_actions(cinder: Cinder, make: Make) -> None:
    volume = make()["id"]

    def status() -> str:
        return str(cinder.volume(volume)["status"])

    cinder.action(volume, "os-reserve", {}, status=202)
    assert status() == "attaching" and cinder.volume(volume)["attachments"] == []
    cinder.action(volume, "os-unreserve", {}, status=202)
    assert status() == "available"
    cinder.action(volume, "os-unreserve", {}, status=202)
    cinder.action(volume, "os-begin_detaching", {}, status=400)
    cinder.action(volume, "os-roll_detaching", {}, status=400)
    for wrong in ({"instance_uuid": SERVER, "host_name": "h"}, {"mountpoint": "/dev/vdb"}, {"instance_uuid": "x"},
                  {"instance_uuid": SERVER, "mode": "x"}):
        cinder.action(volume, "os-attach", wrong, status=400)
    cinder.action(volume, "os-reserve", {}, status=202)
    cinder.action(volume, "os-attach", {"instance_uuid": SERVER, "mountpoint": "/dev/vdb", "mode": "rw"}, status=202)
    assert status() == "in-use"
    held = cinder.volume(volume)
    assert held["attachments"][0]["device"] == "/dev/vdb" and held["metadata"]["attached_mode"] == "rw"
    cinder.action(volume, "os-begin_detaching", {}, status=202)
    assert status() == "detaching"
    cinder.action(volume, "os-roll_detaching", {}, status=202)
    assert status() == "in-use"
    cinder.action(volume, "os-terminate_connection", {"connector": CONNECTOR}, status=202)
    cinder.action(volume, "os-detach", {"attachment_id": "0e0e0e0e-0000-4000-8000-00000000000e"}, status=404)
    cinder.action(volume, "os-detach", {}, status=202)
    assert status() == "available" and "attached_mode" not in cinder.volume(volume)["metadata"]
    cinder.action(volume, "os-detach", {}, status=202)  # done already
    assert status() == "available"


def test_a_forced_detach_also_ends_an_error(cinder: Cinder, member: Cinder, make: Make) -> None:
    volume = make(by=member)["id"]
    member.action(volume, "os-attach", {"instance_uuid": SERVER, "mountpoint": "/dev/vdb"}, status=202)
    attachment = member.volume(volume)["attachments"][0]["attachment_id"]
    cinder.action(volume, "os-reset_status", {"status": "error"}, status=202)
    body = {"attachment_id": attachment, "connector": None}
    member.action(volume, "os-force_detach", body, status=403)
    cinder.action(volume, "os-force_detach", body, status=202)
    found = member.volume(volume)
    assert found["status"] == "available" and found["attachments"] == []


def test_several_may_share_a_volume_of_such_a_type(cinder: Cinder, make: Make) -> None:
    kind = cinder.call("POST", "/types", {"volume_type": {
        "name": "shared-by-callers", "extra_specs": {"multiattach": "<is> True"}}})["volume_type"]["id"]
    volume = make(volume_type=kind)["id"]
    cinder.action(volume, "os-attach", {"instance_uuid": SERVER, "mountpoint": "/dev/vdb"}, status=202)
    second = create(cinder, volume, instance_uuid=SERVER[:-1] + "2")
    assert cinder.volume(volume)["status"] == "in-use"
    cinder.call("PUT", f"/attachments/{second['id']}", {"attachment": {"connector": CONNECTOR}})
    cinder.call("POST", f"/attachments/{second['id']}/action", {"os-complete": None}, status=204)
    cinder.action(volume, "os-detach", {}, status=400)  # which one?
    left = cinder.call("DELETE", f"/attachments/{second['id']}", status=200)["attachments"]
    assert [each["instance"] for each in left] == [SERVER] and cinder.volume(volume)["status"] == "in-use"
    cinder.action(volume, "os-detach", {}, status=202)
    assert cinder.volume(volume)["status"] == "available"


def test_one_goes_while_another_comes(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    """The status is what is left at the end, not what each saw of the other."""
    kind = cinder.call("POST", "/types", {"volume_type": {
        "name": "shared-at-once", "extra_specs": {"multiattach": "<is> True"}}})["volume_type"]["id"]
    volume = make(volume_type=kind)["id"]
    going, coming = (create(cinder, volume, instance_uuid=SERVER, connector=CONNECTOR)["id"] for _ in range(2))
    cinder.call("POST", f"/attachments/{going}/action", {"os-complete": None}, status=204)

    def go() -> None:
        cinder.call("DELETE", f"/attachments/{going}", status=200)

    with ThreadPoolExecutor(1) as beside:
        with cloud.cloud.database.write() as tx:
            row = attachments.by_id(tx, coming)
            assert row is not None
            attachments.complete(tx, row)
            gone = beside.submit(go)
            wait([gone], timeout=1)
        gone.result()
    assert cinder.volume(volume)["status"] == "in-use"
    cinder.call("DELETE", f"/attachments/{coming}", status=200)
    assert cinder.volume(volume)["status"] == "available"


# ---------------------------------------------------------------- the rules themselves


def test_a_shared_volume_that_a_server_lets_go_of_is_detaching_until_it_did(cloud: RunningCloud, cinder: Cinder,
                                                                             make: Make) -> None:
    """It said in-use all the while: who waited for that took the detaching for done."""
    kind = cinder.call("POST", "/types", {"volume_type": {
        "name": "shared-and-let-go", "extra_specs": {"multiattach": "<is> True"}}})["volume_type"]["id"]
    volume = make(volume_type=kind)["id"]
    going, staying = (create(cinder, volume, instance_uuid=SERVER[:-1] + end, connector=CONNECTOR)["id"] for end in "12")
    for each in (going, staying):
        cinder.call("POST", f"/attachments/{each}/action", {"os-complete": None}, status=204)
    with cloud.cloud.database.write() as tx:
        row = attachments.by_id(tx, going)
        assert row is not None
        attachments.begin_detach(tx, row)
    assert cinder.volume(volume)["status"] == "detaching"
    third = create(cinder, volume, instance_uuid=SERVER[:-1] + "3")["id"]  # others may share it meanwhile
    cinder.call("DELETE", f"/attachments/{third}", status=200)
    cinder.call("DELETE", f"/attachments/{going}", status=200)
    assert cinder.volume(volume)["status"] == "in-use"
    cinder.call("DELETE", f"/attachments/{staying}", status=200)
    assert cinder.volume(volume)["status"] == "available"


def test_a_busy_volume_goes_back_to_what_its_attachments_say(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    """A server lets go while something else works on its volume."""
    volume = make()["id"]
    with cloud.cloud.database.write() as tx:
        row = rows.by_id(tx, volume)
        assert row is not None
        held = attachments.reserve(tx, row, context=system(), server_id=SERVER)
        attachments.attaching(tx, held, "host-1", "/dev/vdb")
        attachments.complete(tx, held)
        row.previous_status, row.status = row.status, "retyping"
        assert row.previous_status == "in-use"
        attachments.release(tx, held)
        assert (row.status, row.previous_status, attachments.status_of(tx, volume)) == ("retyping", "available", "available")
        row.status = "available"


@pytest.mark.parametrize(("migration", "status"), [("migrating", "available"), (None, "extending"), (None, "awaiting-transfer"),
                                                   (None, "error"), (None, "creating"), (None, "deleting")])
def test_what_is_busy_is_not_reserved(cloud: RunningCloud, cinder: Cinder, make: Make, migration: str | None,
                                      status: str) -> None:
    volume = make()["id"]
    with cloud.cloud.database.write() as tx:
        row = rows.by_id(tx, volume)
        assert row is not None
        row.migration_status, row.status = migration, status
    create(cinder, volume, status=400)
    with cloud.cloud.database.write() as tx:
        row = rows.by_id(tx, volume)
        assert row is not None
        row.migration_status, row.status = None, "available"
