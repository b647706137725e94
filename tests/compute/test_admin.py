"""Flavors, key pairs, hosts, zones, aggregates, usage: what stands around servers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from compute_world import Boot, Nova

from running import RunningCloud


def test_flavors(nova: Nova, cloud: RunningCloud) -> None:
    made = nova.call("POST", "/flavors", {"flavor": {"name": "f1", "id": "f-1", "ram": "64", "vcpus": 1, "disk": 1, "swap": 16,
                                                     "description": "d", "os-flavor-access:is_public": False}})["flavor"]
    assert made["ram"] == 64 and made["extra_specs"] == {} and made["description"] == "d"
    assert nova.get("/flavors/f-1", version="2.1")["flavor"]["swap"] == 16
    assert nova.call("POST", "/flavors", {"flavor": {"name": "f1", "ram": 1, "vcpus": 1, "disk": 1}}, status=409)
    for bad in ({"ram": 0}, {"vcpus": -1}, {"disk": "x"}, {"name": ""}, {"rxtx_factor": 0}):
        assert nova.call("POST", "/flavors", {"flavor": {"name": "f2", "ram": 1, "vcpus": 1, "disk": 1, **bad}}, status=400)
    member = Nova(cloud, "member")
    member.get("/flavors/f-1", status=404)
    project = cloud.connect("member").current_project_id
    access = nova.call("POST", "/flavors/f-1/action", {"addTenantAccess": {"tenant": project}})["flavor_access"]
    assert {"flavor_id": "f-1", "tenant_id": project} in access
    assert member.get("/flavors/f-1")["flavor"]["name"] == "f1"
    assert nova.call("POST", "/flavors/f-1/action", {"addTenantAccess": {"tenant": project}}, status=409)
    nova.call("POST", "/flavors/f-1/action", {"removeTenantAccess": {"tenant": project}})
    member.get("/flavors/f-1", status=404)
    nova.call("POST", "/flavors/f-1/os-extra_specs", {"extra_specs": {"hw:cpu_policy": "shared"}})
    assert nova.call("PUT", "/flavors/f-1/os-extra_specs/n", {"n": 1}) == {"n": "1"}
    assert nova.get("/flavors/f-1/os-extra_specs") == {"extra_specs": {"hw:cpu_policy": "shared", "n": "1"}}
    nova.call("DELETE", "/flavors/f-1/os-extra_specs/n", status=200)
    nova.get("/flavors/f-1/os-extra_specs/n", status=404)
    member.call("DELETE", "/flavors/f-1", status=403)
    nova.call("DELETE", "/flavors/f-1", status=202)
    nova.get("/flavors/f-1", status=404)


def test_flavor_lists(nova: Nova) -> None:
    names = [flavor["name"] for flavor in nova.get("/flavors?sort_key=memory_mb&sort_dir=desc&limit=2")["flavors"]]
    assert names == ["m1.large", "m1.medium"]
    assert nova.get("/flavors?minRam=8192")["flavors"][0]["name"] == "m1.large"
    assert nova.get("/flavors?minRam=x", status=400) and nova.get("/flavors?marker=none", status=400)
    page = nova.get("/flavors/detail?limit=1")
    following = nova.get(page["flavors_links"][0]["href"].partition("/compute/v2.1")[2])
    assert following["flavors"][0]["id"] != page["flavors"][0]["id"]


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_keys_are_imported_with_ssh_keygens_fingerprint(nova: Nova, tmp_path: Path, kind: str) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    key = {"rsa": lambda: rsa.generate_private_key(65537, 2048), "ecdsa": lambda: ec.generate_private_key(ec.SECP384R1()),
           "ed25519": ed25519.Ed25519PrivateKey.generate}[kind]()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    made = nova.call("POST", "/os-keypairs", {"keypair": {"name": f"k-{kind}", "public_key": public + " me@here"}},
                     status=201)["keypair"]
    assert set(made) == {"name", "public_key", "fingerprint", "type", "user_id"}
    (tmp_path / "key.pub").write_text(public)
    try:
        told = subprocess.run(["ssh-keygen", "-l", "-E", "md5", "-f", tmp_path / "key.pub"], capture_output=True, text=True)
        assert made["fingerprint"] in told.stdout
    except FileNotFoundError:
        assert len(made["fingerprint"].split(":")) == 16
    assert nova.call("POST", "/os-keypairs", {"keypair": {"name": f"k-{kind}", "public_key": public}}, status=409)
    nova.call("DELETE", f"/os-keypairs/k-{kind}", status=204)
    nova.get(f"/os-keypairs/k-{kind}", status=404)


def test_keys_are_made_only_before_2_92(nova: Nova) -> None:
    nova.call("POST", "/os-keypairs", {"keypair": {"name": "gen"}}, status=400)
    made = nova.call("POST", "/os-keypairs", {"keypair": {"name": "gen"}}, version="2.1", status=200)["keypair"]
    assert made["private_key"].startswith("-----BEGIN RSA PRIVATE KEY-----") and "type" not in made
    nova.call("POST", "/os-keypairs", {"keypair": {"name": "bad", "public_key": "nonsense"}}, status=400)
    nova.call("POST", "/os-keypairs", {"keypair": {"name": "b@d"}}, version="2.91", status=400)
    nova.call("DELETE", "/os-keypairs/gen", version="2.1", status=202)


def test_hypervisors_and_services(nova: Nova, boot: Boot) -> None:
    server = boot()
    old = nova.get("/os-hypervisors/detail", version="2.1")["hypervisors"][0]
    assert old["id"] == 1 and old["vcpus_used"] >= 1 and old["running_vms"] >= 1 and isinstance(old["cpu_info"], str)
    new = nova.get("/os-hypervisors/detail?with_servers=true")["hypervisors"][0]
    assert "vcpus" not in new and server["id"] in {item["uuid"] for item in new["servers"]}
    assert nova.get(f"/os-hypervisors/{new['id']}")["hypervisor"]["hypervisor_hostname"] == "host-1"
    assert nova.get("/os-hypervisors/1", status=400) and nova.get("/os-hypervisors/99", status=404, version="2.1")
    assert nova.get("/os-hypervisors/statistics", version="2.87")["hypervisor_statistics"]["count"] == 1
    service = nova.get("/os-services?binary=nova-compute")["services"][0]
    shown = nova.call("PUT", f"/os-services/{service['id']}", {"status": "disabled", "disabled_reason": "work"})["service"]
    assert shown["status"] == "disabled" and shown["disabled_reason"] == "work"
    refused = boot(until="ERROR")
    assert "the host is disabled" in refused["fault"]["message"]
    nova.call("PUT", f"/os-services/{service['id']}", {"status": "enabled"})
    nova.call("DELETE", f"/os-services/{service['id']}", status=409)


def test_an_aggregate_names_a_zone(nova: Nova, boot: Boot) -> None:
    body = {"aggregate": {"name": "rack", "availability_zone": "east"}}
    made = nova.call("POST", "/os-aggregates", body)["aggregate"]
    id = made["id"]
    assert "hosts" not in made and nova.call("POST", "/os-aggregates", body, status=409)
    nova.call("POST", f"/os-aggregates/{id}/action", {"add_host": {"host": "nowhere"}}, status=404)
    nova.call("POST", f"/os-aggregates/{id}/action", {"add_host": {"host": "host-1"}})
    assert [zone["zoneName"] for zone in nova.get("/os-availability-zone")["availabilityZoneInfo"]] == ["east"]
    assert boot(availability_zone="east")["OS-EXT-AZ:availability_zone"] == "east"
    nova.call("DELETE", f"/os-aggregates/{id}", status=400)
    for server in nova.get("/servers?all_tenants=1")["servers"]:
        nova.call("DELETE", f"/servers/{server['id']}")
        nova.wait_gone(server["id"])
    nova.call("POST", f"/os-aggregates/{id}/action", {"remove_host": {"host": "host-1"}})
    nova.call("DELETE", f"/os-aggregates/{id}", status=200)


def test_quota_class_and_usage(nova: Nova, boot: Boot, cloud: RunningCloud) -> None:
    nova.call("PUT", "/os-quota-class-sets/default", {"quota_class_set": {"key_pairs": 77}})
    project = cloud.connect("member").current_project_id
    assert nova.get(f"/os-quota-sets/{project}/defaults")["quota_set"]["key_pairs"] == 77
    nova.call("PUT", "/os-quota-class-sets/default", {"quota_class_set": {"key_pairs": 100}})
    nova.get("/os-quota-sets/nonsense", status=400)
    id = boot()["id"]
    own = cloud.connect("admin").current_project_id
    usage = nova.get(f"/os-simple-tenant-usage/{own}?start=2020-01-01T00:00:00&end=2099-01-01T00:00:00")["tenant_usage"]
    assert id in {row["instance_id"] for row in usage["server_usages"]} and usage["total_hours"] > 0


def test_microversions_are_negotiated(nova: Nova) -> None:
    answer = nova.http.get("/compute/v2.1/flavors", headers={"OpenStack-API-Version": "compute 2.105"})
    assert answer.status_code == 406
    answer = nova.http.get("/compute/v2.1/flavors", headers={"OpenStack-API-Version": "", "X-OpenStack-Nova-API-Version": "2.61"})
    assert answer.headers["x-openstack-nova-api-version"] == "2.61" and answer.headers["x-compute-request-id"].startswith("req-")


def test_the_status_of_the_cloud(nova: Nova, boot: Boot, cloud: RunningCloud) -> None:
    boot()
    shown = nova.http.get("/haneul/v1/status").json()["status"]
    assert shown["hosts"][0]["name"] == "host-1" and shown["servers"]["ACTIVE"] >= 1
    assert {one["name"]: (one["driver"], one["up"], one["problem"]) for one in shown["back_ends"]} == {
        f"host-1@{name}#{name}": ("file", True, "") for name in ("file", "second")}
    assert all(0 < one["free_gib"] <= one["gib"] for one in shown["back_ends"]) and isinstance(shown["volumes"], dict)
    assert cloud.http("member").get("/haneul/v1/status").status_code == 403
