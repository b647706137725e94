"""A provider's aggregates on the wire."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.placement import providers
from haneul.placement.api.answers import provider_of, reply
from haneul.placement.model import Provider

routes = Routes()
_PATH = "/resource_providers/{uuid}/aggregates"


class SetAggregates(Struct, forbid_unknown_fields=True):
    aggregates: list[str]
    resource_provider_generation: int


def _shown(call: Call, provider: Provider) -> Reply:
    body: dict[str, Any] = {"aggregates": providers.aggregates(call.tx, provider)}
    if call.version >= (1, 19):
        body["resource_provider_generation"] = provider.generation
    return reply(call, body, moment=provider.updated_at)


@routes.get(_PATH, rule="placement:resource_providers:aggregates:list", minimum=(1, 1))
def index(call: Call) -> Reply:
    return _shown(call, provider_of(call))


@routes.put(_PATH, rule="placement:resource_providers:aggregates:update", minimum=(1, 1),
            body=[((1, 1), list[str]), ((1, 19), SetAggregates)])
def replace(call: Call, body: list[str] | SetAggregates) -> Reply:
    provider = provider_of(call)
    if isinstance(body, SetAggregates):
        providers.set_aggregates(call.tx, provider, body.aggregates, body.resource_provider_generation)
    else:
        providers.set_aggregates(call.tx, provider, body, None)
    return _shown(call, provider)
