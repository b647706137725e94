"""How each kind of task of backups comes to run. The stage plays with `backup` of its `extra`."""

from __future__ import annotations

import shutil

from faults.scenarios import CLEANERS, Scenario, Stage
from faults.volume_scenarios import call, status, there, until
from running import wait_until


def of_backup(stage: Stage) -> str | None:
    return status(stage, "backup")


def take(stage: Stage) -> None:
    made = call(stage, "POST", "/backups", {"backup": {"volume_id": stage.extra["volume"]}})
    stage.extra["backup"] = made["backup"]["id"]


def taken(stage: Stage) -> None:
    """A backup of a volume that holds something."""
    there(imageRef=lambda stage: stage.image_id)(stage)
    take(stage)
    until(stage, kind="backup")


def restore(stage: Stage) -> None:
    call(stage, "POST", f"/backups/{stage.extra['backup']}/restore", {"restore": {"volume_id": stage.extra["volume"]}})


def drop(stage: Stage) -> None:
    call(stage, "DELETE", f"/backups/{stage.extra['backup']}")


def exported(stage: Stage) -> None:
    """The cloud has lost the backup, but its data is there, and its record."""
    taken(stage)
    id = stage.extra["backup"]
    stage.extra["record"] = call(stage, "GET", f"/backups/{id}/export_record")["backup-record"]
    folder = stage.cloud.paths.backups / "volumebackups" / id
    kept = shutil.copytree(folder, folder.with_name(f".kept-{id}"))
    drop(stage)
    until(stage, None, kind="backup")
    kept.rename(folder)


def bring(stage: Stage) -> None:
    call(stage, "POST", "/backups/import_record", {"backup-record": stage.extra["record"]}, ok=(201,))


def clean(stage: Stage) -> None:
    """The newest first: an older one may be what it stands on."""
    for one in call(stage, "GET", "/backups?sort=created_at:desc")["backups"]:
        call(stage, "DELETE", f"/backups/{one['id']}", ok=(202, 404))
        wait_until(lambda id=one["id"]: stage.api.get(f"/volume/v3/backups/{id}").status_code == 404, 30, "the backup's end")
    stage.extra.pop("backup", None)


CLEANERS.insert(0, clean)
SCENARIOS: dict[str, Scenario] = {
    "volume.backup.create": Scenario(there(imageRef=lambda stage: stage.image_id), take, "available", of_backup),
    "volume.backup.restore": Scenario(taken, restore, "available", status),
    "volume.backup.delete": Scenario(taken, drop, None, of_backup),
    "volume.backup.import": Scenario(exported, bring, "available", of_backup),
}
