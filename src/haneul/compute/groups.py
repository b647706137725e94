"""Server groups: servers that should, or should not, share a host."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from haneul.compute import quotas
from haneul.compute.model import ServerGroupRow, ServerRow
from haneul.compute.problems import TooMany
from haneul.kernel import clock, ids, quota
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound


@quota.counted("compute", "server_groups")
def _count(tx: Transaction, project_id: str) -> int:
    return int(tx.execute(select(func.count()).select_from(ServerGroupRow).where(
        ServerGroupRow.project_id == project_id)).scalar_one())


def get(tx: Transaction, context: Context, group_id: str) -> ServerGroupRow:
    row = tx.execute(select(ServerGroupRow).where(ServerGroupRow.id == group_id)).scalar_one_or_none()
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise NotFound(f"Instance group {group_id[:64]} could not be found.")
    return row


def create(tx: Transaction, context: Context, name: str, policy: str, rules: dict[str, Any]) -> ServerGroupRow:
    project_id = context.project_id or ""
    tx.lock("quota", "compute", project_id)
    if 0 <= quotas.limit(tx, project_id, "server_groups") <= _count(tx, project_id):
        raise TooMany("Quota exceeded, too many server groups.")
    row = ServerGroupRow(id=ids.new(), name=name, project_id=context.project_id, user_id=context.user_id, policy=policy,
                         rules=rules, created_at=clock.now())
    tx.add(row)
    tx.flush()
    return row


def members(tx: Transaction, group_ids: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {group: [] for group in group_ids}
    if group_ids:
        for group, server in tx.execute(select(ServerRow.group_id, ServerRow.id).where(
                ServerRow.group_id.in_(group_ids), ServerRow.deleted.is_(False)).order_by(ServerRow.seq)):
            found[str(group)].append(server)
    return found


def for_boot(tx: Transaction, context: Context, hints: dict[str, Any], count: int) -> str | None:
    """The id of the group that the hint names, if there is room in it."""
    group_id = hints.get("group")
    if isinstance(group_id, list):
        group_id = group_id[0] if group_id else None
    if not group_id:
        return None
    if not ids.is_uuid(str(group_id)):
        raise BadRequest("Server group scheduler hint must be a UUID.")
    try:
        row = get(tx, context, str(group_id))
    except NotFound as error:
        raise BadRequest(error.message)
    tx.lock("server-group-members", row.id)
    most = quotas.limit(tx, row.project_id, "server_group_members")
    if 0 <= most < len(members(tx, [row.id])[row.id]) + count:
        raise TooMany("Quota exceeded, too many servers in group")
    return row.id


def hosts_of(tx: Transaction, group_id: str, but: str) -> dict[str, int]:
    """How many other members are on each host."""
    return {str(host): int(count) for host, count in tx.execute(
        select(ServerRow.host, func.count()).where(
            ServerRow.group_id == group_id, ServerRow.id != but, ServerRow.deleted.is_(False), ServerRow.host.is_not(None))
        .group_by(ServerRow.host))}
