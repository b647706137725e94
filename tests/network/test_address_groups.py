"""Address groups: lists that rules name, who may use them, and when they may go."""

from __future__ import annotations

from typing import Any


def test_addresses_come_and_go(member: Any) -> None:
    made = member.make("address_group", "/address-groups", name="offices", addresses=["10.1.2.3/24", "2001:db8::1/64"])
    assert made["addresses"] == ["10.1.2.0/24", "2001:db8::/64"]
    path = f"/address-groups/{made['id']}"
    added = member("PUT", f"{path}/add_addresses", {"addresses": ["192.0.2.7/32"]})["address_group"]
    assert added["addresses"] == ["10.1.2.0/24", "2001:db8::/64", "192.0.2.7/32"]
    for body, status, kind in (
        ({"addresses": ["192.0.2.7/32"]}, 400, "AddressesAlreadyExist"),
        ({"addresses": ["192.0.2.7"]}, 400, "HTTPBadRequest"),
        ({"addresses": ["elsewhere"]}, 400, "HTTPBadRequest"),
        ({"addresses": ["10.0.0.0/33"]}, 400, "HTTPBadRequest"),
    ):
        assert member("PUT", f"{path}/add_addresses", body, expect=status)["NeutronError"]["type"] == kind
    absent = member("PUT", f"{path}/remove_addresses", {"addresses": ["192.0.2.8"]}, expect=404)
    assert absent["NeutronError"]["type"] == "AddressesNotFound"
    left = member("PUT", f"{path}/remove_addresses", {"addresses": ["10.1.2.0/24"]})["address_group"]
    assert left["addresses"] == ["2001:db8::/64", "192.0.2.7/32"]
    member("PUT", path, {"address_group": {"addresses": []}}, expect=400)
    assert member("PUT", path, {"address_group": {"description": "d"}})["address_group"]["description"] == "d"
    assert [entry["id"] for entry in member("GET", "/address-groups?name=offices")["address_groups"]] == [made["id"]]
    member("DELETE", path, expect=204)
    member("GET", path, expect=404)


def test_a_rule_names_an_address_group_and_keeps_it(member: Any) -> None:
    addresses = member.make("address_group", "/address-groups", addresses=["192.0.2.0/24"])
    group = member.make("security_group", "/security-groups", name="guarded")
    wanted = {"security_group_id": group["id"], "direction": "ingress", "remote_address_group_id": addresses["id"]}
    rule = member.make("security_group_rule", "/security-group-rules", **wanted)
    assert rule["remote_address_group_id"] == addresses["id"] and rule["remote_group_id"] is None
    assert member("GET", f"/security-group-rules?remote_address_group_id={addresses['id']}")["security_group_rules"] == [rule]
    for values, status in (({}, 409), ({"remote_ip_prefix": "192.0.2.0/24"}, 400), ({"remote_group_id": group["id"]}, 400),
                           ({"remote_address_group_id": "0e0e0e0e-0000-4000-8000-00000000000e"}, 404)):
        member.make("security_group_rule", "/security-group-rules", expect=status, **{**wanted, **values})
    path = f"/address-groups/{addresses['id']}"
    assert member("DELETE", path, expect=409)["NeutronError"]["type"] == "AddressGroupInUse"
    member("DELETE", f"/security-group-rules/{rule['id']}", expect=204)
    member("DELETE", path, expect=204)


def test_an_address_group_that_is_shared_is_used_and_not_changed(api: Any, member: Any, cloud: Any) -> None:
    other, project = api("other"), cloud.connect("other").current_project_id
    made = member.make("address_group", "/address-groups", addresses=["192.0.2.0/24"])
    path = f"/address-groups/{made['id']}"
    other("GET", path, expect=404)
    sharing = {"object_type": "address_group", "object_id": made["id"], "action": "access_as_shared"}
    policy = member.make("rbac_policy", "/rbac-policies", **sharing, target_tenant=project)
    assert other("GET", path)["address_group"] == made
    other("PUT", path, {"address_group": {"name": "mine"}}, expect=404)
    other("PUT", f"{path}/add_addresses", {"addresses": ["0.0.0.0/0"]}, expect=404)
    other.make("rbac_policy", "/rbac-policies", expect=400, **sharing, target_tenant="0" * 32)
    group = other.make("security_group", "/security-groups", name="borrowed")
    rule = other.make("security_group_rule", "/security-group-rules", security_group_id=group["id"], direction="egress",
                      remote_address_group_id=made["id"])
    used = member("DELETE", f"/rbac-policies/{policy['id']}", expect=409)
    assert used["NeutronError"]["type"] == "RbacPolicyInUse"
    other("DELETE", f"/security-group-rules/{rule['id']}", expect=204)
    member("DELETE", path, expect=204)
    member("GET", f"/rbac-policies/{policy['id']}", expect=404)
