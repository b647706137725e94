"""What tests of compute start from: an image, a network, and a quick way to servers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from compute_world import Boot, Nova

from haneul.host.disks import qcow2
from running import RunningCloud

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def nova(cloud: RunningCloud) -> Nova:
    found = Nova(cloud)
    project = cloud.connect("admin").current_project_id
    found.call("PUT", f"/os-quota-sets/{project}", {"quota_set": {"instances": -1, "cores": -1, "ram": -1}})
    return found


@pytest.fixture(scope="session")
def image(cloud: RunningCloud) -> str:
    """A public image that fits every flavor."""
    return cloud.connect("admin").image.create_image(
        name="compute-image", disk_format="qcow2", container_format="bare", data=qcow2.empty(1 << 20), visibility="public",
        wait=True).id


@pytest.fixture(scope="session")
def network(cloud: RunningCloud) -> str:
    client = cloud.connect("admin").network
    found = client.create_network(name="compute-net")
    client.create_subnet(network_id=found.id, cidr="10.77.0.0/20", ip_version=4)
    return found.id


@pytest.fixture
def boot(nova: Nova, image: str, network: str) -> Iterator[Boot]:
    """Makes servers that are ACTIVE (or whatever `until` says) and end with the test."""
    made: list[str] = []

    def make(until: str | None = "ACTIVE", **values: Any) -> dict[str, Any]:
        body = {"name": f"server-{next(_numbers)}", "imageRef": image, "flavorRef": "42", "networks": [{"uuid": network}],
                **values}
        hints = body.pop("hints", None)
        found = nova.call("POST", "/servers", {"server": body, **({"os:scheduler_hints": hints} if hints else {})},
                          status=202)["server"]
        made.append(found["id"])
        return nova.wait(found["id"], until) if until else nova.server(found["id"])

    yield make
    for id in made:
        nova.http.delete(f"/compute/v2.1/servers/{id}")
    for id in made:
        nova.wait_gone(id)
