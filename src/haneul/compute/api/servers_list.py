"""GET /servers and /servers/detail: whose, which, in what order."""

from __future__ import annotations

from typing import Any

from haneul.compute import listing
from haneul.compute.api import server_views, shapes
from haneul.kernel.errors import BadRequest, Forbidden
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()

_FOR_ALL = {"reservation_id", "name", "status", "image", "flavor", "ip", "changes-since", "all_tenants"}
_FOR_ALL_SINCE: list[tuple[tuple[int, int], set[str]]] = [
    ((2, 5), {"ip6"}), ((2, 26), {"tags", "tags-any", "not-tags", "not-tags-any"}), ((2, 66), {"changes-before"}),
    ((2, 73), {"locked"}),
    ((2, 83), {"availability_zone", "config_drive", "key_name", "created_at", "launched_at", "terminated_at", "power_state",
               "task_state", "vm_state", "progress", "user_id"}),
    ((2, 90), {"hostname"})]
_KNOWN = {"user_id", "project_id", "tenant_id", "launch_index", "image_ref", "image", "kernel_id", "ramdisk_id", "hostname",
          "key_name", "power_state", "vm_state", "task_state", "host", "node", "flavor", "reservation_id", "launched_at",
          "terminated_at", "availability_zone", "name", "display_name", "description", "display_description", "locked_by",
          "uuid", "root_device_name", "config_drive", "access_ip_v4", "access_ip_v6", "auto_disk_config", "progress",
          "sort_key", "sort_dir", "all_tenants", "soft_deleted", "deleted", "status", "changes-since", "ip", "ip6",
          "created_at", "limit", "marker", "tags", "tags-any", "not-tags", "not-tags-any", "changes-before", "locked"}
_JOINED = {"block_device_mapping", "services", "metadata", "system_metadata", "info_cache", "security_groups", "pci_devices"}
_IGNORED_SORTS = {"architecture", "cell_name", "cleaned", "default_ephemeral_device", "default_swap_device", "deleted",
                  "deleted_at", "disable_terminate", "ephemeral_gb", "ephemeral_key_uuid", "id", "key_data", "launched_on",
                  "locked", "memory_mb", "os_type", "reservation_id", "root_gb", "shutdown_terminate", "user_data", "vcpus",
                  "vm_mode", "kernel_id", "ramdisk_id"}


@routes.get("/servers", rule="os_compute_api:servers:index")
def index(call: Call) -> dict[str, Any]:
    rows, limit = _page(call, "index", listing.BRIEF)
    return _list(call, rows, limit, [server_views.brief(call, row) for row in rows])


@routes.get("/servers/detail", rule="os_compute_api:servers:detail")
def detail(call: Call) -> dict[str, Any]:
    rows, limit = _page(call, "detail", listing.DETAILS_298 if call.version >= (2, 98) else listing.DETAILS)
    more = server_views.extras(call, rows)
    return _list(call, rows, limit, [server_views.detail(call, row, more) for row in rows])


def _list(call: Call, rows: list[Any], limit: int, items: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {"servers": items}
    more = shapes.next_links(call, len(rows), limit, rows[-1].id if rows else "")
    if more:
        found["servers_links"] = more
    return found


def _page(call: Call, kind: str, columns: tuple[Any, ...]) -> tuple[list[Any], int]:
    limit = paging.limit_of(call)
    filters = _filters(call, kind)
    sort = _sort(call)
    if filters is None:
        return [], 0
    return listing.find(call.tx, call.context, filters, columns, sort=sort, limit=limit, marker=call.argument("marker")), limit


def _filters(call: Call, kind: str) -> listing.Filters | None:
    """None: nothing can fit (a status that does not exist, before 2.38)."""
    given = _allowed(call)
    filters: listing.Filters = {}
    if not _whose(call, kind, given, filters) or not _states(call, given, filters):
        return None
    for name in ("changes-since", "changes-before"):
        if name in given:
            filters[name] = listing.moment(given.pop(name), name)
    if "changes-since" in filters and filters.get("changes-before", filters["changes-since"]) < filters["changes-since"]:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    if "deleted" not in filters and not {"changes-since", "changes-before"} & set(filters):
        filters["deleted"] = False
    for name in ("tags", "tags-any", "not-tags", "not-tags-any"):
        if name in given:
            filters[name] = given.pop(name).split(",")
    if "locked" in given:
        filters["locked"] = paging.flag(given.pop("locked"), "locked")
    if "image" in given or "image_ref" in given:
        given["image"] = (given.pop("image_ref", None) or given["image"]).rsplit("/", 1)[-1]
    if "flavor" in given:
        given["flavor"] = given["flavor"].rsplit("/", 1)[-1]
    filters.update(given)
    return filters


def _allowed(call: Call) -> dict[str, str]:
    """The filters of the query that the caller may use: others are ignored, unknown ones refused from 2.75 on."""
    for key, _ in call.query:
        if key.startswith("_") or key in _JOINED:
            raise BadRequest(f"Invalid filter field: {key[:64]}.")
    shapes.only(call, _KNOWN)
    given = {key: value for key, value in call.query if key in _KNOWN - {"limit", "marker", "sort_key", "sort_dir"}}
    if call.version < (2, 73):
        given.pop("locked", None)
    if not call.allows("os_compute_api:servers:allow_all_filters"):
        allowed = set(_FOR_ALL)
        for since, names in _FOR_ALL_SINCE:
            allowed |= names if call.version >= since else set()
        given = {key: value for key, value in given.items() if key in allowed}
    return given


def _whose(call: Call, kind: str, given: dict[str, str], filters: listing.Filters) -> bool:
    text = given.pop("all_tenants", None)
    everyone = text is not None and (text == "" or paging.flag(text, "all_tenants"))
    wanted = given.pop("project_id", None) or given.get("tenant_id")
    given.pop("tenant_id", None)
    if everyone:
        rule = f"os_compute_api:servers:{kind}:get_all_tenants"
        if not call.allows(rule):
            raise Forbidden(f"Policy doesn't allow {rule} to be performed.")
        if wanted:
            filters["project_id"] = wanted
    else:
        filters["project_id"] = call.context.project_id
    return True


def _states(call: Call, given: dict[str, str], filters: listing.Filters) -> bool:
    given.pop("status", None)
    statuses = call.arguments("status")
    if statuses and not listing.by_status(filters, statuses):
        if call.version >= (2, 38):
            raise BadRequest("Invalid status value")
        return False
    for name in ("vm_state", "task_state"):
        if name in given:
            filters.setdefault(name + "s", {given.pop(name)})
    if "deleted" in given:
        text = given.pop("deleted").lower()
        filters["deleted"] = text in ("1", "t", "true", "on", "y", "yes")
    given.pop("soft_deleted", None)
    if filters.get("vm_states") == {"deleted"}:
        if not call.context.is_admin:
            raise Forbidden("Only administrators may list deleted instances")
        filters["deleted"] = True
    return True


def _sort(call: Call) -> paging.Sort:
    keys, directions = call.arguments("sort_key"), call.arguments("sort_dir")
    if any(direction not in ("asc", "desc") for direction in directions):
        raise BadRequest("Unknown sort direction, must be one of: asc, desc")
    sort: paging.Sort = []
    for position, key in enumerate(keys):
        if key in _IGNORED_SORTS and not (key == "locked" and call.version >= (2, 73)) and call.version < (2, 75):
            continue
        if key not in listing.SORTS or (key == "locked" and call.version < (2, 73)):
            raise BadRequest(f"Invalid input for query parameters sort_key. Value: {key[:64]}. It is not one of the sort keys")
        if key in ("host", "node") and not call.context.is_admin:
            raise Forbidden(f"Only administrators can sort servers by {key}")
        direction = directions[position] if position < len(directions) else (directions[-1] if directions else "desc")
        sort.append((key, "asc" if direction == "asc" else "desc"))
    if not sort:
        sort = [("created_at", "asc" if directions[:1] == ["asc"] else "desc")]
    if not any(key == "uuid" for key, _ in sort):
        sort.append(("uuid", sort[-1][1]))
    return sort
