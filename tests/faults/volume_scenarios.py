"""How each kind of task of block storage comes to run. The stage plays with `volume` and `snapshot` of its `extra`."""

from __future__ import annotations

import secrets
from typing import Any

from faults.scenarios import CLEANERS, Act, Scenario, Stage
from running import wait_until

API = "/volume/v3"
VERSION = {"OpenStack-API-Version": "volume 3.71"}


def call(stage: Stage, method: str, path: str, body: Any = None, ok: tuple[int, ...] = (200, 202, 204)) -> Any:
    answer = stage.api.request(method, API + path, json=body, headers=VERSION)
    assert answer.status_code in ok, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
    return answer.json() if answer.content else None


# ---------------------------------------------------------------- looking


def status(stage: Stage, kind: str = "volume") -> str | None:
    """Of the volume, or another kind of thing, that the stage plays with; None: gone, or never there."""
    id = stage.extra.get(kind)
    answer = stage.api.get(f"{API}/{kind}s/{id}", headers=VERSION) if id else None
    return answer.json()[kind]["status"] if answer is not None and answer.status_code == 200 else None


def of_snapshot(stage: Stage) -> str | None:
    return status(stage, "snapshot")


def until(stage: Stage, wanted: str | None = "available", kind: str = "volume") -> None:
    wait_until(lambda: status(stage, kind) == wanted, 30, f"{kind} {wanted}")


# ---------------------------------------------------------------- leading there


def create(**values: Any) -> Act:
    """A new volume is the stage's; values may be functions of the stage."""

    def act(stage: Stage) -> None:
        body = {key: value(stage) if callable(value) else value for key, value in values.items()}
        made = call(stage, "POST", "/volumes", {"volume": {"name": f"faults-{secrets.token_hex(3)}", "size": 1, **body}})
        stage.extra["volume"] = made["volume"]["id"]

    return act


def there(**values: Any) -> Act:
    def arrange(stage: Stage) -> None:
        create(**values)(stage)
        until(stage)

    return arrange


def source(stage: Stage) -> None:
    """A volume that the stage's next one is made of."""
    there()(stage)
    stage.extra["source"] = stage.extra["volume"]


def with_snapshot(stage: Stage) -> None:
    there()(stage)
    take(stage)
    until(stage, kind="snapshot")


def action(name: str, body: Any = None) -> Act:
    return lambda stage: call(stage, "POST", f"/volumes/{stage.extra['volume']}/action", {
        name: body(stage) if callable(body) else body})


def delete(stage: Stage) -> None:
    call(stage, "DELETE", f"/volumes/{stage.extra['volume']}?cascade=true")


def take(stage: Stage) -> None:
    made = call(stage, "POST", "/snapshots", {"snapshot": {"volume_id": stage.extra["volume"]}})
    stage.extra["snapshot"] = made["snapshot"]["id"]


def drop(stage: Stage) -> None:
    call(stage, "DELETE", f"/snapshots/{stage.extra['snapshot']}")


def elsewhere(stage: Stage) -> dict[str, str]:
    """The back end that the volume is not on."""
    here = call(stage, "GET", f"/volumes/{stage.extra['volume']}")["volume"]["os-vol-host-attr:host"]
    name = "second" if here.endswith("#file") else "file"
    return {"host": f"host-1@{name}#{name}"}


def upload(stage: Stage) -> None:
    action("os-volume_upload_image", {"image_name": "uploaded", "disk_format": "qcow2"})(stage)


def reimage(stage: Stage) -> dict[str, str]:
    return {"image_id": stage.image_id}


# ---------------------------------------------------------------- leaving


def clean(stage: Stage) -> None:
    """Nothing of block storage is left on the stage; what is stuck is put right by hand first, so that it can go."""
    for one in call(stage, "GET", "/volumes?all_tenants=1")["volumes"]:
        call(stage, "DELETE", f"/volumes/{one['id']}?cascade=true&force=true", ok=(202, 400, 404))
    wait_until(lambda: not call(stage, "GET", "/volumes?all_tenants=1")["volumes"], 30, "the end of all volumes")
    stage.extra.clear()


CLEANERS.append(clean)

SCENARIOS: dict[str, Scenario] = {
    "volume.create": Scenario(source, create(imageRef=lambda stage: stage.image_id), "available", status),
    "volume.delete": Scenario(with_snapshot, delete, None, status),
    "volume.extend": Scenario(there(), action("os-extend", {"new_size": 2}), "available", status),
    "volume.move": Scenario(there(), action("os-migrate_volume", elsewhere), "available", status),
    "volume.upload": Scenario(there(), upload, "available", status),
    "volume.reimage": Scenario(there(), action("os-reimage", reimage), "available", status),
    "volume.snapshot.create": Scenario(there(), take, "available", of_snapshot),
    "volume.snapshot.delete": Scenario(with_snapshot, drop, None, of_snapshot),
    "volume.revert": Scenario(with_snapshot, action("revert", lambda stage: {"snapshot_id": stage.extra["snapshot"]}),
                              "available", status),
}
