"""`networks: auto` in a project that has none: one is made for it."""

from __future__ import annotations

from typing import Any

from running import RunningCloud


def test_a_server_gets_a_network_that_is_made_for_it(cloud: RunningCloud, image: str) -> None:
    admin, other = cloud.http("admin"), cloud.http("other")
    other.headers["OpenStack-API-Version"] = "compute 2.79"

    def make(client: Any, plural: str, word: str, **values: Any) -> Any:
        answer = client.post(f"/network/v2.0/{plural}", json={word: values})
        assert answer.status_code == 201, answer.text
        return answer.json()[word]

    wanted = {"server": {"name": "auto", "imageRef": image, "flavorRef": "42", "networks": "auto"}}
    refused = other.post("/compute/v2.1/servers", json=wanted)
    assert refused.status_code == 400 and "automatically allocate" in refused.text
    assert other.get("/network/v2.0/networks?name=auto_allocated_network").json()["networks"] == []
    outside = make(admin, "networks", "network", name="auto-outside", is_default=True, **{"router:external": True})
    make(admin, "subnets", "subnet", network_id=outside["id"], ip_version=4, cidr="198.19.0.0/24", enable_dhcp=False)
    pool = make(admin, "subnetpools", "subnetpool", name="auto", prefixes=["10.201.0.0/16"], default_prefixlen=26,
                is_default=True, shared=True)
    try:
        answer = other.post("/compute/v2.1/servers", json=wanted)
        assert answer.status_code == 202, answer.text
        (network,) = other.get("/network/v2.0/networks?name=auto_allocated_network").json()["networks"]
        cloud.settle()
        server = answer.json()["server"]["id"]
        (port,) = other.get(f"/network/v2.0/ports?device_id={server}").json()["ports"]
        assert port["network_id"] == network["id"] and port["fixed_ips"][0]["ip_address"].startswith("10.201.")
        assert other.delete(f"/compute/v2.1/servers/{server}").status_code == 204
    finally:
        admin.put(f"/network/v2.0/networks/{outside['id']}", json={"network": {"is_default": False}})
        admin.put(f"/network/v2.0/subnetpools/{pool['id']}", json={"subnetpool": {"is_default": False}})
