"""Trunks: their ports, what is refused, and that subports go where their parent goes."""

from __future__ import annotations

from typing import Any

import pytest
from told import last, until

from running import RunningCloud, wait_until


@pytest.fixture
def ports(member: Any) -> Any:
    """A parent's port and two others, each on a network of its own."""
    made = []
    for number in range(3):
        network = member.network()
        member.subnet(network, f"10.9{number + 4}.0.0/24")
        made.append(member.port(network))
    return made


def sub(port: Any, vlan: int = 100, **more: Any) -> dict[str, Any]:
    return {"port_id": port["id"], "segmentation_type": "vlan", "segmentation_id": vlan, **more}


def trunk(member: Any, parent: Any, *subs: Any, expect: int = 201, **values: Any) -> Any:
    return member.make("trunk", expect=expect, port_id=parent["id"], sub_ports=list(subs), **values)


def test_a_trunk_and_its_subports(member: Any, ports: Any) -> None:
    parent, one, two = ports
    made = trunk(member, parent, sub(one), name="t")
    path = f"/trunks/{made['id']}"
    assert made["status"] == "DOWN" and made["admin_state_up"] is True and made["sub_ports"] == [sub(one)]
    found = member("GET", f"/ports/{one['id']}")["port"]
    assert (found["device_owner"], found["device_id"]) == ("trunk:subport", made["id"])
    assert "trunk_details" not in found
    assert member("GET", f"/ports/{parent['id']}")["port"]["trunk_details"] == {
        "trunk_id": made["id"], "sub_ports": [sub(one, mac_address=one["mac_address"])]}
    after = member("PUT", f"{path}/add_subports", {"sub_ports": [sub(two, 200)]})
    assert after["sub_ports"] == [sub(one), sub(two, 200)] and after["revision_number"] > made["revision_number"]
    assert member("GET", f"{path}/get_subports") == {"sub_ports": [sub(one), sub(two, 200)]}
    member("PUT", f"{path}/remove_subports", {"sub_ports": [{"port_id": one["id"]}]})
    assert member("GET", f"/ports/{one['id']}")["port"]["device_owner"] == ""
    assert [entry["id"] for entry in member("GET", f"/trunks?port_id={parent['id']}&name=t")["trunks"]] == [made["id"]]
    for port, type in ((parent, "PortInUseAsTrunkParent"), (two, "PortInUseAsSubPort")):
        assert member("DELETE", f"/ports/{port['id']}", expect=409)["NeutronError"]["type"] == type
    member("DELETE", path, expect=204)
    member("DELETE", f"/ports/{two['id']}", expect=204)
    assert member("GET", path, expect=404)["NeutronError"]["type"] == "TrunkNotFound"


def test_what_neutron_refuses(member: Any, admin: Any, ports: Any) -> None:
    parent, one, two = ports
    nobody = {"id": "11111111-2222-3333-4444-555555555555"}
    assert trunk(member, nobody, expect=404)["type"] == "PortNotFound"
    assert trunk(member, parent, sub(nobody), expect=404)["type"] == "PortNotFound"
    assert trunk(member, parent, sub(parent), expect=409)["type"] == "ParentPortInUse"
    for bad in (
        {"port_id": one["id"], "segmentation_type": "vlan"},
        {"port_id": one["id"], "segmentation_id": 3},
        {"segmentation_type": "vlan", "segmentation_id": 3},
        sub({"id": "no-uuid"}),
        sub(one, 4095),
        sub(one, 0),
        sub(one, 7) | {"segmentation_type": "geneve"},
        sub(one, 7) | {"segmentation_id": "seven"},
        "text",
    ):
        trunk(member, parent, bad, expect=400)
    trunk(member, parent, sub(one), sub(two), expect=400)
    made = trunk(member, parent, sub(one))
    assert trunk(member, parent, expect=409)["type"] == "ParentPortInUse"
    assert trunk(member, one, expect=409)["type"] == "TrunkPortInUse"
    path = f"/trunks/{made['id']}"

    def refused(action: str, body: Any, expect: int) -> str:
        return str(member("PUT", f"{path}/{action}", body, expect=expect)["NeutronError"]["type"])

    assert refused("add_subports", {"sub_ports": [sub(two)]}, 409) == "DuplicateSubPort"
    assert refused("add_subports", {"sub_ports": sub(two)}, 400) == "InvalidInput"
    assert refused("remove_subports", {"sub_ports": [sub(two)]}, 404) == "SubPortNotFound"
    router_port = member.port({"id": two["network_id"]}, device_id="something", device_owner="compute:x")
    assert refused("add_subports", {"sub_ports": [sub(router_port, 9)]}, 409) == "PortInUse"
    member("PUT", path, {"trunk": {"admin_state_up": False}})
    for action, entry in (("add_subports", sub(two, 5)), ("remove_subports", sub(one))):
        assert refused(action, {"sub_ports": [entry]}, 409) == "TrunkDisabled"
    assert member("DELETE", path, expect=409)["NeutronError"]["type"] == "TrunkDisabled"
    member("PUT", path, {"trunk": {"port_id": two["id"]}}, expect=400)


def test_ports_of_other_projects_are_in_no_trunk_of_mine(api: Any, member: Any, ports: Any, cloud: RunningCloud) -> None:
    """Who owns a network sees all ports on it: one in a trunk could not be deleted by its owner, who does not see why."""
    network = member.network()
    member.make("rbac_policy", "/rbac-policies", object_type="network", object_id=network["id"], action="access_as_shared",
                target_tenant=cloud.connect("other").current_project_id)
    other = api("other")
    foreign = other.port(network)
    assert member("GET", f"/ports/{foreign['id']}")["port"]["id"] == foreign["id"]
    assert trunk(member, foreign, expect=404)["type"] == "PortNotFound"
    assert trunk(member, ports[0], sub(foreign), expect=404)["type"] == "PortNotFound"
    made = trunk(member, ports[0])
    member("PUT", f"/trunks/{made['id']}/add_subports", {"sub_ports": [sub(foreign)]}, expect=404)
    other("DELETE", f"/ports/{foreign['id']}", expect=204)


def test_a_subport_may_not_have_a_larger_mtu(member: Any) -> None:
    small, large = member.port(member.network(mtu=1300)), member.port(member.network(mtu=1400))
    error = trunk(member, small, sub(large), expect=409)
    assert error["type"] == "SubPortMtuGreaterThanTrunkPortMtu"
    trunk(member, large, sub(small))


def test_trunks_count_against_a_quota_of_their_own(member: Any, admin: Any, ports: Any, cloud: RunningCloud) -> None:
    project = cloud.connect("member").current_project_id
    assert admin("GET", f"/quotas/{project}/default")["quota"]["trunk"] == -1
    used = admin("GET", f"/quotas/{project}/details")["quota"]["trunk"]["used"]
    admin("PUT", f"/quotas/{project}", {"quota": {"trunk": used}})
    try:
        assert trunk(member, ports[0], expect=409)["type"] == "OverQuota"
    finally:
        admin("PUT", f"/quotas/{project}", {"quota": {"trunk": -1}})
    trunk(member, ports[0])


def test_subports_go_with_their_parent(member: Any, admin: Any, ports: Any, cloud: RunningCloud) -> None:
    parent, one, two = ports
    made = trunk(member, parent, sub(one))
    path = f"/trunks/{made['id']}"

    def active() -> bool:
        return (member("GET", path)["trunk"]["status"] == "ACTIVE"
                and member("GET", f"/ports/{one['id']}")["port"]["status"] == "ACTIVE")

    admin("PUT", f"/ports/{parent['id']}", {"port": {"binding:host_id": "host-1"}})
    wait_until(active, what="a trunk that is up")
    told = last(cloud, "port", one["id"])
    assert told["tagged"] == {"parent": parent["id"], "vlan": 100}
    assert admin("GET", f"/ports/{one['id']}")["port"]["binding:host_id"] == "host-1"
    assert member("DELETE", path, expect=409)["NeutronError"]["type"] == "TrunkInUse"
    member("PUT", f"{path}/add_subports", {"sub_ports": [sub(two, 200)]})
    until(cloud, "port", two["id"], lambda spec: spec and spec["tagged"]["vlan"] == 200, "the tag")
    wait_until(active, what="a trunk that is up again")
    member("PUT", f"{path}/remove_subports", {"sub_ports": [sub(two, 200)]})
    until(cloud, "port", two["id"], lambda spec: spec is None, "the end")
    admin("PUT", f"/ports/{parent['id']}", {"port": {"binding:host_id": ""}})
    until(cloud, "port", one["id"], lambda spec: spec is None, "the end")
    found = member("GET", path)["trunk"]
    assert found["status"] == "DOWN" and found["sub_ports"] == [sub(one)]
    member("DELETE", path, expect=204)
