"""/os-quota-sets and /os-quota-class-sets."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from haneul.kernel import quota
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import quotas
from haneul.volume.api.shapes import Body

routes = Routes()
_RULE = "volume_extension:quotas:"
_CLASS_RULE = "volume_extension:quota_classes:"
Limit = Annotated[int, Meta(ge=-1, le=2**31 - 1)] | Annotated[str, Meta(pattern=r"^-?[0-9]+$", max_length=11)]


class Update(Body):
    quota_set: dict[str, Any]


class ClassUpdate(Body):
    quota_class_set: dict[str, Any]


def _target(call: Call) -> dict[str, Any]:
    return {"project_id": call.values["project_id"]}


def _numbers(call: Call, given: dict[str, Any], what: str) -> dict[str, int]:
    """What was sent, as numbers; text that is one will do."""
    given = {name: value for name, value in given.items() if name not in ("id", "tenant_id")}
    unknown = sorted(set(given) - set(quotas.names(call.tx)))
    if unknown:
        raise BadRequest(f"Bad key(s) in quota set: {', '.join(name[:255] for name in unknown)}")
    try:
        found = {name: int(value) for name, value in msgspec.convert(given, dict[str, Limit]).items()}
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid input for field/attribute {what}: {error}")
    for name, value in found.items():
        if not -1 <= value < 2**31:
            raise BadRequest(f"Invalid input for field/attribute {name}. Value: {value}. It must be from -1 to {2**31 - 1}.")
    return found


@routes.get("/os-quota-sets/{project_id}", rule=_RULE + "show", target=_target)
def show(call: Call, target: dict[str, Any]) -> dict[str, Any]:
    project_id = call.values["project_id"]
    limits: dict[str, Any] = dict(quotas.limits(call.tx, project_id, quotas.names(call.tx)))
    if paging.flag(call.argument("usage") or "false", "usage"):
        used = quotas.used(call.tx, project_id)
        limits = {name: {"limit": limit, "in_use": used.get(name, 0), "reserved": 0} for name, limit in limits.items()}
    return {"quota_set": {"id": project_id, **limits}}


@routes.get("/os-quota-sets/{project_id}/defaults", rule=_RULE + "show", target=_target)
def defaults(call: Call, target: dict[str, Any]) -> dict[str, Any]:
    return {"quota_set": {"id": call.values["project_id"], **quotas.limits(call.tx, quotas.CLASS, quotas.names(call.tx))}}


@routes.put("/os-quota-sets/{project_id}", rule=_RULE + "update", target=_target, body=Update)
def update(call: Call, target: dict[str, Any], body: Update) -> dict[str, Any]:
    """`skip_validation=false` refuses limits below what is used; without it they are taken, as in Cinder."""
    project_id = call.values["project_id"]
    wanted = _numbers(call, body.quota_set, "quota_set")
    if not paging.flag(call.argument("skip_validation") or "true", "skip_validation"):
        used = quotas.used(call.tx, project_id)
        for name, value in wanted.items():
            if 0 <= value < used.get(name, 0):
                raise BadRequest(f"Quota {name} limit must be equal or greater than existing resources.")
    quotas.set_limits(call.tx, project_id, wanted)
    return {"quota_set": quotas.limits(call.tx, project_id, quotas.names(call.tx))}


@routes.delete("/os-quota-sets/{project_id}", rule=_RULE + "delete", target=_target, status=200)
def delete(call: Call, target: dict[str, Any]) -> None:
    """Back to the defaults."""
    quota.reset(call.tx, quotas.SERVICE, call.values["project_id"])


# ---------------------------------------------------------------- classes


@routes.get("/os-quota-class-sets/{class_id}", rule=_CLASS_RULE + "get")
def class_show(call: Call) -> dict[str, Any]:
    name = call.values["class_id"]
    return {"quota_class_set": {"id": name, **quotas.limits_of_class(call.tx, name, quotas.names(call.tx))}}


@routes.put("/os-quota-class-sets/{class_id}", rule=_CLASS_RULE + "update", body=ClassUpdate)
def class_update(call: Call, body: ClassUpdate) -> dict[str, Any]:
    """Only the class `default` has an effect, as in Cinder."""
    name = call.values["class_id"]
    if len(name) > 58:
        raise BadRequest("quota_class_name has 58 characters at most.")
    given = {key: value for key, value in body.quota_class_set.items() if key != "class_name"}
    quotas.set_limits(call.tx, f"class:{name}", _numbers(call, given, "quota_class_set"))
    return {"quota_class_set": quotas.limits_of_class(call.tx, name, quotas.names(call.tx))}
