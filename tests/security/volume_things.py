"""One of everything that paths of block storage name, made as the member of the project `work`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from running import wait_until

if TYPE_CHECKING:
    from security.route_world import Things

PREFIX = "/volume/v3"
OWNED = {"block-storage.volume_id", "block-storage.snapshot_id", "block-storage.group_id",
         "block-storage.group_snapshot_id", "block-storage.attachment_id", "block-storage.backup_id",
         "compute.os-volumes.volume_id", "compute.os-snapshots.snapshot_id"}


def make(things: Things) -> None:
    ids = things.ids
    project = things.cloud.connect("member").current_project_id
    answer = things.admin.put(f"{PREFIX}/os-quota-sets/{project}", json={"quota_set": {"volumes": -1, "gigabytes": -1}})
    assert answer.status_code == 200, answer.text
    ids["block-storage.volume_id"] = _available(things, "volume", size=1, metadata={"key": "v"})
    ids["block-storage.snapshot_id"] = _available(things, "snapshot", volume_id=ids["block-storage.volume_id"],
                                                  metadata={"key": "v"})
    ids["compute.os-volumes.volume_id"] = ids["block-storage.volume_id"]
    ids["compute.os-snapshots.snapshot_id"] = ids["block-storage.snapshot_id"]
    ids["block-storage.backup_id"] = _available(things, "backup", volume_id=ids["block-storage.volume_id"])
    _group(things)
    _attachments(things)


def _attachments(things: Things) -> None:
    """One of the member's own, and one of his server's."""
    ids = things.ids
    ids["block-storage.attachment_id"] = str(things.make(things.member, f"{PREFIX}/attachments", {"attachment": {
        "volume_uuid": _available(things, "volume", size=1)}}, "attachment")["id"])
    ids["compute.volume_id"] = _available(things, "volume", size=1)
    things.make(things.member, f"/compute/v2.1/servers/{ids['server_id']}/os-volume_attachments", {
        "volumeAttachment": {"volumeId": ids["compute.volume_id"]}})
    held = f"{PREFIX}/volumes/{ids['compute.volume_id']}"
    wait_until(lambda: things.member.get(held).json()["volume"]["status"] == "in-use", what="the server's volume")


def _group(things: Things) -> None:
    """With a volume and a snapshot of it, each the group's own."""
    ids = things.ids
    ids["group_type_id"] = str(things.make(things.admin, f"{PREFIX}/group_types", {"group_type": {
        "name": f"made-{things.number}", "group_specs": {"key": "v"}}}, "group_type")["id"])
    default = things.member.get(f"{PREFIX}/types/default").json()["volume_type"]["id"]
    ids["block-storage.group_id"] = _available(things, "group", group_type=ids["group_type_id"], volume_types=[default])
    _available(things, "volume", size=1, group_id=ids["block-storage.group_id"], volume_type=default)
    ids["block-storage.group_snapshot_id"] = _available(things, "group_snapshot", group_id=ids["block-storage.group_id"])


def _available(things: Things, word: str, **values: object) -> str:
    id = str(things.make(things.member, f"{PREFIX}/{word}s", {word: {"name": "own", **values}}, word)["id"])

    def there() -> bool:
        found = things.member.get(f"{PREFIX}/{word}s/{id}").json()[word]
        assert not found["status"].startswith("error"), found
        return bool(found["status"] == "available")

    wait_until(there, what=f"the member's {word}")
    return id
