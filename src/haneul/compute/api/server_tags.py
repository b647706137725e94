"""/servers/{id}/tags, since 2.26."""

from __future__ import annotations

import re
from typing import Annotated, Any

from msgspec import Meta

from haneul.compute import servers, states
from haneul.compute.api.server_target import server
from haneul.compute.api.shapes import Body, Tag
from haneul.compute.model import ServerRow
from haneul.kernel import clock
from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes

routes = Routes()
PATH = "/servers/{server_id}/tags"
_RULE = "os_compute_api:os-server-tags:"
_SINCE = (2, 26)


class Tags(Body):
    tags: Annotated[list[Tag], Meta(max_length=50)]


def _of(call: Call, row: ServerRow) -> list[str]:
    return servers.tags(call.tx, [row.id]).get(row.id, [])


def _changeable(call: Call, row: ServerRow) -> None:
    states.require(call.context, row, "update tags", (states.ACTIVE, states.PAUSED, states.SUSPENDED, states.STOPPED),
                   task_states=None, launched=False)
    row.updated_at = clock.now()


@routes.get(PATH, rule=_RULE + "index", target=server, minimum=_SINCE)
def index(call: Call, row: ServerRow) -> dict[str, Any]:
    return {"tags": _of(call, row)}


@routes.put(PATH, rule=_RULE + "update_all", target=server, body=Tags, minimum=_SINCE)
def update_all(call: Call, row: ServerRow, body: Tags) -> dict[str, Any]:
    _changeable(call, row)
    servers.set_tags(call.tx, row.id, body.tags)
    return {"tags": list(dict.fromkeys(body.tags))}


@routes.delete(PATH, rule=_RULE + "delete_all", target=server, minimum=_SINCE)
def delete_all(call: Call, row: ServerRow) -> None:
    _changeable(call, row)
    servers.set_tags(call.tx, row.id, [])


@routes.get(PATH + "/{tag}", rule=_RULE + "show", target=server, minimum=_SINCE, status=204)
def show(call: Call, row: ServerRow) -> None:
    _require(call, row)


@routes.put(PATH + "/{tag}", rule=_RULE + "update", target=server, minimum=_SINCE)
def update(call: Call, row: ServerRow) -> Reply:
    tag = call.values["tag"]
    if not re.fullmatch(r"[^,/]{1,60}", tag):
        raise BadRequest(f"Tag '{tag[:64]}' is invalid. It must be a string of 1 to 60 characters without commas and slashes.")
    have = _of(call, row)
    if tag in have:
        return Reply(status=204)
    if len(have) >= servers.TAGS_MOST:
        raise BadRequest(f"The number of tags exceeded the per-server limit {servers.TAGS_MOST}")
    _changeable(call, row)
    servers.set_tags(call.tx, row.id, [*have, tag])
    return Reply(status=201, headers={"Location": f"{call.base_url}/servers/{row.id}/tags/{tag}"})


@routes.delete(PATH + "/{tag}", rule=_RULE + "delete", target=server, minimum=_SINCE)
def delete(call: Call, row: ServerRow) -> None:
    tag = _require(call, row)
    _changeable(call, row)
    servers.set_tags(call.tx, row.id, [other for other in _of(call, row) if other != tag])


def _require(call: Call, row: ServerRow) -> str:
    tag = call.values["tag"]
    if tag not in _of(call, row):
        raise NotFound(f"Server {row.id} has no tag '{tag[:64]}'")
    return tag
