"""Usages on the wire: of a provider, and of a project."""

from __future__ import annotations

from typing import Any

from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.placement import consumers, providers
from haneul.placement.api.answers import provider_of, reply
from haneul.placement.errors import MISSING_QUERY, BadQuery

routes = Routes()


@routes.get("/resource_providers/{uuid}/usages", rule="placement:resource_providers:usages")
def of_provider(call: Call) -> Reply:
    provider = provider_of(call)
    return reply(call, {"resource_provider_generation": provider.generation, "usages": providers.usages(call.tx, provider)},
                 moment=provider.updated_at)


def _asked_project(call: Call) -> dict[str, Any]:
    """A reader may ask for his own project only: the rule compares the caller's project with the one of the context."""
    project = call.argument("project_id")
    if not project:
        raise BadQuery("Required query string parameter 'project_id' is missing.", MISSING_QUERY)
    own = project == call.context.project_id
    return {"project_id": call.context.project_id if own else None, "asked": project}


@routes.get("/usages", rule="placement:usages", minimum=(1, 9), target=_asked_project)
def of_project(call: Call, target: dict[str, Any]) -> Reply:
    user = call.argument("user_id")
    if call.version < (1, 38):
        return reply(call, {"usages": consumers.usages(call.tx, target["asked"], user)})
    found = consumers.usages_by_type(call.tx, target["asked"], user)
    kind = call.argument("consumer_type")
    if kind == "all":
        everything: dict[str, int] = {"consumer_count": 0}
        for amounts in found.values():
            for name, amount in amounts.items():
                everything[name] = everything.get(name, 0) + amount
        found = {"all": everything}
    elif kind is not None:
        found = {name: amounts for name, amounts in found.items() if name == kind}
    return reply(call, {"usages": found})
