"""/OS-EP-FILTER: which endpoints a project's catalog shows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from haneul.identity import endpoint_groups as rules
from haneul.identity.api import targets
from haneul.identity.api.bodies import entity
from haneul.identity.api.directory import endpoint_view
from haneul.identity.api.lists import filtered
from haneul.identity.api.views import collection, link, project_view, tags_of
from haneul.identity.lookup import require
from haneul.identity.model import Endpoint, EndpointGroup, Project
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
GROUPS = "/OS-EP-FILTER/endpoint_groups"
GROUP = GROUPS + "/{endpoint_group_id}"
PROJECTS = "/OS-EP-FILTER/projects/{project_id}"


def _view(call: Call, row: EndpointGroup) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "description": row.description, "filters": row.filters,
            "links": link(call, "OS-EP-FILTER", "endpoint_groups", row.id)}


def _projects(call: Call, rows: list[Project]) -> dict[str, Any]:
    tags = tags_of(call, [row.id for row in rows])
    return collection(call, "projects", [project_view(call, row, tags) for row in rows])


def _group(call: Call) -> EndpointGroup:
    return targets.found(call, EndpointGroup, call.values["endpoint_group_id"])


@routes.get(GROUPS, "identity:list_endpoint_groups")
def index(call: Call) -> dict[str, Any]:
    query = filtered(call, select(EndpointGroup).order_by(EndpointGroup.id), {"name": EndpointGroup.name})
    return collection(call, "endpoint_groups", [_view(call, row) for row in call.tx.execute(query).scalars()])


@routes.post(GROUPS, "identity:create_endpoint_group", status=201)
def create(call: Call) -> dict[str, Any]:
    fields, _ = entity(call, "endpoint_group", rules.Fields)
    return {"endpoint_group": _view(call, rules.create(call.tx, fields))}


@routes.get(GROUP, "identity:get_endpoint_group", target=_group)
def show(call: Call, group: EndpointGroup) -> dict[str, Any]:
    return {"endpoint_group": _view(call, group)}


@routes.patch(GROUP, "identity:update_endpoint_group", target=_group)
def update(call: Call, group: EndpointGroup) -> dict[str, Any]:
    fields, _ = entity(call, "endpoint_group", rules.Fields)
    return {"endpoint_group": _view(call, rules.change(call.tx, group, fields))}


@routes.delete(GROUP, "identity:delete_endpoint_group", target=_group)
def delete(call: Call, group: EndpointGroup) -> None:
    call.tx.delete(group)


@routes.get(GROUP + "/endpoints", "identity:list_endpoints_associated_with_endpoint_group", target=_group)
def endpoints_of(call: Call, group: EndpointGroup) -> dict[str, Any]:
    return collection(call, "endpoints", [endpoint_view(call, row) for row in rules.endpoints_of(call.tx, group)])


@routes.get(GROUP + "/projects", "identity:list_projects_associated_with_endpoint_group", target=_group)
def projects_of(call: Call, group: EndpointGroup) -> dict[str, Any]:
    return _projects(call, rules.projects_of_group(call.tx, group.id))


# -------------------------------------------------------------------- groups in projects

@routes.get(GROUP + "/projects/{project_id}", "identity:get_endpoint_group_in_project", target=_group)
def show_group_in(call: Call, group: EndpointGroup) -> dict[str, Any]:
    project = require(call.tx, Project, call.values["project_id"])
    row = rules.group_in(call.tx, project.id, group.id)
    return {"project_endpoint_group": {"endpoint_group_id": row.group_id, "project_id": row.project_id, "links": link(
        call, "OS-EP-FILTER", "endpoint_groups", group.id, "projects", project.id)}}


@routes.put(GROUP + "/projects/{project_id}", "identity:add_endpoint_group_to_project", target=_group, status=204)
def add_group(call: Call, group: EndpointGroup) -> None:
    rules.add_group(call.tx, require(call.tx, Project, call.values["project_id"]), group)


@routes.delete(GROUP + "/projects/{project_id}", "identity:remove_endpoint_group_from_project", target=_group)
def remove_group(call: Call, group: EndpointGroup) -> None:
    project = require(call.tx, Project, call.values["project_id"])
    call.tx.delete(rules.group_in(call.tx, project.id, group.id))


@routes.get(PROJECTS + "/endpoint_groups", "identity:list_endpoint_groups_for_project", target=targets.project)
def groups_of(call: Call, project: Project) -> dict[str, Any]:
    return collection(call, "endpoint_groups", [_view(call, row) for row in rules.groups_of(call.tx, project.id)])


# -------------------------------------------------------------------- endpoints in projects

@routes.get(PROJECTS + "/endpoints", "identity:list_endpoints_for_project", target=targets.project)
def of_project(call: Call, project: Project) -> dict[str, Any]:
    rows = rules.endpoints_of_project(call.tx, project.id)
    return collection(call, "endpoints", [endpoint_view(call, row) for row in rows])


@routes.get(PROJECTS + "/endpoints/{endpoint_id}", "identity:check_endpoint_in_project", target=targets.project, status=204)
def check(call: Call, project: Project) -> None:
    rules.endpoint_in(call.tx, project.id, require(call.tx, Endpoint, call.values["endpoint_id"]).id)


@routes.put(PROJECTS + "/endpoints/{endpoint_id}", "identity:add_endpoint_to_project", target=targets.project, status=204)
def add(call: Call, project: Project) -> None:
    rules.add_endpoint(call.tx, project, require(call.tx, Endpoint, call.values["endpoint_id"]))


@routes.delete(PROJECTS + "/endpoints/{endpoint_id}", "identity:remove_endpoint_from_project", target=targets.project)
def remove(call: Call, project: Project) -> None:
    call.tx.delete(rules.endpoint_in(call.tx, project.id, call.values["endpoint_id"]))


@routes.get("/OS-EP-FILTER/endpoints/{endpoint_id}/projects", "identity:list_projects_for_endpoint")
def of_endpoint(call: Call) -> dict[str, Any]:
    endpoint = require(call.tx, Endpoint, call.values["endpoint_id"])
    return _projects(call, rules.projects_of_endpoint(call.tx, endpoint.id))
