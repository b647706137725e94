"""/servers/{id}/os-instance-actions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from haneul.compute import history, listing, servers
from haneul.compute.api import shapes
from haneul.compute.api.server_views import host_id
from haneul.compute.model import ServerRow
from haneul.compute.problems import MarkerNotFound, ServerNotFound
from haneul.kernel.errors import BadRequest
from haneul.kernel.tasks import TaskRow
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
PATH = "/servers/{server_id}/os-instance-actions"
_RULE = "os_compute_api:os-instance-actions:"


def _server(call: Call) -> ServerRow:
    """Since 2.21 also of a server that is deleted."""
    wanted = call.values["server_id"]
    if call.version < (2, 21):
        return servers.get(call.tx, call.context, wanted)
    row = servers.by_id(call.tx, wanted)
    if row is None or not (call.context.is_admin or row.project_id == call.context.project_id):
        raise ServerNotFound(wanted[:255])
    return row


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="microseconds") if moment is not None else None


def _view(call: Call, row: ServerRow, task: TaskRow) -> dict[str, Any]:
    found = {"action": history.name(task), "instance_uuid": row.id, "request_id": task.request_id, "user_id": task.user_id,
             "project_id": task.project_id, "start_time": _iso(history.moment(task.created)), "message": history.message(task)}
    if call.version >= (2, 58):
        found["updated_at"] = _iso(history.changed(task))
    return found


@routes.get(PATH, rule=_RULE + "list", target=_server)
def index(call: Call, row: ServerRow) -> dict[str, Any]:
    if call.version < (2, 58):
        return {"instanceActions": [_view(call, row, task) for task in history.actions(call.tx, row)]}
    since, before = (listing.moment(text, key) if (text := call.argument(key)) is not None else None
                     for key in ("changes-since", "changes-before"))
    if since is not None and before is not None and before < since:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    found = history.actions(call.tx, row, since=since, before=before if call.version >= (2, 66) else None)
    marker, limit = call.argument("marker"), paging.limit_of(call)
    if marker is not None:
        position = next((index for index, task in enumerate(found) if task.request_id == marker), None)
        if position is None:
            raise MarkerNotFound(marker)
        found = found[position + 1:]
    found = found[:limit]
    shown: dict[str, Any] = {"instanceActions": [_view(call, row, task) for task in found]}
    more = shapes.next_links(call, len(found), limit, found[-1].request_id if found else "")
    if more:
        shown["links"] = more
    return shown


@routes.get(PATH + "/{request_id}", rule=_RULE + "show", target=_server)
def show(call: Call, row: ServerRow) -> dict[str, Any]:
    task = history.action(call.tx, row, call.values["request_id"])
    target = {"project_id": row.project_id}
    shown = _view(call, row, task)
    full = call.allows(_RULE + "events", target)
    if full or call.version >= (2, 51):
        details = call.version >= (2, 84) and call.allows(_RULE + "events:details", target)
        shown["events"] = [_event(call, row, event, full=full, details=details) for event in history.events(task, row.host)]
    return {"instanceAction": shown}


def _event(call: Call, row: ServerRow, event: dict[str, Any], *, full: bool, details: bool) -> dict[str, Any]:
    found = {"event": event["event"], "start_time": _iso(event["started"]), "finish_time": _iso(event["finished"]),
             "result": event["result"]}
    if full:
        found["traceback"] = None
        if call.version >= (2, 62):
            found["host"] = event["host"]
    if call.version >= (2, 62):
        found["hostId"] = host_id(row.project_id, event["host"])
    if details:
        found["details"] = event["details"]
    return found
