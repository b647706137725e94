"""Tags of any resource: /{collection}/{id}/tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network.api import (
    bodies,
    floating_ips,
    networks,
    ports,
    qos_policies,
    routers,
    security_groups,
    subnet_pools,
    subnets,
    trunks,
)
from haneul.network.errors import BadAttribute, TagNotFound

routes = Routes()
MOST = 50
_COLLECTIONS: dict[str, tuple[str, str, Callable[[Call], Any]]] = {
    "networks": ("network_id", "network", networks.loaded),
    "subnets": ("subnet_id", "subnet", subnets.loaded),
    "ports": ("port_id", "port", ports.loaded),
    "routers": ("router_id", "router", routers.loaded),
    "floatingips": ("floatingip_id", "floatingip", floating_ips.loaded),
    "security-groups": ("security_group_id", "security_group", security_groups.loaded),
    "policies": ("qos_policy_id", "policy", qos_policies.loaded),
    "trunks": ("trunk_id", "trunk", trunks.loaded),
    "subnetpools": ("subnetpool_id", "subnetpool", subnet_pools.loaded),
}


def _checked(tag: Any) -> str:
    if not isinstance(tag, str) or not 1 <= len(tag) <= 255:
        raise BadAttribute("tags", f"'{str(tag)[:64]}' is not a valid tag")
    if "," in tag:
        raise BadAttribute("tags", "a tag must not have a comma")
    return tag


def _set(row: Any, tags: list[str]) -> dict[str, Any]:
    if len(tags) > MOST:
        raise BadRequest(f"Number of tags exceeds the limit of {MOST}.", type="TagLimitExceeded")
    if tags != row.tags:
        row.tags = tags
        row.touch()
    return {"tags": tags}


def _asked(body: bodies.Body) -> list[str]:
    tags = body.get("tags")
    if not isinstance(tags, list):
        raise BadRequest("Invalid tags body")
    return list(dict.fromkeys(_checked(tag) for tag in tags))


def _replace(call: Call, row: Any, body: bodies.Body) -> dict[str, Any]:
    return _set(row, _asked(body))


def _extend(call: Call, row: Any, body: bodies.Body) -> dict[str, Any]:
    return _set(row, list(dict.fromkeys([*row.tags, *_asked(body)])))


def _clear(call: Call, row: Any) -> None:
    _set(row, [])


def _index(call: Call, row: Any) -> dict[str, Any]:
    return {"tags": row.tags}


def _show(call: Call, row: Any) -> None:
    if call.values["tag"] not in row.tags:
        raise TagNotFound(call.values["tag"])


def _add(call: Call, row: Any) -> None:
    _set(row, list(dict.fromkeys([*row.tags, _checked(call.values["tag"])])))


def _remove(call: Call, row: Any) -> None:
    _show(call, row)
    _set(row, [tag for tag in row.tags if tag != call.values["tag"]])


for _name, (_id, _resource, _loaded) in _COLLECTIONS.items():
    _path = f"/{_name}/{{{_id}}}/tags"

    def _seen(call: Call, loaded: Callable[[Call], Any] = _loaded) -> Any:
        """Whoever sees the object reads its tags."""
        row = loaded(call)
        row.policy_target = {"project_id": call.context.project_id}
        return row

    routes.get(_path, rule=f"get_{_resource}", target=_seen)(_index)
    routes.get(_path + "/{tag}", rule=f"get_{_resource}", target=_seen, status=204)(_show)
    routes.put(_path, rule=f"update_{_resource}", target=_loaded, body=bodies.Body)(_replace)
    routes.post(_path, rule=f"update_{_resource}", target=_loaded, body=bodies.Body, status=200)(_extend)
    routes.put(_path + "/{tag}", rule=f"update_{_resource}", target=_loaded, status=201)(_add)
    routes.delete(_path, rule=f"update_{_resource}", target=_loaded)(_clear)
    routes.delete(_path + "/{tag}", rule=f"update_{_resource}", target=_loaded)(_remove)
