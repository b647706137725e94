"""Resource classes on the wire."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import delete, select

from haneul.kernel import clock
from haneul.kernel.errors import BadRequest, Conflict, NotFound
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.placement import errors, providers, traits
from haneul.placement.api.answers import PREFIX, reply
from haneul.placement.model import CustomClass

routes = Routes()
_SINCE = (1, 2)


class Named(Struct, forbid_unknown_fields=True):
    name: str


def _view(name: str) -> dict[str, Any]:
    return {"name": name, "links": [{"rel": "self", "href": f"{PREFIX}/resource_classes/{name}"}]}


def _custom(name: str) -> str:
    if not traits.is_custom(name):
        raise BadRequest(f"JSON does not validate: '{name[:64]}' is no name of a custom resource class (CUSTOM_…).")
    return name


def _exists(call: Call, name: str) -> bool:
    return name in traits.STANDARD_CLASSES or call.tx.get(CustomClass, name) is not None


@routes.get("/resource_classes", rule="placement:resource_classes:list", minimum=_SINCE)
def index(call: Call) -> Reply:
    custom = call.tx.execute(select(CustomClass.name).order_by(CustomClass.name)).scalars()
    return reply(call, {"resource_classes": [_view(name) for name in (*traits.STANDARD_CLASSES, *custom)]})


@routes.post("/resource_classes", rule="placement:resource_classes:create", minimum=_SINCE, body=Named, status=201)
def create(call: Call, body: Named) -> Reply:
    name = _custom(body.name)
    if _exists(call, name):
        raise Conflict(f"Conflicting resource class already exists: {name}", code=errors.DUPLICATE)
    call.tx.add(CustomClass(name=name, created_at=clock.now()))
    return reply(call, None, location=f"{call.base_url}/resource_classes/{name}")


@routes.get("/resource_classes/{name}", rule="placement:resource_classes:show", minimum=_SINCE)
def show(call: Call) -> Reply:
    name = call.values["name"]
    if not _exists(call, name):
        raise NotFound(f"No such resource class {name[:255]}.")
    return reply(call, _view(name))


@routes.put("/resource_classes/{name}", rule="placement:resource_classes:update", minimum=_SINCE, maximum=(1, 6), body=Named)
def rename(call: Call, body: Named) -> Reply:
    name, new = call.values["name"], _custom(body.name)
    if name in traits.STANDARD_CLASSES:
        raise BadRequest(f"Cannot update standard resource class {name}")
    row = call.tx.get(CustomClass, name)
    if row is None:
        raise NotFound(f"No such resource class {name[:255]}.")
    if _exists(call, new):
        raise Conflict(f"Resource class already exists: {new}", code=errors.DUPLICATE)
    if providers.class_in_use(call.tx, name):
        raise Conflict(f"The resource class {name} is in use and keeps its name.")
    call.tx.delete(row)
    call.tx.add(CustomClass(name=new, created_at=clock.now()))
    return reply(call, _view(new))


@routes.put("/resource_classes/{name}", rule="placement:resource_classes:update", minimum=(1, 7))
def ensure(call: Call) -> Reply:
    name = _custom(call.values["name"])
    known = _exists(call, name)
    if not known:
        call.tx.add(CustomClass(name=name, created_at=clock.now()))
    return reply(call, None, status=204 if known else 201, location=f"{call.base_url}/resource_classes/{name}")


@routes.delete("/resource_classes/{name}", rule="placement:resource_classes:delete", minimum=_SINCE)
def remove(call: Call) -> None:
    name = call.values["name"]
    if name in traits.STANDARD_CLASSES:
        raise BadRequest(f"Error in delete resource class: Cannot delete standard resource class {name}")
    if providers.class_in_use(call.tx, name):
        raise Conflict(f"Error in delete resource class: The resource class {name} is in use.")
    if call.tx.execute(delete(CustomClass).where(CustomClass.name == name).returning(CustomClass.name)).first() is None:
        raise NotFound(f"No such resource class {name[:255]}.")
