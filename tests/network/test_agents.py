"""Agents as an administrator sees and tells them; networks on demand; flavors; segments; MAC addresses and limits."""

from __future__ import annotations

from typing import Any

import pytest

from haneul.fleet.agents import Agents
from running import wait_until

DRIVER = "neutron.services.l3_router.service_providers.single_node.SingleNodeDriver"


def agent(admin: Any, kind: str) -> Any:
    (found,) = admin("GET", "/agents", params={"agent_type": kind, "host": "host-1"})["agents"]
    return found


def fabric(cloud: Any) -> Any:
    return cloud.cloud.get(Agents).of("host-1").fabric


def test_a_description_and_a_record_that_comes_back(admin: Any, cloud: Any) -> None:
    path = f"/agents/{agent(admin, 'Linux bridge agent')['id']}"
    assert admin("PUT", path, {"agent": {"description": "rack 7"}})["agent"]["description"] == "rack 7"
    assert admin("GET", path)["agent"]["description"] == "rack 7"
    admin("PUT", path, {"agent": {"host": "other"}}, expect=400)
    admin("DELETE", path, expect=204)
    wait_until(lambda: admin.client.get("/network/v2.0" + path).status_code == 200, what="the host's next report")
    assert admin("GET", path)["agent"]["description"] is None
    admin("DELETE", "/agents/0e0e0e0e-0000-4000-8000-00000000000e", expect=404)


def test_a_router_is_taken_off_its_host_and_put_back(member: Any, admin: Any, public: Any, cloud: Any) -> None:
    network = member.network()
    subnet = member.subnet(network, "10.70.0.0/24")
    router = member.router(external_gateway_info={"network_id": public["id"]})
    member.plug(router, subnet_id=subnet["id"])
    wait_until(lambda: router["id"] in fabric(cloud).inventory().routers, what="the router on its host")
    floating = member("POST", "/floatingips", {"floatingip": {
        "floating_network_id": public["id"], "port_id": member.port(network)["id"]}}, expect=201)["floatingip"]["id"]

    def status() -> str:
        return member("GET", f"/floatingips/{floating}")["floatingip"]["status"]

    wait_until(lambda: status() == "ACTIVE", what="the floating IP")
    l3, dhcp = agent(admin, "L3 agent"), agent(admin, "DHCP agent")
    path, its = f"/agents/{l3['id']}/l3-routers", f"/routers/{router['id']}/l3-agents"
    assert [entry["id"] for entry in admin("GET", its)["agents"]] == [l3["id"]]
    assert router["id"] in [entry["id"] for entry in admin("GET", path)["routers"]]
    admin("POST", path, {"router_id": router["id"]}, expect=201)
    admin("POST", f"/agents/{dhcp['id']}/l3-routers", {"router_id": router["id"]}, expect=404)
    admin("DELETE", f"{path}/{router['id']}", expect=204)
    assert admin("GET", its)["agents"] == []
    wait_until(lambda: router["id"] not in fabric(cloud).inventory().routers, what="the router off its host")
    cloud.cloud.reconcilers.run_once("network.fabric")
    assert admin("GET", its)["agents"] == [] and status() == "DOWN", "it stays off"
    assert admin("DELETE", f"{path}/{router['id']}", expect=409)["NeutronError"]["type"] == "RouterNotHostedByL3Agent"
    assert admin("POST", path, {"router_id": router["id"]}, expect=201) is None
    wait_until(lambda: router["id"] in fabric(cloud).inventory().routers, what="the router on its host again")
    wait_until(lambda: status() == "ACTIVE", what="the floating IP again")
    for method, body in (("POST", {"router_id": router["id"]}), ("GET", None)):
        member(method, path, body, expect=403)


def test_an_agent_that_is_switched_off_routes_nothing_and_gets_nothing(
    member: Any, admin: Any, public: Any, cloud: Any
) -> None:
    first = member.router(external_gateway_info={"network_id": public["id"]})
    wait_until(lambda: first["id"] in fabric(cloud).inventory().routers, what="the router on its host")
    l3 = agent(admin, "L3 agent")
    path = f"/agents/{l3['id']}"
    admin("PUT", path, {"agent": {"admin_state_up": False}})
    try:
        wait_until(lambda: first["id"] not in fabric(cloud).inventory().routers, what="the end of routing")
        second = member.router(external_gateway_info={"network_id": public["id"]})
        assert admin("GET", f"/routers/{second['id']}/l3-agents")["agents"] == []
        admin("POST", f"{path}/l3-routers", {"router_id": second["id"]}, expect=404)
        cloud.cloud.reconcilers.run_once("network.fabric")
        assert not {first["id"], second["id"]} & set(fabric(cloud).inventory().routers)
    finally:
        admin("PUT", path, {"agent": {"admin_state_up": True}})
    wait_until(lambda: first["id"] in fabric(cloud).inventory().routers, what="the router on its host again")
    cloud.cloud.reconcilers.run_once("network.fabric")
    wait_until(lambda: second["id"] in fabric(cloud).inventory().routers, what="the new router on a host")


def test_dhcp_is_every_hosts_until_it_is_taken_away(member: Any, admin: Any) -> None:
    dhcp, network, bare = agent(admin, "DHCP agent"), member.network(), member.network()
    member.subnet(network, "10.71.0.0/24")
    (port,) = admin("GET", f"/ports?network_id={network['id']}&device_owner=network:dhcp")["ports"]
    assert port["status"] == "ACTIVE"
    path = f"/agents/{dhcp['id']}/dhcp-networks"

    def has(wanted: Any) -> bool:
        listed = wanted["id"] in [entry["id"] for entry in admin("GET", path)["networks"]]
        of_network = admin("GET", f"/networks/{wanted['id']}/dhcp-agents")["agents"]
        assert listed == (dhcp["id"] in [entry["id"] for entry in of_network])
        return listed

    assert has(network) and not has(bare)
    again = admin("POST", path, {"network_id": network["id"]}, expect=409)
    assert again["NeutronError"]["type"] == "NetworkHostedByDHCPAgent"
    admin("DELETE", f"{path}/{network['id']}", expect=204)
    assert not has(network)
    gone = admin("DELETE", f"{path}/{network['id']}", expect=409)
    assert gone["NeutronError"]["type"] == "NetworkNotHostedByDhcpAgent"
    for wanted in (network, bare):
        assert admin("POST", path, {"network_id": wanted["id"]}, expect=201) is None
        assert has(wanted)
    admin("POST", f"/agents/{agent(admin, 'L3 agent')['id']}/dhcp-networks", {"network_id": bare["id"]}, expect=404)


@pytest.fixture
def pool(admin: Any, public: Any) -> Any:
    """A default outside and a default subnet pool, while the test lasts."""
    admin("PUT", f"/networks/{public['id']}", {"network": {"is_default": True}})
    made = admin.make("subnetpool", name="default", prefixes=["10.200.0.0/16"], default_prefixlen=26, is_default=True,
                      shared=True)
    yield made
    admin("PUT", f"/networks/{public['id']}", {"network": {"is_default": False}})
    admin("PUT", f"/subnetpools/{made['id']}", {"subnetpool": {"is_default": False}})


def test_a_network_on_demand(api: Any, cloud: Any, admin: Any, pool: Any) -> None:
    other, project = api("other"), cloud.connect("other").current_project_id
    path = f"/auto-allocated-topology/{project}"
    dry = other("GET", path + "?fields=dry-run")["auto_allocated_topology"]
    assert dry["id"] == "dry-run=pass" and dry["project_id"] == project
    made = other("GET", path)["auto_allocated_topology"]
    network = other("GET", f"/networks/{made['id']}")["network"]
    assert network["name"] == "auto_allocated_network" and network["project_id"] == project
    (router,) = other("GET", "/routers?name=auto_allocated_router")["routers"]
    assert router["external_gateway_info"] is not None
    assert other("GET", "/auto-allocated-topology/None")["auto_allocated_topology"]["id"] == made["id"]
    api("member")("GET", path, expect=403)
    second = admin.network(**{"router:external": True})
    error = admin("PUT", f"/networks/{second['id']}", {"network": {"is_default": True}}, expect=409)
    assert error["NeutronError"]["type"] == "DefaultExternalNetworkExists"
    port = other.port(network)
    other("DELETE", path, expect=409)
    assert other("GET", path)["auto_allocated_topology"]["id"] == made["id"]
    other("DELETE", f"/ports/{port['id']}", expect=204)
    other("DELETE", path, expect=204)
    other("DELETE", path, expect=204)
    other("GET", f"/networks/{made['id']}", expect=404)
    assert other("GET", "/routers?name=auto_allocated_router")["routers"] == []


def test_nothing_on_demand_without_defaults(member: Any, cloud: Any) -> None:
    path = f"/auto-allocated-topology/{cloud.connect('member').current_project_id}"
    for query in ("?fields=dry-run", ""):
        assert member("GET", path + query, expect=409)["NeutronError"]["type"] == "AutoAllocationFailure"


def test_flavors_of_routers(member: Any, admin: Any) -> None:
    flavor = admin.make("flavor", name="plain", service_type="L3_ROUTER_NAT")
    path = f"/flavors/{flavor['id']}"
    member.make("router", expect=404, flavor_id=flavor["id"])  # nobody stands behind it yet
    unknown = admin.make("service_profile", "/service_profiles", expect=404, driver="elsewhere.Driver")
    assert unknown["type"] == "ServiceProfileDriverNotFound"
    assert admin.make("service_profile", "/service_profiles", expect=400)["type"] == "ServiceProfileEmpty"
    profile = admin.make("service_profile", "/service_profiles", driver=DRIVER, metainfo="{}")
    bind = {"service_profile": {"id": profile["id"]}}
    assert admin("POST", path + "/service_profiles", bind, expect=201) == bind
    admin("POST", path + "/service_profiles", bind, expect=409)
    assert member("GET", path)["flavor"]["service_profiles"] == [profile["id"]]
    assert member("GET", path + "/next_providers")["next_providers"][0]["provider"] == "single_node"
    router = member.router(flavor_id=flavor["id"])
    assert router["flavor_id"] == flavor["id"]
    assert member("GET", f"/routers?flavor_id={flavor['id']}")["routers"] == [router]
    assert admin("DELETE", path, expect=409)["NeutronError"]["type"] == "FlavorInUse"
    admin("DELETE", f"/service_profiles/{profile['id']}", expect=409)
    admin("PUT", path, {"flavor": {"enabled": False}})
    member.make("router", expect=503, flavor_id=flavor["id"])
    member("DELETE", f"/routers/{router['id']}", expect=204)
    admin("DELETE", f"{path}/service_profiles/{profile['id']}", expect=204)
    admin("DELETE", f"{path}/service_profiles/{profile['id']}", expect=404)
    admin("DELETE", path, expect=204)
    admin("DELETE", f"/service_profiles/{profile['id']}", expect=204)
    admin.make("flavor", expect=400, service_type="NOTHING")
    assert member("GET", "/service_profiles")["service_profiles"] == []
    member.make("flavor", expect=403, service_type="FLAVORS")


def test_the_segment_of_a_network(member: Any, admin: Any) -> None:
    network = member.network()
    (segment,) = admin("GET", f"/segments?network_id={network['id']}")["segments"]
    seen = admin("GET", f"/networks/{network['id']}")["network"]
    assert (segment["network_type"], segment["segmentation_id"]) == (
        seen["provider:network_type"], seen["provider:segmentation_id"])
    path = f"/segments/{segment['id']}"
    assert admin("PUT", path, {"segment": {"name": "rack"}})["segment"]["name"] == "rack"
    assert admin("GET", "/segments?name=rack&network_type=vxlan")["segments"][0]["id"] == segment["id"]
    admin("DELETE", path, expect=409)
    admin.make("segment", expect=409, network_id=network["id"], network_type="vlan")
    assert member("GET", "/segments")["segments"] == []
    member("GET", path, expect=403)
    member("DELETE", f"/networks/{network['id']}", expect=204)
    admin("GET", path, expect=404)


def test_a_null_mac_address_is_made_anew(member: Any) -> None:
    port = member.port(member.network(), mac_address=None)
    assert port["mac_address"].startswith("fa:16:3e:")
    again = member("PUT", f"/ports/{port['id']}", {"port": {"mac_address": None}})["port"]["mac_address"]
    assert again.startswith("fa:16:3e:") and again != port["mac_address"]


def test_an_entry_with_a_subnet_adds_an_address_when_the_others_are_named(member: Any) -> None:
    """It was given the address that the other entry names."""
    network = member.network()
    subnet = member.subnet(network, "10.72.0.0/24")
    port = member.port(network)
    wanted = [*port["fixed_ips"], {"subnet_id": subnet["id"]}]
    found = member("PUT", f"/ports/{port['id']}", {"port": {"fixed_ips": wanted}})["port"]["fixed_ips"]
    assert len({entry["ip_address"] for entry in found}) == 2


def test_a_limit_below_what_is_used_needs_force(admin: Any, member: Any, cloud: Any) -> None:
    project = cloud.connect("member").current_project_id
    member.network()
    path = f"/quotas/{project}"
    assert admin("PUT", path, {"quota": {"network": 0}}, expect=400)
    assert admin("PUT", path, {"quota": {"network": 0, "force": True}})["quota"]["network"] == 0
    assert admin("PUT", path, {"quota": {"network": -1}})["quota"]["network"] == -1


def test_refusals_that_neutron_has(member: Any, admin: Any, cloud: Any) -> None:
    """Each of these was taken, or refused otherwise, before Neutron's own tests were run."""
    network, small = member.network(), member.network(mtu=1279)
    stateful = member.make("security_group", "/security-groups", name="a")
    stateless = member.make("security_group", "/security-groups", name="b", stateful=False)
    mixed = member.port(network, expect=409, security_groups=[stateful["id"], stateless["id"]])
    assert mixed["type"] == "SecurityGroupConflict"
    port = member.port(network, security_groups=[stateful["id"]])  # groups need no address
    assert port["security_groups"] == [stateful["id"]] and port["fixed_ips"] == []
    member("PUT", f"/ports/{port['id']}", {"port": {"security_groups": [stateful["id"], stateless["id"]]}}, expect=409)
    member.subnet(small, "2001:db8:9::/64", expect=409)
    member.subnet(small, "10.73.0.0/24")
    member("PUT", f"/networks/{small['id']}", {"network": {"mtu": 67}}, expect=409)
    for protocol in ("41", "43", "44", "58", "59", "60"):
        member.make("security_group_rule", "/security-group-rules", expect=400, security_group_id=stateful["id"],
                    direction="ingress", ethertype="IPv4", protocol=protocol)
    router = member.router()
    member.plug(router, expect=400, port_id="no-id")
    before = member("GET", f"/networks/{network['id']}")["network"]["revision_number"]
    member("PUT", f"/networks/{network['id']}", {"network": {"name": "n"}}, expect=412,
           headers={"If-Match": f"revision_number={before - 1}"})
    subnet = member.subnet(network, "10.74.0.0/24")
    after = member("GET", f"/networks/{network['id']}")["network"]["revision_number"]
    member("DELETE", f"/subnets/{subnet['id']}", expect=204)
    assert before < after < member("GET", f"/networks/{network['id']}")["network"]["revision_number"]
    project = cloud.connect("member").current_project_id
    admin("PUT", f"/quotas/{project}", {"quota": {"security_group_rule": 0, "force": True}})
    assert member.make("security_group", "/security-groups", expect=409, name="c")["type"] == "OverQuota"
    admin("PUT", f"/quotas/{project}", {"quota": {"security_group_rule": -1}})
