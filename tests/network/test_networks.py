"""Networks and subnets: what may be made, seen, changed and removed, and by whom."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_network_is_made_shown_changed_and_removed(member: Any, admin: Any) -> None:
    network = member.network(name="first", description="d")
    assert (
        network["status"] == "ACTIVE"
        and network["mtu"] == 1450
        and network["subnets"] == []
        and network["shared"] is False
    )
    assert "provider:network_type" not in network
    assert network["project_id"] == network["tenant_id"]
    path = f"/networks/{network['id']}"
    seen = admin("GET", path)["network"]
    assert seen["provider:network_type"] == "vxlan" and seen["provider:segmentation_id"] > 0
    changed = member("PUT", path, {"network": {"name": "second", "admin_state_up": False}})["network"]
    assert changed["name"] == "second" and changed["revision_number"] == network["revision_number"] + 1
    member("DELETE", path, expect=204)
    assert member("GET", path, expect=404)["NeutronError"]["type"] == "NetworkNotFound"


def test_what_neutron_refuses_of_a_body(member: Any) -> None:
    error = member("POST", "/networks", {"network": {"nmae": "x"}}, expect=400)["NeutronError"]
    assert error["message"] == "Unrecognized attribute(s) 'nmae'"
    error = member("POST", "/networks", {"network": {"name": "x" * 256}}, expect=400)["NeutronError"]
    assert error["message"].startswith("Invalid input for name.")
    error = member("POST", "/networks", {"network": {"status": "DOWN"}}, expect=400)["NeutronError"]
    assert error["message"] == "Attribute 'status' not allowed in POST"
    assert "network" in member("POST", "/networks", {"net": {}}, expect=400)["NeutronError"]["message"]
    member("POST", "/networks", {"network": {"admin_state_up": "perhaps"}}, expect=400)
    network = member.network(admin_state_up="false")
    assert network["admin_state_up"] is False
    error = member("PUT", f"/networks/{network['id']}", {"network": {"id": "x"}}, expect=400)["NeutronError"]
    assert error["message"] == "Cannot update read-only attribute id"
    assert (
        member("POST", "/subnets", {"subnet": {"ip_version": 4}}, expect=400)["NeutronError"]["message"]
        == "Failed to parse request. Required attribute 'network_id' not specified"
    )


def test_many_networks_at_once_are_all_made_or_none(member: Any) -> None:
    made = member("POST", "/networks", {"networks": [{"name": "bulk-1"}, {"name": "bulk-2"}]}, expect=201)["networks"]
    assert [network["name"] for network in made] == ["bulk-1", "bulk-2"]
    member("POST", "/networks", {"networks": [{"name": "bulk-3"}, {"shared": True}]}, expect=403)
    assert member("GET", "/networks?name=bulk-3")["networks"] == []


def test_attributes_that_only_an_administrator_sets(member: Any, admin: Any) -> None:
    for body in (
        {"shared": True},
        {"router:external": True},
        {"provider:network_type": "vxlan"},
        {"provider:segmentation_id": 7},
    ):
        error = member("POST", "/networks", {"network": body}, expect=403)["NeutronError"]
        assert error["type"] == "PolicyNotAuthorized"
    member.network(**{"shared": False, "router:external": False})
    network = admin.network(**{"provider:network_type": "vxlan", "provider:segmentation_id": 4242})
    error = admin.make("network", expect=409, **{"provider:network_type": "vxlan", "provider:segmentation_id": 4242})
    assert error["type"] == "TunnelIdInUse"
    admin("DELETE", f"/networks/{network['id']}", expect=204)
    admin.make("network", expect=400, **{"provider:network_type": "vlan", "provider:physical_network": "nowhere"})


def test_other_projects_see_only_what_is_shared(api: Any, member: Any, admin: Any) -> None:
    other = api("other")
    network = member.network(name="mine")
    subnet = member.subnet(network, "10.9.0.0/24")
    port = member.port(network)
    for path in (f"/networks/{network['id']}", f"/subnets/{subnet['id']}", f"/ports/{port['id']}"):
        other("GET", path, expect=404)
        other("DELETE", path, expect=404)
    assert other.port(network, expect=404)["type"] == "NetworkNotFound"
    admin("PUT", f"/networks/{network['id']}", {"network": {"shared": True}})
    assert other("GET", f"/networks/{network['id']}")["network"]["shared"] is True
    assert other("GET", f"/subnets/{subnet['id']}")["subnet"]["cidr"] == "10.9.0.0/24"
    other("PUT", f"/networks/{network['id']}", {"network": {"name": "theirs"}}, expect=403)
    guest = other.port(network)
    assert (
        admin("PUT", f"/networks/{network['id']}", {"network": {"shared": False}}, expect=409)["NeutronError"]["type"]
        == "InvalidSharedSetting"
    )
    assert member("GET", f"/ports/{guest['id']}")["port"]["id"] == guest["id"]  # who owns the network sees its ports
    other("DELETE", f"/ports/{guest['id']}", expect=204)
    admin("PUT", f"/networks/{network['id']}", {"network": {"shared": False}})
    other("GET", f"/networks/{network['id']}", expect=404)


def test_rbac_policies_open_a_network_to_one_project(api: Any, cloud: Any, member: Any) -> None:
    other, project = api("other"), cloud.connect("other").current_project_id
    network = member.network()
    policy = member.make(
        "rbac_policy",
        "/rbac-policies",
        object_type="network",
        object_id=network["id"],
        action="access_as_shared",
        target_tenant=project,
    )
    assert other("GET", f"/networks/{network['id']}")["network"]["shared"] is False
    assert (
        member.make(
            "rbac_policy",
            "/rbac-policies",
            expect=409,
            object_type="network",
            object_id=network["id"],
            action="access_as_shared",
            target_tenant=project,
        )["type"]
        == "DuplicateRbacPolicy"
    )
    member.make(
        "rbac_policy",
        "/rbac-policies",
        expect=403,
        object_type="network",
        object_id=network["id"],
        action="access_as_shared",
        target_tenant="*",
    )
    port = other.port(network)
    assert member("DELETE", f"/rbac-policies/{policy['id']}", expect=409)["NeutronError"]["type"] == "RbacPolicyInUse"
    other("DELETE", f"/ports/{port['id']}", expect=204)
    member("DELETE", f"/rbac-policies/{policy['id']}", expect=204)
    other("GET", f"/networks/{network['id']}", expect=404)


def test_a_reader_reads_and_nobody_does_nothing(api: Any, member: Any) -> None:
    reader, network = api("reader"), member.network()
    assert reader("GET", f"/networks/{network['id']}")["network"]["id"] == network["id"]
    reader("POST", "/networks", {"network": {}}, expect=403)
    reader("PUT", f"/networks/{network['id']}", {"network": {"name": "x"}}, expect=403)
    reader("DELETE", f"/networks/{network['id']}", expect=403)
    api("nobody")("GET", "/networks", expect=403)
    import httpx

    assert httpx.get(f"{member.client.base_url}/network/v2.0/networks").status_code == 401


# ---------------------------------------------------------------- subnets


def test_a_subnet_has_gateway_pool_and_dhcp_port(member: Any) -> None:
    network = member.network()
    subnet = member.subnet(
        network,
        "10.20.0.0/24",
        dns_nameservers=["192.0.2.1"],
        host_routes=[{"destination": "192.0.2.0/24", "nexthop": "10.20.0.9"}],
    )
    assert subnet["gateway_ip"] == "10.20.0.1" and subnet["enable_dhcp"] is True
    assert subnet["allocation_pools"] == [{"start": "10.20.0.2", "end": "10.20.0.254"}]
    (dhcp,) = member("GET", f"/ports?network_id={network['id']}&device_owner=network:dhcp")["ports"]
    assert dhcp["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.20.0.2"}]
    second = member.subnet(network, "10.21.0.0/24")
    (dhcp,) = member("GET", f"/ports?network_id={network['id']}")["ports"]
    assert {entry["subnet_id"] for entry in dhcp["fixed_ips"]} == {subnet["id"], second["id"]}
    member("PUT", f"/subnets/{second['id']}", {"subnet": {"enable_dhcp": False}})
    (dhcp,) = member("GET", f"/ports?network_id={network['id']}")["ports"]
    assert [entry["subnet_id"] for entry in dhcp["fixed_ips"]] == [subnet["id"]]
    member("DELETE", f"/subnets/{subnet['id']}", expect=204)
    assert member("GET", f"/ports?network_id={network['id']}")["ports"] == []
    member("DELETE", f"/networks/{network['id']}", expect=204)
    member("GET", f"/subnets/{second['id']}", expect=404)


@pytest.mark.parametrize(
    ("cidr", "values", "type"),
    [
        ("10.30.0.128/25", {}, "InvalidInput"),
        ("10.31.0.0/24", {"ip_version": 6}, "InvalidInput"),
        ("not-a-net", {"ip_version": 4}, "HTTPBadRequest"),
        ("0.0.0.0/0", {}, "InvalidInput"),
        ("10.32.0.0/24", {"gateway_ip": "10.99.0.1"}, "InvalidInput"),
        ("10.32.0.0/24", {"allocation_pools": [{"start": "10.32.0.10", "end": "10.32.0.5"}]}, "InvalidAllocationPool"),
        (
            "10.32.0.0/24",
            {"allocation_pools": [{"start": "10.32.0.10", "end": "10.32.1.5"}]},
            "OutOfBoundsAllocationPool",
        ),
        ("10.32.0.0/24", {"ipv6_ra_mode": "slaac"}, "InvalidInput"),
        ("2001:db8:1::/60", {"ipv6_address_mode": "slaac"}, "InvalidInput"),
        ("2001:db8:1::/64", {"ipv6_address_mode": "slaac", "ipv6_ra_mode": "dhcpv6-stateful"}, "InvalidInput"),
        ("2001:db8:1::/64", {"ipv6_address_mode": "slaac", "enable_dhcp": False}, "InvalidInput"),
    ],
)
def test_subnets_that_cannot_be(member: Any, cidr: str, values: dict[str, Any], type: str) -> None:
    network = member.network()
    member.subnet(network, "10.30.0.0/24")
    assert member.subnet(network, cidr, expect=400, **values)["type"] == type
    assert len(member("GET", f"/subnets?network_id={network['id']}")["subnets"]) == 1


def test_pools_that_overlap_or_hold_the_gateway_conflict(member: Any) -> None:
    network = member.network()
    assert (
        member.subnet(
            network,
            "10.33.0.0/24",
            expect=409,
            allocation_pools=[
                {"start": "10.33.0.10", "end": "10.33.0.20"},
                {"start": "10.33.0.15", "end": "10.33.0.30"},
            ],
        )["type"]
        == "OverlappingAllocationPools"
    )
    assert (
        member.subnet(
            network, "10.33.0.0/24", expect=409, allocation_pools=[{"start": "10.33.0.1", "end": "10.33.0.9"}]
        )["type"]
        == "GatewayConflictWithAllocationPools"
    )


def test_overlapping_cidrs_are_fine_on_different_networks(member: Any) -> None:
    for _ in range(2):
        member.subnet(member.network(), "10.34.0.0/24")


def test_what_of_a_subnet_may_change(member: Any) -> None:
    network = member.network()
    subnet = member.subnet(network, "10.35.0.0/24")
    path = f"/subnets/{subnet['id']}"
    changed = member(
        "PUT",
        path,
        {
            "subnet": {
                "name": "n",
                "gateway_ip": None,
                "dns_nameservers": ["192.0.2.9"],
                "allocation_pools": [{"start": "10.35.0.100", "end": "10.35.0.110"}],
            }
        },
    )["subnet"]
    assert changed["gateway_ip"] is None and changed["dns_nameservers"] == ["192.0.2.9"]
    assert changed["allocation_pools"] == [{"start": "10.35.0.100", "end": "10.35.0.110"}]
    member("PUT", path, {"subnet": {"cidr": "10.36.0.0/24"}}, expect=400)
    member("PUT", path, {"subnet": {"dns_nameservers": ["192.0.2.9", "192.0.2.9"]}}, expect=400)
    port = member.port(network)
    assert 100 <= int(port["fixed_ips"][0]["ip_address"].rpartition(".")[2]) <= 110
    assert member("DELETE", path, expect=409)["NeutronError"]["type"] == "SubnetInUse"
    assert member("DELETE", f"/networks/{network['id']}", expect=409)["NeutronError"]["type"] == "NetworkInUse"


def test_subnet_pools_hand_out_prefixes(member: Any) -> None:
    pool = member.make("subnetpool", name="p", prefixes=["10.40.0.0/16"], default_prefixlen=24, min_prefixlen=20)
    network = member.network()
    first = member.make("subnet", network_id=network["id"], ip_version=4, subnetpool_id=pool["id"])
    second = member.make("subnet", network_id=network["id"], ip_version=4, subnetpool_id=pool["id"], prefixlen=22)
    assert (
        first["cidr"] == "10.40.0.0/24" and second["cidr"] == "10.40.4.0/22" and second["subnetpool_id"] == pool["id"]
    )
    member.make("subnet", expect=400, network_id=network["id"], ip_version=4, subnetpool_id=pool["id"], prefixlen=16)
    taken = member.make(
        "subnet", expect=409, network_id=network["id"], ip_version=4, subnetpool_id=pool["id"], cidr="10.40.0.0/24"
    )
    assert taken["type"] == "SubnetAllocationError"
    assert member("DELETE", f"/subnetpools/{pool['id']}", expect=409)["NeutronError"]["type"] == "SubnetPoolDeleteError"


# ---------------------------------------------------------------- lists


def test_lists_filter_sort_page_and_choose_fields(member: Any) -> None:
    names = [f"page-{letter}" for letter in "dacbe"]
    made = {name: member.network(name=name) for name in names}
    ids = "&".join(f"id={network['id']}" for network in made.values())
    first = member("GET", f"/networks?{ids}&sort_key=name&sort_dir=desc&limit=2")
    assert [network["name"] for network in first["networks"]] == ["page-e", "page-d"]
    links = {link["rel"]: link["href"] for link in first["networks_links"]}
    following = member.client.get(links["next"]).json()
    assert [network["name"] for network in following["networks"]] == ["page-c", "page-b"]
    back = {link["rel"]: link["href"] for link in following["networks_links"]}["previous"]
    assert [network["name"] for network in member.client.get(back).json()["networks"]] == ["page-e", "page-d"]
    assert member("GET", f"/networks?{ids}&name=page-a&name=page-b&fields=name&sort_key=name")["networks"] == [
        {"name": "page-a"},
        {"name": "page-b"},
    ]
    error = member("GET", "/networks?colour=red", expect=400)["NeutronError"]
    assert "is invalid attribute for filtering" in error["message"]
    member("GET", "/networks?limit=-1", expect=400)
    member("GET", "/networks?marker=nothing", expect=400)
    assert member("GET", f"/networks?{ids}&admin_state_up=false")["networks"] == []


def test_tags(member: Any) -> None:
    network = member.network()
    path = f"/networks/{network['id']}/tags"
    assert member("PUT", path, {"tags": ["red", "blue"]}) == {"tags": ["red", "blue"]}
    member("PUT", f"{path}/Red", expect=201)
    member("GET", f"{path}/red", expect=204)
    member("DELETE", f"{path}/red", expect=204)
    member("GET", f"{path}/red", expect=404)
    assert member("GET", path)["tags"] == ["blue", "Red"]
    mine = f"/networks?id={network['id']}"
    assert len(member("GET", f"{mine}&tags=blue,Red")["networks"]) == 1
    assert len(member("GET", f"{mine}&tags=blue,red")["networks"]) == 0  # case matters
    assert len(member("GET", f"{mine}&tags-any=red,blue")["networks"]) == 1
    assert len(member("GET", f"{mine}&not-tags-any=red,green")["networks"]) == 1
    assert len(member("GET", f"{mine}&not-tags=blue,Red")["networks"]) == 0
    member("DELETE", path, expect=204)
    assert member("GET", path)["tags"] == []


def test_a_revision_that_has_passed_is_refused(member: Any) -> None:
    network = member.network()
    headers = {"If-Match": f"revision_number={network['revision_number'] + 5}"}
    member("PUT", f"/networks/{network['id']}", {"network": {"name": "x"}}, expect=412, headers=headers)


# ---------------------------------------------------------------- quota, agents, extensions


def test_quotas_bound_what_a_project_makes(api: Any, cloud: Any, admin: Any) -> None:
    other, project = api("other"), cloud.connect("other").current_project_id
    have = admin("GET", f"/quotas/{project}/details")["quota"]["network"]["used"]
    admin("PUT", f"/quotas/{project}", {"quota": {"network": have + 1}})
    other.network()
    error = other.make("network", expect=409)
    assert error["type"] == "OverQuota" and "['network']" in error["message"]
    assert other("GET", f"/quotas/{project}")["quota"]["network"] == have + 1
    other("PUT", f"/quotas/{project}", {"quota": {"network": 99}}, expect=403)
    admin("PUT", f"/quotas/{project}", {"quota": {"flavours": 1}}, expect=400)
    admin("PUT", f"/quotas/{project}", {"quota": {"network": -2}}, expect=400)
    admin("DELETE", f"/quotas/{project}", expect=204)
    assert (
        admin("GET", f"/quotas/{project}/default")["quota"]["network"]
        == other("GET", f"/quotas/{project}")["quota"]["network"]
    )


def test_what_hosts_are_as_agents(admin: Any, member: Any) -> None:
    kinds = {agent["agent_type"] for agent in admin("GET", "/agents")["agents"]}
    assert kinds == {"L3 agent", "DHCP agent", "Linux bridge agent"}
    agent = admin("GET", "/agents?agent_type=L3+agent")["agents"][0]
    assert agent["alive"] is True and admin("GET", f"/agents/{agent['id']}")["agent"]["host"] == agent["host"]
    assert member("GET", "/agents")["agents"] == []
    member("GET", f"/agents/{agent['id']}", expect=403)
    assert {zone["resource"] for zone in member("GET", "/availability_zones")["availability_zones"]} == {
        "network",
        "router",
    }


def test_address_use_is_counted(admin: Any, member: Any) -> None:
    network = member.network()
    member.subnet(network, "10.50.0.0/28")
    member.port(network)
    found = admin("GET", f"/network-ip-availabilities/{network['id']}")["network_ip_availability"]
    assert found["total_ips"] == 13 and found["used_ips"] == 2


def test_extensions_are_listed_and_shown(member: Any) -> None:
    aliases = {extension["alias"] for extension in member("GET", "/extensions")["extensions"]}
    assert {"router", "security-group", "quotas", "standard-attr-tag", "flavors"} <= aliases and "dvr" not in aliases
    assert member("GET", "/extensions/router")["extension"]["alias"] == "router"
    member("GET", "/extensions/dvr", expect=404)
