"""Creating, showing, listing and changing servers: bodies, errors, and the keys of each microversion."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from compute_world import Boot, Nova

from running import RunningCloud, wait_until

UNKNOWN = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def body(image: str, network: str) -> dict[str, Any]:
    return {"name": "refused", "imageRef": image, "flavorRef": "42", "networks": [{"uuid": network}]}


@pytest.mark.parametrize(("change", "status", "words"), [
    ({"name": ""}, 400, "name"),
    ({"name": "x" * 256}, 400, "name"),
    ({"name": " x"}, 400, "whitespace"),
    ({"flavorRef": "no-such"}, 400, "could not be found"),
    ({"flavorRef": ""}, 400, ""),
    ({"imageRef": UNKNOWN}, 400, "Can not find requested image"),
    ({"imageRef": "no-uuid"}, 400, "uuid"),
    ({"imageRef": ""}, 400, "Missing imageRef"),
    ({"networks": [{"uuid": UNKNOWN}]}, 400, "could not be found"),
    ({"networks": [{"uuid": "x"}]}, 400, "not in proper format"),
    ({"networks": [{"port": UNKNOWN}]}, 400, "could not be found"),
    ({"networks": "some"}, 400, ""),
    ({"key_name": "no-such"}, 400, "Invalid key_name provided."),
    ({"security_groups": [{"name": "no-such"}]}, 400, "Security group no-such not found."),
    ({"availability_zone": "no-such"}, 400, "availability zone is not available"),
    ({"availability_zone": "nova:no-such"}, 400, "could not be found"),
    ({"min_count": 2, "max_count": 1}, 400, "min_count must be <= max_count"),
    ({"min_count": 0}, 400, ""),
    ({"user_data": "not base64!"}, 400, "base64"),
    ({"metadata": {"k": "v" * 256}}, 400, ""),
    ({"metadata": {"": "v"}}, 400, ""),
    ({"accessIPv4": "1.2.3"}, 400, "ipv4"),
    ({"trusted_image_certificates": ["a"]}, 400, "not supported"),
    ({"block_device_mapping_v2": [{"source_type": "volume", "uuid": UNKNOWN, "boot_index": 0}]}, 400, "failed to get volume"),
    ({"no_such_key": 1}, 400, "no_such_key"),
    ({"tags": ["a,b"]}, 400, ""),
    ({"hostname": "-"}, 400, ""),
])
def test_bad_bodies(nova: Nova, body: dict[str, Any], change: dict[str, Any], status: int, words: str) -> None:
    version = "2.90" if "hostname" in change else "2.96"
    error = nova.call("POST", "/servers", {"server": {**body, **change}}, status=status, version=version)
    assert words in error["badRequest"]["message"]


@pytest.mark.parametrize(("key", "value", "since"), [
    ("description", "d", "2.18"), ("tags", ["t"], "2.51"), ("host", "host-1", "2.73"), ("hostname", "web", "2.89")])
def test_keys_that_a_microversion_does_not_have(nova: Nova, body: dict[str, Any], key: str, value: Any, since: str) -> None:
    error = nova.call("POST", "/servers", {"server": {**body, key: value}}, status=400, version=since)
    assert "Additional properties are not allowed" in error["badRequest"]["message"]


def test_networks_must_be_named_since_2_37(nova: Nova, body: dict[str, Any]) -> None:
    del body["networks"]
    assert "required" in nova.call("POST", "/servers", {"server": body}, status=400, version="2.37")["badRequest"]["message"]


def test_everything_that_can_be_asked_for(nova: Nova, boot: Boot, cloud: RunningCloud) -> None:
    key = nova.call("POST", "/os-keypairs", {"keypair": {"name": "all-keys"}}, version="2.91", status=201)["keypair"]
    server = boot(description="all of it", key_name="all-keys", user_data=base64.b64encode(b"#!/bin/sh\n").decode(),
                  metadata={"role": "web"}, tags=["b", "a"], config_drive=True, hostname="web-1", host="host-1",
                  availability_zone="nova", security_groups=[{"name": "default"}], accessIPv4="192.0.2.7")
    assert server["description"] == "all of it" and server["key_name"] == "all-keys"
    assert key["private_key"].startswith("-----BEGIN")
    assert server["tags"] == ["a", "b"] and server["config_drive"] == "True" and server["accessIPv4"] == "192.0.2.7"
    assert server["OS-EXT-SRV-ATTR:hostname"] == "web-1" and server["pinned_availability_zone"] == "nova"
    assert server["security_groups"] == [{"name": "default"}]
    from haneul.fleet.agents import Agents
    disks = {disk.name for disk in cloud.cloud.get(Agents).of("host-1").disks.disks() if disk.server_id == server["id"]}
    assert disks == {"root", "config"}
    nova.call("DELETE", "/os-keypairs/all-keys", status=204)


def test_a_port_of_ones_own_is_given_back(nova: Nova, boot: Boot, cloud: RunningCloud, network: str) -> None:
    client = cloud.connect("admin").network
    port = client.create_port(network_id=network, name="mine")
    server = boot(networks=[{"port": port.id, "tag": "first"}])
    assert server["addresses"]["compute-net"][0]["addr"] == port.fixed_ips[0]["ip_address"]
    interface = nova.get(f"/servers/{server['id']}/os-interface")["interfaceAttachments"][0]
    assert interface["tag"] == "first" and interface["port_id"] == port.id
    body = {"name": "second", "imageRef": server["image"]["id"], "flavorRef": "42", "networks": [{"port": port.id}]}
    assert "still in use" in nova.call("POST", "/servers", {"server": body}, status=409)["conflictingRequest"]["message"]
    nova.call("DELETE", f"/servers/{server['id']}", status=204)
    nova.wait_gone(server["id"])
    free = client.get_port(port.id)
    assert not free.device_id and free.status == "DOWN"
    client.delete_port(port.id)


def test_a_fixed_address(nova: Nova, boot: Boot, network: str) -> None:
    server = boot(networks=[{"uuid": network, "fixed_ip": "10.77.9.9"}])
    assert server["addresses"]["compute-net"][0]["addr"] == "10.77.9.9"


def test_many_at_once_share_a_reservation(nova: Nova, image: str) -> None:
    body = {"name": "many", "imageRef": image, "flavorRef": "42", "networks": "none", "min_count": 2, "max_count": 3,
            "return_reservation_id": True}
    reservation = nova.call("POST", "/servers", {"server": body}, status=202)["reservation_id"]
    found = nova.get(f"/servers/detail?reservation_id={reservation}&sort_key=launch_index&sort_dir=asc")["servers"]
    assert [server["name"] for server in found] == ["many-1", "many-2", "many-3"]
    for server in found:
        nova.wait(server["id"], "ACTIVE")
        nova.call("DELETE", f"/servers/{server['id']}")
        nova.wait_gone(server["id"])


def test_no_valid_host_is_a_fault_with_reasons(nova: Nova, boot: Boot) -> None:
    flavor = nova.call("POST", "/flavors", {"flavor": {"name": "huge", "ram": 1 << 30, "vcpus": 1, "disk": 1}})["flavor"]
    server = boot(until="ERROR", flavorRef=flavor["id"])
    assert server["fault"]["code"] == 500
    assert server["fault"]["message"].startswith("No valid host was found. does not give 1073741824 MEMORY_MB at once")
    assert "host-1: does not give" in server["fault"]["details"]
    assert server["OS-EXT-SRV-ATTR:host"] is None
    nova.call("DELETE", f"/flavors/{flavor['id']}", status=202)


SHOWN_2_1 = {"id", "name", "status", "tenant_id", "user_id", "metadata", "hostId", "image", "flavor", "created", "updated",
             "addresses", "accessIPv4", "accessIPv6", "links", "OS-DCF:diskConfig", "OS-EXT-AZ:availability_zone",
             "config_drive", "key_name", "OS-SRV-USG:launched_at", "OS-SRV-USG:terminated_at", "OS-EXT-STS:task_state",
             "OS-EXT-STS:vm_state", "OS-EXT-STS:power_state", "os-extended-volumes:volumes_attached", "progress",
             "security_groups", "OS-EXT-SRV-ATTR:host", "OS-EXT-SRV-ATTR:instance_name", "OS-EXT-SRV-ATTR:hypervisor_hostname"}
ADDED = [("2.3", {"OS-EXT-SRV-ATTR:hostname", "OS-EXT-SRV-ATTR:kernel_id", "OS-EXT-SRV-ATTR:ramdisk_id",
                  "OS-EXT-SRV-ATTR:launch_index", "OS-EXT-SRV-ATTR:reservation_id", "OS-EXT-SRV-ATTR:root_device_name",
                  "OS-EXT-SRV-ATTR:user_data"}),
         ("2.9", {"locked"}), ("2.16", {"host_status"}), ("2.19", {"description"}), ("2.26", {"tags"}),
         ("2.63", {"trusted_image_certificates"}), ("2.71", {"server_groups"}), ("2.73", {"locked_reason"}),
         ("2.96", {"pinned_availability_zone"}), ("2.100", {"scheduler_hints"})]


def test_the_keys_of_each_microversion(nova: Nova, boot: Boot) -> None:
    id = boot()["id"]
    expected = set(SHOWN_2_1)
    assert set(nova.server(id, version="2.1")) == expected
    for version, added in ADDED:
        before = f"2.{int(version.partition('.')[2]) - 1}"
        assert set(nova.server(id, version=before)) == expected, before
        expected |= added
        assert set(nova.server(id, version=version)) == expected, version
    assert set(nova.server(id, version="2.46")["flavor"]) == {"id", "links"}
    assert "original_name" in nova.server(id, version="2.47")["flavor"]


def test_what_came_after_2_96(nova: Nova, boot: Boot, image: str) -> None:
    """Image properties (2.98), hints (2.100), and shares (2.97), of which this cloud has none."""
    first = boot()
    id = boot(hints={"different_host": [], "same_host": first["id"]})["id"]
    assert "properties" not in nova.server(id, version="2.97")["image"]
    shown = nova.server(id, version="2.100")
    assert shown["image"]["properties"]["owner_specified.openstack.object"] == "images/compute-image"  # the SDK's word
    assert shown["scheduler_hints"] == {"different_host": [], "same_host": [first["id"]]}  # Nova keeps lists
    listed = {one["id"]: one for one in nova.get("/servers/detail", version="2.101")["servers"]}
    assert listed[id]["scheduler_hints"] == shown["scheduler_hints"] and listed[first["id"]]["scheduler_hints"] == {}
    assert listed[id]["image"] == shown["image"]
    shares = f"/servers/{id}/shares"
    nova.get(shares, version="2.96", status=404)
    assert nova.get(shares, version="2.97") == {"shares": []}
    wanted = {"share": {"share_id": image}}
    nova.call("POST", shares, wanted, version="2.97", status=409)  # it runs
    nova.action(id, "os-stop", None)
    nova.wait(id, "SHUTOFF")
    assert "could not be found" in nova.call("POST", shares, wanted, version="2.97", status=404)["itemNotFound"]["message"]
    nova.get(f"{shares}/{image}", version="2.97", status=404)
    nova.call("DELETE", f"{shares}/{image}", version="2.97", status=404)


def test_members_do_not_see_hosts(cloud: RunningCloud, nova: Nova, image: str) -> None:
    member = Nova(cloud, "member")
    id = member.call("POST", "/servers", {"server": {"name": "m", "imageRef": image, "flavorRef": "42", "networks": "none"}},
                     status=202)["server"]["id"]
    shown = member.wait(id, "ACTIVE")
    assert not [key for key in shown if key.startswith("OS-EXT-SRV-ATTR:") and key != "OS-EXT-SRV-ATTR:hostname"]
    assert "host_status" not in shown and shown["hostId"]
    assert Nova(cloud, "other").get(f"/servers/{id}", status=404)["itemNotFound"]["message"] == \
        f"Instance {id} could not be found."
    assert nova.server(id)["id"] == id
    reader = Nova(cloud, "reader")
    assert reader.server(id)["name"] == "m"
    assert "Policy doesn't allow" in reader.action(id, "os-stop", status=403)["forbidden"]["message"]
    assert reader.call("DELETE", f"/servers/{id}", status=403)
    member.action(id, "lock")
    assert member.action(id, "os-stop", status=409)["conflictingRequest"]["message"] == f"Instance {id} is locked"
    member.action(id, "unlock")
    member.call("DELETE", f"/servers/{id}", status=204)
    member.wait_gone(id)


def test_lists_filter_sort_and_page(nova: Nova, boot: Boot) -> None:
    servers = [boot(name=f"listed-{number}", metadata={}, tags=["even" if number % 2 == 0 else "odd", "listed"])
               for number in range(3)]
    names = [server["name"] for server in servers]

    def listed(query: str) -> list[str]:
        return [server["name"] for server in nova.get(f"/servers?name=^listed-{query}")["servers"]]

    assert listed("") == names[::-1]
    assert listed("&sort_key=display_name&sort_dir=asc") == names
    assert listed("&tags=even,listed&sort_key=display_name&sort_dir=asc") == [names[0], names[2]]
    assert listed("&not-tags=even") == [names[1]]
    assert listed("&tags-any=odd,nothing") == [names[1]]
    assert listed("&status=SHUTOFF") == []
    assert listed("&status=ACTIVE&status=SHUTOFF") == names[::-1]
    address = servers[1]["addresses"]["compute-net"][0]["addr"]
    assert listed(f"&ip=^{address}$") == [names[1]]
    assert listed(f"&image={servers[0]['image']['id']}&flavor=42") == names[::-1]
    first = nova.get("/servers?name=^listed-&limit=2&sort_key=display_name&sort_dir=asc")
    assert [server["name"] for server in first["servers"]] == names[:2]
    following = first["servers_links"][0]
    assert following["rel"] == "next"
    second = nova.get(following["href"].partition("/compute/v2.1")[2])
    assert [server["name"] for server in second["servers"]] == names[2:]
    assert nova.get("/servers?status=NONSENSE", status=400)["badRequest"]["message"] == "Invalid status value"
    assert nova.get("/servers?status=NONSENSE", version="2.37") == {"servers": []}
    assert nova.get(f"/servers?marker={UNKNOWN}", status=400)
    assert nova.get("/servers?nonsense=1", status=400)
    assert nova.get("/servers?nonsense=1", version="2.74")
    assert nova.get("/servers?name=[", status=400)
    assert nova.get("/servers?sort_key=nonsense", status=400)


def test_changes_since_shows_the_deleted(nova: Nova, boot: Boot) -> None:
    server = boot()
    nova.call("DELETE", f"/servers/{server['id']}", status=204)
    nova.wait_gone(server["id"])
    found = {row["id"]: row for row in nova.get(f"/servers/detail?changes-since={server['created']}")["servers"]}
    assert found[server["id"]]["status"] == "DELETED"
    assert server["id"] in {row["id"] for row in nova.get("/servers?deleted=true")["servers"]}


def test_update(nova: Nova, boot: Boot) -> None:
    id = boot()["id"]
    shown = nova.call("PUT", f"/servers/{id}", {"server": {"name": "renamed", "description": None, "accessIPv6": "2001:db8::7",
                                                           "hostname": "renamed-1"}})["server"]
    assert (shown["name"], shown["description"], shown["accessIPv6"]) == ("renamed", None, "2001:db8::7")
    assert shown["OS-EXT-SRV-ATTR:hostname"] == "renamed-1"
    old = nova.call("PUT", f"/servers/{id}", {"server": {"name": "old"}}, version="2.1")["server"]
    assert "OS-EXT-STS:vm_state" not in old and "security_groups" not in old and old["name"] == "old"
    nova.call("PUT", f"/servers/{id}", {"server": {"name": ""}}, status=400)


def test_metadata_and_tags(nova: Nova, boot: Boot) -> None:
    id = boot(metadata={"a": "1"})["id"]
    assert nova.call("POST", f"/servers/{id}/metadata", {"metadata": {"b": "2"}}) == {"metadata": {"a": "1", "b": "2"}}
    assert nova.call("PUT", f"/servers/{id}/metadata", {"metadata": {"c": "3"}}) == {"metadata": {"c": "3"}}
    assert nova.call("PUT", f"/servers/{id}/metadata/d", {"meta": {"d": "4"}}) == {"meta": {"d": "4"}}
    nova.call("PUT", f"/servers/{id}/metadata/d", {"meta": {"e": "4"}}, status=400)
    nova.call("DELETE", f"/servers/{id}/metadata/d", status=204)
    nova.get(f"/servers/{id}/metadata/d", status=404)
    too_many = {"metadata": {str(number): "" for number in range(129)}}
    error = nova.call("POST", f"/servers/{id}/metadata", too_many, status=403)
    assert error["forbidden"]["message"] == "Maximum number of metadata items exceeds 128"
    nova.call("PUT", f"/servers/{id}/tags/one", status=201)
    nova.call("PUT", f"/servers/{id}/tags/one", status=204)
    assert nova.call("PUT", f"/servers/{id}/tags", {"tags": ["x", "y"]}) == {"tags": ["x", "y"]}
    nova.get(f"/servers/{id}/tags/one", status=404)
    nova.call("DELETE", f"/servers/{id}/tags/x", status=204)
    assert nova.get(f"/servers/{id}/tags") == {"tags": ["y"]}


def test_quota_is_counted(cloud: RunningCloud, nova: Nova, image: str) -> None:
    member = Nova(cloud, "member")
    project = cloud.connect("member").current_project_id
    nova.call("PUT", f"/os-quota-sets/{project}", {"quota_set": {"instances": 1, "cores": 1}})
    body = {"name": "q", "imageRef": image, "flavorRef": "42", "networks": "none"}
    id = member.call("POST", "/servers", {"server": body}, status=202)["server"]["id"]
    error = member.call("POST", "/servers", {"server": body}, status=403)["forbidden"]
    assert error["message"] == ("Quota exceeded for instances, cores: Requested 1, 1, but already used 1, 1 of 1, 1 "
                                "instances, cores")
    limits = member.get("/limits")["limits"]["absolute"]
    assert (limits["maxTotalInstances"], limits["totalInstancesUsed"]) == (1, 1)
    assert nova.call("PUT", f"/os-quota-sets/{project}", {"quota_set": {"instances": 0}}, status=400)
    member.call("DELETE", f"/servers/{id}", status=204)
    member.wait_gone(id)
    nova.call("DELETE", f"/os-quota-sets/{project}", status=202)
    assert nova.get(f"/os-quota-sets/{project}")["quota_set"]["instances"] == 10


def test_a_deleted_server_leaves_nothing(nova: Nova, boot: Boot, cloud: RunningCloud) -> None:
    from haneul.fleet.agents import Agents
    from haneul.placement import allocations
    id = boot()["id"]
    nova.call("DELETE", f"/servers/{id}", status=204)
    nova.wait_gone(id)
    agent = cloud.cloud.get(Agents).of("host-1")
    assert id not in {state.id for state in agent.hypervisor.servers()}
    assert id not in {disk.server_id for disk in agent.disks.disks()}
    assert not list(cloud.connect("admin").network.ports(device_id=id))
    with cloud.cloud.database.read() as tx:
        assert allocations.of(tx, id) == {}


def test_the_guests_of_a_server_group_keep_apart(nova: Nova, boot: Boot) -> None:
    group = nova.call("POST", "/os-server-groups", {"server_group": {"name": "apart", "policy": "anti-affinity"}})["server_group"]
    first = boot(hints={"group": group["id"]})
    assert first["server_groups"] == [group["id"]]
    second = boot(until="ERROR", hints={"group": group["id"]})
    assert "anti-affinity" in second["fault"]["message"]
    members = nova.get(f"/os-server-groups/{group['id']}")["server_group"]["members"]
    assert members == [first["id"], second["id"]]
    nova.call("DELETE", f"/os-server-groups/{group['id']}", status=204)


def test_task_failures_are_faults_and_undone(nova: Nova, boot: Boot, cloud: RunningCloud) -> None:
    import httpx
    agent = httpx.Client(transport=httpx.HTTPTransport(uds=str(cloud.paths.agent_socket)), base_url="http://agent")
    agent.post("/v1/faults", json={"verb": "hypervisor/create", "error": "no_room", "message": "no memory left", "times": 1})
    server = boot(until="ERROR")
    assert server["fault"]["message"] == "The host has no room for this."
    assert server["fault"]["details"] == "no memory left"  # may name the host's files: for administrators only
    wait_until(lambda: not list(cloud.connect("admin").network.ports(device_id=server["id"])), what="the end of its port")


def test_users_read_no_details_of_faults(cloud: RunningCloud, image: str) -> None:
    import httpx
    member = Nova(cloud, "member")
    agent = httpx.Client(transport=httpx.HTTPTransport(uds=str(cloud.paths.agent_socket)), base_url="http://agent")
    agent.post("/v1/faults", json={"verb": "hypervisor/create", "error": "no_room", "message": "/var/lib/secret", "times": 1})
    made = member.call("POST", "/servers", {"server": {"name": "unlucky", "imageRef": image, "flavorRef": "42",
                                                       "networks": "none"}}, status=202)["server"]["id"]
    wait_until(lambda: member.get(f"/servers/{made}")["server"]["status"] == "ERROR", what="the fault")
    assert "secret" not in member.http.get(f"/compute/v2.1/servers/{made}").text
    member.call("DELETE", f"/servers/{made}", status=204)
