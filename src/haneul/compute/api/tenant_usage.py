"""/os-simple-tenant-usage: hours of servers, cores, memory and disk in a period."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import or_, select

from haneul.compute.api import shapes
from haneul.compute.model import ServerRow
from haneul.compute.problems import MarkerNotFound
from haneul.kernel import clock
from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
_RULE = "os_compute_api:os-simple-tenant-usage:"
_FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f")


def _moment(text: str | None) -> datetime:
    if not text:
        return clock.now()
    for format in _FORMATS:
        try:
            return datetime.strptime(text, format)
        except ValueError:
            continue
    raise BadRequest("Datetime is in invalid format")


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="microseconds") if moment is not None else None


def _period(call: Call) -> tuple[datetime, datetime]:
    start, stop = _moment(call.argument("start")), _moment(call.argument("end"))
    if not start < stop:
        raise BadRequest("Invalid start time. The start time cannot occur after the end time.")
    return start, min(stop, clock.now())


def _rows(call: Call, start: datetime, stop: datetime, project_id: str | None, limit: int) -> list[Any]:
    query = select(ServerRow.seq, ServerRow.id, ServerRow.name, ServerRow.project_id, ServerRow.flavor, ServerRow.vm_state,
                   ServerRow.launched_at, ServerRow.terminated_at).where(
        ServerRow.launched_at.is_not(None), ServerRow.launched_at < stop,
        or_(ServerRow.terminated_at.is_(None), ServerRow.terminated_at > start)).order_by(ServerRow.seq)
    if project_id is not None:
        query = query.where(ServerRow.project_id == project_id)
    marker = call.argument("marker") if call.version >= (2, 40) else None
    if marker is not None:
        after = call.tx.execute(select(ServerRow.seq).where(ServerRow.id == marker)).scalar()
        if after is None:
            raise MarkerNotFound(marker)
        query = query.where(ServerRow.seq > after)
    return list(call.tx.execute(query.limit(limit)).all())


def _usage(row: Any, start: datetime, stop: datetime) -> dict[str, Any]:
    begin, end = max(row.launched_at, start), min(row.terminated_at or stop, stop)
    flavor = row.flavor
    return {"hours": max(0.0, (end - begin).total_seconds() / 3600.0), "flavor": flavor["name"], "instance_id": row.id,
            "name": row.name, "tenant_id": row.project_id, "memory_mb": flavor["ram"],
            "local_gb": flavor["disk"] + flavor["ephemeral"], "vcpus": flavor["vcpus"], "started_at": _iso(row.launched_at),
            "ended_at": _iso(row.terminated_at), "state": "terminated" if row.terminated_at else row.vm_state,
            "uptime": int(((row.terminated_at or clock.now()) - row.launched_at).total_seconds())}


def _sums(rows: list[Any], start: datetime, stop: datetime, *, detailed: bool) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        usage = _usage(row, start, stop)
        total = found.setdefault(row.project_id, {
            "tenant_id": row.project_id, "total_local_gb_usage": 0.0, "total_vcpus_usage": 0.0, "total_memory_mb_usage": 0.0,
            "total_hours": 0.0, "start": _iso(start), "stop": _iso(stop), **({"server_usages": []} if detailed else {})})
        total["total_local_gb_usage"] += usage["local_gb"] * usage["hours"]
        total["total_vcpus_usage"] += usage["vcpus"] * usage["hours"]
        total["total_memory_mb_usage"] += usage["memory_mb"] * usage["hours"]
        total["total_hours"] += usage["hours"]
        if detailed:
            total["server_usages"].append(usage)
    return found


def _links(call: Call, rows: list[Any], limit: int) -> list[dict[str, str]]:
    return shapes.next_links(call, len(rows), limit, rows[-1].id if rows else "") if call.version >= (2, 40) else []


@routes.get("/os-simple-tenant-usage", rule=_RULE + "list")
def index(call: Call) -> dict[str, Any]:
    if call.path.endswith("/"):
        raise NotFound()  # a project whose id is empty
    if call.path.endswith("/"):
        raise NotFound()  # of a project without a name, not of all
    shapes.only(call, {"start", "end", "detailed", "limit", "marker"})
    start, stop = _period(call)
    limit = paging.limit_of(call)
    rows = _rows(call, start, stop, None, limit)
    sums = _sums(rows, start, stop, detailed=call.argument("detailed") == "1")
    found: dict[str, Any] = {"tenant_usages": list(sums.values())}
    if more := _links(call, rows, limit):
        found["tenant_usages_links"] = more
    return found


@routes.get("/os-simple-tenant-usage/{project_id}", rule=_RULE + "show",
            target=lambda call: {"project_id": call.values["project_id"]})
def show(call: Call, target: dict[str, Any]) -> dict[str, Any]:
    shapes.only(call, {"start", "end", "limit", "marker"})
    start, stop = _period(call)
    limit = paging.limit_of(call)
    project_id = call.values["project_id"]
    rows = _rows(call, start, stop, project_id, limit)
    found: dict[str, Any] = {"tenant_usage": _sums(rows, start, stop, detailed=True).get(project_id, {})}
    if more := _links(call, rows, limit):
        found["tenant_usage_links"] = more
    return found
