"""/OS-OAUTH1/consumers: who may ask for the access of users by OAuth 1."""

from __future__ import annotations

import secrets
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import select

from haneul.identity.api import targets
from haneul.identity.api.bodies import entity
from haneul.identity.api.views import collection, link
from haneul.identity.credentials import Vault
from haneul.identity.model import Consumer, bump
from haneul.kernel import ids
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
PATH = "/OS-OAUTH1/consumers"


class Fields(Struct):
    description: str | None | UnsetType = UNSET
    secret: Any = UNSET


def _view(call: Call, row: Consumer) -> dict[str, Any]:
    return {**row.extra, "id": row.id, "description": row.description, "links": link(call, "OS-OAUTH1", "consumers", row.id)}


def _consumer(call: Call) -> Consumer:
    return targets.found(call, Consumer, call.values["consumer_id"])


def _fields(call: Call) -> tuple[Fields, dict[str, Any]]:
    fields, extra = entity(call, "consumer", Fields)
    if fields.secret is not UNSET:
        raise BadRequest("The secret of a consumer is made by the cloud and cannot be changed.")
    return fields, extra


@routes.get(PATH, "identity:list_consumers")
def index(call: Call) -> dict[str, Any]:
    rows = call.tx.execute(select(Consumer).order_by(Consumer.id)).scalars()
    return collection(call, "consumers", [_view(call, row) for row in rows])


@routes.post(PATH, "identity:create_consumer", status=201)
def create(call: Call) -> dict[str, Any]:
    """The only answer that shows the secret."""
    fields, extra = _fields(call)
    secret = secrets.token_hex(16)
    row = Consumer(id=ids.new_hex(), description=fields.description or None, extra=extra,
                   sealed=call.cloud.get(Vault).seal(secret))
    call.tx.add(row)
    return {"consumer": {**_view(call, row), "secret": secret}}


@routes.get(PATH + "/{consumer_id}", "identity:get_consumer", target=_consumer)
def show(call: Call, row: Consumer) -> dict[str, Any]:
    return {"consumer": _view(call, row)}


@routes.patch(PATH + "/{consumer_id}", "identity:update_consumer", target=_consumer)
def update(call: Call, row: Consumer) -> dict[str, Any]:
    fields, extra = _fields(call)
    if not isinstance(fields.description, UnsetType):
        row.description = fields.description
    row.extra = {**row.extra, **extra}
    return {"consumer": _view(call, row)}


@routes.delete(PATH + "/{consumer_id}", "identity:delete_consumer", target=_consumer)
def delete(call: Call, row: Consumer) -> None:
    """What users let it do ends with it."""
    call.tx.delete(row)
    bump(call.tx)
