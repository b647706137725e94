"""Lists as Neutron has them: a filter on every attribute, tags, sorting, and pages with links in both directions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Boolean, ColumnElement, DateTime, Integer, String, and_, cast, false, func, not_, or_, select

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.network.api import attributes

Filter = Callable[[list[str]], ColumnElement[bool]]
_OWN = {
    "fields",
    "limit",
    "marker",
    "page_reverse",
    "sort_key",
    "sort_dir",
    "tags",
    "tags-any",
    "not-tags",
    "not-tags-any",
    "changed_since",
}

_ATTRIBUTES = {**dict.fromkeys(("tags", "tags-any", "not-tags", "not-tags-any"), "tags"), "changed_since": "updated_at"}


class Listing(Struct, kw_only=True):
    """How a resource is listed. `columns` by attribute; `filters` for attributes that are no columns; `view` makes the answers
    of a page in a bounded number of statements."""

    resource: str
    plural: str
    model: Any
    visible: Callable[[Context], ColumnElement[bool]]
    columns: dict[str, Any]
    view: Callable[[Transaction, list[Any]], list[dict[str, Any]]]
    filters: dict[str, Filter] = {}
    light: tuple[Any, ...] = ()  # columns to read instead of whole objects, for lists that grow long


def standard_columns(model: Any) -> dict[str, Any]:
    names = ("id", "project_id", "name", "description", "revision_number", "created_at", "updated_at")
    return {**{name: getattr(model, name) for name in names}, "tenant_id": model.project_id}


def answer(call: Call, listing: Listing) -> dict[str, Any]:
    """The whole answer to a list request."""
    rows, links = page(call, listing)
    found: dict[str, Any] = {listing.plural: attributes.shown(call, listing.resource, listing.view(call.tx, rows))}
    if links:
        found[f"{listing.plural}_links"] = links
    return found


def page(call: Call, listing: Listing) -> tuple[list[Any], list[dict[str, str]]]:
    query: Any = select(*(listing.light or (listing.model,))).where(
        listing.visible(call.context), *_conditions(call, listing)
    )
    sort = paging.sort_of(call, list(listing.columns), [("id", "asc")])
    reverse = paging.flag(call.argument("page_reverse") or "false")
    if reverse:
        sort = [(key, "desc" if direction == "asc" else "asc") for key, direction in sort]
    asked = call.argument("limit")
    limit = _limit(call, asked)
    marker = call.argument("marker")
    last = None
    if marker:
        last = call.tx.execute(
            select(listing.model).where(listing.model.id == marker, listing.visible(call.context))
        ).scalar()
        if last is None:
            raise BadRequest(
                f"Invalid input for operation: '{marker[:64]}' is not a valid marker.", type="InvalidInput"
            )
    query = paging.order(query, listing.columns, sort, last)
    if limit is not None:
        query = query.limit(limit)
    rows = list(call.tx.core(query)) if listing.light else list(call.tx.execute(query).scalars())
    if reverse:
        rows.reverse()
    return rows, _links(call, rows, limit, reverse)


def _limit(call: Call, asked: str | None) -> int | None:
    """No limit asked for is no page, however long: clients of Neutron expect the whole list then."""
    if asked in (None, ""):
        return None
    assert asked is not None
    if not (asked.isascii() and asked.isdigit()) or len(asked) > 9:
        raise BadRequest("Bad limit value: Limit must be an integer 0 or greater and not '" + asked[:32] + "'")
    return min(int(asked), call.cloud.config.api.page_limit) or None


def _links(call: Call, rows: list[Any], limit: int | None, reverse: bool) -> list[dict[str, str]]:
    """An empty page leads back too: to the end that it lies behind."""
    if limit is None:
        return []
    first, last = (rows[0].id, rows[-1].id) if rows else (None, None)
    links = []
    if len(rows) >= limit or reverse:
        links.append({"rel": "next", "href": paging.link(call, marker=last, page_reverse=None)})
    if len(rows) >= limit or not reverse:
        links.append({"rel": "previous", "href": paging.link(call, marker=first, page_reverse="True")})
    return links


# ---------------------------------------------------------------- filters


def _conditions(call: Call, listing: Listing) -> list[ColumnElement[bool]]:
    asked: dict[str, list[str]] = {}
    for key, value in call.query:
        asked.setdefault(key, []).append(value)
    unknown = sorted(
        key
        for key in asked
        if key not in listing.columns
        and key not in listing.filters
        and (key not in _OWN or (key in _ATTRIBUTES and not hasattr(listing.model, _ATTRIBUTES[key])))
    )
    if unknown:
        raise BadRequest(f"{unknown} is invalid attribute for filtering")
    found = []
    for key, values in asked.items():
        if key in listing.filters:
            found.append(listing.filters[key](values))
        elif key in listing.columns:
            found.append(_matches(key, listing.columns[key], values))
        elif key == "changed_since":
            found.append(listing.model.updated_at >= _moment(values[-1]))
        elif "tags" in key:
            found.append(_tagged(listing.model.tags, key, [word for value in values for word in value.split(",")]))
    return found


def _matches(name: str, column: Any, values: list[str]) -> ColumnElement[bool]:
    if isinstance(column.type, Boolean):
        return column.in_([paging.flag(value, name) for value in values])  # type: ignore[no-any-return]
    if isinstance(column.type, Integer):
        try:
            return column.in_([_integer(value) for value in values])  # type: ignore[no-any-return]
        except ValueError:
            return false()
    if isinstance(column.type, DateTime):
        return column.in_([_moment(value) for value in values])  # type: ignore[no-any-return]
    present = [value for value in values if value not in ("", "None", "null")]
    empty = len(present) < len(values)
    return or_(column.in_(present), or_(column.is_(None), column == "")) if empty else column.in_(present)  # type: ignore[no-any-return]


def _integer(text: str) -> int:
    """ValueError also for what no column could hold."""
    if abs(value := int(text)) >= 1 << 31:
        raise ValueError(text)
    return value


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=None)
    except ValueError:
        raise BadRequest(
            f"The input changed_since must be in the following format: YYYY-MM-DDTHH:MM:SS[Z], not {text[:32]}"
        ) from None


def _tagged(column: Any, key: str, tags: list[str]) -> ColumnElement[bool]:
    """Tags are kept as a JSON list: a tag is in it when taking its quoted form out changes the text (LIKE would fold case)."""
    stored = cast(column, String)
    found = [func.replace(stored, msgspec.json.encode(tag).decode(), "") != stored for tag in tags]
    every = or_(*found) if key.endswith("any") else and_(*found)
    return not_(every) if key.startswith("not") else every
