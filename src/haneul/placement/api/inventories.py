"""Inventories on the wire."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.placement import inventories
from haneul.placement.api.answers import full, provider_of, reply
from haneul.placement.inventories import Record
from haneul.placement.model import Inventory, Provider

routes = Routes()
_ALL, _ONE = "/resource_providers/{uuid}/inventories", "/resource_providers/{uuid}/inventories/{resource_class}"


class Replace(Struct, forbid_unknown_fields=True):
    resource_provider_generation: int
    inventories: dict[str, Record]


class Add(Record, kw_only=True):
    resource_class: str


class Change(Record, kw_only=True):
    resource_provider_generation: int


def _all(call: Call, provider: Provider) -> Reply:
    found = inventories.of(call.tx, provider)
    return reply(call, {"resource_provider_generation": provider.generation,
                        "inventories": {name: inventories.view(row) for name, row in found.items()}}, moment=provider.updated_at)


def _one(call: Call, provider: Provider, row: Inventory, **more: Any) -> Reply:
    return reply(call, {**inventories.view(row), "resource_provider_generation": provider.generation},
                 moment=provider.updated_at, **more)


@routes.get(_ALL, rule="placement:resource_providers:inventories:list")
def index(call: Call) -> Reply:
    return _all(call, provider_of(call))


@routes.put(_ALL, rule="placement:resource_providers:inventories:update", body=Replace)
def replace(call: Call, body: Replace) -> Reply:
    provider = provider_of(call)
    inventories.replace(call.tx, provider, body.inventories, body.resource_provider_generation, full=full(call))
    return _all(call, provider)


@routes.post(_ALL, rule="placement:resource_providers:inventories:create", body=Add, status=201)
def add(call: Call, body: Add) -> Reply:
    provider = provider_of(call)
    row = inventories.add(call.tx, provider, body.resource_class, body, full=full(call))
    location = f"{call.base_url}/resource_providers/{provider.uuid}/inventories/{row.resource_class}"
    return _one(call, provider, row, location=location)


@routes.delete(_ALL, rule="placement:resource_providers:inventories:delete", minimum=(1, 5))
def remove_all(call: Call) -> None:
    inventories.remove_all(call.tx, provider_of(call))


@routes.get(_ONE, rule="placement:resource_providers:inventories:show")
def show(call: Call) -> Reply:
    provider = provider_of(call)
    return _one(call, provider, inventories.get(call.tx, provider, call.values["resource_class"]))


@routes.put(_ONE, rule="placement:resource_providers:inventories:update", body=Change)
def change(call: Call, body: Change) -> Reply:
    provider = provider_of(call)
    row = inventories.change(call.tx, provider, call.values["resource_class"], body, body.resource_provider_generation,
                             full=full(call))
    return _one(call, provider, row)


@routes.delete(_ONE, rule="placement:resource_providers:inventories:delete")
def remove(call: Call) -> None:
    inventories.remove(call.tx, provider_of(call), call.values["resource_class"])
