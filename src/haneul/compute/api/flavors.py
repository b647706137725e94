"""/flavors: list, show, create, update, delete."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType, field

from haneul.compute import flavors
from haneul.compute.api import shapes
from haneul.compute.api.shapes import Body, Boolean, Name, Number, Positive
from haneul.compute.model import FlavorRow
from haneul.compute.problems import MarkerNotFound
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes

routes = Routes()
_KEYS = {"limit", "marker", "is_public", "minRam", "minDisk", "sort_key", "sort_dir"}
_SORTS = {"created_at": FlavorRow.created_at, "description": FlavorRow.description, "disabled": FlavorRow.disabled,
          "ephemeral_gb": FlavorRow.ephemeral, "flavorid": FlavorRow.id, "id": FlavorRow.seq, "is_public": FlavorRow.is_public,
          "memory_mb": FlavorRow.ram, "name": FlavorRow.name, "root_gb": FlavorRow.disk, "rxtx_factor": FlavorRow.rxtx_factor,
          "swap": FlavorRow.swap, "updated_at": FlavorRow.updated_at, "vcpu_weight": FlavorRow.vcpus, "vcpus": FlavorRow.vcpus}


class NewFlavor(Body):
    name: Name
    ram: Positive
    vcpus: Positive
    disk: Number
    id: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^(?! )[a-zA-Z0-9. _-]+(?<! )$")] | int | None = None
    ephemeral: Number = field(name="OS-FLV-EXT-DATA:ephemeral", default=0)
    swap: Number = 0
    rxtx_factor: Annotated[float, Meta(gt=0, le=3.40282e38)] | Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?$")] \
        | UnsetType = UNSET
    is_public: Boolean = field(name="os-flavor-access:is_public", default=True)


class NewFlavor255(NewFlavor):
    description: Annotated[str, Meta(max_length=65535)] | None = None


class Create(Body):
    flavor: NewFlavor


class Create255(Body):
    flavor: NewFlavor255


class Changes(Body):
    description: Annotated[str, Meta(max_length=65535)] | None


class Update(Body):
    flavor: Changes


def target(call: Call) -> FlavorRow:
    return flavors.get(call.tx, call.context, call.values["flavor_id"])


def _policy_only(call: Call) -> dict[str, Any]:
    return {"project_id": call.context.project_id}


def basic(call: Call, row: FlavorRow) -> dict[str, Any]:
    found: dict[str, Any] = {"id": row.id, "name": row.name, "links": shapes.links(call, "flavors", row.id)}
    if call.version >= (2, 55):
        found["description"] = row.description
    return found


def view(call: Call, row: FlavorRow, specs: bool | None = None) -> dict[str, Any]:
    """`specs`: whether the caller may see extra specs, if that is known already."""
    found = {"id": row.id, "name": row.name, "ram": row.ram, "disk": row.disk,
             "swap": row.swap or (0 if call.version >= (2, 75) else ""), "OS-FLV-EXT-DATA:ephemeral": row.ephemeral,
             "vcpus": row.vcpus, "os-flavor-access:is_public": row.is_public, "links": shapes.links(call, "flavors", row.id)}
    if call.version < (2, 102):
        found.update({"OS-FLV-DISABLED:disabled": row.disabled, "rxtx_factor": row.rxtx_factor or ""})
    if call.version >= (2, 55):
        found["description"] = row.description
    if call.version >= (2, 61) and (specs if specs is not None else call.allows("os_compute_api:os-flavor-extra-specs:index")):
        found["extra_specs"] = row.extra_specs
    return found


def _page(call: Call) -> tuple[list[FlavorRow], int]:
    shapes.only(call, _KEYS | {"name"} if call.version >= (2, 102) else _KEYS)
    query = flavors.visible(call.context)
    if call.context.is_admin:
        asked = call.argument("is_public")
        if asked is None:
            query = query.where(FlavorRow.is_public.is_(True))
        elif asked.lower() != "none":
            try:
                query = query.where(FlavorRow.is_public.is_(paging.flag(asked)))
            except BadRequest:
                raise BadRequest(f"Invalid is_public filter [{asked[:64]}]")
    for key, column in (("minRam", FlavorRow.ram), ("minDisk", FlavorRow.disk)):
        text = call.argument(key)
        if text is not None:
            if not text.lstrip("-").isdigit() or len(text) > 12:
                raise BadRequest(f"Invalid {key} filter [{text[:64]}]")
            query = query.where(column >= int(text))
    name = call.argument("name") if call.version >= (2, 102) else None
    if name is not None:
        query = query.where(FlavorRow.name == name)
    key, direction = call.argument("sort_key") or "flavorid", call.argument("sort_dir") or "asc"
    if key not in _SORTS or (key == "rxtx_factor" and call.version >= (2, 102)) or direction not in ("asc", "desc"):
        raise BadRequest(f"Invalid input for query parameters sort_key, sort_dir. Value: {key[:64]}, {direction[:16]}")
    limit, after = paging.limit_of(call), None
    marker = call.argument("marker")
    columns = {"sort": _SORTS[key], "seq": FlavorRow.seq}
    if marker is not None:
        row = call.tx.execute(flavors.visible(call.context).where(FlavorRow.id == marker)).scalar_one_or_none()
        if row is None:
            raise MarkerNotFound(marker)
        after = _Marker(getattr(row, _SORTS[key].key), row.seq)
    sort: paging.Sort = [("sort", "asc" if direction == "asc" else "desc"), ("seq", "asc")]
    return list(call.tx.execute(paging.order(query, columns, sort, after).limit(limit)).scalars()), limit


class _Marker:
    def __init__(self, sort: Any, seq: int) -> None:
        self.sort, self.seq = sort, seq


def _list(call: Call, rows: list[FlavorRow], limit: int, items: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {"flavors": items}
    more = shapes.next_links(call, len(rows), limit, rows[-1].id if rows else "")
    if more:
        found["flavors_links"] = more
    return found


@routes.get("/flavors", rule="os_compute_api:flavors")
def index(call: Call) -> dict[str, Any]:
    rows, limit = _page(call)
    return _list(call, rows, limit, [basic(call, row) for row in rows])


@routes.get("/flavors/detail", rule="os_compute_api:flavors")
def detail(call: Call) -> dict[str, Any]:
    rows, limit = _page(call)
    specs = call.version >= (2, 61) and call.allows("os_compute_api:os-flavor-extra-specs:index")
    return _list(call, rows, limit, [view(call, row, specs) for row in rows])


@routes.get("/flavors/{flavor_id}", rule="os_compute_api:flavors", target=target)
def show(call: Call, row: FlavorRow) -> dict[str, Any]:
    return {"flavor": view(call, row)}


@routes.post("/flavors", rule="os_compute_api:os-flavor-manage:create", body=[((2, 1), Create), ((2, 55), Create255)])
def create(call: Call, body: Create | Create255) -> dict[str, Any]:
    new = body.flavor
    if call.version >= (2, 102) and new.rxtx_factor is not UNSET:
        raise BadRequest("Invalid input for field/attribute flavor. Additional properties are not allowed ('rxtx_factor' was "
                         "unexpected)")
    factor = 1.0 if new.rxtx_factor is UNSET else float(new.rxtx_factor)
    if factor <= 0:
        raise BadRequest("Invalid input for field/attribute rxtx_factor: it must be larger than 0.")
    row = flavors.create(
        call.tx, id=None if new.id is None else str(new.id), name=shapes.name(new.name), ram=shapes.number(new.ram, "ram", 1),
        vcpus=shapes.number(new.vcpus, "vcpus", 1), disk=shapes.number(new.disk, "disk"),
        ephemeral=shapes.number(new.ephemeral, "ephemeral"), swap=shapes.number(new.swap, "swap"), rxtx_factor=factor,
        is_public=shapes.truth(new.is_public), description=getattr(new, "description", None))
    return {"flavor": view(call, row)}


@routes.put("/flavors/{flavor_id}", rule="os_compute_api:os-flavor-manage:update", target=target, body=Update, minimum=(2, 55))
def update(call: Call, row: FlavorRow, body: Update) -> dict[str, Any]:
    row.description = body.flavor.description
    return {"flavor": view(call, row)}


@routes.delete("/flavors/{flavor_id}", rule="os_compute_api:os-flavor-manage:delete", status=202)
def delete(call: Call) -> Reply:
    flavors.remove(call.tx, target(call))
    return Reply(status=202)
