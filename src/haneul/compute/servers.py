"""Servers: finding, counting, changing what is only words. Their making is `boot`, what happens to them `actions`."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from sqlalchemy import delete, insert, select

from haneul.compute import quotas, states
from haneul.compute.model import ServerNicRow, ServerRow, ServerTagRow
from haneul.compute.problems import ServerNotFound
from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Conflict

TAGS_MOST = 50


def get(tx: Transaction, context: Context, server_id: str) -> ServerRow:
    """ServerNotFound also for what belongs to another project. Locked in a write: two requests at once must not both find it
    idle (SQLite has one writer anyway)."""
    query = select(ServerRow).where(ServerRow.id == server_id.lower(), ServerRow.deleted.is_(False))
    query = query.with_for_update() if tx.writing else query
    row = tx.execute(query).scalar_one_or_none() if ids.is_uuid(server_id) else None
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


def pin(row: ServerRow, zone: str | None) -> None:
    """The zone that the server stays in when it is placed anew; None: any. Only where it is now, never from one to another."""
    if zone is not None and row.pinned_zone is not None and zone != row.pinned_zone:
        raise Conflict("Cannot change pinned availability zone directly. Unpin first by setting pinned_availability_zone to "
                       "null.")
    if zone is not None and row.pinned_zone is None and zone != row.availability_zone:
        raise Conflict(f"Server can only be pinned to its current availability zone '{row.availability_zone}', but "
                       f"'{zone}' was requested.")
    row.pinned_zone = zone


def set_metadata(tx: Transaction, context: Context, row: ServerRow, metadata: dict[str, str], *, replace: bool) -> None:
    states.require(context, row, "update metadata", (states.ACTIVE, states.PAUSED, states.SUSPENDED, states.STOPPED))
    merged = dict(metadata) if replace else {**row.meta, **metadata}
    quotas.check_metadata(tx, row.project_id, len(merged))
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
