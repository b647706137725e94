"""/limits, /os-quota-sets, /os-quota-class-sets."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from haneul.compute import quotas
from haneul.compute.api import shapes
from haneul.compute.api.shapes import Body, truth
from haneul.identity import projects
from haneul.kernel import quota
from haneul.kernel.errors import BadRequest, Forbidden, NotFound
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes

routes = Routes()
_RULE = "os_compute_api:os-quota-sets:"
_CLASS_RULE = "os_compute_api:os-quota-class-sets:"
_NETWORK = {"fixed_ips", "floating_ips", "security_groups", "security_group_rules"}
_FILES = {"injected_files", "injected_file_content_bytes", "injected_file_path_bytes"}
_GROUPS = {"server_groups", "server_group_members"}
Limit = Annotated[int, Meta(ge=-1, le=2**31 - 1)] | Annotated[str, Meta(pattern=r"^-?[0-9]+$", max_length=11)]


class Update(Body):
    quota_set: dict[str, Any]


class ClassUpdate(Body):
    quota_class_set: dict[str, Any]


def _shown(call: Call, *, network_until: tuple[int, int] = (2, 36)) -> list[str]:
    """The resources that the microversion knows."""
    hidden: set[str] = set()
    if call.version >= network_until:
        hidden |= _NETWORK
    if call.version >= (2, 57):
        hidden |= _FILES
    return [name for name in quotas.RESOURCES if name not in hidden]


def _target(call: Call) -> dict[str, Any]:
    return {"project_id": call.values["project_id"]}


def _project(call: Call) -> str:
    project_id = call.values["project_id"]
    try:
        projects.require(call.tx, project_id)
    except NotFound:
        raise BadRequest(f"Project ID {project_id[:64]} is not a valid project.")
    return project_id


def _numbers(given: dict[str, Any], known: list[str]) -> dict[str, int]:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise BadRequest(f"Invalid input for field/attribute quota_set. Additional properties are not allowed "
                         f"({unknown[0][:64]!r} was unexpected)")
    try:
        return {name: int(value) for name, value in msgspec.convert(given, dict[str, Limit]).items()}
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid input for field/attribute quota_set: {error}")


@routes.get("/os-quota-sets/{project_id}", rule=_RULE + "show", target=_target)
def show(call: Call, target: dict[str, Any]) -> dict[str, Any]:
    shapes.only(call, {"user_id"})
    project_id = _project(call)
    return {"quota_set": {"id": project_id, **quotas.limits(call.tx, project_id, _shown(call))}}


@routes.get("/os-quota-sets/{project_id}/detail", rule=_RULE + "detail", target=_target)
def detail(call: Call, target: dict[str, Any]) -> dict[str, Any]:
    shapes.only(call, {"user_id"})
    project_id = _project(call)
    limits, used = quotas.limits(call.tx, project_id, _shown(call)), quotas.used(call.tx, project_id)
    return {"quota_set": {"id": project_id, **{name: {"limit": limit, "in_use": used[name], "reserved": 0}
                                               for name, limit in limits.items()}}}


@routes.get("/os-quota-sets/{project_id}/defaults", rule=_RULE + "defaults")
def defaults(call: Call) -> dict[str, Any]:
    project_id = _project(call)
    return {"quota_set": {"id": project_id, **quotas.limits(call.tx, quotas.CLASS, _shown(call))}}


@routes.put("/os-quota-sets/{project_id}", rule=_RULE + "update", target=_target, body=Update)
def update(call: Call, target: dict[str, Any], body: Update) -> dict[str, Any]:
    project_id = _project(call)
    given = dict(body.quota_set)
    force = given.pop("force", False)
    if not isinstance(force, bool | str):
        raise BadRequest("Invalid input for field/attribute force: it is a boolean.")
    wanted = _numbers(given, _shown(call))
    quotas.update(call.tx, project_id, wanted, force=truth(force))
    call.tx.flush()
    return {"quota_set": quotas.limits(call.tx, project_id, _shown(call))}


@routes.delete("/os-quota-sets/{project_id}", rule=_RULE + "delete", status=202)
def delete(call: Call) -> Reply:
    quota.reset(call.tx, "compute", call.values["project_id"])
    return Reply(status=202)


# ---------------------------------------------------------------- classes


def _of_class(call: Call) -> list[str]:
    found = _shown(call, network_until=(2, 50))
    return found if call.version >= (2, 50) else [name for name in found if name not in _GROUPS]


@routes.get("/os-quota-class-sets/{class_id}", rule=_CLASS_RULE + "show")
def class_show(call: Call) -> dict[str, Any]:
    name = call.values["class_id"]
    return {"quota_class_set": {"id": name, **quotas.limits(call.tx, f"class:{name}", _of_class(call))}}


@routes.put("/os-quota-class-sets/{class_id}", rule=_CLASS_RULE + "update", body=ClassUpdate)
def class_update(call: Call, body: ClassUpdate) -> dict[str, Any]:
    """Only the class `default` has an effect, as in Nova."""
    name = call.values["class_id"]
    if len(name) > 58:
        raise BadRequest("quota_class_name has 58 characters at most.")
    wanted = _numbers(dict(body.quota_class_set), _of_class(call))
    for resource, value in wanted.items():
        quota.set_limit(call.tx, "compute", f"class:{name}", resource, value)
    call.tx.flush()
    return {"quota_class_set": quotas.limits(call.tx, f"class:{name}", _of_class(call))}


# ---------------------------------------------------------------- limits


@routes.get("/limits", rule="os_compute_api:limits")
def limits(call: Call) -> dict[str, Any]:
    shapes.only(call, {"tenant_id", "reserved"})
    project_id = call.argument("tenant_id") or call.context.project_id or ""
    if project_id != call.context.project_id and not call.allows("os_compute_api:limits:other_project"):
        raise Forbidden("Policy doesn't allow os_compute_api:limits:other_project to be performed.")
    most, used = quotas.limits(call.tx, project_id), quotas.used(call.tx, project_id)
    found = {"maxTotalRAMSize": most["ram"], "maxTotalInstances": most["instances"], "maxTotalCores": most["cores"],
             "maxTotalKeypairs": most["key_pairs"], "maxServerMeta": most["metadata_items"],
             "maxServerGroups": most["server_groups"], "maxServerGroupMembers": most["server_group_members"],
             "totalRAMUsed": used["ram"], "totalCoresUsed": used["cores"], "totalInstancesUsed": used["instances"],
             "totalServerGroupsUsed": used["server_groups"]}
    if call.version < (2, 36):
        found.update(maxTotalFloatingIps=most["floating_ips"], maxSecurityGroups=most["security_groups"],
                     maxSecurityGroupRules=most["security_group_rules"], totalFloatingIpsUsed=0, totalSecurityGroupsUsed=0)
    if call.version < (2, 39):
        found["maxImageMeta"] = most["metadata_items"]
    if call.version < (2, 57):
        found.update(maxPersonality=most["injected_files"], maxPersonalitySize=most["injected_file_content_bytes"])
    return {"limits": {"rate": [], "absolute": found}}
