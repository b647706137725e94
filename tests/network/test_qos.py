"""QoS policies: who may make and use them, their rules, and that hosts are told what counts."""

from __future__ import annotations

from typing import Any

import pytest
from told import until

from running import RunningCloud


@pytest.fixture
def policy(admin: Any) -> Any:
    """Policies of the administrator's project, shared with everybody unless asked otherwise."""

    def make(*rules: dict[str, Any], shared: bool = True, **values: Any) -> Any:
        made = admin.make("policy", "/qos/policies", name="p", shared=shared, **values)
        for rule in rules:
            kind = rule["type"]
            admin.make(f"{kind}_rule", f"/qos/policies/{made['id']}/{kind}_rules",
                       **{key: value for key, value in rule.items() if key != "type"})
        return made

    return make


def limit(kbps: int = 1000, direction: str = "egress", **more: int) -> dict[str, Any]:
    return {"type": "bandwidth_limit", "max_kbps": kbps, "direction": direction, **more}


def test_policies_and_their_rules(admin: Any, member: Any, policy: Any) -> None:
    made = policy(limit(max_burst_kbps=500), {"type": "dscp_marking", "dscp_mark": 26})
    path = f"/qos/policies/{made['id']}"
    rules = member("GET", path)["policy"]["rules"]
    assert [(rule["type"], rule["qos_policy_id"]) for rule in rules] == [
        ("bandwidth_limit", made["id"]), ("dscp_marking", made["id"])]
    assert (rules[0]["max_kbps"], rules[0]["max_burst_kbps"], rules[0]["direction"]) == (1000, 500, "egress")
    rule = rules[0]["id"]
    assert member("GET", f"{path}/bandwidth_limit_rules/{rule}")["bandwidth_limit_rule"] == {
        "id": rule, "max_kbps": 1000, "max_burst_kbps": 500, "direction": "egress"}
    admin("PUT", f"{path}/bandwidth_limit_rules/{rule}", {"bandwidth_limit_rule": {"max_kbps": "2000"}})
    assert member("GET", f"{path}/bandwidth_limit_rules?max_kbps=2000")["bandwidth_limit_rules"][0]["id"] == rule
    alias = f"/qos/alias_bandwidth_limit_rules/{rule}"
    assert member("GET", alias)["bandwidth_limit_rule"]["max_kbps"] == 2000
    admin("PUT", alias, {"bandwidth_limit_rule": {"direction": "ingress"}})
    admin("GET", f"{path}/dscp_marking_rules/{rule}", expect=404)
    admin("DELETE", alias, expect=204)
    assert admin("GET", f"{path}/bandwidth_limit_rules/{rule}", expect=404)["NeutronError"]["type"] == "QosRuleNotFound"
    admin("DELETE", path, expect=204)
    assert member("GET", path, expect=404)["NeutronError"]["type"] == "QosPolicyNotFound"


def test_lists_are_made_whole(admin: Any, member: Any, policy: Any) -> None:
    """As in Neutron, which takes lists of whatever is created: these were a 500, or only their first was made."""
    path = f"/qos/policies/{policy()['id']}/bandwidth_limit_rules"
    rules = [{"max_kbps": 10, "direction": "egress"}, {"max_kbps": 20, "direction": "ingress"}]
    made = admin("POST", path, {"bandwidth_limit_rules": rules}, expect=201)["bandwidth_limit_rules"]
    assert [rule["max_kbps"] for rule in made] == [10, 20]
    network = member.network()["id"]
    shares = [{"object_type": "network", "object_id": network, "action": "access_as_shared", "target_tenant": target}
              for target in ("one", "two")]
    made = member("POST", "/rbac-policies", {"rbac_policies": shares}, expect=201)["rbac_policies"]
    assert [share["target_tenant"] for share in made] == ["one", "two"]
    for plural, path, first, second in (
        ("flavors", "/flavors", {"name": "a", "service_type": "QOS"}, {"name": "b", "service_type": "QOS"}),
        ("service_profiles", "/service_profiles", {"metainfo": "a"}, {"metainfo": "b"}),
    ):
        made = admin("POST", path, {plural: [first, second]}, expect=201)[plural]
        assert len(made) == 2
        for one in made:
            admin("DELETE", f"{path}/{one['id']}", expect=204)


def test_rules_that_are_refused(admin: Any, policy: Any) -> None:
    made = policy(limit())
    path = f"/qos/policies/{made['id']}"

    def refused(kind: str, expect: int, **values: Any) -> str:
        error = admin.make(f"{kind}_rule", f"{path}/{kind}_rules", expect=expect, **values)
        return str(error["type"])

    assert refused("bandwidth_limit", 409, max_kbps=7) == "QoSRulesConflict"
    assert refused("minimum_bandwidth", 409, min_kbps=1001) == "QoSRuleParameterConflict"
    refused("bandwidth_limit", 400, direction="ingress")
    refused("bandwidth_limit", 400, max_kbps=-1, direction="ingress")
    refused("bandwidth_limit", 400, max_kbps=1, direction="sideways")
    refused("dscp_marking", 400, dscp_mark=42)
    refused("dscp_marking", 400, dscp_mark=16, max_kbps=1)
    admin.make("minimum_packet_rate_rule", f"{path}/minimum_packet_rate_rules", min_kpps=1)
    assert refused("minimum_packet_rate", 409, min_kpps=1, direction="any") == "QoSRulesConflict"


def test_rule_types_are_those_that_hosts_enforce(admin: Any, member: Any) -> None:
    assert {entry["type"] for entry in member("GET", "/qos/rule-types")["rule_types"]} >= {
        "bandwidth_limit", "dscp_marking", "packet_rate_limit"}
    assert "minimum_packet_rate" not in {entry["type"] for entry in member("GET", "/qos/rule-types")["rule_types"]}
    assert "minimum_packet_rate" in {
        entry["type"] for entry in member("GET", "/qos/rule-types?all_rules=true")["rule_types"]}
    (driver,) = admin("GET", "/qos/rule-types/dscp_marking")["rule_type"]["drivers"]
    (parameter,) = driver["supported_parameters"]
    assert parameter["parameter_name"] == "dscp_mark" and 26 in parameter["parameter_values"]
    member("GET", "/qos/rule-types/dscp_marking", expect=403)
    admin("GET", "/qos/rule-types/minimum_packet_rate", expect=404)


def test_only_administrators_make_policies(member: Any, admin: Any, cloud: RunningCloud) -> None:
    member.make("policy", "/qos/policies", expect=403, name="mine")
    project = cloud.connect("member").current_project_id
    own = admin.make("policy", "/qos/policies", name="theirs", project_id=project)
    assert member("GET", f"/qos/policies/{own['id']}")["policy"]["shared"] is False
    member("PUT", f"/qos/policies/{own['id']}", {"policy": {"name": "x"}}, expect=403)
    member.make("bandwidth_limit_rule", f"/qos/policies/{own['id']}/bandwidth_limit_rules", expect=403, max_kbps=1)
    hidden = admin.make("policy", "/qos/policies", name="hidden")
    member("GET", f"/qos/policies/{hidden['id']}", expect=404)
    network = member.network()
    assert member.port(network, expect=404, qos_policy_id=hidden["id"])["type"] == "QosPolicyNotFound"
    shown = admin.make("rbac_policy", "/rbac-policies", object_type="qos_policy", object_id=hidden["id"],
                       action="access_as_shared", target_tenant=project)
    assert member("GET", f"/qos/policies/{hidden['id']}")["policy"]["shared"] is True
    assert admin("GET", f"/qos/policies/{hidden['id']}")["policy"]["shared"] is False
    port = member.port(network, qos_policy_id=hidden["id"])
    assert admin("DELETE", f"/rbac-policies/{shown['id']}", expect=409)["NeutronError"]["type"] == "RbacPolicyInUse"
    assert admin("DELETE", f"/qos/policies/{hidden['id']}", expect=409)["NeutronError"]["type"] == "QosPolicyInUse"
    member("DELETE", f"/ports/{port['id']}", expect=204)
    admin("DELETE", f"/rbac-policies/{shown['id']}", expect=204)
    admin("DELETE", f"/qos/policies/{hidden['id']}", expect=204)


def test_who_cannot_see_a_policy_cannot_take_it_off(member: Any, admin: Any, policy: Any) -> None:
    network, hidden = member.network(), policy(shared=False)
    admin("PUT", f"/networks/{network['id']}", {"network": {"qos_policy_id": hidden["id"]}})
    error = member("PUT", f"/networks/{network['id']}", {"network": {"qos_policy_id": None}}, expect=403)
    assert error["NeutronError"]["type"] == "PolicyRemoveAuthorizationError"
    member("PUT", f"/networks/{network['id']}", {"network": {"qos_policy_id": hidden["id"], "name": "same"}})
    admin("PUT", f"/qos/policies/{hidden['id']}", {"policy": {"shared": True}})
    assert member("PUT", f"/networks/{network['id']}", {"network": {"qos_policy_id": None}})["network"][
        "qos_policy_id"] is None


def test_a_projects_default_policy_is_on_its_new_networks(admin: Any, member: Any, cloud: RunningCloud) -> None:
    project = cloud.connect("member").current_project_id
    before = member.network()
    made = admin.make("policy", "/qos/policies", name="d", project_id=project, is_default=True)
    try:
        error = admin.make("policy", "/qos/policies", expect=409, name="e", project_id=project, is_default=True)
        assert error["type"] == "QoSPolicyDefaultAlreadyExists"
        network = member.network()
        assert network["qos_policy_id"] == made["id"] and before["qos_policy_id"] is None
        port = member.port(network)
        assert port["qos_policy_id"] is None and port["qos_network_policy_id"] == made["id"]
        member("DELETE", f"/ports/{port['id']}", expect=204)
        member("DELETE", f"/networks/{network['id']}", expect=204)
    finally:
        admin("DELETE", f"/qos/policies/{made['id']}", expect=204)


def test_a_rule_that_no_host_enforces_is_refused_on_ports(member: Any, admin: Any, policy: Any) -> None:
    bad, good = policy({"type": "minimum_packet_rate", "min_kpps": 1}), policy()
    network = member.network()
    assert member.port(network, expect=409, qos_policy_id=bad["id"])["type"] == "QosRuleNotSupported"
    error = member("PUT", f"/networks/{network['id']}", {"network": {"qos_policy_id": bad["id"]}}, expect=409)
    assert error["NeutronError"]["type"] == "QosRuleNotSupportedByNetwork"
    member.port(network, qos_policy_id=good["id"])
    error = admin.make("minimum_packet_rate_rule", f"/qos/policies/{good['id']}/minimum_packet_rate_rules", expect=409,
                       min_kpps=1)
    assert error["type"] == "QosRuleNotSupported"
    assert admin("GET", f"/qos/policies/{good['id']}")["policy"]["rules"] == []


def test_a_host_is_told_of_a_ports_limits_and_of_each_change(admin: Any, member: Any, policy: Any,
                                                             cloud: RunningCloud) -> None:
    own, inherited = policy(limit(1000)), policy(limit(5000, "ingress"), {"type": "dscp_marking", "dscp_mark": 10})
    network = member.network()
    member.subnet(network, "10.91.0.0/24")
    port = member.port(network, qos_policy_id=own["id"])
    admin("PUT", f"/ports/{port['id']}", {"port": {"binding:host_id": "host-1"}})
    id = port["id"]

    def qos(spec: Any) -> Any:
        return spec and spec.get("qos")

    told = until(cloud, "port", id, qos, "limits")["qos"]
    assert told["egress"]["kbps"] == 1000 and told.get("ingress") is None
    (rule,) = admin("GET", f"/qos/policies/{own['id']}/bandwidth_limit_rules")["bandwidth_limit_rules"]
    admin("PUT", f"/qos/policies/{own['id']}/bandwidth_limit_rules/{rule['id']}",
          {"bandwidth_limit_rule": {"max_kbps": 2000, "max_burst_kbps": 300}})
    until(cloud, "port", id, lambda spec: qos(spec)["egress"] == {
        "kbps": 2000, "burst_kbit": 300, "kpps": 0, "burst_kpackets": 0}, "new rate")
    member("PUT", f"/networks/{network['id']}", {"network": {"qos_policy_id": inherited["id"]}})
    member("PUT", f"/ports/{id}", {"port": {"qos_policy_id": None}})
    told = until(cloud, "port", id, lambda spec: qos(spec) and qos(spec).get("dscp") == 10, "the network's policy")
    assert told["qos"]["ingress"]["kbps"] == 5000 and told["qos"].get("egress") is None
    (mark,) = admin("GET", f"/qos/policies/{inherited['id']}/dscp_marking_rules")["dscp_marking_rules"]
    admin("DELETE", f"/qos/policies/{inherited['id']}/dscp_marking_rules/{mark['id']}", expect=204)
    until(cloud, "port", id, lambda spec: qos(spec).get("dscp") is None, "no mark")
    member("PUT", f"/networks/{network['id']}", {"network": {"qos_policy_id": None}})
    until(cloud, "port", id, lambda spec: not qos(spec), "no limits")


def test_floating_ips_and_gateways_are_limited_on_their_router(admin: Any, member: Any, policy: Any, public: Any,
                                                               cloud: RunningCloud) -> None:
    floating_policy, gateway_policy = policy(limit(700)), policy(limit(800))
    network = member.network()
    subnet = member.subnet(network, "10.92.0.0/24")
    router = member.router(external_gateway_info={"network_id": public["id"], "qos_policy_id": gateway_policy["id"]})
    assert router["external_gateway_info"]["qos_policy_id"] == gateway_policy["id"]
    member.plug(router, subnet_id=subnet["id"])
    port = member.port(network)
    floating = member.make("floatingip", floating_network_id=public["id"], port_id=port["id"],
                           qos_policy_id=floating_policy["id"])
    assert floating["qos_policy_id"] == floating_policy["id"] and floating["qos_network_policy_id"] is None
    gateway = router["external_gateway_info"]["external_fixed_ips"][0]["ip_address"]

    def limits(spec: Any) -> dict[str, int]:
        return {address: qos["egress"]["kbps"] for address, qos in (spec or {}).get("limits", {}).items()}

    until(cloud, "router", router["id"],
          lambda spec: limits(spec) == {floating["floating_ip_address"]: 700, gateway: 800}, "limits")
    (rule,) = admin("GET", f"/qos/policies/{floating_policy['id']}")["policy"]["rules"]
    admin("PUT", f"/qos/alias_bandwidth_limit_rules/{rule['id']}", {"bandwidth_limit_rule": {"max_kbps": 900}})
    until(cloud, "router", router["id"],
          lambda spec: limits(spec) == {floating["floating_ip_address"]: 900, gateway: 800}, "new limits")
    member("PUT", f"/floatingips/{floating['id']}", {"floatingip": {"qos_policy_id": None}})
    member("PUT", f"/routers/{router['id']}", {"router": {"external_gateway_info": {
        "network_id": public["id"], "qos_policy_id": None}}})
    until(cloud, "router", router["id"], lambda spec: limits(spec) == {}, "no limits")
    assert admin("DELETE", f"/qos/policies/{gateway_policy['id']}", expect=204) is None


def test_vlan_transparency_is_kept(admin: Any, member: Any) -> None:
    assert member.network()["vlan_transparent"] is None
    network = member.network(vlan_transparent=True)
    assert member("GET", f"/networks/{network['id']}")["network"]["vlan_transparent"] is True
    assert network["id"] in {found["id"] for found in member("GET", "/networks?vlan_transparent=true")["networks"]}
    member("PUT", f"/networks/{network['id']}", {"network": {"vlan_transparent": False}}, expect=400)
