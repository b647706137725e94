"""A caller of the network API by persona, and networks of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from running import RunningCloud


class Api:
    """Neutron over plain HTTP: `expect` is the status that must come back; answers are the JSON."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def __call__(self, method: str, path: str, body: Any = None, *, expect: int = 200, **options: Any) -> Any:
        answer = self.client.request(method, "/network/v2.0" + path, json=body, **options)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def make(self, kind: str, path: str | None = None, expect: int = 201, **values: Any) -> Any:
        body = self("POST", path or f"/{kind}s", {kind: values}, expect=expect)
        return body[kind] if expect == 201 else body["NeutronError"]

    def network(self, **values: Any) -> Any:
        return self.make("network", **values)

    def subnet(self, network: Any, cidr: str, expect: int = 201, **values: Any) -> Any:
        return self.make(
            "subnet",
            expect=expect,
            network_id=network["id"],
            cidr=cidr,
            **{"ip_version": 6 if ":" in cidr else 4, **values},
        )

    def port(self, network: Any, expect: int = 201, **values: Any) -> Any:
        return self.make("port", expect=expect, network_id=network["id"], **values)

    def router(self, **values: Any) -> Any:
        return self.make("router", **values)

    def plug(self, router: Any, expect: int = 200, **values: Any) -> Any:
        return self("PUT", f"/routers/{router['id']}/add_router_interface", values, expect=expect)


@pytest.fixture
def api(cloud: RunningCloud) -> Iterator[Callable[[str], Api]]:
    clients: list[httpx.Client] = []

    def by(persona: str = "member") -> Api:
        clients.append(cloud.http(persona))
        return Api(clients[-1])

    yield by
    for client in clients:
        client.close()


@pytest.fixture
def member(api: Callable[[str], Api], cloud: RunningCloud) -> Api:
    """The project's quota is out of the way: what is made here is not counted against other tests."""
    admin = api("admin")
    project = cloud.connect("member").current_project_id
    admin(
        "PUT",
        f"/quotas/{project}",
        {
            "quota": dict.fromkeys(
                (
                    "network",
                    "subnet",
                    "port",
                    "router",
                    "floatingip",
                    "security_group",
                    "security_group_rule",
                    "rbac_policy",
                ),
                -1,
            )
        },
    )
    return api("member")


@pytest.fixture
def admin(api: Callable[[str], Api]) -> Api:
    return api("admin")


@pytest.fixture
def public(cloud: RunningCloud, admin: Api) -> Any:
    """An external network with one IPv4 subnet; one for the whole run."""
    found = admin("GET", "/networks?name=test-public")["networks"]
    if found:
        return found[0]
    network = admin.network(name="test-public", **{"router:external": True})
    admin.subnet(network, "198.51.100.0/24", enable_dhcp=False)
    return admin("GET", f"/networks/{network['id']}")["network"]
