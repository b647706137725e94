"""How the tasks that give volumes to servers, and take them away, come to run."""

from __future__ import annotations

from faults.scenarios import Scenario, Stage, active
from faults.volume_scenarios import action, status, there, until


def path(stage: Stage, volume: str = "") -> str:
    return f"/compute/v2.1/servers/{stage.server_id}/os-volume_attachments" + (f"/{volume}" if volume else "")


def server_and_volume(stage: Stage) -> None:
    active(stage)
    there()(stage)


def attach(stage: Stage) -> None:
    stage.call("POST", path(stage), {"volumeAttachment": {"volumeId": stage.extra["volume"]}})


def attached(stage: Stage) -> None:
    server_and_volume(stage)
    attach(stage)
    until(stage, "in-use")


def detach(stage: Stage) -> None:
    stage.call("DELETE", path(stage, stage.extra["volume"]))


def with_another(stage: Stage) -> None:
    there()(stage)
    stage.extra["other"] = stage.extra["volume"]
    attached(stage)


def swap(stage: Stage) -> None:
    stage.call("PUT", path(stage, stage.extra["volume"]), {"volumeAttachment": {"volumeId": stage.extra["other"]}})


def grow(stage: Stage) -> None:
    """The volume grows by a task of its own; this one is the server's record of it."""
    action("os-extend", {"new_size": 2})(stage)


# A detach that fails after the guest has let go leaves a free volume, and before that one in use: both are sound.
SCENARIOS: dict[str, Scenario] = {
    "compute.server.attach_volume": Scenario(server_and_volume, attach, "in-use", status),
    "compute.server.detach_volume": Scenario(attached, detach, "available", status, loose=True),
    "compute.server.extend_volume": Scenario(attached, grow, "in-use", status),
    "compute.server.swap_volume": Scenario(with_another, swap, "available", status),
}
