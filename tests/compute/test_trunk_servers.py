"""Servers on the parent port of a trunk."""

from __future__ import annotations

from typing import Any

from compute_world import Boot

from running import RunningCloud, wait_until


def test_a_server_on_a_trunk_brings_its_subports_up_and_leaves_them_behind(boot: Boot, cloud: RunningCloud,
                                                                          network: str) -> None:
    http = cloud.http("admin")

    def ask(method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = http.request(method, f"/network/v2.0{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    inner = ask("POST", "/networks", {"network": {"name": "inner"}}, 201)["network"]["id"]
    ask("POST", "/subnets", {"subnet": {"network_id": inner, "cidr": "10.93.0.0/24", "ip_version": 4}}, 201)
    parent, sub = (ask("POST", "/ports", {"port": {"network_id": id}}, 201)["port"]["id"] for id in (network, inner))
    trunk = ask("POST", "/trunks", {"trunk": {"port_id": parent, "sub_ports": [
        {"port_id": sub, "segmentation_type": "vlan", "segmentation_id": 42}]}}, 201)["trunk"]["id"]
    server = boot(networks=[{"port": parent}])
    assert ask("GET", f"/trunks/{trunk}")["trunk"]["status"] == "ACTIVE"
    assert ask("GET", f"/ports/{sub}")["port"]["status"] == "ACTIVE"
    assert ask("GET", f"/ports/{sub}")["port"]["binding:host_id"] == server["OS-EXT-SRV-ATTR:host"]
    http.delete(f"/compute/v2.1/servers/{server['id']}")
    wait_until(lambda: ask("GET", f"/trunks/{trunk}")["trunk"]["status"] == "DOWN", what="a trunk without a server")
    assert ask("GET", f"/ports/{sub}")["port"]["binding:host_id"] == ""
    ask("DELETE", f"/trunks/{trunk}", status=204)
    for port in (parent, sub):
        ask("DELETE", f"/ports/{port}", status=204)
