"""What changes a volume, while a server has it or by its other ways: the same kinds of task as in `volume_scenarios`."""

from __future__ import annotations

from faults.attached_scenarios import attached
from faults.scenarios import Scenario
from faults.volume_scenarios import action, create, elsewhere, source, status, with_snapshot

HELD: dict[str, Scenario] = {
    "volume.extend": Scenario(attached, action("os-extend", {"new_size": 2}), "in-use", status),
    "volume.move": Scenario(attached, action("os-migrate_volume", elsewhere), "in-use", status),
    "volume.upload": Scenario(attached, action("os-volume_upload_image", {"image_name": "up", "disk_format": "qcow2",
                                                                          "force": True}), "in-use", status)}
COPIES: dict[str, Scenario] = {
    "of a volume": Scenario(source, create(source_volid=lambda stage: stage.extra["source"]), "available", status),
    "of a snapshot": Scenario(with_snapshot, create(snapshot_id=lambda stage: stage.extra["snapshot"]), "available", status)}
