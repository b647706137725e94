"""The list of images: which, in which order, from where on."""

from __future__ import annotations

import operator
from datetime import UTC, datetime
from typing import Any

from oslo_utils import timeutils
from sqlalchemy import ColumnElement, Select, and_, exists, or_, select

from haneul.image.images import VISIBILITIES, get
from haneul.image.model import ImageMember, ImageRow, ImageTag
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.paging import Sort, flag, order

DEFAULT_PAGE = 25  # Glance's
SORT_KEYS = ("name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at")
_SORT: Sort = [("created_at", "desc"), ("id", "desc")]
_IN = ("container_format", "disk_format", "id", "name", "status")
_EXACT = ("owner", "checksum", "os_hash_value", "os_hash_algo")
_NUMBERS = ("min_ram", "min_disk", "size")
_MOST = (1 << 31) - 1  # what the columns of min_ram and min_disk hold
_PAGING = ("limit", "marker", "sort", "sort_key", "sort_dir", "member_status", "visibility", "os_hidden", "tag")
_COMPARE: dict[str, Any] = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le,
                            "eq": operator.eq, "neq": operator.ne}


def page(tx: Transaction, context: Context, call: Call, limit: int) -> list[ImageRow]:
    """One row more than `limit`, if there are."""
    return found(tx, context, call.query, limit + 1, sort_of(call))


def found(tx: Transaction, context: Context, asked: list[tuple[str, str]], limit: int,
          sort: Sort | None = None) -> list[ImageRow]:
    """Images by the filters and the marker of a Glance query."""
    one = dict(asked)
    query = select(ImageRow).where(_seen(context, one.get("member_status", "accepted"), one.get("visibility")))
    for condition in _conditions(asked):
        query = query.where(condition)
    marker = None
    if (text := one.get("marker")) is not None:
        try:
            marker = get(tx, context, text)
        except NotFound as error:
            raise BadRequest("Invalid marker. Image could not be found.") from error
    return list(tx.execute(_ordered(query, sort or _SORT, marker).limit(limit)).scalars())


def _ordered(query: Select[Any], sort: Sort, marker: ImageRow | None) -> Select[Any]:
    return order(query, {key: getattr(ImageRow, key) for key in SORT_KEYS}, sort, marker)


def _seen(context: Context, member_status: str | None, visibility: str | None) -> ColumnElement[bool]:
    """What lists show: shared images only as far as accepted (or as asked), community images only when asked for."""
    if member_status not in ("pending", "accepted", "rejected", "all"):
        raise BadRequest(f"Invalid status value: {str(member_status)[:32]}")
    if visibility is not None and visibility not in (*VISIBILITIES, "all"):
        raise BadRequest(f"Invalid visibility value: {visibility[:32]}")
    mine = and_(ImageRow.owner.is_not(None), ImageRow.owner == context.project_id)
    accepted = exists().where(ImageMember.image_id == ImageRow.id, ImageMember.member == context.project_id,
                              *([] if member_status == "all" else [ImageMember.status == member_status]))
    shared = and_(ImageRow.visibility == "shared", accepted)
    if context.is_admin:
        seen: ColumnElement[bool] = ImageRow.id.is_not(None)
    else:
        seen = or_(mine, ImageRow.visibility.in_(("public", "community")), shared)
    if visibility is None:
        return and_(seen, or_(mine, ImageRow.visibility != "community"))
    return seen if visibility == "all" else and_(seen, ImageRow.visibility == visibility)


def _conditions(asked: list[tuple[str, str]]) -> list[ColumnElement[bool]]:
    hidden = dict(asked).get("os_hidden")
    found: list[ColumnElement[bool]] = [ImageRow.os_hidden.is_(flag(hidden, "os_hidden") if hidden is not None else False)]
    found += [exists().where(ImageTag.image_id == ImageRow.id, ImageTag.value == tag) for key, tag in asked if key == "tag"]
    found += [_condition(key, value) for key, value in asked if key not in _PAGING]
    return found


def _condition(key: str, value: str) -> ColumnElement[bool]:
    if key in _IN:
        column = getattr(ImageRow, key)
        return column.in_(_words(value.removeprefix("in:"))) if value.startswith("in:") else column == value
    if key in _EXACT:
        return _equal(key, value)
    if key in _NUMBERS:
        return _equal(key, min(_number(key, value), _MOST if key != "size" else 1 << 62))
    if key in ("size_min", "size_max"):
        number = _number(key, value)
        return ImageRow.size >= number if key == "size_min" else ImageRow.size <= number
    if key in ("created_at", "updated_at"):
        return _compared(getattr(ImageRow, key), key, value)
    if key == "protected":
        return ImageRow.protected.is_(flag(value, key))
    if '"' in key or "\\" in key:
        raise BadRequest("Invalid property name in filter.")
    return ImageRow.properties[key].as_string() == value


def _equal(key: str, value: str | int) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = getattr(ImageRow, key) == value
    return condition


def _number(key: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise BadRequest(f"Invalid value '{value[:32]}' for {key}: must be a positive integer.")
    return int(value)


def _words(text: str) -> list[str]:
    """The values of `in:a,"b,c"`."""
    found, inside, current = [], False, ""
    for character in text:
        if character == '"':
            inside = not inside
        elif character == "," and not inside:
            found.append(current)
            current = ""
        else:
            current += character
    if inside:
        raise BadRequest("Invalid filter value: a quotation mark is left open.")
    return [*found, current]


def _compared(column: Any, key: str, value: str) -> ColumnElement[bool]:
    word, colon, rest = value.partition(":")
    if word in _COMPARE and colon:
        value = rest
    else:
        word = "eq"
    try:
        moment: datetime = timeutils.parse_isotime(value)
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"Bad \"{key}\" query filter format. Use ISO 8601 DateTime notation.") from error
    moment = moment.astimezone(UTC).replace(tzinfo=None)
    condition: ColumnElement[bool] = _COMPARE[word](column, moment)
    return condition


def sort_of(call: Call) -> Sort:
    """`sort=name:asc,status`, or `sort_key`/`sort_dir` pairs; created_at and id, newest first, settle the rest."""
    text = call.argument("sort")
    keys, directions = call.arguments("sort_key"), call.arguments("sort_dir")
    pairs: list[tuple[str, str]]
    if text is not None:
        if keys or directions:
            raise BadRequest("Old and new sorting syntax cannot be combined")
        pairs = [(part.partition(":")[0].strip(), part.partition(":")[2].strip() or "desc") for part in text.split(",")]
    else:
        if len(directions) not in (0, 1, len(keys) or 1):
            raise BadRequest("Number of sort dirs does not match the number of sort keys")
        if not keys and directions:
            keys = ["created_at"]
        pairs = [(key, directions[index] if index < len(directions) else (directions[-1] if directions else "desc"))
                 for index, key in enumerate(keys)]
    sort: Sort = []
    for key, direction in pairs:
        if key not in SORT_KEYS:
            raise BadRequest(f"Invalid sort key: {key[:32]}. It must be one of the following: {', '.join(SORT_KEYS)}.")
        if direction not in ("asc", "desc"):
            raise BadRequest(f"Invalid sort direction: {direction[:16]}")
        sort.append((key, "asc" if direction == "asc" else "desc"))
    last = sort[-1][1] if sort else "desc"
    names = [key for key, _ in sort]
    return sort + [(key, last) for key, _ in _SORT if key not in names]
