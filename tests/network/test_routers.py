"""Routers and floating IPs, and that hosts really have what the API shows."""

from __future__ import annotations

from typing import Any

from running import wait_until


def routed(member: Any, public: Any, cidr: str) -> tuple[Any, Any, Any]:
    network = member.network()
    subnet = member.subnet(network, cidr)
    router = member.router(external_gateway_info={"network_id": public["id"]})
    member.plug(router, subnet_id=subnet["id"])
    return network, subnet, router


def test_a_router_its_interfaces_and_its_end(member: Any, public: Any) -> None:
    network, subnet, router = routed(member, public, "10.80.0.0/24")
    gateway = router["external_gateway_info"]
    assert gateway["network_id"] == public["id"] and gateway["enable_snat"] is True
    assert gateway["external_fixed_ips"][0]["ip_address"].startswith("198.51.100.")
    (port,) = member("GET", f"/ports?device_id={router['id']}")["ports"]
    assert port["device_owner"] == "network:router_interface" and port["fixed_ips"][0]["ip_address"] == "10.80.0.1"
    assert member("DELETE", f"/ports/{port['id']}", expect=409)["NeutronError"]["type"] == "ServicePortInUse"
    path = f"/routers/{router['id']}"
    assert member("DELETE", path, expect=409)["NeutronError"]["type"] == "RouterInUse"
    assert member("DELETE", f"/subnets/{subnet['id']}", expect=409)["NeutronError"]["type"] == "SubnetInUse"
    assert (
        "already has a port on subnet"
        in member.plug(router, expect=400, subnet_id=subnet["id"])["NeutronError"]["message"]
    )
    answer = member("PUT", f"{path}/remove_router_interface", {"subnet_id": subnet["id"]})
    assert answer["port_id"] == port["id"] and answer["subnet_ids"] == [subnet["id"]]
    member("PUT", f"{path}/remove_router_interface", {"subnet_id": subnet["id"]}, expect=404)
    cleared = member("PUT", path, {"router": {"external_gateway_info": {}}})["router"]
    assert cleared["external_gateway_info"] is None
    member("DELETE", path, expect=204)
    member("DELETE", f"/networks/{network['id']}", expect=204)


def test_interfaces_by_port_and_overlaps(member: Any) -> None:
    router, one, two = member.router(), member.network(), member.network()
    member.subnet(one, "10.81.0.0/24")
    overlapping = member.subnet(two, "10.81.0.0/25")
    port = member.port(one)
    member.plug(router, port_id=port["id"])
    assert member("GET", f"/ports/{port['id']}")["port"]["device_owner"] == "network:router_interface"
    assert member.plug(member.router(), expect=409, port_id=port["id"])["NeutronError"]["type"] == "PortInUse"
    assert "overlaps" in member.plug(router, expect=400, subnet_id=overlapping["id"])["NeutronError"]["message"]
    member.plug(router, expect=400)
    bare = member.subnet(two, "10.82.0.0/24", gateway_ip=None)
    member.plug(router, expect=400, subnet_id=bare["id"])


def test_a_gateway_needs_an_external_network(member: Any) -> None:
    network = member.network()
    error = member.make("router", expect=400, external_gateway_info={"network_id": network["id"]})
    assert "is not an external network" in error["message"]
    member.make("router", expect=404, external_gateway_info={"network_id": "00000000-0000-4000-8000-000000000000"})
    member.make("router", expect=403, external_gateway_info={"network_id": network["id"], "enable_snat": False})


def test_extra_routes(member: Any, public: Any) -> None:
    _, subnet, router = routed(member, public, "10.83.0.0/24")
    path = f"/routers/{router['id']}"
    route = {"destination": "192.0.2.0/25", "nexthop": "10.83.0.9"}
    other = {"destination": "192.0.2.128/25", "nexthop": "10.83.0.9"}
    assert member("PUT", path, {"router": {"routes": [route]}})["router"]["routes"] == [route]
    assert member("PUT", f"{path}/add_extraroutes", {"router": {"routes": [other]}})["router"]["routes"] == [
        route,
        other,
    ]
    assert member("PUT", f"{path}/remove_extraroutes", {"router": {"routes": [route]}})["router"]["routes"] == [other]
    assert (
        member(
            "PUT", path, {"router": {"routes": [{"destination": "192.0.2.0/25", "nexthop": "10.99.0.1"}]}}, expect=400
        )["NeutronError"]["type"]
        == "InvalidRoutes"
    )
    assert (
        member("PUT", f"{path}/remove_router_interface", {"subnet_id": subnet["id"]}, expect=409)["NeutronError"][
            "type"
        ]
        == "RouterInterfaceInUseByRoute"
    )


def test_a_floating_ip_from_making_to_release(cloud: Any, member: Any, public: Any) -> None:
    network, subnet, router = routed(member, public, "10.84.0.0/24")
    port = member.port(network)
    fixed = port["fixed_ips"][0]["ip_address"]
    floating = member.make("floatingip", floating_network_id=public["id"])
    assert floating["status"] == "DOWN" and floating["port_id"] is None and floating["router_id"] is None
    path = f"/floatingips/{floating['id']}"
    answer = member("PUT", path, {"floatingip": {"port_id": port["id"]}})["floatingip"]
    assert answer["fixed_ip_address"] == fixed and answer["router_id"] == router["id"]
    assert answer["port_details"]["mac_address"] == port["mac_address"]
    wait_until(lambda: member("GET", path)["floatingip"]["status"] == "ACTIVE", what="the floating IP on its host")
    second = member.make("floatingip", expect=409, floating_network_id=public["id"], port_id=port["id"])
    assert second["type"] == "FloatingIPPortAlreadyAssociated"
    assert (
        member("PUT", f"/routers/{router['id']}", {"router": {"external_gateway_info": None}}, expect=409)[
            "NeutronError"
        ]["type"]
        == "RouterExternalGatewayInUseByFloatingIp"
    )
    member("PUT", f"/routers/{router['id']}/remove_router_interface", {"subnet_id": subnet["id"]}, expect=409)
    member("DELETE", f"/ports/{port['id']}", expect=204)
    released = member("GET", path)["floatingip"]
    assert released["port_id"] is None and released["status"] == "DOWN" and released["router_id"] is None
    member("DELETE", path, expect=204)
    member("GET", path, expect=404)


def test_floating_ips_that_cannot_be(api: Any, admin: Any, member: Any, public: Any) -> None:
    lonely = member.network()
    member.subnet(lonely, "10.85.0.0/24")
    port = member.port(lonely)
    assert (
        member.make("floatingip", expect=404, floating_network_id=public["id"], port_id=port["id"])["type"]
        == "ExternalGatewayForFloatingIPNotFound"
    )
    assert (
        "not a valid external network"
        in member.make("floatingip", expect=400, floating_network_id=lonely["id"])["message"]
    )
    member.make("floatingip", expect=403, floating_network_id=public["id"], floating_ip_address="198.51.100.77")
    floating = member.make("floatingip", floating_network_id=public["id"])
    api("other")("GET", f"/floatingips/{floating['id']}", expect=404)
    assert (
        admin("PUT", f"/networks/{public['id']}", {"network": {"router:external": False}}, expect=409)["NeutronError"][
            "type"
        ]
        == "ExternalNetworkInUse"
    )
    member("DELETE", f"/floatingips/{floating['id']}", expect=204)


def test_an_external_network_goes_with_unused_floating_ips_only(admin: Any, member: Any) -> None:
    network = admin.network(**{"router:external": True})
    admin.subnet(network, "203.0.113.0/24", enable_dhcp=False)
    floating = member.make("floatingip", floating_network_id=network["id"])
    router = member.router(external_gateway_info={"network_id": network["id"]})
    assert admin("DELETE", f"/networks/{network['id']}", expect=409)["NeutronError"]["type"] == "NetworkInUse"
    assert member("GET", f"/floatingips/{floating['id']}")["floatingip"]["id"] == floating["id"]  # nothing was changed
    member("DELETE", f"/routers/{router['id']}", expect=204)
    admin("DELETE", f"/networks/{network['id']}", expect=204)
    member("GET", f"/floatingips/{floating['id']}", expect=404)


def test_a_port_with_two_addresses_needs_to_say_which(member: Any, public: Any) -> None:
    network, _, _ = routed(member, public, "10.86.0.0/24")
    port = member.port(network, fixed_ips=[{"ip_address": "10.86.0.10"}, {"ip_address": "10.86.0.11"}])
    member.make("floatingip", expect=400, floating_network_id=public["id"], port_id=port["id"])
    one = member.make("floatingip", floating_network_id=public["id"], port_id=port["id"], fixed_ip_address="10.86.0.11")
    assert one["fixed_ip_address"] == "10.86.0.11"
    moved = member(
        "PUT", f"/floatingips/{one['id']}", {"floatingip": {"port_id": port["id"], "fixed_ip_address": "10.86.0.10"}}
    )
    assert moved["floatingip"]["fixed_ip_address"] == "10.86.0.10"
    same = member("PUT", f"/floatingips/{one['id']}", {"floatingip": {"description": "kept"}})["floatingip"]
    assert same["port_id"] == port["id"] and same["description"] == "kept"


# ---------------------------------------------------------------- hosts


def fabric(cloud: Any) -> Any:
    from haneul.fleet.agents import Agents

    return cloud.cloud.get(Agents).of("host-1").fabric


def test_the_host_has_the_router_and_loses_it(cloud: Any, member: Any, public: Any) -> None:
    network, subnet, router = routed(member, public, "10.87.0.0/24")
    wait_until(lambda: router["id"] in fabric(cloud).inventory().routers, what="the router on its host")
    wait_until(lambda: network["id"] in fabric(cloud).inventory().networks, what="the network on the host")
    (port,) = member("GET", f"/ports?device_id={router['id']}")["ports"]
    wait_until(lambda: member("GET", f"/ports/{port['id']}")["port"]["status"] == "ACTIVE", what="the interface")
    member("PUT", f"/routers/{router['id']}/remove_router_interface", {"subnet_id": subnet["id"]})
    wait_until(lambda: network["id"] not in fabric(cloud).inventory().networks, what="the network's end on the host")
    member("DELETE", f"/routers/{router['id']}", expect=204)
    wait_until(lambda: router["id"] not in fabric(cloud).inventory().routers, what="the router's end")


def test_a_bound_port_and_its_rules_follow(cloud: Any, admin: Any, member: Any) -> None:
    network = member.network()
    member.subnet(network, "10.88.0.0/24")
    group = member.make("security_group", "/security-groups", name="followed")
    port = admin.port(
        network, security_groups=[group["id"]], project_id=network["project_id"], **{"binding:host_id": "host-1"}
    )
    admin("PUT", f"/ports/{port['id']}", {"port": {"binding:host_id": ""}})
    admin("PUT", f"/ports/{port['id']}", {"port": {"binding:host_id": "host-1"}})
    wait_until(lambda: port["id"] in fabric(cloud).inventory().ports, what="the port on its host")
    assert group["id"] in fabric(cloud).inventory().security_groups
    wait_until(lambda: member("GET", f"/ports/{port['id']}")["port"]["status"] == "ACTIVE", what="the port")
    assert member("PUT", f"/ports/{port['id']}", {"port": {"admin_state_up": False}})["port"]["status"] == "DOWN"
    member("DELETE", f"/ports/{port['id']}", expect=204)
    wait_until(lambda: port["id"] not in fabric(cloud).inventory().ports, what="the port's end on the host")


def test_the_reconciler_mends_what_a_host_lost_and_removes_what_it_should_not_have(
    cloud: Any, member: Any, public: Any
) -> None:
    from haneul.host.contract import FabricIds, FabricState, NetworkSpec

    _, _, router = routed(member, public, "10.89.0.0/24")
    wait_until(lambda: router["id"] in fabric(cloud).inventory().routers, what="the router on its host")
    cloud.settle()
    fabric(cloud).remove(FabricIds(routers=[router["id"]]))
    orphan = "11111111-1111-4111-8111-111111111111"
    fabric(cloud).apply(FabricState(networks=[NetworkSpec(id=orphan, type="vxlan", segmentation_id=77)]))
    assert orphan in fabric(cloud).inventory().networks
    assert cloud.cloud.reconcilers.run_once("network.fabric") >= 2
    inventory = fabric(cloud).inventory()
    assert router["id"] in inventory.routers and orphan not in inventory.networks
