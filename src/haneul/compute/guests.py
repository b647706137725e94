"""A server as its tasks need it: what never changes while one of them runs, so that steps need not read the row again."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from haneul.compute.model import ServerRow


class Guest(Struct, kw_only=True):
    """`image` is what the row's `system["image"]` says."""

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


def of(row: ServerRow) -> Guest:
    return Guest(id=row.id, name=row.name, hostname=row.hostname, project_id=row.project_id, user_id=row.user_id,
                 flavor=row.flavor, image=row.system["image"], group_id=row.group_id, config_drive=row.config_drive,
                 rescue=row.system.get("rescue") is not None)
