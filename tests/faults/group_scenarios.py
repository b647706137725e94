"""How the tasks of groups come to run, and those that manage what lies on a back end already."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import select

from faults import volume_scenarios
from faults.scenarios import CLEANERS, Scenario, Stage
from faults.volume_problems import EXISTING
from faults.volume_scenarios import API, VERSION, call, status, until
from haneul.volume import stores
from haneul.volume.model import PoolRow
from running import wait_until


def of_group(stage: Stage) -> str | None:
    return status(stage, "group")


def of_group_snapshot(stage: Stage) -> str | None:
    return status(stage, "group_snapshot")


# ---------------------------------------------------------------- groups


def group(stage: Stage) -> None:
    """With two volumes."""
    kind = call(stage, "POST", "/group_types", {"group_type": {"name": f"faults-{secrets.token_hex(3)}"}})["group_type"]["id"]
    volume_type = next(one["id"] for one in call(stage, "GET", "/types")["volume_types"] if one["name"] == "__DEFAULT__")
    made = call(stage, "POST", "/groups", {"group": {"name": "faults", "group_type": kind, "volume_types": [volume_type]}})
    stage.extra |= {"group": made["group"]["id"], "source_group": made["group"]["id"], "group_type": kind}
    until(stage, kind="group")
    for _ in range(2):
        volume_scenarios.there(group_id=made["group"]["id"], volume_type=volume_type)(stage)


def copy(stage: Stage) -> None:
    made = call(stage, "POST", "/groups/action", {"create-from-src": {"source_group_id": stage.extra["source_group"]}})
    stage.extra["group"] = made["group"]["id"]


def drop(stage: Stage) -> None:
    call(stage, "POST", f"/groups/{stage.extra['group']}/action", {"delete": {"delete-volumes": True}})


def take(stage: Stage) -> None:
    made = call(stage, "POST", "/group_snapshots", {"group_snapshot": {"group_id": stage.extra["group"], "name": "faults"}})
    stage.extra["group_snapshot"] = made["group_snapshot"]["id"]


def taken(stage: Stage) -> None:
    group(stage)
    take(stage)
    until(stage, kind="group_snapshot")


def drop_taken(stage: Stage) -> None:
    call(stage, "DELETE", f"/group_snapshots/{stage.extra['group_snapshot']}")


# ---------------------------------------------------------------- what is there already


def existing(stage: Stage) -> None:
    """Something on the first back end that nobody here has made."""
    stage.extra["name"] = EXISTING + secrets.token_hex(3)
    stores.of(stage.cloud.cloud, _pool(stage)).create(stage.extra["name"], "raw", 1 << 30)


def _pools(stage: Stage) -> list[str]:
    with stage.cloud.cloud.database.read() as tx:
        return sorted(tx.execute(select(PoolRow.name)).scalars())


def _pool(stage: Stage) -> str:
    return _pools(stage)[0]


def manage(stage: Stage) -> None:
    made = call(stage, "POST", "/manageable_volumes", {"volume": {"host": _pool(stage),
                                                                  "ref": {"source-name": stage.extra["name"]}}})
    stage.extra["volume"] = made["volume"]["id"]


def of_managed(stage: Stage) -> str | None:
    """The volume's status; its data is there once, under the name that belongs to that."""
    found = status(stage)
    names = {one.name for one in stores.of(stage.cloud.cloud, _pool(stage)).volumes()}
    wanted = f"volume-{stage.extra['volume']}" if found == "available" else stage.extra["name"]
    assert names & {f"volume-{stage.extra.get('volume')}", stage.extra["name"]} == {wanted}, f"{found}: {names}"
    return found


def existing_snapshot(stage: Stage) -> None:
    volume_scenarios.there()(stage)
    stage.extra["name"] = EXISTING + secrets.token_hex(3)
    host = call(stage, "GET", f"/volumes/{stage.extra['volume']}")["volume"]["os-vol-host-attr:host"]
    stores.of(stage.cloud.cloud, host).snapshot(f"volume-{stage.extra['volume']}", stage.extra["name"])
    stage.extra["host"] = host


def manage_snapshot(stage: Stage) -> None:
    made = call(stage, "POST", "/manageable_snapshots", {"snapshot": {
        "volume_id": stage.extra["volume"], "ref": {"source-name": stage.extra["name"]}}})
    stage.extra["snapshot"] = made["snapshot"]["id"]


def of_managed_snapshot(stage: Stage) -> str | None:
    found = status(stage, "snapshot")
    there = stores.of(stage.cloud.cloud, stage.extra["host"]).volume(f"volume-{stage.extra['volume']}").snapshots
    assert there == [f"_snapshot-{stage.extra['snapshot']}" if found == "available" else stage.extra["name"]], f"{found}: {there}"
    return found


# ---------------------------------------------------------------- leaving


def clean(stage: Stage) -> None:
    """Before volumes are deleted, which none is that is in a group or has a snapshot which is not ours."""
    for kind, action, body in (("group_snapshots", "DELETE", None),
                               ("groups", "POST", {"delete": {"delete-volumes": True}})):
        for one in call(stage, "GET", f"/{kind}?all_tenants=1")[kind]:
            path = f"/{kind}/{one['id']}"
            call(stage, action, path + ("/action" if body else ""), body, ok=(202,))
            _gone(stage, path)
    if "group_type" in stage.extra:
        call(stage, "DELETE", f"/group_types/{stage.extra['group_type']}", ok=(202, 404))
    _forget_existing(stage)


def _gone(stage: Stage, path: str) -> None:
    wait_until(lambda: stage.api.get(API + path, headers=VERSION).status_code == 404, 30, f"the end of {path}")


def _forget_existing(stage: Stage) -> None:
    for pool in _pools(stage):
        store: Any = stores.of(stage.cloud.cloud, pool)
        for one in store.volumes():
            for name in one.snapshots:
                if name.startswith(EXISTING):
                    store.delete_snapshot(one.name, name)
            if one.name.startswith(EXISTING):
                store.delete(one.name)


CLEANERS.insert(0, clean)

SCENARIOS: dict[str, Scenario] = {
    "volume.group.create": Scenario(group, copy, "available", of_group),
    "volume.group.delete": Scenario(group, drop, None, of_group),
    "volume.group_snapshot.create": Scenario(group, take, "available", of_group_snapshot),
    "volume.group_snapshot.delete": Scenario(taken, drop_taken, None, of_group_snapshot),
    "volume.manage": Scenario(existing, manage, "available", of_managed),
    "volume.snapshot.manage": Scenario(existing_snapshot, manage_snapshot, "available", of_managed_snapshot),
}
