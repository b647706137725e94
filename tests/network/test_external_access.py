"""Who sees an external network: whom a policy opens it to, and nobody else because others may."""

from __future__ import annotations

from typing import Any


def test_a_network_that_is_external_to_one_project_is_nothing_to_others(api: Any, member: Any, admin: Any, cloud: Any) -> None:
    """It was everybody's as soon as it was anybody's."""
    other, project = api("other"), cloud.connect("other").current_project_id
    network = admin.network()
    admin.subnet(network, "198.51.104.0/24", enable_dhcp=False)
    opening = {"object_type": "network", "object_id": network["id"], "action": "access_as_external"}
    policy = admin.make("rbac_policy", "/rbac-policies", **opening, target_tenant=project)
    path = f"/networks/{network['id']}"
    assert admin("GET", path)["network"]["router:external"] is True
    assert other("GET", path)["network"]["id"] == network["id"]
    member("GET", path, expect=404)
    assert member("GET", f"/networks?id={network['id']}")["networks"] == []
    member.make("floatingip", expect=404, floating_network_id=network["id"])
    member.make("router", expect=404, external_gateway_info={"network_id": network["id"]})
    floating = other.make("floatingip", floating_network_id=network["id"])
    used = admin("DELETE", f"/rbac-policies/{policy['id']}", expect=409)
    assert used["NeutronError"]["type"] == "RbacPolicyInUse"
    other("DELETE", f"/floatingips/{floating['id']}", expect=204)
    admin("DELETE", f"/rbac-policies/{policy['id']}", expect=204)
    other("GET", path, expect=404)


def test_the_default_outside_stays_everybodys(admin: Any, public: Any) -> None:
    path = f"/networks/{public['id']}"
    (policy,) = admin("GET", f"/rbac-policies?object_id={public['id']}&action=access_as_external")["rbac_policies"]
    admin("PUT", path, {"network": {"is_default": True}})
    try:
        admin("DELETE", f"/rbac-policies/{policy['id']}", expect=409)
        admin("PUT", f"/rbac-policies/{policy['id']}", {"rbac_policy": {"target_tenant": "0" * 32}}, expect=409)
    finally:
        admin("PUT", path, {"network": {"is_default": False}})


def test_an_owner_of_a_network_ends_ports_of_others_on_it(api: Any, member: Any, cloud: Any) -> None:
    other, network = api("other"), member.network()
    member.make("rbac_policy", "/rbac-policies", object_type="network", object_id=network["id"], action="access_as_shared",
                target_tenant=cloud.connect("other").current_project_id)
    port = other.port(network)
    third = member.port(network)
    other("DELETE", f"/ports/{third['id']}", expect=404)
    member("DELETE", f"/ports/{port['id']}", expect=204)
    member.port(network, expect=400, security_groups=[third["security_groups"][0]] * 2)


def test_who_owns_a_physical_network_does_not_make_it_the_outside(admin: Any, member: Any, cloud: Any) -> None:
    """Its hosts would carry whatever address the owner calls a gateway. On a network of tunnels nothing does."""
    project = cloud.connect("member").current_project_id
    physical = admin.network(project_id=project, **{"provider:network_type": "flat", "provider:physical_network": "public"})
    opening = {"object_type": "network", "action": "access_as_external", "target_tenant": "1" * 32}
    refused = member.make("rbac_policy", "/rbac-policies", expect=403, object_id=physical["id"], **opening)
    assert refused["type"] == "PolicyNotAuthorized"
    assert member("GET", f"/networks/{physical['id']}")["network"]["router:external"] is False
    member.make("rbac_policy", "/rbac-policies", object_id=member.network()["id"], **opening)
    admin("DELETE", f"/networks/{physical['id']}", expect=204)


def test_a_template_of_rules_is_not_made_twice(admin: Any) -> None:
    wanted = {"direction": "ingress", "protocol": "udp", "port_range_min": 4711, "port_range_max": 4711}
    path = "/default-security-group-rules"
    first = admin.make("default_security_group_rule", path, used_in_default_sg=True, **wanted)
    admin.make("default_security_group_rule", path, expect=409, used_in_default_sg=True, used_in_non_default_sg=False, **wanted)
    admin("DELETE", f"{path}/{first['id']}", expect=204)


def test_a_floating_ip_is_not_put_on_a_port_of_another_project(api: Any, member: Any, public: Any, cloud: Any) -> None:
    """Who owns a network sees ports of others on it."""
    network = member.network()
    subnet = member.subnet(network, "10.75.0.0/24")
    router = member.router(external_gateway_info={"network_id": public["id"]})
    member.plug(router, subnet_id=subnet["id"])
    member.make("rbac_policy", "/rbac-policies", object_type="network", object_id=network["id"], action="access_as_shared",
                target_tenant=cloud.connect("other").current_project_id)
    port = api("other").port(network)
    floating = member.make("floatingip", floating_network_id=public["id"])
    path = f"/floatingips/{floating['id']}"
    error = member("PUT", path, {"floatingip": {"port_id": port["id"]}}, expect=400)
    assert "different project" in error["NeutronError"]["message"]
