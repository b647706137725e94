"""Services, hosts, pools, capabilities, zones, extensions, messages: what is told, and to whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from volume_world import Cinder, Make

from haneul.kernel import clock
from haneul.volume import messages
from haneul.volume.model import MessageRow
from running import RunningCloud


def service(cinder: Cinder, **options: Any) -> dict[str, Any]:
    return cinder.get("/os-services?binary=cinder-volume", **options)["services"][0]


def test_services(cinder: Cinder, member: Cinder) -> None:
    every = cinder.get("/os-services")["services"]
    assert {one["binary"] for one in every} == {"cinder-scheduler", "cinder-volume", "cinder-backup"}
    one = service(cinder)
    assert one["state"] == "up" and one["status"] == "enabled" and one["backend_state"] == "up" and one["cluster"] is None
    assert "cluster" not in service(cinder, version="3.6") and "backend_state" not in service(cinder, version="3.48")
    host = one["host"]
    assert one in cinder.get(f"/os-services?host={host.partition('@')[0]}&binary=cinder-volume")["services"]
    assert cinder.get("/os-services?host=elsewhere")["services"] == []
    member.get("/os-services", status=403)
    member.call("PUT", "/os-services/disable", {"host": host, "binary": "cinder-volume"}, status=403)


def test_a_disabled_back_end_gets_no_volumes(cinder: Cinder, make: Make) -> None:
    hosts = [one["host"] for one in cinder.get("/os-services?binary=cinder-volume")["services"]]
    try:
        for host in hosts:
            answer = cinder.call("PUT", "/os-services/disable-log-reason",
                                 {"host": host, "binary": "cinder-volume", "disabled_reason": "work"})
            assert answer == {"host": host, "service": "cinder-volume", "binary": "cinder-volume", "disabled": True,
                              "status": "disabled", "disabled_reason": "work"}
        failed = make(until=None)
        cinder.wait(failed["id"], "error")
        found = [one for one in cinder.get(f"/messages?resource_uuid={failed['id']}")["messages"]]
        assert found[0]["user_message"] == "schedule allocate volume:Could not find any available weighted backend."
        assert found[0]["event_id"] == "VOLUME_VOLUME_001_003"
        assert cinder.get("/os-availability-zone")["availabilityZoneInfo"] == [
            {"zoneName": "nova", "zoneState": {"available": False}}]
    finally:
        for host in hosts:
            answer = cinder.call("PUT", "/os-services/enable", {"host": host, "binary": "cinder-volume"})
            assert answer["disabled_reason"] is None and answer["disabled"] is False
    make()
    assert cinder.get("/os-availability-zone")["availabilityZoneInfo"][0]["zoneState"]["available"] is True


def test_freezing(cinder: Cinder) -> None:
    host = service(cinder)["host"]
    assert cinder.call("PUT", "/os-services/freeze", {"host": host}, status=200) is None
    frozen = service(cinder)
    assert frozen["frozen"] is True and frozen["status"] == "disabled"
    cinder.call("PUT", "/os-services/thaw", {"host": host}, status=200)
    assert service(cinder)["frozen"] is False and service(cinder)["status"] == "enabled"
    cinder.call("PUT", "/os-services/failover_host", {"host": host}, status=400)
    assert service(cinder)["replication_status"] == "disabled"


@pytest.mark.parametrize(("action", "body", "status"), [
    ("enable", {"host": "nowhere", "binary": "cinder-volume"}, 404), ("disable", {"host": "host-1", "binary": "none"}, 404),
    ("disable-log-reason", {"host": "host-1", "binary": "cinder-scheduler", "disabled_reason": None}, 400),
    ("freeze", {"host": "nowhere"}, 400), ("thaw", {"host": "nowhere"}, 400), ("failover_host", {"host": "nowhere"}, 400),
    ("explode", {"host": "host-1"}, 404), ("disable", {"binary": "cinder-volume"}, 400), ("set-log", {"level": "debug"}, 501)])
def test_what_cannot_be_done_to_a_service(cinder: Cinder, action: str, body: dict[str, Any], status: int) -> None:
    cinder.call("PUT", f"/os-services/{action}", body, status=status)


def test_log_levels_are_told(cinder: Cinder) -> None:
    levels = cinder.call("PUT", "/os-services/get-log", {"binary": "cinder-volume"})["log_levels"]
    assert levels == [{"binary": "cinder-volume", "host": "host-1", "levels": {"haneul": "WARNING"}}]
    every = cinder.call("PUT", "/os-services/get-log", {"binary": "", "server": "", "prefix": ""})["log_levels"]
    assert {"cinder-api", "cinder-volume", "cinder-backup"} <= {one["binary"] for one in every}
    cinder.call("PUT", "/os-services/get-log", {}, version="3.31", status=404)


def test_hosts(cinder: Cinder, make: Make) -> None:
    volume = make(size=2)
    host = cinder.volume(volume["id"])["os-vol-host-attr:host"].partition("#")[0]
    listed = {one["host_name"]: one for one in cinder.get("/os-hosts")["hosts"] if one["service"] == "cinder-volume"}
    assert listed[host]["service-status"] == "available" and listed[host]["service-state"] == "enabled"
    resources = [one["resource"] for one in cinder.get(f"/os-hosts/{host}")["host"]]
    assert resources[0]["project"] == "(total)" and int(resources[0]["total_volume_gb"]) >= 2
    assert sum(int(one["volume_count"]) for one in resources[1:]) == int(resources[0]["volume_count"])
    cinder.get("/os-hosts/nowhere", status=404)
    assert cinder.call("PUT", f"/os-hosts/{host}", {"status": "enable"}) == {"host": host, "status": "enabled"}
    cinder.call("PUT", f"/os-hosts/{host}", {"status": "burn"}, status=400)


def test_pools_and_capabilities(cinder: Cinder, member: Cinder) -> None:
    names = cinder.get("/scheduler-stats/get_pools")["pools"]
    detailed = cinder.get("/scheduler-stats/get_pools?detail=true")["pools"]
    assert [one["name"] for one in names] == [one["name"] for one in detailed] and set(names[0]) == {"name"}
    facts = detailed[0]["capabilities"]
    assert facts["vendor_name"] == "Open Source" and facts["total_capacity_gb"] > 0 and facts["backend_state"] == "up"
    assert facts["volume_backend_name"] == detailed[0]["name"].partition("#")[2]
    name = names[0]["name"]
    for host in (name.replace("#", "%23"), name.partition("#")[0]):
        told = cinder.get(f"/capabilities/{host}")
        assert {key: told[key] for key in ("vendor_name", "volume_backend_name", "storage_protocol")} == {
            key: facts[key] for key in ("vendor_name", "volume_backend_name", "storage_protocol")}
    cinder.get("/capabilities/nowhere@none", status=404)
    assert cinder.get("/scheduler-stats/get_pools?name=none")["pools"] == []
    made = cinder.call("POST", "/types", {"volume_type": {"name": "impossible", "extra_specs": {"vendor_name": "Nobody"}}})
    assert cinder.get("/scheduler-stats/get_pools?volume_type=impossible")["pools"] == []
    cinder.call("DELETE", f"/types/{made['volume_type']['id']}")
    for path in ("/scheduler-stats/get_pools", "/capabilities/x", "/os-hosts", "/clusters"):
        member.get(path, status=403)


def test_extensions_and_filters(member: Cinder, cinder: Cinder) -> None:
    listed = member.get("/extensions")["extensions"]
    assert "Hosts" in [one["name"] for one in listed]
    assert member.get("/extensions/os-hosts")["extension"] in listed
    member.get("/extensions/none", status=404)
    assert member.get("/resource_filters?resource=pool")["resource_filters"] == [
        {"resource": "pool", "filters": ["name", "volume_type"]}]
    member.get("/resource_filters", version="3.32", status=404)
    assert cinder.get("/clusters") == {"clusters": []} and cinder.get("/clusters/detail") == {"clusters": []}
    cinder.get("/clusters/none", status=404)
    assert cinder.call("POST", "/workers/cleanup", {}, status=202) == {"cleaning": [], "unavailable": []}


def test_messages(cloud: RunningCloud, member: Cinder, cinder: Cinder) -> None:
    project = cloud.connect("member").current_project_id
    with cloud.cloud.database.write() as tx:
        for action, detail in (("EXTEND_VOLUME", "DRIVER_FAILED_EXTEND"), ("SNAPSHOT_CREATE", "SNAPSHOT_CREATE_ERROR")):
            messages.record(tx, project_id=project, request_id="req-x", action=action, detail=detail,
                            resource_type=messages.VOLUME, resource_id="0e0e0e0e-0000-4000-8000-00000000000a")
    found = member.get("/messages?sort=created_at:desc&request_id=req-x")["messages"]
    assert [one["user_message"] for one in found] == ["create snapshot:Snapshot failed to create.",
                                                      "extend volume:Volume Driver failed to extend volume."]
    assert found[1]["event_id"] == "VOLUME_VOLUME_007_010" and found[1]["message_level"] == "ERROR"
    assert found[1]["guaranteed_until"] > found[1]["created_at"] and found[0]["links"][0]["href"].endswith(found[0]["id"])
    assert member.get("/messages?event_id=VOLUME_VOLUME_007_010&request_id=req-x")["messages"] == [found[1]]
    page = member.get("/messages?limit=1&request_id=req-x")
    assert member.get(page["messages_links"][0]["href"].partition("/volume/v3")[2])["messages"] == [found[1]]
    member.get("/messages?colour=blue", status=400)
    assert found[0]["id"] in [one["id"] for one in member.get("/messages", version="3.3")["messages"]]
    member.get("/messages", version="3.2", status=404)
    id = found[0]["id"]
    Cinder(cloud, "other").get(f"/messages/{id}", status=404)
    Cinder(cloud, "reader").call("DELETE", f"/messages/{id}", status=403)
    assert member.get(f"/messages/{id}")["message"] == found[0]
    member.call("DELETE", f"/messages/{id}", status=204)
    member.get(f"/messages/{id}", status=404)


def test_messages_expire(cloud: RunningCloud, member: Cinder) -> None:
    project = cloud.connect("member").current_project_id
    with cloud.cloud.database.write() as tx:
        messages.record(tx, project_id=project, request_id="req-old", action="EXTEND_VOLUME", detail="UNKNOWN_ERROR",
                        resource_type=messages.VOLUME, resource_id="0e0e0e0e-0000-4000-8000-00000000000a")
        tx.flush()
        tx.query(MessageRow).filter_by(request_id="req-old").update({"expires_at": clock.now() - timedelta(days=1)})
    assert cloud.cloud.reconcilers.run_once("volume.messages") == 1
    assert member.get("/messages?request_id=req-old")["messages"] == []
    with pytest.raises(KeyError), cloud.cloud.database.write() as tx:
        messages.record(tx, project_id=project, request_id="", action="EXPLODE", detail="UNKNOWN_ERROR",
                        resource_type=messages.VOLUME, resource_id="x")
