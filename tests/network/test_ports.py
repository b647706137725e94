"""Ports: addresses, MACs, security, who may set what, and many at the same moment."""

from __future__ import annotations

import threading
from typing import Any

import pytest


def addresses(port: Any) -> list[str]:
    return [entry["ip_address"] for entry in port["fixed_ips"]]


def test_a_port_gets_mac_address_and_default_group(member: Any) -> None:
    network = member.network()
    member.subnet(network, "10.60.0.0/24")
    port = member.port(network, name="p")
    assert port["mac_address"].startswith("fa:16:3e:") and port["status"] == "DOWN" and port["admin_state_up"] is True
    assert len(port["fixed_ips"]) == 1 and port["port_security_enabled"] is True and "binding:host_id" not in port
    (group,) = member("GET", "/security-groups?name=default")["security_groups"]
    assert port["security_groups"] == [group["id"]]
    member("DELETE", f"/ports/{port['id']}", expect=204)
    member("GET", f"/ports/{port['id']}", expect=404)


def test_addresses_by_ip_by_subnet_and_by_both(member: Any) -> None:
    network = member.network()
    one, two = member.subnet(network, "10.61.0.0/24"), member.subnet(network, "10.62.0.0/24")
    assert addresses(member.port(network, fixed_ips=[{"ip_address": "10.62.0.77"}])) == ["10.62.0.77"]
    assert addresses(member.port(network, fixed_ips=[{"subnet_id": one["id"], "ip_address": "10.61.0.50"}])) == [
        "10.61.0.50"
    ]
    both = member.port(network, fixed_ips=[{"subnet_id": one["id"]}, {"subnet_id": two["id"]}])
    assert {entry["subnet_id"] for entry in both["fixed_ips"]} == {one["id"], two["id"]}
    assert addresses(member.port(network, fixed_ips=[])) == []
    wrong = [
        ({"ip_address": "10.99.0.1"}, 400, "InvalidIpForNetwork"),
        ({"subnet_id": one["id"], "ip_address": "10.62.0.1"}, 400, "InvalidIpForSubnet"),
        ({"ip_address": "10.61.0.255"}, 400, "InvalidIpForNetwork"),
        ({"ip_address": "10.61.0.50"}, 409, "IpAddressAlreadyAllocated"),
        ({"ip_address": "nonsense"}, 400, "InvalidInput"),
    ]
    for wish, status, type in wrong:
        assert member.port(network, expect=status, fixed_ips=[wish])["type"] == type
    member.port(network, expect=400, fixed_ips=[{"ip": "10.61.0.51"}])
    found = member("GET", f"/ports?fixed_ips=ip_address%3D10.61.0.50&network_id={network['id']}")["ports"]
    assert len(found) == 1
    assert len(member("GET", f"/ports?fixed_ips=subnet_id%3D{two['id']}&device_owner=")["ports"]) == 2


def test_a_pool_that_is_used_up(member: Any) -> None:
    network = member.network()
    member.subnet(network, "10.63.0.0/29", enable_dhcp=False)
    seen = {addresses(member.port(network))[0] for _ in range(5)}
    assert seen == {f"10.63.0.{number}" for number in range(2, 7)}
    error = member.port(network, expect=409)
    assert error["type"] == "IpAddressGenerationFailure" and network["id"] in error["message"]


def test_ipv6_addresses_are_made_from_the_mac_or_from_the_pool(member: Any) -> None:
    network = member.network()
    slaac = member.subnet(network, "2001:db8:5::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    port = member.port(network, mac_address="fa:16:3e:00:00:01")
    assert addresses(port) == ["2001:db8:5:0:f816:3eff:fe00:1"]
    member.port(network, expect=400, fixed_ips=[{"subnet_id": slaac["id"], "ip_address": "2001:db8:5::99"}])
    later = member.subnet(
        network, "2001:db8:6::/64", ipv6_ra_mode="dhcpv6-stateless", ipv6_address_mode="dhcpv6-stateless"
    )
    assert "2001:db8:6:0:f816:3eff:fe00:1" in addresses(member("GET", f"/ports/{port['id']}")["port"])
    member("DELETE", f"/subnets/{later['id']}", expect=204)  # what guests made themselves is not in the way
    assert addresses(member("GET", f"/ports/{port['id']}")["port"]) == ["2001:db8:5:0:f816:3eff:fe00:1"]
    stateful = member.subnet(
        network, "2001:db8:7::/64", ipv6_ra_mode="dhcpv6-stateful", ipv6_address_mode="dhcpv6-stateful"
    )
    assert {entry["subnet_id"] for entry in member.port(network)["fixed_ips"]} == {slaac["id"], stateful["id"]}


def test_macs_are_unique_in_a_network_and_valid(member: Any) -> None:
    network = member.network()
    port = member.port(network, mac_address="FA-16-3E-AA-BB-CC")
    assert port["mac_address"] == "fa:16:3e:aa:bb:cc"
    assert member.port(network, expect=409, mac_address="fa:16:3e:aa:bb:cc")["type"] == "MacAddressInUse"
    member.port(network, expect=400, mac_address="01:00:5e:00:00:01")
    member.port(network, expect=400, mac_address="zz")


def test_security_of_a_port(member: Any) -> None:
    network = member.network()
    member.subnet(network, "10.64.0.0/24")
    open_port = member.port(network, port_security_enabled=False)
    assert open_port["security_groups"] == []
    group = member.make("security_group", "/security-groups", name="g")
    assert (
        member.port(network, expect=400, port_security_enabled=False, security_groups=[group["id"]])["type"]
        == "PortSecurityAndIPRequiredForSecurityGroups"
    )
    assert (
        member.port(
            network, expect=409, port_security_enabled=False, allowed_address_pairs=[{"ip_address": "10.64.0.200"}]
        )["type"]
        == "AddressPairAndPortSecurityRequired"
    )
    port = member.port(network, security_groups=[group["id"]], allowed_address_pairs=[{"ip_address": "10.64.0.200/30"}])
    assert port["allowed_address_pairs"] == [{"ip_address": "10.64.0.200/30", "mac_address": port["mac_address"]}]
    path = f"/ports/{port['id']}"
    assert (
        member("PUT", path, {"port": {"port_security_enabled": False}}, expect=409)["NeutronError"]["type"]
        == "PortSecurityPortHasSecurityGroup"
    )
    changed = member(
        "PUT", path, {"port": {"port_security_enabled": False, "security_groups": [], "allowed_address_pairs": []}}
    )
    assert changed["port"]["security_groups"] == [] and changed["port"]["port_security_enabled"] is False
    assert member.port(network, expect=404, security_groups=[network["id"]])["type"] == "SecurityGroupNotFound"


def test_dhcp_options_cannot_carry_a_line_of_their_own(member: Any) -> None:
    network = member.network()
    port = member.port(network, extra_dhcp_opts=[{"opt_name": "bootfile-name", "opt_value": "pxe.0"}])
    assert port["extra_dhcp_opts"] == [{"opt_name": "bootfile-name", "opt_value": "pxe.0", "ip_version": 4}]
    for option in (
        {"opt_name": "bootfile-name", "opt_value": "x\ndhcp-script=/bin/sh"},
        {"opt_name": "a\nb", "opt_value": "x"},
    ):
        member.port(network, expect=400, extra_dhcp_opts=[option])
    changed = member(
        "PUT",
        f"/ports/{port['id']}",
        {
            "port": {
                "extra_dhcp_opts": [
                    {"opt_name": "bootfile-name", "opt_value": None},
                    {"opt_name": "server-ip-address", "opt_value": "192.0.2.1"},
                ]
            }
        },
    )["port"]
    assert [option["opt_name"] for option in changed["extra_dhcp_opts"]] == ["server-ip-address"]


def test_what_of_a_port_only_some_may_set(api: Any, admin: Any, member: Any) -> None:
    network = member.network()
    member.subnet(network, "10.65.0.0/24")
    member.port(network, expect=403, **{"binding:host_id": "host-1"})
    bound = admin.port(network, **{"binding:host_id": "host-1"})
    assert bound["binding:host_id"] == "host-1" and bound["binding:vif_type"] == "bridge"
    admin("PUT", f"/networks/{network['id']}", {"network": {"shared": True}})
    other = api("other")
    other.port(network, expect=403, mac_address="fa:16:3e:11:22:33")
    other.port(network, expect=403, fixed_ips=[{"ip_address": "10.65.0.9"}])
    other.port(network, expect=403, device_owner="network:dhcp")
    port = other.port(network)
    other("PUT", f"/ports/{port['id']}", {"port": {"port_security_enabled": False}}, expect=403)
    other("DELETE", f"/ports/{port['id']}", expect=204)
    admin("DELETE", f"/ports/{bound['id']}", expect=204)
    admin("PUT", f"/networks/{network['id']}", {"network": {"shared": False}})


def test_a_port_is_not_smuggled_into_a_foreign_router(api: Any, member: Any) -> None:
    other = api("other")
    router, network = member.router(), other.network()
    other.subnet(network, "10.66.0.0/24")
    other.port(network, expect=409, device_owner="network:router_interface", device_id=router["id"])
    port = other.port(network)
    other(
        "PUT",
        f"/ports/{port['id']}",
        {"port": {"device_owner": "network:router_interface", "device_id": router["id"]}},
        expect=409,
    )


def test_many_ports_at_once(member: Any) -> None:
    network = member.network()
    member.subnet(network, "10.67.0.0/29", enable_dhcp=False)
    wanted = [{"network_id": network["id"], "name": f"p{number}", "tags": ["bulk"]} for number in range(4)]
    made = member("POST", "/ports", {"ports": wanted}, expect=201)["ports"]
    assert len({addresses(port)[0] for port in made}) == 4 and all(port["tags"] == ["bulk"] for port in made)
    member("POST", "/ports", {"ports": wanted}, expect=409)  # one address is left: none is made
    assert len(member("GET", f"/ports?network_id={network['id']}")["ports"]) == 4


def test_eight_threads_never_share_an_address(member: Any, api: Any) -> None:
    network = member.network()
    member.subnet(network, "10.68.0.0/26", enable_dhcp=False)
    results: list[Any] = []

    def work() -> None:
        mine = api("member")
        for _ in range(10):
            results.append(mine.client.post("/network/v2.0/ports", json={"port": {"network_id": network["id"]}}))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [answer.json()["port"] for answer in results if answer.status_code == 201]
    refused = [answer for answer in results if answer.status_code != 201]
    assert len(made) == 61 and len({addresses(port)[0] for port in made}) == 61
    assert len({port["mac_address"] for port in made}) == 61
    assert {answer.status_code for answer in refused} == {409}


def test_a_port_costs_few_statements(cloud: Any, member: Any) -> None:
    network = member.network()
    member.subnet(network, "10.69.0.0/22")
    member.port(network)
    costs = []
    for _ in range(5):
        before = cloud.cloud.database.statements
        member.port(network)
        costs.append(cloud.cloud.database.statements - before)
    assert min(costs) <= 15, costs  # the least: other threads count too


def test_a_list_costs_the_same_however_long(cloud: Any, member: Any) -> None:
    network = member.network()
    member.subnet(network, "10.70.0.0/24")
    costs = []
    for _ in range(2):
        member("POST", "/ports", {"ports": [{"network_id": network["id"]}] * 20}, expect=201)
        before = cloud.cloud.database.statements
        member("GET", f"/ports?network_id={network['id']}")
        costs.append(cloud.cloud.database.statements - before)
    assert max(costs) <= 12, costs


# ---------------------------------------------------------------- security groups


def test_groups_and_their_rules(member: Any) -> None:
    group = member.make("security_group", "/security-groups", name="web", description="d")
    assert {(rule["direction"], rule["ethertype"]) for rule in group["security_group_rules"]} == {
        ("egress", "IPv4"),
        ("egress", "IPv6"),
    }
    rules = "/security-group-rules"
    rule = member.make(
        "security_group_rule",
        rules,
        security_group_id=group["id"],
        direction="ingress",
        protocol="tcp",
        port_range_min=22,
        port_range_max=22,
        remote_ip_prefix="192.0.2.9/24",
    )
    assert rule["ethertype"] == "IPv4" and rule["normalized_cidr"] == "192.0.2.0/24"
    error = member.make(
        "security_group_rule",
        rules,
        expect=409,
        security_group_id=group["id"],
        direction="ingress",
        protocol="6",
        port_range_min=22,
        port_range_max=22,
        remote_ip_prefix="192.0.2.9/24",
    )
    assert error["type"] == "SecurityGroupRuleExists" and rule["id"] in error["message"]
    assert len(member("GET", f"/security-groups/{group['id']}")["security_group"]["security_group_rules"]) == 3
    changed = member("PUT", f"/security-groups/{group['id']}", {"security_group": {"name": "shop"}})["security_group"]
    assert changed["name"] == "shop"
    member("DELETE", f"{rules}/{rule['id']}", expect=204)
    member("GET", f"{rules}/{rule['id']}", expect=404)
    member("DELETE", f"/security-groups/{group['id']}", expect=204)


@pytest.mark.parametrize(
    ("values", "type"),
    [
        ({"protocol": "tcp", "port_range_min": 80, "port_range_max": 79}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_min": 80}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_min": 1, "port_range_max": 65536}, "SecurityGroupInvalidPortValue"),
        ({"protocol": "bogus"}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": 256}, "SecurityGroupRuleInvalidProtocol"),
        ({"ethertype": "IPv5"}, "SecurityGroupRuleInvalidEtherType"),
        ({"remote_ip_prefix": "2001:db8::/64"}, "SecurityGroupRuleParameterConflict"),
        ({"protocol": "icmp", "port_range_min": 256}, "SecurityGroupInvalidIcmpValue"),
        ({"protocol": "icmp", "port_range_max": 3}, "SecurityGroupMissingIcmpType"),
        ({"protocol": "ipv6-icmp"}, "SecurityGroupEthertypeConflictWithProtocol"),
        ({"direction": "sideways"}, "HTTPBadRequest"),
        ({"port_range_min": 1, "port_range_max": 2}, "InvalidInput"),
    ],
)
def test_rules_that_cannot_be(member: Any, values: dict[str, Any], type: str) -> None:
    (group,) = member("GET", "/security-groups?name=default")["security_groups"]
    error = member.make(
        "security_group_rule",
        "/security-group-rules",
        expect=400,
        security_group_id=group["id"],
        **{"direction": "ingress", **values},
    )
    assert error["type"] == type


def test_the_default_group(api: Any, member: Any) -> None:
    (group,) = member("GET", "/security-groups?name=default")["security_groups"]
    assert len(group["security_group_rules"]) == 4
    assert {rule["remote_group_id"] for rule in group["security_group_rules"] if rule["direction"] == "ingress"} == {
        group["id"]
    }
    path = f"/security-groups/{group['id']}"
    assert member("DELETE", path, expect=409)["NeutronError"]["type"] == "SecurityGroupCannotRemoveDefault"
    member("PUT", path, {"security_group": {"name": "mine"}}, expect=409)
    assert (
        member.make("security_group", "/security-groups", expect=409, name="default")["type"]
        == "SecurityGroupDefaultAlreadyExists"
    )
    api("other")("GET", path, expect=404)
    error = api("other").make(
        "security_group_rule", "/security-group-rules", expect=404, security_group_id=group["id"], direction="ingress"
    )
    assert error["type"] == "SecurityGroupNotFound"


def test_a_group_in_use_stays(member: Any) -> None:
    network = member.network()
    member.subnet(network, "10.71.0.0/24")
    group = member.make("security_group", "/security-groups", name="used")
    port = member.port(network, security_groups=[group["id"]])
    assert (
        member("DELETE", f"/security-groups/{group['id']}", expect=409)["NeutronError"]["type"] == "SecurityGroupInUse"
    )
    member("PUT", f"/security-groups/{group['id']}", {"security_group": {"stateful": False}}, expect=409)
    member("DELETE", f"/ports/{port['id']}", expect=204)
    member("DELETE", f"/security-groups/{group['id']}", expect=204)
