"""What clients below 2.36 find in compute: images, networks, groups and floating IPs of the rooms that hold them."""

from __future__ import annotations

from typing import Any

import pytest
from compute_world import Boot, Nova

from running import RunningCloud, wait_until


@pytest.fixture(scope="module")
def old(cloud: RunningCloud, nova: Nova) -> Nova:
    return Nova(cloud, "member", "2.1")


@pytest.fixture(scope="module")
def outside(cloud: RunningCloud) -> Any:
    """An external network, and one behind a router to it."""
    client = cloud.connect("admin").network
    external = client.create_network(name="older-outside", is_router_external=True)
    client.create_subnet(network_id=external.id, cidr="198.51.100.0/28", ip_version=4, is_dhcp_enabled=False)
    inner = client.create_network(name="older-inside")
    subnet = client.create_subnet(network_id=inner.id, cidr="10.93.0.0/24", ip_version=4)
    router = client.create_router(name="older", external_gateway_info={"network_id": external.id})
    client.add_interface_to_router(router, subnet_id=subnet.id)
    return external, inner


def test_none_of_it_is_there_from_2_36_on(nova: Nova) -> None:
    for path in ("/images", "/images/detail", "/os-networks", "/os-tenant-networks", "/os-security-groups",
                 "/os-floating-ips", "/os-floating-ip-pools"):
        nova.get(path, version="2.36", status=404)
        nova.get(path, version="2.35", status=200)
    nova.get("/os-fping", version="2.1", status=404)


def test_an_image_is_found_by_what_nova_calls_its_values(old: Nova, nova: Nova, image: str) -> None:
    found = old.get(f"/images/{image}")["image"]
    assert (found["status"], found["progress"], found["name"]) == ("ACTIVE", 100, "compute-image")
    assert image in [row["id"] for row in old.get("/images?status=ACTIVE&name=compute-image")["images"]]
    assert old.get("/images/detail?status=SAVING")["images"] == [] and old.get("/images?type=snapshot")["images"] == []
    page = nova.get("/images?limit=1", version="2.1")
    assert len(page["images"]) == 1 and "images_links" in page
    old.call("DELETE", f"/images/{image}", status=403)  # another project's


def test_image_metadata_are_the_images_properties(cloud: RunningCloud, old: Nova) -> None:
    image = cloud.connect("member").image.create_image(name="older", disk_format="raw", container_format="bare", data=b"x",
                                                       allow_duplicates=True, a="1", wait=True)
    path = f"/images/{image.id}/metadata"
    before = old.get(path)["metadata"]
    assert old.call("POST", path, {"metadata": {"b": "2"}}, status=200)["metadata"] == {**before, "b": "2"}
    assert old.call("PUT", path + "/b", {"meta": {"b": "3"}}, status=200) == {"meta": {"b": "3"}}
    old.call("PUT", path + "/b", {"meta": {"c": "3"}}, status=400)
    assert old.call("PUT", path, {"metadata": {"c": "4"}}, status=200)["metadata"] == {"c": "4"}
    old.call("DELETE", path + "/c", status=204)
    old.get(path + "/c", status=404)
    old.call("DELETE", f"/images/{image.id}", status=204)
    old.get(f"/images/{image.id}", status=404)


def test_what_a_snapshots_maker_writes_stands(nova: Nova, boot: Boot) -> None:
    server = boot()
    answer = nova.action(server["id"], "createImage", {"name": "mine", "metadata": {"image_type": "test"}}, version="2.1")
    id = answer.headers["location"].rpartition("/")[2]
    found = nova.get(f"/images/{id}", version="2.1")["image"]
    assert found["metadata"]["image_type"] == "test" and found["server"]["id"] == server["id"]
    assert [row["id"] for row in nova.get(f"/images?server={server['links'][0]['href']}", version="2.1")["images"]] == [id]
    nova.wait(server["id"], "ACTIVE")
    nova.call("DELETE", f"/images/{id}", version="2.1")


def test_groups_and_rules(old: Nova) -> None:
    group = old.call("POST", "/os-security-groups", {"security_group": {"name": " older ", "description": "d"}},
                     status=200)["security_group"]
    assert group["name"] == " older " and group["rules"] == []  # a new group's rules lead outwards only
    rule: dict[str, Any] = {"parent_group_id": group["id"], "ip_protocol": "TCP", "from_port": "22", "to_port": 22,
                            "cidr": "10.2.3.4/24"}
    path = "/os-security-group-rules"
    made = old.call("POST", path, {"security_group_rule": rule}, status=200)["security_group_rule"]
    assert (made["from_port"], made["ip_range"], made["group"]) == (22, {"cidr": "10.2.3.4/24"}, {})
    old.call("POST", path, {"security_group_rule": rule}, status=400)  # twice
    for bad in ({"ip_protocol": None}, {"ip_protocol": "sctp"}, {"from_port": 23}, {"to_port": 65536}, {"cidr": "x"}):
        old.call("POST", path, {"security_group_rule": {**rule, **bad}}, status=400)
    open_to = old.call("POST", path, {"security_group_rule": {"parent_group_id": group["id"], "ip_protocol": "icmp",
                                                              "group_id": group["id"]}}, status=200)["security_group_rule"]
    assert (open_to["from_port"], open_to["group"]["name"], open_to["ip_range"]) == (-1, " older ", {})
    assert {row["id"] for row in old.get(f"/os-security-groups/{group['id']}")["security_group"]["rules"]} == {
        made["id"], open_to["id"]}
    old.call("DELETE", f"{path}/{made['id']}", status=202)
    old.call("DELETE", f"{path}/{made['id']}", status=404)
    default = next(row for row in old.get("/os-security-groups")["security_groups"] if row["name"] == "default")
    old.call("DELETE", f"/os-security-groups/{default['id']}", status=400)
    old.get("/os-security-groups/1", status=400)
    Nova(old.cloud, "other", "2.1").call("DELETE", f"/os-security-groups/{group['id']}", status=404)
    old.call("DELETE", f"/os-security-groups/{group['id']}", status=202)


def test_a_floating_ip_moves_between_servers(nova: Nova, boot: Boot, outside: Any) -> None:
    external, inner = outside
    assert {"name": "older-outside"} in nova.get("/os-floating-ip-pools", version="2.1")["floating_ip_pools"]
    made = nova.call("POST", "/os-floating-ips", {"pool": "older-outside"}, version="2.1", status=200)["floating_ip"]
    assert made["pool"] == "older-outside" and made["instance_id"] is None
    nova.call("POST", "/os-floating-ips", {"pool": "nowhere"}, version="2.1", status=404)
    one, two = (boot(networks=[{"uuid": inner.id}])["id"] for _ in range(2))
    path = f"/os-floating-ips/{made['id']}"
    for server in (one, two):
        nova.action(server, "addFloatingIp", {"address": made["ip"]}, version="2.43")
        assert nova.get(path, version="2.1")["floating_ip"]["instance_id"] == server
    nova.action(one, "removeFloatingIp", {"address": made["ip"]}, version="2.43", status=409)
    second = nova.call("POST", "/os-floating-ips", {"pool": external.id}, version="2.1")["floating_ip"]
    nova.action(two, "addFloatingIp", {"address": second["ip"]}, version="2.43", status=400)  # the fixed one has one
    nova.action(two, "addFloatingIp", {"address": "0.0.0.0"}, version="2.43", status=404)
    nova.action(two, "removeFloatingIp", {"address": made["ip"]}, version="2.43")
    assert nova.get(path, version="2.1")["floating_ip"]["fixed_ip"] is None
    for address in (made, second):
        nova.call("DELETE", f"/os-floating-ips/{address['id']}", version="2.1", status=202)
    nova.get(path, version="2.1", status=404)
    nova.action(two, "addFloatingIp", {"address": made["ip"]}, version="2.44", status=400)


def test_a_card_has_more_addresses_and_less(nova: Nova, boot: Boot, network: str) -> None:
    server = boot(networks=[{"uuid": network}])["id"]

    def fixed() -> list[str]:
        (card,) = nova.get(f"/servers/{server}/os-interface")["interfaceAttachments"]
        return [ip["ip_address"] for ip in card["fixed_ips"]]

    (first,) = fixed()
    nova.action(server, "addFixedIp", {"networkId": network}, version="2.43")
    (second,) = set(fixed()) - {first}
    nova.action(server, "removeFixedIp", {"address": first}, version="2.1")
    assert fixed() == [second]
    nova.action(server, "removeFixedIp", {"address": first}, version="2.43", status=400)
    nova.action(server, "removeFixedIp", {"address": "second"}, version="2.43", status=400)
    nova.action(server, "addFixedIp", {"networkId": "0" * 36}, version="2.43", status=404)
    nova.action(server, "addFixedIp", {"networkId": ""}, version="2.43", status=400)
    nova.action(server, "addFixedIp", {"networkId": network}, version="2.44", status=400)


def test_networks_by_their_names(nova: Nova, old: Nova, network: str, outside: Any) -> None:
    external, _ = outside
    assert old.get(f"/os-networks/{external.id}")["network"]["label"] == "older-outside"
    assert "vlan" not in old.get(f"/os-networks/{external.id}")["network"]
    old.get(f"/os-networks/{network}", status=404)
    assert network in [row["id"] for row in nova.get("/os-tenant-networks", version="2.1")["networks"]]


def test_a_host_as_os_hosts_shows_it(nova: Nova, old: Nova, boot: Boot) -> None:
    server = boot()
    host = nova.get("/os-hosts", version="2.42")["hosts"][0]["host_name"]
    total, now, most, *projects = [row["resource"] for row in nova.get(f"/os-hosts/{host}", version="2.42")["host"]]
    assert (total["project"], now["project"], most["project"]) == ("(total)", "(used_now)", "(used_max)")
    assert {server["tenant_id"]} <= {row["project"] for row in projects} and most["cpu"] == sum(row["cpu"] for row in projects)
    old.get("/os-hosts", status=403)
    assert nova.call("PUT", f"/os-hosts/{host}", {"status": "disable"}, version="2.1") == {"host": host, "status": "disabled"}
    assert nova.call("PUT", f"/os-hosts/{host}", {"status": "enable"}, version="2.1")["status"] == "enabled"
    nova.call("PUT", f"/os-hosts/{host}", {}, version="2.1", status=400)
    nova.get(f"/os-hosts/{host}/reboot", version="2.1", status=501)
    nova.get("/os-hosts/none/reboot", version="2.1", status=404)
    nova.get("/os-hosts", version="2.43", status=404)


def test_no_usage_audit_has_run(nova: Nova) -> None:
    found = nova.get("/os-instance_usage_audit_log")["instance_usage_audit_logs"]
    assert found["num_hosts_not_run"] == found["num_hosts"] == len(found["hosts_not_run"]) and found["log"] == {}
    month = nova.get("/os-instance_usage_audit_log/2026-01-31%2008:00:00")["instance_usage_audit_log"]
    assert (month["period_beginning"], month["period_ending"]) == ("2025-12-01 00:00:00", "2026-01-01 00:00:00")
    nova.get("/os-instance_usage_audit_log/yesterday", status=400)


def test_a_certificate_is_generated_with_its_key(nova: Nova) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    made = nova.call("POST", "/os-keypairs", {"keypair": {"name": "older-x509", "type": "x509"}}, version="2.2",
                     status=201)["keypair"]
    key = serialization.load_pem_private_key(made["private_key"].encode(), None)
    assert x509.load_pem_x509_certificate(made["public_key"].encode()).public_key() == key.public_key()
    nova.call("DELETE", "/os-keypairs/older-x509")


def test_v2_0_is_listed_first_and_answers(nova: Nova) -> None:
    versions = nova.http.get("/compute/").json()["versions"]
    assert [version["id"] for version in versions] == ["v2.0", "v2.1"]
    assert nova.http.get(versions[0]["links"][0]["href"]).json()["version"]["id"] == "v2.0"
    assert nova.http.get("/compute/v2/flavors").status_code == 200


def test_an_empty_id_is_not_found(nova: Nova) -> None:
    for method, path in (("DELETE", "/images/"), ("DELETE", "/os-security-groups/"), ("GET", "/os-simple-tenant-usage/")):
        nova.call(method, path, version="2.1", status=404)


def test_volumes_and_snapshots_as_nova_showed_them(nova: Nova) -> None:
    def until(path: str, key: str, status: str) -> None:
        wait_until(lambda: nova.get(path, version="2.35")[key]["status"] == status, what=f"{status} of {path}")

    body = {"size": 1, "display_name": "old", "display_description": "way", "metadata": {"k": "v"}}
    made = nova.call("POST", "/os-volumes", {"volume": body}, version="2.35", status=200)["volume"]
    path = f"/os-volumes/{made['id']}"
    until(path, "volume", "available")
    shown = nova.get(path, version="2.1")["volume"]
    assert (shown["displayName"], shown["metadata"], shown["attachments"]) == ("old", {"k": "v"}, [{}])
    for listed in ("/os-volumes", "/os-volumes/detail?limit=100"):
        assert shown in nova.get(listed, version="2.35")["volumes"]
    nova.get(path, version="2.36", status=404)
    nova.call("POST", "/os-volumes", {"volume": {"size": 0}}, version="2.35", status=400)
    taken = nova.call("POST", "/os-snapshots", {"snapshot": {"volume_id": made["id"], "display_name": "s"}}, version="2.35",
                      status=200)["snapshot"]
    until(f"/os-snapshots/{taken['id']}", "snapshot", "available")
    assert taken["id"] in str(nova.get("/os-snapshots", version="2.35")) and taken["size"] == 1
    nova.call("DELETE", path, version="2.35", status=400)
    nova.call("DELETE", f"/os-snapshots/{taken['id']}", version="2.35", status=202)
    wait_until(lambda: taken["id"] not in str(nova.get("/os-snapshots/detail", version="2.35")))
    nova.call("DELETE", path, version="2.35", status=202)
    wait_until(lambda: made["id"] not in str(nova.get("/os-volumes", version="2.35")))
