"""Filters and pages of lists, as Keystone has them: exact values, and name__contains and its like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Boolean, Select

from haneul.identity.api.views import collection, path_of
from haneul.kernel.errors import NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.paging import limit_of


def filtered(call: Call, query: Select[Any], columns: Mapping[str, Any]) -> Select[Any]:
    """`query` with the conditions of the query string on `columns`; other keys are passed over as Keystone does."""
    for key, value in call.query:
        name, _, comparison = key.partition("__")
        column = columns.get(name)
        if column is None:
            continue
        if isinstance(column.type, Boolean):
            query = query.where(column.is_(value.lower() not in ("0", "false", "no", "off", "n", "f")))
        elif comparison == "":
            query = query.where(column.is_(None) if value == "None" or (value == "" and name != "name") else column == value)
        elif comparison in ("contains", "startswith", "endswith", "icontains", "istartswith", "iendswith"):
            query = query.where(getattr(column, comparison)(value, autoescape=True))
    return query


def switch(call: Call, name: str) -> bool:
    """Whether a query key is there: with any value but 0, as Keystone has it."""
    text = call.argument(name)
    return text is not None and text != "0"


def page(call: Call, name: str, query: Select[Any], key: Any, view: Any) -> dict[str, Any]:
    """All that `query` finds, or one page of it if a limit is asked for. `view(rows)` shows them."""
    query = query.order_by(key)
    marker = call.argument("marker")
    if marker:
        if call.tx.execute(query.where(key == marker)).first() is None:
            raise NotFound(f"Marker {marker[:64]} could not be found.")
        query = query.where(key > marker)
    if call.argument("limit") is None:
        return collection(call, name, view(list(call.tx.execute(query).scalars())))
    most = limit_of(call)
    rows = list(call.tx.execute(query.limit(most + 1)).scalars())
    following = None
    if len(rows) > most > 0:
        kept = [(key, value) for key, value in call.query if key != "marker"]
        following = call.base_url + path_of(call) + "?" + urlencode([*kept, ("marker", rows[most - 1].id)])
    return collection(call, name, view(rows[:most]), following)
