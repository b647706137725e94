"""What 2.78 and later brought: topology, caches, checked extra specs, strict queries, pins; and project ids in paths."""

from __future__ import annotations

import base64
import hashlib
import secrets

import pytest
from compute_world import Boot, Nova

from haneul.compute.guests import Guest
from haneul.compute.tasks import machine
from haneul.host.contract import CpuLimits
from haneul.host.storage import DiskLimits
from running import RunningCloud, wait_until


def test_a_projects_id_in_the_path_is_the_callers_or_nothing(cloud: RunningCloud, nova: Nova) -> None:
    project = cloud.connect("admin").current_project_id
    assert "servers" in nova.get(f"/{project}/servers", version="2.1") and "servers" in nova.get(f"/{project}/servers")
    nova.get(f"/{'0' * 32}/servers", status=400)


def test_unknown_query_keys_are_refused_everywhere_since_2_102(nova: Nova, boot: Boot) -> None:
    server = boot()["id"]
    for path in (f"/servers/{server}", "/os-aggregates", f"/servers/{server}/metadata", "/os-availability-zone", "/extensions",
                 f"/servers/{server}/os-interface", "/flavors/42"):
        nova.get(path + "?nonsense=1", version="2.101", status=200)
        assert "nonsense" in nova.get(path + "?nonsense=1", version="2.102", status=400)["badRequest"]["message"]
    nova.get("/os-migrations?nonsense=1", version="2.58", status=200)
    nova.get("/os-migrations?nonsense=1", version="2.59", status=400)
    nova.get("/os-hypervisors?with_servers=true", version="2.102", status=200)
    nova.get(f"/servers/{server}/os-instance-actions?changes-before=2030-01-01T00:00:00Z", version="2.65", status=400)


def test_flavors_lose_what_nobody_used_and_are_found_by_name(nova: Nova) -> None:
    name = f"flavor-{secrets.token_hex(4)}"
    body = {"flavor": {"name": name, "ram": 64, "vcpus": 1, "disk": 1}}
    nova.call("POST", "/flavors", {"flavor": {**body["flavor"], "rxtx_factor": 2.0}}, version="2.102", status=400)
    made = nova.call("POST", "/flavors", body, version="2.102", status=200)["flavor"]
    assert {"rxtx_factor", "OS-FLV-DISABLED:disabled"}.isdisjoint(made)
    found = nova.get(f"/flavors/detail?name={name}", version="2.102")["flavors"]
    assert [row["id"] for row in found] == [made["id"]] and "rxtx_factor" not in found[0]
    assert nova.get(f"/flavors/{made['id']}", version="2.101")["flavor"]["rxtx_factor"] == 1.0
    nova.get(f"/flavors?name={name}", version="2.101", status=400)
    nova.get("/flavors?sort_key=rxtx_factor", version="2.102", status=400)
    nova.call("DELETE", f"/flavors/{made['id']}", status=202)


def test_volumes_boot_is_gone_at_2_103(nova: Nova) -> None:
    nova.call("POST", "/os-volumes_boot", {"server": {}}, version="2.102", status=400)
    nova.call("POST", "/os-volumes_boot", {"server": {}}, version="2.103", status=404)


def test_a_server_is_pinned_to_the_zone_it_is_in(nova: Nova, boot: Boot) -> None:
    server = boot(availability_zone="nova")["id"]
    path, body = f"/servers/{server}", lambda zone: {"server": {"pinned_availability_zone": zone}}
    nova.call("PUT", path, body(None), version="2.103", status=400)
    nova.call("PUT", path, body("elsewhere"), version="2.104", status=409)
    assert nova.call("PUT", path, body("nova"), version="2.104", status=200)["server"]["pinned_availability_zone"] == "nova"
    assert nova.call("PUT", path, body(None), version="2.104", status=200)["server"]["pinned_availability_zone"] is None
    nova.call("PUT", path, body("elsewhere"), version="2.104", status=409)
    assert nova.call("PUT", path, body("nova"), version="2.104", status=200)["server"]["pinned_availability_zone"] == "nova"


def test_topology_is_that_of_a_server_without_numa(nova: Nova, boot: Boot) -> None:
    server = boot()["id"]
    assert nova.get(f"/servers/{server}/topology") == {"nodes": [], "pagesize_kb": None}
    nova.get(f"/servers/{server}/topology", version="2.77", status=404)


@pytest.mark.parametrize("name, value, fine", [
    ("hw:cpu_policy", "dedicated", True), ("hw:cpu_policy", "sharrred", False), ("hw:numa_nodes", "two", False),
    ("hw:numa_nodes", "0", False), ("hw:numa_cpus.1", "0-3", True), ("hw:watchdog_acton", "none", False),
    ("hw:cpu_realtime", "maybe", False), ("hw:redirected_usb_ports", "16", False), ("own:anything", "goes", True),
    ("trait:CUSTOM_A", "required", True), ("trait1:HW_CPU_X86_AVX", "wanted", False), ("resources:VCPU", "2", True),
    ("resources:VCPUS", "2", False), ("hw:pmem", "a" * 200 + "!", False),
    ("hw:cpu_dedicated_mask", "1" + ",1-1" * 60 + "x", False),
    ("hw:cpu_realtime_mask", "^0-1,3", True), ("quota:disk_read_bytes_sec", "1000", True), ("plain", "x", True)])
def test_extra_specs_are_checked_since_2_86(nova: Nova, name: str, value: str, fine: bool) -> None:
    body = {"extra_specs": {name: value}}
    flavor = nova.call("POST", "/flavors", {"flavor": {"name": f"specs-{secrets.token_hex(4)}", "ram": 64, "vcpus": 1,
                                                       "disk": 1}})["flavor"]["id"]
    nova.call("POST", f"/flavors/{flavor}/os-extra_specs", body, version="2.86", status=200 if fine else 400)
    nova.call("PUT", f"/flavors/{flavor}/os-extra_specs/{name}", {name: value}, version="2.86", status=200 if fine else 400)
    nova.call("POST", f"/flavors/{flavor}/os-extra_specs", body, version="2.85", status=200)
    nova.call("DELETE", f"/flavors/{flavor}", status=202)


def test_an_aggregates_hosts_fetch_images_ahead(cloud: RunningCloud, nova: Nova) -> None:
    image = cloud.connect("admin").image.create_image(name="ahead", disk_format="raw", container_format="bare", data=b"ahead",
                                                      wait=True).id
    aggregate = nova.call("POST", "/os-aggregates", {"aggregate": {"name": f"ahead-{secrets.token_hex(4)}"}})["aggregate"]["id"]
    nova.call("POST", f"/os-aggregates/{aggregate}/action", {"add_host": {"host": "host-1"}})
    path = f"/os-aggregates/{aggregate}/images"
    nova.call("POST", path, {"cache": [{"id": image}]}, version="2.80", status=404)
    nova.call("POST", path, {"cache": [{"id": image}, {"id": image}]}, status=400)
    nova.call("POST", path, {"cache": []}, status=400)
    nova.call("POST", path, {"cache": [{"id": image}]}, status=202)
    from haneul.fleet.agents import Agents
    wait_until(lambda: cloud.cloud.get(Agents).of("host-1").disks.has_image(image), 10, "the image on its host")
    nova.call("POST", f"/os-aggregates/{aggregate}/action", {"remove_host": {"host": "host-1"}})
    nova.call("DELETE", f"/os-aggregates/{aggregate}", status=200)


def test_moves_are_refused_for_novas_reasons(nova: Nova, boot: Boot) -> None:
    server = boot()
    id, host = server["id"], server["OS-EXT-SRV-ATTR:host"]
    live = {"block_migration": "auto", "host": None}
    nova.action(id, "os-migrateLive", {**live, "host": "nowhere"}, status=400)
    nova.action(id, "os-migrateLive", {**live, "host": host}, status=400)
    nova.action(id, "os-migrateLive", {**live, "force": True}, version="2.30", status=400)
    nova.action(id, "os-migrateLive", {**live, "disk_over_commit": False}, version="2.25", status=400)
    nova.action(id, "migrate", {"host": host}, version="2.56", status=400)
    nova.action(id, "evacuate", {"host": "nowhere"}, status=404)
    assert "still in use" in nova.action(id, "evacuate", {}, status=400)["badRequest"]["message"]
    nova.action(id, "suspend")
    nova.wait(id, "SUSPENDED")
    nova.action(id, "migrate", None, status=409)
    nova.action(id, "os-migrateLive", live, status=409)


def test_the_control_process_is_a_conductor_and_a_scheduler(nova: Nova) -> None:
    found = nova.get("/os-services")["services"]
    control = [service for service in found if service["zone"] == "internal"]
    assert {service["binary"] for service in control} == {"nova-conductor", "nova-scheduler"}
    assert nova.get("/os-services?binary=nova-scheduler")["services"][0]["host"] == control[0]["host"]
    zones = {zone["zoneName"]: zone["hosts"] for zone in nova.get("/os-availability-zone/detail")["availabilityZoneInfo"]}
    assert set(zones["internal"][control[0]["host"]]) == {"nova-conductor", "nova-scheduler"}
    assert "internal" not in {zone["zoneName"] for zone in nova.get("/os-availability-zone")["availabilityZoneInfo"]}
    nova.call("PUT", f"/os-services/{control[0]['id']}", {"status": "disabled"}, status=400)
    assert {"scheduler", "conductor", "compute"} == {row["service"] for row in nova.get("/os-hosts", version="2.42")["hosts"]}


def test_diagnostics_are_what_the_host_measures(nova: Nova, boot: Boot) -> None:
    server = boot()["id"]
    found = nova.get(f"/servers/{server}/diagnostics", version="2.48")
    assert (found["state"], found["num_cpus"], found["num_nics"], found["num_disks"]) == ("running", 1, 1, 1)
    assert found["cpu_details"] == [{"id": 0, "time": 0, "utilisation": None}] and found["disk_details"][0]["read_bytes"] == 0
    assert found["nic_details"][0]["mac_address"] and found["memory_details"]["maximum"] == 128
    old = nova.get(f"/servers/{server}/diagnostics", version="2.47")
    assert old["cpu0_time"] == 0 and old["vda_read_req"] == 0 and old["memory"] == 128 << 10
    nova.action(server, "os-stop")
    nova.wait(server, "SHUTOFF")
    assert nova.get(f"/servers/{server}/diagnostics", version="2.48")["state"] == "shutdown"


def test_a_screens_page_runs_its_own_script_and_nothing_else(nova: Nova, boot: Boot) -> None:
    made = nova.call("POST", f"/servers/{boot()['id']}/remote-consoles", {
        "remote_console": {"protocol": "vnc", "type": "novnc"}})["remote_console"]
    page = nova.http.get(made["url"])
    script = page.text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = page.headers["content-security-policy"]
    assert f"script-src 'sha256-{digest}'" in policy and "unsafe" not in policy and "connect-src 'self'" in policy
    assert "RFB 003.008" in script and page.text.count("<script") == 1


def test_a_flavors_quotas_reach_the_disks_and_the_processor() -> None:
    specs = {"quota:disk_read_bytes_sec": "1000", "quota:disk_total_iops_sec": "many", "quota:cpu_quota": "-1",
             "quota:cpu_shares": "2048"}
    guest = Guest(id="a", name="a", hostname="a", project_id="p", user_id="u", image={"properties": {}},
                  flavor={"vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 1, "swap": 0, "extra_specs": specs})
    made = machine.spec(guest, [], [])
    assert [(disk.name, disk.limits) for disk in made.disks] == [
        (name, DiskLimits(read_bytes_sec=1000)) for name in ("root", "ephemeral0")]
    assert made.cpu == CpuLimits(shares=2048, quota=-1)


def test_a_crash_dump_is_an_interrupt_to_the_guest(nova: Nova, boot: Boot) -> None:
    server = boot()["id"]
    nova.action(server, "trigger_crash_dump", version="2.16", status=400)
    nova.action(server, "trigger_crash_dump", version="2.17", status=202)
    path = f"/servers/{server}/os-instance-actions"
    (made,) = [each for each in nova.get(path)["instanceActions"] if each["action"] == "trigger_crash_dump"]
    wait_until(lambda: [event["result"] for event in nova.get(f"{path}/{made['request_id']}")["instanceAction"]["events"]] == [
        "Success"], 10, "the interrupt")
    nova.action(server, "os-stop")
    nova.wait(server, "SHUTOFF")
    nova.action(server, "trigger_crash_dump", version="2.17", status=409)
