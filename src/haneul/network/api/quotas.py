"""/quotas."""

from __future__ import annotations

from typing import Any

from haneul.kernel import quota
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network.api import bodies
from haneul.network.errors import BadAttribute
from haneul.network.quota import RESOURCES

routes = Routes()
SERVICE = "network"


def _project(call: Call) -> dict[str, Any]:
    """A project may look at its own; which exist is identity's to say, and Neutron does not ask."""
    return {"project_id": call.values["project_id"]}


@routes.get("/quotas", rule="update_quota")
def index(call: Call) -> dict[str, Any]:
    """Projects with limits of their own."""
    from sqlalchemy import select

    projects = (
        call.tx.execute(select(quota.QuotaLimit.project_id).distinct().where(quota.QuotaLimit.service == SERVICE))
        .scalars()
        .all()
    )
    return {
        "quotas": [
            {**quota.limits(call.tx, SERVICE, project, RESOURCES), "project_id": project, "tenant_id": project}
            for project in projects
        ]
    }


@routes.get("/quotas/{project_id}", rule="get_quota", target=_project)
def show(call: Call, project: dict[str, Any]) -> dict[str, Any]:
    return {"quota": quota.limits(call.tx, SERVICE, project["project_id"], RESOURCES)}


@routes.get("/quotas/{project_id}/default", rule="get_quota", target=_project)
def defaults(call: Call, project: dict[str, Any]) -> dict[str, Any]:
    return {"quota": {name: quota.default(call.tx, name) for name in RESOURCES}}


@routes.get("/quotas/{project_id}/details", rule="get_quota", target=_project)
def details(call: Call, project: dict[str, Any]) -> dict[str, Any]:
    limits = quota.limits(call.tx, SERVICE, project["project_id"], RESOURCES)
    return {
        "quota": {
            name: {
                "limit": limits[name],
                "used": quota.used(call.tx, SERVICE, project["project_id"], name),
                "reserved": 0,
            }
            for name in RESOURCES
        }
    }


@routes.get("/quotas/{project_id}/details.json", rule="get_quota", target=_project)
def details_json(call: Call, project: dict[str, Any]) -> dict[str, Any]:
    """Older clients end the path so."""
    return details(call, project)


@routes.put("/quotas/{project_id}", rule="update_quota", body=bodies.Body)
def update(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted = body.get("quota")
    if not isinstance(wanted, dict):
        raise BadRequest("Unable to find 'quota' in request body")
    project = call.values["project_id"]
    wanted = dict(wanted)
    asked = paging.flag(str(wanted.pop("check_limit", True)), "check_limit")
    check_limit = asked and not paging.flag(str(wanted.pop("force", False)), "force")
    for name in ("tenant_id", "project_id"):
        wanted.pop(name, None)
    for name, value in wanted.items():
        if name not in RESOURCES:
            raise BadRequest(f"Unrecognized attribute(s) '{str(name)[:64]}'")
        number = _number(name, value)
        if check_limit and number >= 0 and quota.used(call.tx, SERVICE, project, name) > number:
            raise BadRequest(
                f"Quota limit {number} for {name} must be greater than or equal to already used resources.",
                type="QuotaLimitTooLow",
            )
        quota.set_limit(call.tx, SERVICE, project, name, number)
    call.tx.flush()
    return {"quota": quota.limits(call.tx, SERVICE, project, RESOURCES)}


def _number(name: str, value: Any) -> int:
    try:
        number = int(value) if not isinstance(value, bool) else -2
    except (TypeError, ValueError):
        number = -2
    if not -1 <= number <= 2147483647:
        raise BadAttribute(name, f"'{str(value)[:32]}' is not a valid limit")
    return number


@routes.delete("/quotas/{project_id}", rule="delete_quota")
def delete(call: Call) -> None:
    quota.reset(call.tx, SERVICE, call.values["project_id"])
