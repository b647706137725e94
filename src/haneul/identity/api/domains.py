"""/domains"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from haneul.identity import projects as rules
from haneul.identity.api import targets
from haneul.identity.api.bodies import entity
from haneul.identity.api.lists import filtered, page
from haneul.identity.api.views import domain_view
from haneul.identity.model import Project
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
_FILTERS = {"name": Project.name, "enabled": Project.enabled, "id": Project.id}


@routes.get("/domains", "identity:list_domains", target=targets.own_domain)
def index(call: Call, target: dict[str, Any]) -> dict[str, Any]:
    query = select(Project).where(Project.is_domain.is_(True))
    if not targets.wide(call):
        query = query.where(Project.id == call.context.domain_id)
    query = filtered(call, query, _FILTERS)
    return page(call, "domains", query, Project.id, lambda rows: [domain_view(call, row) for row in rows])


@routes.post("/domains", "identity:create_domain", status=201)
def create(call: Call) -> dict[str, Any]:
    fields, extra = entity(call, "domain", rules.Fields)
    explicit = extra.pop("explicit_domain_id", None)
    if explicit is not None and not (isinstance(explicit, str) and len(explicit) == 32 and explicit.isalnum()):
        raise BadRequest("Invalid input for field 'explicit_domain_id'.")
    return {"domain": domain_view(call, rules.create_domain(call.tx, fields, extra, explicit))}


@routes.get("/domains/{domain_id}", "identity:get_domain", target=targets.domain)
def show(call: Call, domain: Project) -> dict[str, Any]:
    return {"domain": domain_view(call, domain)}


@routes.patch("/domains/{domain_id}", "identity:update_domain", target=targets.domain)
def update(call: Call, domain: Project) -> dict[str, Any]:
    fields, extra = entity(call, "domain", rules.Fields)
    return {"domain": domain_view(call, rules.change(call.tx, domain, fields, extra))}


@routes.delete("/domains/{domain_id}", "identity:delete_domain", target=targets.domain)
def delete(call: Call, domain: Project) -> None:
    rules.remove(call.tx, domain)
