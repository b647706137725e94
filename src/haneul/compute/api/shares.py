"""/servers/{id}/shares, since 2.97. There is no shared file system service in this cloud, so that no share is ever found."""

from __future__ import annotations

from typing import Any

from haneul.compute import states
from haneul.compute.api import shapes
from haneul.compute.api.server_target import server
from haneul.compute.api.shapes import Body, Tag
from haneul.compute.model import ServerRow
from haneul.kernel.errors import NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
PATH = "/servers/{server_id}/shares"
_RULE = "os_compute_api:os-server-shares:"


class Wanted(Body):
    share_id: str
    tag: Tag | None = None


class Attach(Body):
    share: Wanted


def _missing(share_id: str) -> NotFound:
    return NotFound(f"Share {share_id[:64]} could not be found.")


@routes.get(PATH, rule=_RULE + "index", target=server, minimum=(2, 97))
def index(call: Call, row: ServerRow) -> dict[str, Any]:
    return {"shares": []}


@routes.post(PATH, rule=_RULE + "create", target=server, body=Attach, status=201, minimum=(2, 97))
def create(call: Call, row: ServerRow, body: Attach) -> None:
    share_id = shapes.uuid(body.share.share_id, "share_id")
    states.require(call.context, row, "attach_share", (states.STOPPED,))
    raise _missing(share_id)


@routes.get(PATH + "/{share_id}", rule=_RULE + "show", target=server, minimum=(2, 97))
def show(call: Call, row: ServerRow) -> dict[str, Any]:
    raise _missing(call.values["share_id"])


@routes.delete(PATH + "/{share_id}", rule=_RULE + "delete", target=server, status=200, minimum=(2, 97))
def delete(call: Call, row: ServerRow) -> None:
    raise _missing(call.values["share_id"])
