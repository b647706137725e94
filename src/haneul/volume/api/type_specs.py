"""/types/{type_id}/extra_specs."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import types
from haneul.volume.api.shapes import Body
from haneul.volume.api.types import SpecKey, loaded, specs_of

routes = Routes()
_RULE = "volume_extension:types_extra_specs:"
_PATH = "/types/{type_id}/extra_specs"
Specs = dict[SpecKey, Annotated[str, Meta(max_length=255)]]


class Create(Body):
    extra_specs: Specs


@routes.get(_PATH, rule=_RULE + "index")
def index(call: Call) -> dict[str, Any]:
    return {"extra_specs": specs_of(call, loaded(call))}


@routes.post(_PATH, rule=_RULE + "create", body=Create)
def create(call: Call, body: Create) -> dict[str, Any]:
    types.set_specs(call.tx, loaded(call), body.extra_specs)
    return {"extra_specs": body.extra_specs}


@routes.get(_PATH + "/{key}", rule=_RULE + "show")
def show(call: Call) -> dict[str, str]:
    row, key = loaded(call), call.values["key"]
    specs = specs_of(call, row)
    if key not in specs:
        raise types.no_spec(row, key)
    return {key: specs[key]}


@routes.put(_PATH + "/{key}", rule=_RULE + "update", body=Specs)
def update(call: Call, body: dict[str, str]) -> dict[str, str]:
    row = loaded(call)
    if call.values["key"] not in body:
        raise BadRequest("Request body and URI mismatch")
    if len(body) > 1:
        raise BadRequest("Request body contains too many items")
    types.set_specs(call.tx, row, body)
    return body


@routes.delete(_PATH + "/{key}", rule=_RULE + "delete", status=202)
def delete(call: Call) -> None:
    types.delete_spec(call.tx, loaded(call), call.values["key"])
