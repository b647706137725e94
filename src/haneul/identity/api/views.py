"""The shapes of Keystone's answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from haneul.identity.model import Project, ProjectTag
from haneul.kernel.wire.call import Call


def collection(call: Call, name: str, items: list[dict[str, Any]], following: str | None = None) -> dict[str, Any]:
    query = call.query_string.decode("ascii", "replace")
    address = call.base_url + path_of(call) + (f"?{query}" if query else "")
    return {name: items, "links": {"next": following, "self": address, "previous": None}}


def path_of(call: Call) -> str:
    """The request's path below the service, by whatever alias it came."""
    service = call.found.service
    prefix = next(prefix for prefix in (service.prefix, *service.aliases) if call.path.startswith(prefix))
    return call.path.removeprefix(prefix)


def link(call: Call, *path: str) -> dict[str, str]:
    return {"self": call.base_url + "/" + "/".join(path)}


def project_view(call: Call, project: Project, tags: Mapping[str, list[str]] | None = None) -> dict[str, Any]:
    """`tags` by project id, when many are shown; else they are looked up."""
    own = (tags or tags_of(call, [project.id])).get(project.id, [])
    return {**project.extra, "id": project.id, "name": project.name, "domain_id": project.domain_id,
            "description": project.description, "enabled": project.enabled, "parent_id": project.parent_id,
            "is_domain": project.is_domain, "tags": own, "options": project.options, "links": link(call, "projects", project.id)}


def tags_of(call: Call, project_ids: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {id: [] for id in project_ids}
    for id, name in call.tx.execute(select(ProjectTag.project_id, ProjectTag.name)
                                    .where(ProjectTag.project_id.in_(project_ids)).order_by(ProjectTag.name)):
        found[id].append(name)
    return found


def domain_view(call: Call, domain: Project) -> dict[str, Any]:
    return {**domain.extra, "id": domain.id, "name": domain.name, "description": domain.description, "enabled": domain.enabled,
            "tags": [], "options": domain.options, "links": link(call, "domains", domain.id)}
