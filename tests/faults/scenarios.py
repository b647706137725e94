"""How each kind of task comes to run, through the API: what must be there first, then the request."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import httpx
from msgspec import Struct

from haneul.fleet.agents import Agents
from running import RunningCloud, wait_until

Act = Callable[["Stage"], None]
CLEANERS: list[Act] = []  # what other files' scenarios leave on the stage goes by these, after the server


class Scenario(Struct, frozen=True):
    """`before` leads to the state that `act` starts from; `status` is what `look` sees once `act` went well (None: gone).
    `look` is at the server unless it is said otherwise, `loose` for a task whose failure shows nowhere else than in itself."""

    before: Act
    act: Act
    status: str | None = "ACTIVE"
    look: Callable[[Stage], str | None] = lambda stage: stage.status()
    loose: bool = False


class Stage:
    """A cloud with an image, flavors and a network, and one server to play with."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud
        self.api: httpx.Client = cloud.http()
        self.api.headers["OpenStack-API-Version"] = "compute 2.79"
        self.network_id = self._network()
        self.image_id = self._image()
        self.flavor, self.large = (self._flavor(name, ram) for name, ram in (("faults-small", 64), ("faults-large", 128)))
        self.server_id: str | None = None
        self.status_before: str | None = None
        self.extra: dict[str, str] = {}

    # ---------------------------------------------------------------- what every scenario shares

    def call(self, method: str, path: str, body: Any = None, ok: tuple[int, ...] = (200, 201, 202, 204)) -> Any:
        answer = self.api.request(method, path, json=body)
        assert answer.status_code in ok, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if answer.content and answer.status_code != 204 else None

    def _network(self) -> str:
        made = self.call("POST", "/network/v2.0/networks", {"network": {"name": "faults"}})["network"]
        self.call("POST", "/network/v2.0/subnets", {"subnet": {"network_id": made["id"], "ip_version": 4, "cidr": "10.9.0.0/20"}})
        return str(made["id"])

    def _image(self) -> str:
        made = self.call("POST", "/image/v2/images", {"name": "faults", "disk_format": "raw", "container_format": "bare"})
        self.upload(made["id"])
        return str(made["id"])

    def upload(self, image_id: str) -> None:
        answer = self.api.put(f"/image/v2/images/{image_id}/file", content=secrets.token_bytes(1 << 16),
                              headers={"Content-Type": "application/octet-stream"})
        assert answer.status_code == 204, answer.text

    def _flavor(self, name: str, ram: int) -> str:
        return str(self.call("POST", "/compute/v2.1/flavors", {"flavor": {"name": f"{name}-{secrets.token_hex(3)}", "vcpus": 1,
                                                                           "ram": ram, "disk": 1}})["flavor"]["id"])

    # ---------------------------------------------------------------- a server

    def boot(self) -> None:
        self.server_id = self.call("POST", "/compute/v2.1/servers", {"server": {
            "name": f"faults-{secrets.token_hex(3)}", "flavorRef": self.flavor, "imageRef": self.image_id,
            "networks": [{"uuid": self.network_id}]}})["server"]["id"]

    def server(self) -> dict[str, Any] | None:
        answer = self.api.get(f"/compute/v2.1/servers/{self.server_id}")
        return answer.json()["server"] if answer.status_code == 200 else None

    def status(self) -> str | None:
        found = self.server() if self.server_id else None
        return found["status"] if found else None

    def until(self, *statuses: str | None) -> None:
        def there() -> bool:
            found = self.server()
            if found is None:
                return None in statuses
            assert found["status"] != "ERROR" or not {"ERROR", None}.isdisjoint(statuses), found.get("fault")
            return found["status"] in statuses and found["OS-EXT-STS:task_state"] is None

        wait_until(there, 30, f"server {statuses}")

    def do(self, name: str, body: Any = None) -> None:
        self.call("POST", f"/compute/v2.1/servers/{self.server_id}/action", {name: body})

    def to(self, name: str, status: str, body: Any = None) -> None:
        self.do(name, body)
        self.until(status)

    def clean(self) -> None:
        if self.server_id is not None and self.server() is not None:
            self.api.delete(f"/compute/v2.1/servers/{self.server_id}")
            self.until(None)
        self.server_id = None
        for aggregate in self.call("GET", "/compute/v2.1/os-aggregates")["aggregates"]:
            for host in aggregate["hosts"]:
                self.call("POST", f"/compute/v2.1/os-aggregates/{aggregate['id']}/action", {"remove_host": {"host": host}})
            self.call("DELETE", f"/compute/v2.1/os-aggregates/{aggregate['id']}")
        for clean in CLEANERS:
            clean(self)
        for image in self.call("GET", "/image/v2/images?limit=100")["images"]:
            if image["id"] != self.image_id:
                self.call("DELETE", f"/image/v2/images/{image['id']}", ok=(204, 404, 409))


def nothing(stage: Stage) -> None:
    """Starts from an empty stage."""


def active(stage: Stage) -> None:
    stage.boot()
    stage.until("ACTIVE")


def after(*ways: tuple[str, str, Any]) -> Act:
    """From an active server through actions: (name, status, body)."""

    def arrange(stage: Stage) -> None:
        active(stage)
        for name, status, body in ways:
            stage.to(name, status, body(stage) if callable(body) else body)

    return arrange


def action(name: str, body: Any = None) -> Act:
    return lambda stage: stage.do(name, body(stage) if callable(body) else body)


def delete(stage: Stage) -> None:
    stage.call("DELETE", f"/compute/v2.1/servers/{stage.server_id}")


def attach(stage: Stage) -> None:
    stage.call("POST", f"/compute/v2.1/servers/{stage.server_id}/os-interface",
               {"interfaceAttachment": {"net_id": stage.network_id}}, ok=(200, 500))


def attached(stage: Stage) -> None:
    active(stage)
    attach(stage)
    stage.cloud.settle()


def detach(stage: Stage) -> None:
    path = f"/compute/v2.1/servers/{stage.server_id}/os-interface"
    port = stage.call("GET", path)["interfaceAttachments"][-1]["port_id"]
    stage.call("DELETE", f"{path}/{port}")


def subnet_changes(stage: Stage) -> None:
    subnet = stage.call("GET", f"/network/v2.0/subnets?network_id={stage.network_id}")["subnets"][0]["id"]
    resolver = f"10.9.0.{secrets.randbelow(200) + 2}"
    stage.call("PUT", f"/network/v2.0/subnets/{subnet}", {"subnet": {"dns_nameservers": [resolver]}})


def in_an_aggregate(stage: Stage) -> None:
    """An image that no host has, and hosts to have it."""
    made = stage.call("POST", "/image/v2/images", {"name": "ahead", "disk_format": "raw", "container_format": "bare"})
    stage.upload(made["id"])
    aggregate = stage.call("POST", "/compute/v2.1/os-aggregates", {"aggregate": {"name": secrets.token_hex(4)}})["aggregate"]
    stage.call("POST", f"/compute/v2.1/os-aggregates/{aggregate['id']}/action", {"add_host": {"host": "host-1"}})
    stage.extra.update(image=made["id"], aggregate=str(aggregate["id"]))


def fetch_ahead(stage: Stage) -> None:
    answer = stage.api.post(f"/compute/v2.1/os-aggregates/{stage.extra['aggregate']}/images", headers={
        "OpenStack-API-Version": "compute 2.81"}, json={"cache": [{"id": stage.extra["image"]}]})
    assert answer.status_code == 202, answer.text


def on_its_host(stage: Stage) -> str | None:
    return "there" if stage.cloud.cloud.get(Agents).of("host-1").disks.has_image(stage.extra["image"]) else None


def _resize(stage: Stage) -> dict[str, str]:
    return {"flavorRef": stage.large}


def _rebuild(stage: Stage) -> dict[str, str]:
    return {"imageRef": stage.image_id}


RESIZED = ("resize", "VERIFY_RESIZE", _resize)
STOPPED = ("os-stop", "SHUTOFF", None)

SCENARIOS: dict[str, Scenario] = {
    "compute.server.create": Scenario(nothing, lambda stage: stage.boot()),
    "compute.server.delete": Scenario(active, delete, None),
    "compute.server.start": Scenario(after(STOPPED), action("os-start")),
    "compute.server.stop": Scenario(active, action("os-stop"), "SHUTOFF"),
    "compute.server.reboot": Scenario(active, action("reboot", {"type": "SOFT"})),
    "compute.server.hard_reboot": Scenario(active, action("reboot", {"type": "HARD"})),
    "compute.server.pause": Scenario(active, action("pause"), "PAUSED"),
    "compute.server.unpause": Scenario(after(("pause", "PAUSED", None)), action("unpause")),
    "compute.server.suspend": Scenario(active, action("suspend"), "SUSPENDED"),
    "compute.server.resume": Scenario(after(("suspend", "SUSPENDED", None)), action("resume")),
    "compute.server.rebuild": Scenario(active, action("rebuild", _rebuild)),
    "compute.server.rescue": Scenario(active, action("rescue", {}), "RESCUE"),
    "compute.server.unrescue": Scenario(after(("rescue", "RESCUE", {})), action("unrescue")),
    "compute.server.resize": Scenario(active, action("resize", _resize), "VERIFY_RESIZE"),
    "compute.server.confirm_resize": Scenario(after(RESIZED), action("confirmResize")),
    "compute.server.revert_resize": Scenario(after(RESIZED), action("revertResize")),
    "compute.server.shelve": Scenario(active, action("shelve"), "SHELVED_OFFLOADED"),
    "compute.server.unshelve": Scenario(after(("shelve", "SHELVED_OFFLOADED", None)), action("unshelve")),
    "compute.server.snapshot": Scenario(active, action("createImage", {"name": "snap"})),
    "compute.server.attach_interface": Scenario(active, attach),
    "compute.server.detach_interface": Scenario(attached, detach),
    "compute.server.interrupt": Scenario(active, action("trigger_crash_dump"), loose=True),
    "compute.host.cache_images": Scenario(in_an_aggregate, fetch_ahead, "there", on_its_host, loose=True),
    "compute.server.rewire": Scenario(active, action("injectNetworkInfo")),
    "network.wire": Scenario(active, subnet_changes, loose=True),
}
