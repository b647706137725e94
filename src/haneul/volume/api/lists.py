"""Cinder's lists: sort, marker, limit and offset, filters that a microversion knows, links and counts."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, select

from haneul.kernel.errors import BadRequest, Problem
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call

STRICT, LIKE, COUNT = (3, 31), (3, 34), (3, 45)  # filters refused, `name~`, `with_count`
CONTROL = {"limit", "marker", "offset", "sort", "sort_key", "sort_dir", "all_tenants", "with_count", "project_id"}


class Listing(msgspec.Struct):
    """What one GET of a collection asks for. `where` are the conditions on whole rows, `marker` the last row already seen."""

    limit: int
    offset: int
    order: paging.Sort
    marker: Any
    where: list[ColumnElement[bool]]


def of(call: Call, table: Any, *, sortable: Mapping[str, Any], unique: str, where: list[ColumnElement[bool]],
       missing: Callable[[str], Problem], default: str = "created_at") -> Listing:
    """`sortable` are columns by the names that users know, `unique` the one of them that ends every sort."""
    order = sort(call, sortable, unique, default)
    marker = None
    asked = call.argument("marker")
    if asked:
        columns = [column.label(name) for name, column in sortable.items()]
        marker = call.tx.execute(select(*columns).where(table.c.id == asked, *where)).first()
        if marker is None:
            raise missing(asked)
    return Listing(limit=paging.limit_of(call), offset=number(call, "offset"), order=order, marker=marker, where=where)


def page(query: Select[Any], sortable: Mapping[str, Any], listing: Listing) -> Select[Any]:
    query = paging.order(query.where(*listing.where), dict(sortable), listing.order, listing.marker)
    return query.limit(listing.limit).offset(listing.offset)


def count(call: Call, table: Any, listing: Listing) -> dict[str, int]:
    """{"count": …} of everything that the filters leave, when it is asked for."""
    wanted = call.argument("with_count") if call.version >= COUNT else None
    if wanted is None or not paging.flag(wanted, "with_count"):
        return {}
    found = call.tx.execute(select(func.count()).select_from(table).where(*listing.where)).scalar_one()
    return {"count": int(found)}


def links(call: Call, rows: list[Any], listing: Listing, name: str) -> dict[str, Any]:
    """The next page's address, when this one is full."""
    if not rows or len(rows) < listing.limit:
        return {}
    return {name: [{"rel": "next", "href": paging.link(call, marker=str(rows[-1].id), offset=None)}]}


def sort(call: Call, sortable: Mapping[str, Any], unique: str, default: str) -> paging.Sort:
    """`sort=key:dir,…`, or the older `sort_key` and `sort_dir`; newest first unless something else is asked for."""
    asked, key, direction = call.argument("sort"), call.argument("sort_key"), call.argument("sort_dir")
    if asked and (key or direction):
        raise BadRequest("The 'sort_key' and 'sort_dir' parameters are deprecated and cannot be used with the 'sort' parameter.")
    pairs = [(name.strip(), way.strip() or "desc") for name, _, way in (part.partition(":") for part in asked.split(","))] \
        if asked else [((key or default).strip(), (direction or "desc").strip())]
    order: paging.Sort = []
    for name, way in pairs:
        if name not in sortable or name == "seq":
            raise BadRequest(f"Invalid input received: Sort key {name[:64]} is invalid.")
        if way not in ("asc", "desc"):
            raise BadRequest("Invalid input received: Unknown sort direction, must be 'desc' or 'asc'.")
        order.append((name, "asc" if way == "asc" else "desc"))
    if unique not in [name for name, _ in order]:
        order.append((unique, order[-1][1]))
    return order


def number(call: Call, name: str) -> int:
    text = call.argument(name) or "0"
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise BadRequest(f"{name} param must be an integer of at least 0.")
    return int(text)


def everywhere(call: Call) -> bool:
    """An administrator asked for all projects."""
    asked = call.argument("all_tenants")
    return asked is not None and call.context.is_admin and paging.flag(asked, "all_tenants")


def owned(call: Call, table: Any) -> list[ColumnElement[bool]]:
    """The caller's project's rows; all projects', or one's, for an administrator who says so."""
    if not everywhere(call):
        return [table.c.project_id == call.context.project_id]
    project = call.argument("project_id")
    return [table.c.project_id == project] if project else []


def filters(call: Call, resource: str, columns: Mapping[str, Any], special: frozenset[str] = frozenset()
            ) -> list[ColumnElement[bool]]:
    """Conditions of the query string on `columns`. What is neither a column nor `special` is refused from 3.31 on, and
    before that was never looked at; an administrator gets nothing for it, as nothing has it."""
    found: list[ColumnElement[bool]] = []
    unknown = []
    for key, value in call.query:
        name, like = (key[:-1], True) if key.endswith("~") and call.version >= LIKE else (key, False)
        if key in CONTROL or name in special:
            continue
        if name not in columns:
            unknown.append(key)
        elif like:
            found.append(columns[name].contains(value, autoescape=True))
        else:
            found.append(columns[name] == value)
    if unknown and call.version >= STRICT and not call.context.is_admin:
        raise BadRequest(f"Invalid filters {', '.join(key[:64] for key in unknown)} are found in query options.")
    return found


def metadata(call: Call, column: Any) -> list[ColumnElement[bool]]:
    """`metadata={'key': 'value'}`, in Python's spelling or JSON's."""
    text = call.argument("metadata")
    if text is None:
        return []
    wanted = mapping(text)
    return [and_(*(column[key].as_string() == value for key, value in wanted.items()))] if wanted else []


def mapping(text: str) -> dict[str, str]:
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        try:
            found = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            found = None
    if not isinstance(found, dict) or not all(isinstance(part, str) for pair in found.items() for part in pair):
        raise BadRequest("Invalid input received: the metadata filter must be an object of text.")
    return found
