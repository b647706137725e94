"""Minimum bandwidth: promised by a host before a server gets its port, and given back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from compute_world import Nova

from haneul.host.disks import qcow2
from running import RunningCloud, wait_until

INGRESS = "NET_BW_IGR_KILOBIT_PER_SEC"
EGRESS = "NET_BW_EGR_KILOBIT_PER_SEC"


class World:
    """A cloud with one physical network of 10 Mbit/s, and quick ways to ask."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.http = cloud.http("admin")
        self.http.headers["OpenStack-API-Version"] = "compute 2.96, placement 1.36"
        self.nova = Nova(cloud)
        self.image = cloud.connect("admin").image.create_image(
            name="i", disk_format="qcow2", container_format="bare", data=qcow2.empty(1 << 20), wait=True).id
        self.network = self.ask("POST", "/network/v2.0/networks", {"network": {
            "name": "physical", "provider:network_type": "vlan", "provider:physical_network": "physnet1",
            "provider:segmentation_id": 100}}, 201)["network"]["id"]
        self.ask("POST", "/network/v2.0/subnets", {"subnet": {
            "network_id": self.network, "cidr": "10.66.0.0/24", "ip_version": 4}}, 201)

    def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = self.http.request(method, path, json=body)
        assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def policy(self, kbps: int, direction: str = "ingress") -> str:
        made = str(self.ask("POST", "/network/v2.0/qos/policies", {"policy": {"name": "p"}}, 201)["policy"]["id"])
        self.ask("POST", f"/network/v2.0/qos/policies/{made}/minimum_bandwidth_rules", {
            "minimum_bandwidth_rule": {"min_kbps": kbps, "direction": direction}}, 201)
        return made

    def port(self, policy: str | None) -> str:
        return str(self.ask("POST", "/network/v2.0/ports", {"port": {
            "network_id": self.network, "qos_policy_id": policy}}, 201)["port"]["id"])

    def show(self, port: str) -> Any:
        return self.ask("GET", f"/network/v2.0/ports/{port}")["port"]

    def boot(self, *ports: str, until: str = "ACTIVE") -> str:
        made = self.nova.call("POST", "/servers", {"server": {
            "name": "s", "imageRef": self.image, "flavorRef": "42", "networks": [{"port": port} for port in ports]}},
            status=202)["server"]["id"]
        self.nova.wait(made, until)
        return str(made)

    def end(self, server: str) -> None:
        self.nova.http.delete(f"/compute/v2.1/servers/{server}")
        self.nova.wait_gone(server)

    def held(self, consumer: str) -> dict[str, int]:
        found = self.ask("GET", f"/placement/allocations/{consumer}")["allocations"]
        return {name: amount for held in found.values() for name, amount in held["resources"].items()
                if name in (INGRESS, EGRESS)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    running = RunningCloud(tmp_path_factory.mktemp("bandwidth"), {"network": {
        "vlan_ranges": {"physnet1": [100, 200]}, "bandwidths": {"physnet1": [10000, 10000]}}}).start()
    yield World(running)
    running.stop()


def test_a_hosts_bandwidth_is_a_provider_below_it(world: World) -> None:
    found = world.ask("GET", f"/placement/allocation_candidates?resources={INGRESS}:1&required=CUSTOM_PHYSNET_PHYSNET1")
    assert len(found["allocation_requests"]) == 1
    world.ask("GET", "/placement/resource_providers?name=host-1:physnet1")
    assert world.ask("GET", f"/placement/allocation_candidates?resources={EGRESS}:10001")["allocation_requests"] == []


def test_a_server_holds_what_its_port_asks_for_until_it_ends(world: World) -> None:
    port = world.port(world.policy(1000))
    asked = world.show(port)["resource_request"]
    (group,) = asked["request_groups"]
    assert group["resources"] == {INGRESS: 1000} and "CUSTOM_PHYSNET_PHYSNET1" in group["required"]
    assert asked["same_subtree"] == [group["id"]]
    server = world.boot(port)
    assert world.held(server) == {INGRESS: 1000}
    (provider,) = world.ask("GET", "/placement/resource_providers?name=host-1:physnet1")["resource_providers"]
    assert world.show(port)["binding:profile"] == {"allocation": {group["id"]: provider["uuid"]}}
    world.end(server)
    assert world.held(server) == {} and world.show(port)["binding:profile"] == {}


def test_no_host_is_valid_without_the_bandwidth(world: World) -> None:
    port = world.port(world.policy(0x7FFFFFFF))
    server = world.boot(port, until="ERROR")
    fault = world.nova.server(server)["fault"]
    assert "No valid host" in fault["message"] and "not enough bandwidth of physnet1" in fault["message"]
    assert world.held(server) == {} and world.show(port)["binding:profile"] == {}
    world.end(server)
    two = [world.port(world.policy(6000)) for _ in range(2)]
    assert "bandwidth" in world.nova.server(failed := world.boot(*two, until="ERROR"))["fault"]["message"]
    world.end(failed)


def test_another_policy_under_a_server_takes_and_gives_back(world: World) -> None:
    small, large, other, none = world.policy(1000), world.policy(2000), world.policy(300, "egress"), world.policy(20000)
    port = world.port(small)
    server = world.boot(port)

    def change(policy: str | None, status: int = 200) -> Any:
        return world.ask("PUT", f"/network/v2.0/ports/{port}", {"port": {"qos_policy_id": policy}}, status)

    change(large)
    assert world.held(server) == {INGRESS: 2000}
    assert change(none, 409)["NeutronError"]["type"] == "QosPlacementAllocationConflict"
    assert world.held(server) == {INGRESS: 2000} and world.show(port)["qos_policy_id"] == large
    change(other)
    assert world.held(server) == {EGRESS: 300}
    world.ask("PUT", f"/network/v2.0/ports/{port}", {"port": {"description": "the same"}})
    assert world.held(server) == {EGRESS: 300}
    (rule,) = world.ask("GET", f"/network/v2.0/qos/policies/{other}")["policy"]["rules"]
    world.ask("PUT", f"/network/v2.0/qos/policies/{other}/minimum_bandwidth_rules/{rule['id']}", {
        "minimum_bandwidth_rule": {"min_kbps": 5}}, 501)
    change(None)
    assert world.held(server) == {}
    change(small)
    assert world.held(server) == {INGRESS: 1000}
    world.end(server)
    assert world.held(server) == {}


def test_a_port_that_had_no_policy_is_promised_nothing_afterwards(world: World) -> None:
    port = world.port(None)
    server = world.boot(port)
    world.ask("PUT", f"/network/v2.0/ports/{port}", {"port": {"qos_policy_id": world.policy(1000)}})
    assert world.held(server) == {}
    world.end(server)


def test_ports_plugged_in_and_pulled_out(world: World) -> None:
    first, second, third = (world.port(world.policy(4000)) for _ in range(3))
    server = world.boot(first)
    world.nova.call("POST", f"/servers/{server}/os-interface", {"interfaceAttachment": {"port_id": second}})
    assert world.held(server) == {INGRESS: 8000}
    world.nova.wait(server, "ACTIVE")
    error = world.nova.call("POST", f"/servers/{server}/os-interface", {"interfaceAttachment": {"port_id": third}}, status=400)
    assert "Failed to allocate resources" in error["badRequest"]["message"]
    assert world.show(third)["device_id"] == "" and world.held(server) == {INGRESS: 8000}
    world.nova.call("DELETE", f"/servers/{server}/os-interface/{second}", status=202)
    wait_until(lambda: world.held(server) == {INGRESS: 4000}, what="bandwidth given back")
    world.end(server)


def test_a_port_that_is_deleted_under_its_server_gives_back(world: World) -> None:
    """Its bandwidth stayed the server's until that ended, and nobody else could have it."""
    port = world.port(world.policy(1000))
    server = world.boot(port)
    world.ask("DELETE", f"/network/v2.0/ports/{port}", status=204)
    assert world.held(server) == {}
    world.end(server)


def test_a_resize_holds_it_twice_until_confirmed(world: World) -> None:
    port = world.port(world.policy(1000))
    server = world.boot(port)
    flavor = world.ask("POST", "/compute/v2.1/flavors", {"flavor": {"name": "more", "ram": 128, "vcpus": 1, "disk": 1}})[
        "flavor"]["id"]
    world.nova.action(server, "resize", {"flavorRef": flavor})
    world.nova.wait(server, "VERIFY_RESIZE")
    assert world.held(server) == {INGRESS: 1000}
    world.nova.action(server, "confirmResize")
    world.nova.wait(server, "ACTIVE")
    assert world.held(server) == {INGRESS: 1000}
    world.end(server)


def test_older_microversions_cannot_ask_for_bandwidth(world: World) -> None:
    error = world.nova.call("POST", "/servers", {"server": {
        "name": "s", "imageRef": world.image, "flavorRef": "42", "networks": [{"port": world.port(world.policy(1))}]}},
        status=400, version="2.71")
    assert "resource_request" in error["badRequest"]["message"]


def test_networks_that_can_promise_nothing_refuse_the_rule(world: World) -> None:
    policy = world.policy(1)
    plain = world.ask("POST", "/network/v2.0/networks", {"network": {"name": "overlay"}}, 201)["network"]["id"]
    error = world.ask("POST", "/network/v2.0/ports", {"port": {"network_id": plain, "qos_policy_id": policy}}, 409)
    assert error["NeutronError"]["type"] == "QosRuleNotSupported"
    assert "minimum_bandwidth" in {
        entry["type"] for entry in world.ask("GET", "/network/v2.0/qos/rule-types")["rule_types"]}
