"""Finding servers: filters, sorting and pages in one statement of columns."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Select, and_, false, select

from haneul.compute import states
from haneul.compute.model import ServerRow, ServerTagRow
from haneul.compute.problems import MarkerNotFound
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire import paging
from haneul.network import addresses

Filters = dict[str, Any]

BRIEF = (ServerRow.id, ServerRow.name)
DETAILS = (ServerRow.seq, ServerRow.id, ServerRow.name, ServerRow.hostname, ServerRow.description, ServerRow.project_id,
           ServerRow.user_id, ServerRow.image_id, ServerRow.flavor, ServerRow.host, ServerRow.availability_zone,
           ServerRow.pinned_zone, ServerRow.vm_state, ServerRow.task_state, ServerRow.power_state, ServerRow.progress,
           ServerRow.meta.label("meta"), ServerRow.fault, ServerRow.locked_by, ServerRow.locked_reason, ServerRow.config_drive,
           ServerRow.key_name, ServerRow.user_data, ServerRow.root_device_name, ServerRow.access_ip_v4, ServerRow.access_ip_v6,
           ServerRow.auto_disk_config, ServerRow.reservation_id, ServerRow.launch_index, ServerRow.group_id,
           ServerRow.created_at, ServerRow.updated_at, ServerRow.launched_at, ServerRow.terminated_at, ServerRow.deleted)

DETAILS_298 = (*DETAILS, ServerRow.system)

SORTS = {"access_ip_v4": ServerRow.access_ip_v4, "access_ip_v6": ServerRow.access_ip_v6,
         "auto_disk_config": ServerRow.auto_disk_config, "availability_zone": ServerRow.availability_zone,
         "config_drive": ServerRow.config_drive, "created_at": ServerRow.created_at,
         "display_description": ServerRow.description, "display_name": ServerRow.name, "host": ServerRow.host,
         "hostname": ServerRow.hostname, "image_ref": ServerRow.image_id, "instance_type_id": ServerRow.flavor_id,
         "key_name": ServerRow.key_name, "launch_index": ServerRow.launch_index, "launched_at": ServerRow.launched_at,
         "locked_by": ServerRow.locked_by, "locked": ServerRow.locked_by, "node": ServerRow.host,
         "power_state": ServerRow.power_state, "progress": ServerRow.progress, "project_id": ServerRow.project_id,
         "root_device_name": ServerRow.root_device_name, "task_state": ServerRow.task_state,
         "terminated_at": ServerRow.terminated_at, "updated_at": ServerRow.updated_at, "user_id": ServerRow.user_id,
         "uuid": ServerRow.id, "vm_state": ServerRow.vm_state}

_PATTERNS = {"name": ServerRow.name, "display_name": ServerRow.name, "description": ServerRow.description,
             "display_description": ServerRow.description, "hostname": ServerRow.hostname, "key_name": ServerRow.key_name,
             "reservation_id": ServerRow.reservation_id, "availability_zone": ServerRow.availability_zone,
             "locked_by": ServerRow.locked_by, "root_device_name": ServerRow.root_device_name,
             "access_ip_v4": ServerRow.access_ip_v4, "access_ip_v6": ServerRow.access_ip_v6}
_EQUAL = {"uuid": ServerRow.id, "image": ServerRow.image_id, "image_ref": ServerRow.image_id, "flavor": ServerRow.flavor_id,
          "host": ServerRow.host, "node": ServerRow.host, "user_id": ServerRow.user_id}
_NUMBERS = {"power_state": ServerRow.power_state, "launch_index": ServerRow.launch_index, "progress": ServerRow.progress}
_MOMENTS = {"created_at": ServerRow.created_at, "launched_at": ServerRow.launched_at, "terminated_at": ServerRow.terminated_at}


def find(tx: Transaction, context: Context, filters: Filters, columns: tuple[Any, ...], *, sort: paging.Sort, limit: int,
         marker: str | None) -> list[Any]:
    """A page of rows. `filters` are as in the query string, already bounded to what the caller may use."""
    query = _filtered(select(*columns), filters)
    if "ip" in filters or "ip6" in filters:
        query = query.where(ServerRow.id.in_(_with_addresses(tx, filters)))
    after = _marker(tx, filters, sort, marker) if marker is not None else None
    keys = {**SORTS, "id": ServerRow.id}
    return list(tx.core(paging.order(query, keys, sort, after).limit(limit)))


def _marker(tx: Transaction, filters: Filters, sort: paging.Sort, marker: str) -> SimpleNamespace:
    """The marker need not fit the filters, but must be a server of the same project."""
    keys = {**SORTS, "id": ServerRow.id}
    query = select(*(keys[name].label(f"key_{name}") for name, _ in sort)).where(ServerRow.id == marker)
    if "project_id" in filters:
        query = query.where(ServerRow.project_id == filters["project_id"])
    row = tx.execute(query).first()
    if row is None:
        raise MarkerNotFound(marker)
    return SimpleNamespace(**{name: row[position] for position, (name, _) in enumerate(sort)})


def _with_addresses(tx: Transaction, filters: Filters) -> list[str]:
    """Servers that have an address like the pattern: asked of the network for all that fit otherwise."""
    found = [id for (id,) in tx.execute(_filtered(select(ServerRow.id), filters))]
    patterns = [(version, _compiled(filters[key])) for key, version in (("ip", 4), ("ip6", 6)) if key in filters]
    known = addresses.of_devices(tx, found)
    return [id for id in found if all(
        any(address.version == version and pattern.search(address.ip) for address in known.get(id, []))
        for version, pattern in patterns)]


def _compiled(pattern: str) -> re.Pattern[str]:
    if len(pattern) > 255:
        raise BadRequest("Invalid filter: the regular expression is too long.")
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error:
        raise BadRequest(f"Invalid input for query parameters. Value: {pattern[:64]}. '{pattern[:64]}' is not a 'regex'")


def _filtered(query: Select[Any], filters: Filters) -> Select[Any]:
    for name, value in filters.items():
        if name == "project_id":
            query = query.where(ServerRow.project_id == value)
        elif name == "deleted":
            query = query.where(ServerRow.deleted.is_(bool(value)))
        elif name in ("vm_states", "task_states"):
            column = ServerRow.vm_state if name == "vm_states" else ServerRow.task_state
            query = query.where(column.in_(sorted(value)) if value else false())
        elif name in ("changes-since", "changes-before"):
            query = query.where(ServerRow.updated_at >= value if name == "changes-since" else ServerRow.updated_at <= value)
        elif name in _PATTERNS:
            _compiled(value)
            query = query.where(_PATTERNS[name].regexp_match(value))
        elif name in _EQUAL:
            query = query.where(_EQUAL[name] == value)
        elif name in _NUMBERS:
            query = query.where(_NUMBERS[name] == int(value) if str(value).lstrip("-").isdigit() else false())
        elif name in _MOMENTS:
            query = query.where(_MOMENTS[name] == moment(value, name))
        elif name == "config_drive":
            query = query.where(ServerRow.config_drive.is_(paging.flag(value)))
        elif name == "auto_disk_config":
            query = query.where(ServerRow.auto_disk_config.is_(paging.flag(value)))
        elif name == "locked":
            query = query.where(ServerRow.locked_by.is_not(None) if value else ServerRow.locked_by.is_(None))
        elif name in ("tags", "tags-any", "not-tags", "not-tags-any"):
            query = query.where(_tagged(name, value))
    return query


def _tagged(name: str, tags: list[str]) -> Any:
    def having(tag: str) -> Any:
        return ServerRow.id.in_(select(ServerTagRow.server_id).where(ServerTagRow.tag == tag))

    any_of = ServerRow.id.in_(select(ServerTagRow.server_id).where(ServerTagRow.tag.in_(tags)))
    if name == "tags":
        return and_(*(having(tag) for tag in tags))
    if name == "tags-any":
        return any_of
    return ~and_(*(having(tag) for tag in tags)) if name == "not-tags" else ~any_of


def moment(text: str, name: str) -> datetime:
    """An ISO 8601 time as the tables keep it."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00").replace(" ", "+"))
    except ValueError:
        raise BadRequest(f"Invalid input for query parameters {name}. Value: {text[:64]}. '{text[:64]}' is not a 'date-time'")
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def by_status(filters: Filters, wanted: list[str]) -> bool:
    """Adds what `status` means; False when no status of that name exists."""
    vm_states, task_states = states.of_statuses(wanted)
    if not vm_states:
        return False
    filters["vm_states"] = vm_states
    if "default" not in task_states:
        filters["task_states"] = task_states
    return True
