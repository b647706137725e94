"""Servers whose root is a volume: their own kinds of tasks, and kinds that others have too and that are something else here."""

from __future__ import annotations

from typing import Any

from faults.scenarios import Act, Scenario, Stage, action, delete, nothing

LATER = {"OpenStack-API-Version": "compute 2.96"}


def boot(stage: Stage) -> None:
    """From an image made a volume, and with an empty one beside it; both end with the server."""
    stage.server_id = stage.call("POST", "/compute/v2.1/servers", {"server": {
        "name": "faults-backed", "flavorRef": stage.flavor, "imageRef": "", "networks": [{"uuid": stage.network_id}],
        "block_device_mapping_v2": [
            {"boot_index": 0, "source_type": "image", "destination_type": "volume", "uuid": stage.image_id, "volume_size": 1,
             "delete_on_termination": True},
            {"boot_index": -1, "source_type": "blank", "destination_type": "volume", "volume_size": 1,
             "delete_on_termination": True}]}})["server"]["id"]


def active(stage: Stage) -> None:
    boot(stage)
    stage.until("ACTIVE")


def shelved(stage: Stage) -> None:
    active(stage)
    stage.to("shelve", "SHELVED_OFFLOADED")


def later(name: str, body: Any) -> Act:
    """An action of a newer microversion than the stage speaks."""

    def act(stage: Stage) -> None:
        answer = stage.api.post(f"/compute/v2.1/servers/{stage.server_id}/action", json={name: body(stage)}, headers=LATER)
        assert answer.status_code == 202, answer.text

    return act


SCENARIOS: dict[str, Scenario] = {
    "compute.server.create_with_volumes": Scenario(nothing, boot),
    "compute.server.snapshot_volumes": Scenario(active, action("createImage", {"name": "snap"})),
    "compute.server.rebuild_volume": Scenario(active, later("rebuild", lambda stage: {"imageRef": stage.image_id})),
}
BACKED: dict[str, Scenario] = {
    "compute.server.delete": Scenario(active, delete, None),
    "compute.server.shelve": Scenario(active, action("shelve"), "SHELVED_OFFLOADED"),
    "compute.server.unshelve": Scenario(shelved, action("unshelve")),
}
