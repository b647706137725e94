"""A server as its tasks need it: what never changes while one of them runs, so that steps need not read the row again."""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import Struct, convert

from haneul.compute.model import ServerRow

S = TypeVar("S", bound=Struct)


class Rescue(Struct, kw_only=True):
    """How a stable rescue plugs its disk in: behind the server's own, which keep their places."""

    bus: str = "virtio"
    device: str = "disk"


class Local(Struct, kw_only=True):
    """The disks besides the root that a block device mapping asked for in place of the flavor's: GiB each, and MiB."""

    ephemeral: list[int] = []
    swap: int = 0
    buses: dict[str, str] = {}  # by the disk's name


class Guest(Struct, kw_only=True):
    """`image` is what the row's `system["image"]` says; `on_volume`: its root disk is a volume."""

    id: str
    name: str
    hostname: str
    project_id: str
    user_id: str
    flavor: dict[str, Any]
    image: dict[str, Any]
    group_id: str | None = None
    config_drive: bool = False
    rescue: bool = False
    stable_rescue: Rescue | None = None
    on_volume: bool = False
    local: Local | None = None


def local_disks(guest: Guest) -> dict[str, int]:
    """Bytes of the host's disks beside the root, by name, in the guest's order."""
    local = guest.local or Local(ephemeral=[guest.flavor["ephemeral"]] if guest.flavor["ephemeral"] else [],
                                 swap=guest.flavor["swap"])
    found = {f"ephemeral{number}": size << 30 for number, size in enumerate(local.ephemeral)}
    return {**found, "swap": local.swap << 20} if local.swap else found


def of(row: ServerRow) -> Guest:
    return Guest(id=row.id, name=row.name, hostname=row.hostname, project_id=row.project_id, user_id=row.user_id,
                 flavor=row.flavor, image=row.system["image"], group_id=row.group_id, config_drive=row.config_drive,
                 rescue=row.system.get("rescue") is not None, on_volume=bool(row.system.get("on_volume")),
                 stable_rescue=_as(row, "stable_rescue", Rescue), local=_as(row, "local", Local))


def _as(row: ServerRow, key: str, kind: type[S]) -> S | None:
    found = row.system.get(key)
    return convert(found, kind) if found is not None else None
