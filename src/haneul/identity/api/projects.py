"""/projects with their tags, and the projects of a user."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import select

from haneul.identity import projects as rules
from haneul.identity import standing
from haneul.identity.api import targets
from haneul.identity.api.bodies import entity
from haneul.identity.api.lists import filtered, page, switch
from haneul.identity.api.views import link, project_view, tags_of
from haneul.identity.model import Project, ProjectTag, User
from haneul.kernel.errors import BadRequest, Forbidden, NotFound
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.paging import flag
from haneul.kernel.wire.routes import Routes

routes = Routes()
_FILTERS = {"name": Project.name, "enabled": Project.enabled, "domain_id": Project.domain_id, "parent_id": Project.parent_id,
            "id": Project.id}


class Tags(Struct):
    tags: list[str]


def _shown(call: Call, rows: list[Project]) -> list[dict[str, Any]]:
    tags = tags_of(call, [row.id for row in rows])
    return [project_view(call, row, tags) for row in rows]


@routes.get("/projects", "identity:list_projects", target=targets.own_domain)
def index(call: Call, target: dict[str, Any]) -> dict[str, Any]:
    roots = call.argument("is_domain")
    query = select(Project).where(Project.is_domain.is_(roots is not None and flag(roots or "true", "is_domain")))
    if not targets.wide(call):
        query = query.where(Project.domain_id == call.context.domain_id)
    query = _tagged(call, filtered(call, query, _FILTERS))
    return page(call, "projects", query, Project.id, lambda rows: _shown(call, rows))


def _tagged(call: Call, query: Any) -> Any:
    """tags: all of them; tags-any: one of them; not-tags, not-tags-any: the contrary."""
    def has(name: str) -> Any:
        return select(ProjectTag.project_id).where(ProjectTag.project_id == Project.id, ProjectTag.name == name).exists()

    def some(names: list[str]) -> Any:
        return select(ProjectTag.project_id).where(ProjectTag.project_id == Project.id, ProjectTag.name.in_(names)).exists()

    for key, text in call.query:
        names = text.split(",")
        if key == "tags":
            query = query.where(*[has(name) for name in names])
        elif key == "tags-any":
            query = query.where(some(names))
        elif key == "not-tags":
            counted = [has(name) for name in names]
            whole = counted[0]
            for condition in counted[1:]:
                whole = whole & condition
            query = query.where(~whole)
        elif key == "not-tags-any":
            query = query.where(~some(names))
    return query


def _new(call: Call) -> dict[str, Any]:
    """The domain a new project will be in, from the rows its body names."""
    fields, extra = entity(call, "project", rules.Fields)
    place: dict[str, Any] = {"fields": fields, "extra": extra, "parent": None}
    try:
        if fields.is_domain is not True:
            place["parent"] = parent = rules.parent_of(call.tx, fields, call.context.domain_id or "default")
            place["target.project.domain_id"] = parent.id if parent.is_domain else parent.domain_id
    except (NotFound, BadRequest):
        if not call.cloud.policy.allows("identity:create_project", call.context, {}):
            raise Forbidden(call.found.service.denied.format(rule="identity:create_project"))
        raise
    return place


@routes.post("/projects", "identity:create_project", target=_new, status=201)
def create(call: Call, place: dict[str, Any]) -> dict[str, Any]:
    fields: rules.Fields = place["fields"]
    if fields.is_domain is True:
        if not call.allows("identity:create_domain", {}):
            raise Forbidden(call.found.service.denied.format(rule="identity:create_domain"))
        return {"project": project_view(call, rules.create_domain(call.tx, fields, place["extra"]))}
    return {"project": project_view(call, rules.create(call.tx, fields, place["parent"], place["extra"]))}


@routes.get("/projects/{project_id}", "identity:get_project", target=targets.project)
def show(call: Call, project: Project) -> dict[str, Any]:
    shown = project_view(call, project)
    keys = {key for key in ("parents_as_list", "parents_as_ids", "subtree_as_list", "subtree_as_ids") if switch(call, key)}
    for way in ("parents", "subtree"):
        if {f"{way}_as_list", f"{way}_as_ids"} <= keys:
            raise BadRequest(f"Cannot use {way}_as_list and {way}_as_ids query params at the same time.")
    mine = set(standing.places(call.tx, call.context.user_id or "", "project")) if any("list" in key for key in keys) else set()
    if "parents_as_list" in keys:
        shown["parents"] = [{"project": item} for item in _shown(
            call, [row for row in rules.parents(call.tx, project) if row.id in mine])]
    if "parents_as_ids" in keys:
        chain: dict[str, Any] | None = None
        for row in reversed(rules.parents(call.tx, project)):
            chain = {row.id: chain}
        shown["parents"] = chain
    if "subtree_as_list" in keys:
        shown["subtree"] = [{"project": item} for item in _shown(
            call, [row for row in rules.subtree(call.tx, project) if row.id in mine])]
    if "subtree_as_ids" in keys:
        shown["subtree"] = _nested(project.id, rules.subtree(call.tx, project))
    return {"project": shown}


def _nested(root: str, rows: list[Project]) -> dict[str, Any] | None:
    children: dict[str | None, list[str]] = {}
    for row in rows:
        children.setdefault(row.parent_id, []).append(row.id)

    def below(id: str) -> dict[str, Any] | None:
        return {child: below(child) for child in children[id]} if id in children else None

    return below(root)


@routes.patch("/projects/{project_id}", "identity:update_project", target=targets.project)
def update(call: Call, project: Project) -> dict[str, Any]:
    fields, extra = entity(call, "project", rules.Fields)
    return {"project": project_view(call, rules.change(call.tx, project, fields, extra))}


@routes.delete("/projects/{project_id}", "identity:delete_project", target=targets.project)
def delete(call: Call, project: Project) -> None:
    rules.remove(call.tx, project)


@routes.get("/users/{user_id}/projects", "identity:list_user_projects", target=targets.user)
def of_user(call: Call, user: User) -> dict[str, Any]:
    found = standing.places(call.tx, user.id, "project")
    query = select(Project).where(Project.id.in_(found), Project.is_domain.is_(False))
    return page(call, "projects", filtered(call, query, _FILTERS), Project.id, lambda rows: _shown(call, rows))


# -------------------------------------------------------------------- tags

def _tags(call: Call, project: Project) -> dict[str, Any]:
    return {"tags": rules.tags(call.tx, project.id), "links": {"next": None, "previous": None, **link(
        call, "projects", project.id, "tags")}}


@routes.get("/projects/{project_id}/tags", "identity:list_project_tags", target=targets.project)
def tags(call: Call, project: Project) -> dict[str, Any]:
    return _tags(call, project)


@routes.put("/projects/{project_id}/tags", "identity:update_project_tags", target=targets.project, body=Tags)
def replace_tags(call: Call, project: Project, body: Tags) -> dict[str, Any]:
    rules.set_tags(call.tx, project, body.tags)
    return _tags(call, project)


@routes.delete("/projects/{project_id}/tags", "identity:delete_project_tags", target=targets.project)
def delete_tags(call: Call, project: Project) -> None:
    rules.set_tags(call.tx, project, [])


@routes.get("/projects/{project_id}/tags/{value}", "identity:get_project_tag", target=targets.project, status=204)
def has_tag(call: Call, project: Project) -> None:
    if call.values["value"] not in rules.tags(call.tx, project.id):
        raise NotFound(f"Could not find project tag: {call.values['value']}.")


@routes.put("/projects/{project_id}/tags/{value}", "identity:create_project_tag", target=targets.project, status=201)
def add_tag(call: Call, project: Project) -> Reply:
    rules.add_tag(call.tx, project, call.values["value"])
    address = link(call, "projects", project.id, "tags", call.values["value"])["self"]
    return Reply(headers={"Location": address.encode("ascii", "ignore").decode()})


@routes.delete("/projects/{project_id}/tags/{value}", "identity:delete_project_tag", target=targets.project)
def delete_tag(call: Call, project: Project) -> None:
    rules.remove_tag(call.tx, project, call.values["value"])
