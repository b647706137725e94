"""Servers: finding, counting, changing what is only words. Their making is `boot`, what happens to them `actions`."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from sqlalchemy import delete, func, insert, select

from haneul.compute import states
from haneul.compute.model import ServerNicRow, ServerRow, ServerTagRow
from haneul.compute.problems import ServerNotFound, TooMany
from haneul.kernel import clock, ids, quota
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction

TAGS_MOST = 50


def get(tx: Transaction, context: Context, server_id: str) -> ServerRow:
    """ServerNotFound also for what belongs to another project."""
    row = tx.execute(select(ServerRow).where(ServerRow.id == server_id.lower(), ServerRow.deleted.is_(False))
                     ).scalar_one_or_none() if ids.is_uuid(server_id) else None
    if row is None or not (context.is_admin or context.is_service or row.project_id == context.project_id):
        raise ServerNotFound(server_id[:255])
    return row


def by_id(tx: Transaction, server_id: str) -> ServerRow | None:
    """For tasks and reconcilers; deleted ones too."""
    return tx.execute(select(ServerRow).where(ServerRow.id == server_id)).scalar_one_or_none()


def of_port(tx: Transaction, port_id: str) -> ServerRow | None:
    """The server that a port is plugged into."""
    return tx.execute(select(ServerRow).join(ServerNicRow, ServerNicRow.server_id == ServerRow.id).where(
        ServerNicRow.port_id == port_id, ServerRow.deleted.is_(False))).scalar_one_or_none()


def nics(tx: Transaction, server_id: str) -> list[ServerNicRow]:
    return list(tx.execute(select(ServerNicRow).where(ServerNicRow.server_id == server_id)
                           .order_by(ServerNicRow.position)).scalars())


# ---------------------------------------------------------------- quota


def used(tx: Transaction, project_id: str) -> dict[str, int]:
    """Instances, cores and ram of a project, in one statement."""
    count, cores, ram = tx.execute(select(
        func.count(), func.coalesce(func.sum(ServerRow.vcpus), 0), func.coalesce(func.sum(ServerRow.ram), 0)).where(
        ServerRow.project_id == project_id, ServerRow.deleted.is_(False))).one()
    return {"instances": int(count), "cores": int(cores), "ram": int(ram)}


@quota.counted("compute", "instances")
def _instances(tx: Transaction, project_id: str) -> int:
    return used(tx, project_id)["instances"]


@quota.counted("compute", "cores")
def _cores(tx: Transaction, project_id: str) -> int:
    return used(tx, project_id)["cores"]


@quota.counted("compute", "ram")
def _ram(tx: Transaction, project_id: str) -> int:
    return used(tx, project_id)["ram"]


def room_for(tx: Transaction, project_id: str, *, least: int, most: int, vcpus: int, ram: int) -> int:
    """How many of `most` servers the quota allows; TooMany when not even `least`. Under the project's lock."""
    tx.lock("quota", "compute", project_id)
    limits = quota.limits(tx, "compute", project_id, ("instances", "cores", "ram"))
    have = used(tx, project_id)
    each = {"instances": 1, "cores": vcpus, "ram": ram}
    fits = most
    for name, one in each.items():
        if limits[name] >= 0 and one > 0:
            fits = min(fits, max(0, (limits[name] - have[name]) // one))
    if fits < least:
        over = [name for name, one in each.items() if limits[name] >= 0 and have[name] + one * least > limits[name]]
        raise TooMany(_over_text(over, {name: one * least for name, one in each.items()}, have, limits))
    return fits


def room_to_grow(tx: Transaction, project_id: str, vcpus: int, ram: int) -> None:
    """For a resize: only what becomes larger is counted."""
    tx.lock("quota", "compute", project_id)
    limits = quota.limits(tx, "compute", project_id, ("cores", "ram"))
    have = used(tx, project_id)
    more = {"cores": vcpus, "ram": ram}
    over = [name for name, wanted in more.items() if wanted > 0 and 0 <= limits[name] < have[name] + wanted]
    if over:
        raise TooMany(_over_text(over, more, have, limits))


def _over_text(over: list[str], wanted: dict[str, int], have: dict[str, int], limits: dict[str, int]) -> str:
    def of(values: dict[str, int]) -> str:
        return ", ".join(str(values[name]) for name in over)

    return f"Quota exceeded for {', '.join(over)}: Requested {of(wanted)}, but already used {of(have)} of {of(limits)} " \
           f"{', '.join(over)}"


def check_metadata(tx: Transaction, project_id: str, items: int) -> None:
    most = quota.limit(tx, "compute", project_id, "metadata_items")
    if 0 <= most < items:
        raise TooMany(f"Maximum number of metadata items exceeds {most}")


# ---------------------------------------------------------------- words


def hostname_of(name: str, server_id: str) -> str:
    """A host name from a display name, as Nova derives it."""
    plain = unicodedata.normalize("NFKD", name).encode("latin-1", "ignore").decode("latin-1")
    plain = re.sub(r"[ _.]", "-", plain)
    plain = re.sub(r"[^a-zA-Z0-9-]+", "", plain).lower().strip("-")[:63].rstrip("-")
    return plain or f"Server-{server_id}"


def rename(row: ServerRow, name: str) -> None:
    row.name = name
    row.updated_at = clock.now()


def set_metadata(tx: Transaction, context: Context, row: ServerRow, metadata: dict[str, str], *, replace: bool) -> None:
    states.require(context, row, "update metadata", (states.ACTIVE, states.PAUSED, states.SUSPENDED, states.STOPPED))
    merged = dict(metadata) if replace else {**row.meta, **metadata}
    check_metadata(tx, row.project_id, len(merged))
    row.meta = merged
    row.updated_at = clock.now()


def tags(tx: Transaction, server_ids: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    if server_ids:
        for server_id, tag in tx.execute(select(ServerTagRow.server_id, ServerTagRow.tag).where(
                ServerTagRow.server_id.in_(server_ids)).order_by(ServerTagRow.tag)):
            found.setdefault(server_id, []).append(tag)
    return found


def set_tags(tx: Transaction, server_id: str, wanted: list[str]) -> None:
    tx.execute(delete(ServerTagRow).where(ServerTagRow.server_id == server_id))
    unique = list(dict.fromkeys(wanted))
    if unique:
        tx.execute(insert(ServerTagRow), [{"server_id": server_id, "tag": tag} for tag in unique])


def fault(message: str, code: int = 500, details: str = "") -> dict[str, Any]:
    return {"code": code, "message": message[:255], "details": details, "created": clock.iso(clock.now())}
