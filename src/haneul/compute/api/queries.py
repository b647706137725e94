"""Query strings: since 2.102 every GET refuses keys that it does not know, some paths since an earlier version.

What already looks at its keys by itself (`shapes.only`: lists of servers, flavors, key pairs…) is not named here."""

from __future__ import annotations

import functools
from typing import Any

from haneul.compute.api import shapes
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Handler, Routes

_OWN = {"/flavors", "/flavors/detail", "/os-keypairs", "/os-keypairs/{name}", "/servers", "/servers/detail", "/os-server-groups",
        "/os-services", "/os-quota-sets/{project_id}", "/os-quota-sets/{project_id}/detail", "/limits",
        "/os-simple-tenant-usage", "/os-simple-tenant-usage/{project_id}", "/servers/{server_id}/os-volume_attachments"}
_HYPERVISORS = {"limit", "marker", "hypervisor_hostname_pattern", "with_servers"}
_PAGE = {"limit", "marker", "changes-since"}
_MIGRATIONS = {"hidden", "host", "instance_uuid", "source_compute", "status", "migration_type"} | _PAGE
# by path: keys, and from which version on no others
_KNOWN: dict[str, list[tuple[tuple[int, int], set[str]]]] = {
    "/os-hypervisors": [((2, 53), _HYPERVISORS)], "/os-hypervisors/detail": [((2, 53), _HYPERVISORS)],
    "/os-hypervisors/{hypervisor_id}": [((2, 53), {"with_servers"})],
    "/servers/{server_id}/os-instance-actions": [((2, 58), _PAGE), ((2, 66), _PAGE | {"changes-before"})],
    "/os-migrations": [((2, 59), _MIGRATIONS), ((2, 66), _MIGRATIONS | {"changes-before"}),
                       ((2, 80), _MIGRATIONS | {"changes-before", "user_id", "project_id"})],
    "/servers/{server_id}/shares": [((2, 97), set())], "/servers/{server_id}/shares/{share_id}": [((2, 97), set())]}
_NONE: list[tuple[tuple[int, int], set[str]]] = [((2, 102), set())]


def strict(rooms: list[Routes]) -> list[Routes]:
    """The same routes, whose GETs look at the query string first."""
    for routes in rooms:
        for route in routes.items:
            if route.method == "GET" and route.path not in _OWN:
                route.handler = _looking(route.handler, _KNOWN.get(route.path, _NONE))
    return rooms


def _looking(handler: Handler, versions: list[tuple[tuple[int, int], set[str]]]) -> Handler:
    @functools.wraps(handler)
    def look(call: Call, *arguments: Any) -> Any:
        found = [(since, keys) for since, keys in versions if call.version >= since]
        if found:
            shapes.only(call, found[-1][1], found[-1][0])
        return handler(call, *arguments)

    return look
