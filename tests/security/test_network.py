"""Checks 19 and 20: nothing that users write reaches a host's files or rules unless it was understood here first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from running import RunningCloud

LINES = ("x\ndhcp-script=/bin/sh", "x\r\naddn-hosts=/etc/passwd", "a\x00b", "a\u2028b", "tag:x,option:router,1.2.3.4\n")


@pytest.fixture(scope="module")
def network(cloud: RunningCloud) -> Iterator[tuple[httpx.Client, str]]:
    api = cloud.http("member")
    id = api.post("/network/v2.0/networks", json={"network": {"name": "lines"}}).json()["network"]["id"]
    assert api.post("/network/v2.0/subnets", json={"subnet": {"network_id": id, "ip_version": 4, "cidr": "10.55.0.0/24"}}
                    ).status_code == 201
    yield api, id


@pytest.mark.parametrize("text", LINES)
def test_19_no_line_break_reaches_a_configuration_CVE_2021_40085(network: tuple[httpx.Client, str], text: str) -> None:
    api, id = network
    fields: list[dict[str, Any]] = [
        {"extra_dhcp_opts": [{"opt_name": "bootfile-name", "opt_value": text}]},
        {"extra_dhcp_opts": [{"opt_name": text, "opt_value": "x"}]},
        {"extra_dhcp_opts": [{"opt_name": "3,1.2.3.4", "opt_value": "x"}]},
        {"dns_name": text}, {"mac_address": text}, {"fixed_ips": [{"ip_address": text}]},
        {"allowed_address_pairs": [{"ip_address": text}]}, {"device_owner": text + "n" * 300}]
    for field in fields:
        answer = api.post("/network/v2.0/ports", json={"port": {"network_id": id, **field}})
        assert answer.status_code == 400, (field, answer.status_code, answer.text)
    for field in ({"dns_nameservers": [text]}, {"host_routes": [{"destination": text, "nexthop": "10.56.0.1"}]},
                  {"gateway_ip": text}, {"host_routes": [{"destination": "10.1.0.0/16", "nexthop": text}]}, {"cidr": text},
                  {"allocation_pools": [{"start": text, "end": "10.56.0.9"}]}):
        answer = api.post("/network/v2.0/subnets", json={"subnet": {
            "network_id": id, "ip_version": 4, "cidr": "10.56.0.0/24", **field}})
        assert answer.status_code == 400, (field, answer.status_code, answer.text)
    answer = api.post("/network/v2.0/networks", json={"network": {"name": "n", "dns_domain": text}})
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("zone", ["eth0", "x\ny", "x; flush ruleset", "} drop"])
def test_19_addresses_have_no_zone_that_could_say_anything(network: tuple[httpx.Client, str], cloud: RunningCloud,
                                                           zone: str) -> None:
    """Python reads fe80::1%anything, line breaks too, and wrote it out again: into rules and files of the hosts."""
    api, id = network
    one, whole = f"fe80::1%{zone}", f"fe80::%{zone}/128"
    group = api.post("/network/v2.0/security-groups", json={"security_group": {"name": "zones"}}).json()["security_group"]["id"]
    rule = {"security_group_id": group, "direction": "ingress", "ethertype": "IPv6"}
    subnet = {"network_id": id, "ip_version": 6, "cidr": "fd00:55::/64"}
    for path, name, body in (
        ("address-groups", "address_group", {"addresses": [whole]}),
        ("security-group-rules", "security_group_rule", {**rule, "remote_ip_prefix": one}),
        ("security-group-rules", "security_group_rule", {**rule, "remote_ip_prefix": whole}),
        ("ports", "port", {"network_id": id, "allowed_address_pairs": [{"ip_address": one}]}),
        ("ports", "port", {"network_id": id, "fixed_ips": [{"ip_address": one}]}),
        ("subnetpools", "subnetpool", {"name": "p", "prefixes": [whole], "default_prefixlen": 128}),
        ("subnets", "subnet", {**subnet, "cidr": f"fd00:55::%{zone}/64"}),
        ("subnets", "subnet", {**subnet, "gateway_ip": f"fd00:55::1%{zone}"}),
        ("subnets", "subnet", {**subnet, "dns_nameservers": [one]}),
        ("subnets", "subnet", {**subnet, "host_routes": [{"destination": "fd00:9::/64", "nexthop": f"fd00:55::2%{zone}"}]}),
        ("subnets", "subnet", {**subnet, "allocation_pools": [{"start": f"fd00:55::5%{zone}", "end": "fd00:55::9"}]}),
    ):
        answer = api.post(f"/network/v2.0/{path}", json={name: body})
        assert answer.status_code == 400, (path, body, answer.status_code, answer.text)
    compute = cloud.http("member")
    answer = compute.post("/compute/v2.1/os-security-group-rules", json={"security_group_rule": {
        "parent_group_id": group, "ip_protocol": "tcp", "from_port": 1, "to_port": 2, "cidr": whole}})
    assert answer.status_code == 400, answer.text
    described = api.post("/network/v2.0/address-groups", json={"address_group": {"name": one, "description": one}})
    assert described.status_code == 201
    assert api.delete(f"/network/v2.0/address-groups/{described.json()['address_group']['id']}").status_code == 204
    assert api.delete(f"/network/v2.0/security-groups/{group}").status_code == 204


@pytest.mark.parametrize("rule", [
    {"protocol": "tcp", "port_range_min": 0, "port_range_max": 70000},
    {"protocol": "tcp", "port_range_min": 10, "port_range_max": 5},
    {"protocol": "300"}, {"protocol": "tcp; flush ruleset"}, {"protocol": "icmp", "port_range_min": 256},
    {"protocol": "icmp", "port_range_max": 3}, {"remote_ip_prefix": "10.0.0.0/33"}, {"remote_ip_prefix": "10.0.0.1/24; drop"},
    {"remote_ip_prefix": "2001:db8::/32", "ethertype": "IPv4"}, {"protocol": "icmpv6", "ethertype": "IPv4"},
    {"remote_ip_prefix": "::/0", "ethertype": "ipx"}, {"port_range_min": 1, "port_range_max": 2},
    {"protocol": "vrrp", "port_range_min": 1, "port_range_max": 2}, {"direction": "sideways"},
    {"remote_group_id": "0e0e0e0e-0000-4000-8000-00000000000e"}, {"protocol": "tcp", "port_range_min": -1, "port_range_max": 3}],
    ids=lambda rule: ",".join(f"{key}={value}" for key, value in rule.items())[:50])
def test_20_a_rule_that_no_host_can_express_fails_at_the_api_CVE_2019_9735(network: tuple[httpx.Client, str],
                                                                           rule: dict[str, Any]) -> None:
    api, _ = network
    group = api.post("/network/v2.0/security-groups", json={"security_group": {"name": "odd"}}).json()["security_group"]["id"]
    answer = api.post("/network/v2.0/security-group-rules", json={"security_group_rule": {
        "security_group_id": group, "direction": "ingress", **rule}})
    assert answer.status_code in (400, 404), answer.text
    assert len(api.get(f"/network/v2.0/security-groups/{group}").json()["security_group"]["security_group_rules"]) == 2
    assert api.delete(f"/network/v2.0/security-groups/{group}").status_code == 204


@pytest.mark.parametrize("body", [
    {"addresses": ["10.0.0.0/24; flush ruleset"]}, {"addresses": ["10.0.0.0/24\n"]}, {"addresses": [1]},
    {"addresses": "10.0.0.0/8"},
    {"addresses": [[]]}, {"addresses": ["::/129"]}, {"addresses": [f"10.{n >> 8}.{n & 255}.0/24" for n in range(1001)]},
    {"name": "n" * 300}, {"shared": True}], ids=lambda body: str(body)[:40])
def test_20_an_address_group_holds_prefixes_and_nothing_else(network: tuple[httpx.Client, str], body: dict[str, Any]) -> None:
    api, _ = network
    answer = api.post("/network/v2.0/address-groups", json={"address_group": body})
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("values", [
    {"external_port": 0}, {"external_port": 65536}, {"external_port": 10**30}, {"external_port": "80; drop"},
    {"external_port": []},
    {"external_port": None, "external_port_range": "1:2:3"}, {"external_port": None, "external_port_range": "٣"},
    {"external_port_range": "80:80"}, {"external_port": None, "external_port_range": -1}, {"protocol": "tcp; accept"},
    {"protocol": 6}, {"internal_ip_address": "10.55.0.5; drop"}, {"internal_ip_address": "::1"}, {"description": "d" * 300},
    {"external_port": None, "external_port_range": "1:65535", "internal_port": None, "internal_port_range": "1:65536"}],
    ids=lambda values: str(values)[:50])
def test_20_a_forwarding_that_no_host_can_express_fails_at_the_api(network: tuple[httpx.Client, str], cloud: RunningCloud,
                                                                  values: dict[str, Any]) -> None:
    api, id = network
    admin = cloud.http("admin")
    outside = admin.get("/network/v2.0/networks?name=forwarded-outside").json()["networks"]
    if not outside:
        outside = [admin.post("/network/v2.0/networks", json={"network": {
            "name": "forwarded-outside", "router:external": True}}).json()["network"]]
        admin.post("/network/v2.0/subnets", json={"subnet": {"network_id": outside[0]["id"], "ip_version": 4,
                                                            "cidr": "198.18.0.0/24", "enable_dhcp": False}})
    floating = api.post("/network/v2.0/floatingips", json={"floatingip": {"floating_network_id": outside[0]["id"]}}).json()
    path = f"/network/v2.0/floatingips/{floating['floatingip']['id']}"
    port = api.post("/network/v2.0/ports", json={"port": {"network_id": id}}).json()["port"]["id"]
    wanted = {"internal_port_id": port, "internal_port": 80, "external_port": 80, "protocol": "tcp", **values}
    answer = api.post(f"{path}/port_forwardings", json={"port_forwarding": wanted})
    assert answer.status_code == 400, answer.text
    assert api.delete(path).status_code == 204
    assert api.delete(f"/network/v2.0/ports/{port}").status_code == 204
