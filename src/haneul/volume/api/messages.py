"""/messages: why something that was accepted failed afterwards (3.3)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, false, select

from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import messages
from haneul.volume.api import lists, shapes
from haneul.volume.model import MessageRow

routes = Routes()
SINCE, PAGES = (3, 3), (3, 5)
_M: Any = MessageRow.__table__
_SORTABLE = {"id": _M.c.id, "created_at": _M.c.created_at, "resource_type": _M.c.resource_type, "event_id": _M.c.detail_id,
             "resource_uuid": _M.c.resource_uuid, "message_level": _M.c.message_level, "request_id": _M.c.request_id,
             "guaranteed_until": _M.c.expires_at, "seq": _M.c.seq}
_FILTERS = {name: _M.c[name] for name in ("resource_uuid", "resource_type", "request_id", "message_level")}


def _loaded(call: Call) -> MessageRow:
    return messages.get(call.tx, call.context, call.values["message_id"])


def _view(call: Call, row: Any) -> dict[str, Any]:
    return {"id": row.id, "request_id": row.request_id, "resource_type": row.resource_type, "resource_uuid": row.resource_uuid,
            "event_id": f"VOLUME_{row.resource_type}_{row.action_id}_{row.detail_id}", "message_level": row.message_level,
            "user_message": messages.text(row.action_id, row.detail_id), "created_at": shapes.moment(row.created_at),
            "guaranteed_until": shapes.moment(row.expires_at),
            "links": [{"rel": "self", "href": f"{call.base_url}/messages/{row.id}"},
                      {"rel": "bookmark", "href": f"{call.base_url.removesuffix('/v3')}/messages/{row.id}"}]}


def _of_event(text: str) -> list[ColumnElement[bool]]:
    """VOLUME_<type>_<action>_<detail>."""
    kind, _, codes = text.removeprefix("VOLUME_").rpartition("_")
    kind, _, action = kind.rpartition("_")
    return [_M.c.resource_type == kind, _M.c.action_id == action, _M.c.detail_id == codes] if kind else [false()]


@routes.get("/messages", rule="message:get_all", minimum=SINCE)
def index(call: Call) -> dict[str, Any]:
    """The caller's project's; before 3.5 all of them, newest first."""
    where: list[ColumnElement[bool]] = [_M.c.project_id == (call.context.project_id or "")]
    if call.version < PAGES:
        rows = call.tx.core(select(_M).where(*where).order_by(_M.c.created_at.desc(), _M.c.seq.desc()).limit(
            call.cloud.config.api.page_limit)).all()
        return {"messages": [_view(call, row) for row in rows]}
    where += lists.filters(call, "message", _FILTERS, special=frozenset({"event_id"}))
    event = call.argument("event_id")
    where += _of_event(event) if event else []
    listing = lists.of(call, _M, sortable=_SORTABLE, unique="seq", where=where, missing=messages.MessageNotFound)
    found = call.tx.core(lists.page(select(_M), _SORTABLE, listing)).all()
    return {"messages": [_view(call, row) for row in found], **lists.links(call, list(found), listing, "messages_links")}


@routes.get("/messages/{message_id}", rule="message:get", target=_loaded, minimum=SINCE)
def show(call: Call, row: MessageRow) -> dict[str, Any]:
    return {"message": _view(call, row)}


@routes.delete("/messages/{message_id}", rule="message:delete", target=_loaded, minimum=SINCE)
def delete(call: Call, row: MessageRow) -> None:
    call.tx.delete(row)
