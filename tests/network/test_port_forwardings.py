"""Port forwarding through the API: what may be forwarded where, and when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from running import wait_until


@pytest.fixture
def place(member: Any, public: Any, request: Any) -> dict[str, Any]:
    """A floating IP, and a routed network with a port."""
    number = 100 + len(member("GET", "/networks")["networks"]) % 150
    network = member.network()
    subnet = member.subnet(network, f"10.{number}.0.0/24")
    router = member.router(external_gateway_info={"network_id": public["id"]})
    member.plug(router, subnet_id=subnet["id"])
    floating = member.make("floatingip", floating_network_id=public["id"])
    return {"network": network, "subnet": subnet, "router": router, "floating": floating, "port": member.port(network),
            "path": f"/floatingips/{floating['id']}/port_forwardings"}


def forward(member: Any, place: dict[str, Any], expect: int = 201, **values: Any) -> Any:
    wanted = {"internal_port_id": place["port"]["id"], "protocol": "tcp", "internal_port": 22, "external_port": 2222, **values}
    return member.make("port_forwarding", place["path"], expect=expect, **wanted)


def test_a_forwarding_takes_its_floating_ip_to_the_router_and_back(member: Any, place: dict[str, Any]) -> None:
    made = forward(member, place, description="ssh")
    address = place["port"]["fixed_ips"][0]["ip_address"]
    assert made == {
        "id": made["id"], "protocol": "tcp", "internal_ip_address": address, "internal_port_id": place["port"]["id"],
        "internal_port": 22, "internal_port_range": "22:22", "external_port": 2222, "external_port_range": "2222:2222",
        "description": "ssh"}
    path, one = f"/floatingips/{place['floating']['id']}", f"{place['path']}/{made['id']}"
    shown = member("GET", path)["floatingip"]
    assert shown["router_id"] == place["router"]["id"] and shown["port_id"] is None
    assert shown["port_forwardings"] == [{
        "id": made["id"], "internal_port_id": place["port"]["id"], "protocol": "tcp", "internal_ip_address": address,
        "internal_port": 22, "external_port": 2222}]
    wait_until(lambda: member("GET", path)["floatingip"]["status"] == "ACTIVE", what="the forwarding on its host")
    assert member("GET", place["path"] + "?external_port=2222")["port_forwardings"] == [made]
    assert member("GET", place["path"] + "?external_port=1")["port_forwardings"] == []
    assert member("GET", place["path"] + "?internal_port=22", expect=400)["NeutronError"]["type"] == (
        "PortForwardingNotSupportFilterField")
    changed = member("PUT", one, {"port_forwarding": {"internal_port": 23, "protocol": "udp"}})["port_forwarding"]
    assert (changed["internal_port"], changed["external_port"], changed["protocol"]) == (23, 2222, "udp")
    for method, body, other in (
        ("DELETE", None, path),
        ("PUT", {"floatingip": {"port_id": place["port"]["id"]}}, path),
    ):
        assert member(method, other, body, expect=409)["NeutronError"]["type"] == "FipInUseByPortForwarding"
    leave = f"/routers/{place['router']['id']}/remove_router_interface"
    member("PUT", leave, {"subnet_id": place["subnet"]["id"]}, expect=409)
    member("DELETE", one, expect=204)
    member("GET", one, expect=404)
    shown = member("GET", path)["floatingip"]
    assert shown["router_id"] is None and shown["status"] == "DOWN" and shown["port_forwardings"] == []
    member("PUT", leave, {"subnet_id": place["subnet"]["id"]})
    member("DELETE", path, expect=204)


@pytest.mark.parametrize(("second", "ok"), [
    ({"external_port": 2222, "internal_port": 5}, False),
    ({"external_port": 2223, "internal_port": 22}, False),
    ({"external_port": 2222, "internal_port": 22, "protocol": "udp"}, True),
    ({"external_port": None, "external_port_range": "2200:2299", "internal_port": 5}, False),
    ({"external_port": None, "external_port_range": "2223:2225", "internal_port": None, "internal_port_range": "20:22"}, False),
    ({"external_port": None, "external_port_range": "3000:3009", "internal_port": None, "internal_port_range": "80:89"}, True),
    ({"external_port": None, "external_port_range": "3000:3009", "internal_port": 443}, True),
    ({"external_port": None, "external_port_range": "3000:3009", "internal_port": None, "internal_port_range": "80:81"}, False),
    ({"external_port": None, "external_port_range": "1000:9", "internal_port": 1}, False),
    ({"external_port": 70000}, False), ({"external_port": None}, False), ({"protocol": "icmp"}, False),
    ({"internal_ip_address": "192.0.2.1", "external_port": 1}, False)])
def test_what_overlaps_or_cannot_be_is_refused(member: Any, place: dict[str, Any], second: Any, ok: bool) -> None:
    forward(member, place)
    forward(member, place, expect=201 if ok else 400, **second)


def test_an_address_is_floated_or_forwarded_to_not_both(member: Any, public: Any, place: dict[str, Any]) -> None:
    port = member.port(place["network"])
    taken = member.make("floatingip", floating_network_id=public["id"], port_id=port["id"])
    assert forward(member, place, expect=409, internal_port_id=port["id"])["type"] == "PortHasBindingFloatingIP"
    place["path"] = f"/floatingips/{taken['id']}/port_forwardings"
    assert forward(member, place, expect=409)["type"] == "FloatingIPPortAlreadyAssociated"


def test_forwardings_end_with_their_port_and_their_address(member: Any, place: dict[str, Any]) -> None:
    other = member.port(place["network"])
    forward(member, place)
    forward(member, place, internal_port_id=other["id"], external_port=2223)
    subnet = place["subnet"]["id"]
    member("PUT", f"/ports/{other['id']}", {"port": {"fixed_ips": [
        {"subnet_id": subnet, "ip_address": place["subnet"]["cidr"].replace(".0.0/24", ".0.77")}]}})
    assert [entry["external_port"] for entry in member("GET", place["path"])["port_forwardings"]] == [2222]
    member("DELETE", f"/ports/{place['port']['id']}", expect=204)
    assert member("GET", place["path"])["port_forwardings"] == []
    assert member("GET", f"/floatingips/{place['floating']['id']}")["floatingip"]["router_id"] is None


def test_taking_a_floating_ip_off_no_port_leaves_its_forwardings(member: Any, place: dict[str, Any]) -> None:
    """It took the router away below them, and changing one was a 500."""
    made = forward(member, place)
    path = f"/floatingips/{place['floating']['id']}"
    shown = member("PUT", path, {"floatingip": {"port_id": None}})["floatingip"]
    assert shown["router_id"] == place["router"]["id"] and [entry["id"] for entry in shown["port_forwardings"]] == [made["id"]]
    member("PUT", f"{place['path']}/{made['id']}", {"port_forwarding": {"external_port": 2300}})


def test_a_port_of_another_project_is_not_forwarded_to(api: Any, member: Any, place: dict[str, Any], cloud: Any) -> None:
    member.make("rbac_policy", "/rbac-policies", object_type="network", object_id=place["network"]["id"],
                action="access_as_shared", target_tenant=cloud.connect("other").current_project_id)
    foreign = api("other").port(place["network"])
    assert "different project" in forward(member, place, expect=400, internal_port_id=foreign["id"])["message"]
    made = forward(member, place)
    member("PUT", f"{place['path']}/{made['id']}", {"port_forwarding": {"internal_port_id": foreign["id"]}}, expect=400)


def test_a_port_that_no_router_leads_to_is_not_forwarded_to(member: Any, place: dict[str, Any]) -> None:
    alone = member.network()
    member.subnet(alone, "10.99.0.0/24")
    forward(member, place, expect=400, internal_port_id=member.port(alone)["id"])
    forward(member, place, expect=404, internal_port_id="0e0e0e0e-0000-4000-8000-00000000000e")


def test_a_floating_ip_goes_through_the_router_that_is_named(member: Any, public: Any) -> None:
    """Also to an address behind another router."""
    inner_net, transit = member.network(), member.network()
    subnet, between = member.subnet(inner_net, "10.97.0.0/24"), member.subnet(transit, "10.98.0.0/24")
    inner, outer = member.router(), member.router(external_gateway_info={"network_id": public["id"]})
    member.plug(inner, subnet_id=subnet["id"])
    member.plug(inner, port_id=member.port(transit)["id"])
    member.plug(outer, subnet_id=between["id"])
    port = member.port(inner_net)
    wanted = {"floating_network_id": public["id"], "port_id": port["id"]}
    assert member.make("floatingip", expect=404, **wanted)["type"] == "ExternalGatewayForFloatingIPNotFound"
    member.make("floatingip", expect=409, router_id=inner["id"], **wanted)
    member.make("floatingip", expect=404, router_id="0e0e0e0e-0000-4000-8000-00000000000e", **wanted)
    made = member.make("floatingip", router_id=outer["id"], **wanted)
    assert (made["router_id"], made["port_id"]) == (outer["id"], port["id"])
    path = f"/floatingips/{made['id']}"
    assert member("PUT", path, {"floatingip": {}})["floatingip"]["port_id"] is None
    member("PUT", path, {"floatingip": {"router_id": outer["id"]}}, expect=400)
    again = {"floatingip": {"port_id": port["id"], "router_id": outer["id"]}}
    assert member("PUT", path, again)["floatingip"]["router_id"] == outer["id"]
