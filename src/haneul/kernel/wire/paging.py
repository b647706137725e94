"""Lists: limit and marker, sorting by keys, filters and links, as each service spells them.

Paging is by key set: the marker's own sort values bound the next page, so that a page costs the same wherever it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, Select, and_, false, or_

from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call

Direction = Literal["asc", "desc"]
Sort = list[tuple[str, Direction]]


def limit_of(call: Call, *, maximum: int | None = None, default: int | None = None) -> int:
    """The page's size: `limit` of the query, at most the configured one. BadRequest unless it is a number from 0."""
    most = maximum or call.cloud.config.api.page_limit
    text = call.argument("limit")
    if text is None or text == "":
        return min(default or most, most)
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise BadRequest("limit must be a non-negative integer.")
    return min(int(text), most)


def order(query: Select[Any], columns: dict[str, Any], sort: Sort, marker: Any = None) -> Select[Any]:
    """`query` ordered by `sort` (names of `columns`), and only what comes after `marker` (an object with those attributes).

    The last key of `sort` must be unique. NULLs sort as SQLite and PostgreSQL are told here: first when ascending.
    """
    for name, direction in sort:
        column = columns[name]
        query = query.order_by(column.asc().nulls_first() if direction == "asc" else column.desc().nulls_last())
    if marker is not None:
        query = query.where(_after(columns, sort, marker))
    return query


def _after(columns: dict[str, Any], sort: Sort, marker: Any) -> ColumnElement[bool]:
    alternatives: list[ColumnElement[bool]] = []
    for position, (name, direction) in enumerate(sort):
        equal = [_same(columns[key], getattr(marker, key)) for key, _ in sort[:position]]
        alternatives.append(and_(*equal, _beyond(columns[name], getattr(marker, name), direction)))
    return or_(*alternatives)


def _same(column: Any, value: Any) -> ColumnElement[bool]:
    return column.is_(None) if value is None else column == value


def _beyond(column: Any, value: Any, direction: Direction) -> ColumnElement[bool]:
    if direction == "asc":
        return column.is_not(None) if value is None else column > value
    return false() if value is None else or_(column < value, column.is_(None))


def sort_of(call: Call, allowed: Sequence[str], default: Sort, *, unique: str = "id") -> Sort:
    """`sort_key`/`sort_dir` pairs (repeated) of the query, ended by the unique key. BadRequest for others than `allowed`."""
    keys, directions = call.arguments("sort_key"), call.arguments("sort_dir")
    if len(directions) > len(keys) and keys:
        raise BadRequest("There are more sort directions than sort keys.")
    sort: Sort = []
    for position, key in enumerate(keys):
        direction = directions[position] if position < len(directions) else (directions[-1] if directions else "asc")
        if key not in allowed:
            raise BadRequest(f"{key[:64]} is an invalid sort key.")
        if direction not in ("asc", "desc"):
            raise BadRequest(f"Unknown sort direction {direction[:16]}, must be one of: asc, desc")
        sort.append((key, "desc" if direction == "desc" else "asc"))
    sort = sort or list(default)
    if unique not in [key for key, _ in sort]:
        sort.append((unique, sort[-1][1] if sort else "asc"))
    return sort


def link(call: Call, **changed: str | None) -> str:
    """The request's own URL with some query keys replaced (None: removed)."""
    kept = [(key, value) for key, value in call.query if key not in changed]
    kept += [(key, value) for key, value in changed.items() if value is not None]
    return call.cloud.url + call.path + (f"?{urlencode(kept)}" if kept else "")


def flag(text: str, name: str = "") -> bool:
    """A boolean of a query string, in the spellings of oslo.utils' strict bool_from_string."""
    lowered = text.strip().lower()
    if lowered in ("1", "t", "true", "on", "y", "yes"):
        return True
    if lowered in ("0", "f", "false", "off", "n", "no"):
        return False
    raise BadRequest(f"Unrecognized value '{text[:32]}' for a boolean" + (f" in {name}." if name else "."))
