"""/os-aggregates."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import select

from haneul.compute import aggregates, block_devices, boot
from haneul.compute.api import shapes
from haneul.compute.api.shapes import Body, Fqdn, Name, uuid
from haneul.compute.model import AggregateRow
from haneul.compute.tasks.caching import CacheArguments, cache_images
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes

routes = Routes()
_RULE = "os_compute_api:os-aggregates:"
PATH = "/os-aggregates/{aggregate_id}"
Zone = Annotated[str, Meta(min_length=1, max_length=255, pattern="^[^:]*$")]


class New(Body):
    name: Name
    availability_zone: Zone | None = None


class Create(Body):
    aggregate: New


class Changes(Body):
    name: Name | UnsetType = UNSET
    availability_zone: Zone | UnsetType = UNSET


class Update(Body):
    aggregate: Changes


class Host(Body):
    host: Fqdn


class Metadata(Body):
    metadata: dict[Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_:. ]{1,255}$")],
                   Annotated[str, Meta(max_length=255)] | None]


class Image(Body):
    id: str


class Images(Body):
    cache: Annotated[list[Image], Meta(min_length=1)]


def _moment(moment: Any) -> str | None:
    return moment.isoformat(timespec="microseconds") if moment is not None else None


def _view(call: Call, row: AggregateRow, *, brief: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": row.id, "name": row.name, "availability_zone": row.meta.get(aggregates.ZONE), "created_at": _moment(row.created_at),
        "updated_at": _moment(row.updated_at), "deleted": False, "deleted_at": None}
    if call.version >= (2, 41):
        found["uuid"] = row.uuid
    if not brief:
        found.update(hosts=row.hosts, metadata=row.meta)
    return {"aggregate": found}


def _one(call: Call) -> AggregateRow:
    return aggregates.get(call.tx, call.values["aggregate_id"])


@routes.get("/os-aggregates", rule=_RULE + "index")
def index(call: Call) -> dict[str, Any]:
    rows = call.tx.execute(select(AggregateRow).order_by(AggregateRow.id)).scalars()
    return {"aggregates": [_view(call, row)["aggregate"] for row in rows]}


@routes.post("/os-aggregates", rule=_RULE + "create", body=Create)
def create(call: Call, body: Create) -> dict[str, Any]:
    row = aggregates.create(call.tx, shapes.name(body.aggregate.name), body.aggregate.availability_zone)
    return _view(call, row, brief=True)


@routes.get(PATH, rule=_RULE + "show")
def show(call: Call) -> dict[str, Any]:
    return _view(call, _one(call))


@routes.put(PATH, rule=_RULE + "update", body=Update)
def update(call: Call, body: Update) -> dict[str, Any]:
    new = body.aggregate
    if new.name is UNSET and new.availability_zone is UNSET:
        raise BadRequest("Invalid input for field/attribute aggregate. Value: {}. {} does not have enough properties")
    row = _one(call)
    if new.availability_zone is not UNSET:
        aggregates.set_metadata(call.tx, row, {aggregates.ZONE: new.availability_zone})
    if new.name is not UNSET:
        aggregates.rename(call.tx, row, shapes.name(new.name))
    return _view(call, row)


@routes.delete(PATH, rule=_RULE + "delete", status=200)
def delete(call: Call) -> Reply:
    aggregates.delete(call.tx, _one(call))
    return Reply(status=200)


@routes.action(PATH + "/action", "add_host", _RULE + "add_host", body=Host, status=200)
def add_host(call: Call, body: Host) -> dict[str, Any]:
    row = _one(call)
    aggregates.add_host(call.tx, row, body.host)
    return _view(call, row)


@routes.action(PATH + "/action", "remove_host", _RULE + "remove_host", body=Host, status=200)
def remove_host(call: Call, body: Host) -> dict[str, Any]:
    row = _one(call)
    aggregates.remove_host(call.tx, row, body.host)
    return _view(call, row)


@routes.action(PATH + "/action", "set_metadata", _RULE + "set_metadata", body=Metadata, status=200)
def set_metadata(call: Call, body: Metadata) -> dict[str, Any]:
    row = _one(call)
    aggregates.set_metadata(call.tx, row, dict(body.metadata))
    return _view(call, row)


@routes.post(PATH + "/images", rule="compute:aggregates:images", body=Images, status=202, minimum=(2, 81))
def cache(call: Call, body: Images) -> None:
    """The aggregate's hosts fetch the images now, one after another; servers do not wait for them."""
    wanted = [uuid(image.id, "id") for image in body.cache]
    if len(set(wanted)) < len(wanted):
        raise BadRequest("Duplicate images in request")
    row = _one(call)
    found = [block_devices.image_facts(boot.find_image(call.tx, call.context, id)) for id in wanted]
    for host in row.hosts:
        cache_images.submit(call.tx, CacheArguments(host=host, images=found), resource=f"image-cache:{host}",
                            context=call.context)
