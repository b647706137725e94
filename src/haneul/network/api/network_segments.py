"""/segments."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import select, true

from haneul.kernel.database import Transaction
from haneul.kernel.errors import Conflict
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import network_segments, networks
from haneul.network.api import attributes, bodies, lists
from haneul.network.api.networks import Name, Project
from haneul.network.model import NetworkRow
from haneul.network.model_services import SegmentRow

routes = Routes()
PATH = "/segments/{segment_id}"
READ_ONLY = frozenset(
    {"id", "network_id", "network_type", "physical_network", "segmentation_id", "created_at", "updated_at"}
    | {"revision_number", "project_id", "tenant_id"}
)


class UpdateSegment(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | None | UnsetType = UNSET
    description: Name | UnsetType = UNSET


class CreateSegment(UpdateSegment, kw_only=True, forbid_unknown_fields=True):
    network_id: str
    network_type: Annotated[str, Meta(max_length=32)]
    physical_network: str | None | UnsetType = UNSET
    segmentation_id: int | None | UnsetType = UNSET
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


def view(tx: Transaction, rows: list[SegmentRow]) -> list[dict[str, Any]]:
    made_of = {
        id: (kind, physical, number)
        for id, kind, physical, number in tx.execute(
            select(
                NetworkRow.id, NetworkRow.type, NetworkRow.physical_network, NetworkRow.segmentation_id
            ).where(NetworkRow.id.in_([row.network_id for row in rows]))
        )
    }
    found = []
    for row in rows:
        kind, physical, number = made_of[row.network_id]
        entry = {
            **attributes.standard(row),
            "network_id": row.network_id,
            "network_type": kind,
            "physical_network": physical,
            "segmentation_id": number,
        }
        for hidden in ("project_id", "tenant_id", "tags"):
            del entry[hidden]
        found.append(entry)
    return found


def _network(column: Any) -> lists.Filter:
    return lambda values: SegmentRow.network_id.in_(select(NetworkRow.id).where(column.in_(values)))


LISTING = lists.Listing(
    resource="segment",
    plural="segments",
    model=SegmentRow,
    view=view,
    visible=lambda context: true(),
    columns={**lists.standard_columns(SegmentRow), "network_id": SegmentRow.network_id},
    filters={
        "network_type": _network(NetworkRow.type),
        "physical_network": _network(NetworkRow.physical_network),
        "segmentation_id": lambda values: SegmentRow.network_id.in_(
            select(NetworkRow.id).where(
                NetworkRow.segmentation_id.in_([int(value) for value in values if value.isdecimal() and len(value) < 9])
            )
        ),
    },
)


def _one(call: Call, row: SegmentRow) -> dict[str, Any]:
    return {"segment": attributes.shown(call, "segment", view(call.tx, [row]))[0]}


@routes.get("/segments", rule="get_extension")
def index(call: Call) -> dict[str, Any]:
    """What the caller may not see is left out, which is all or nothing."""
    return lists.answer(call, LISTING) if call.allows("get_segment") else {"segments": []}


@routes.get(PATH, rule="get_segment")
def show(call: Call) -> dict[str, Any]:
    return _one(call, network_segments.get(call.tx, call.values["segment_id"]))


@routes.post("/segments", rule="create_segment", body=bodies.Body, status=201)
def create(call: Call, body: bodies.Body) -> dict[str, Any]:
    (new, *_), _ = bodies.some(body, "segment", "segments", CreateSegment)
    network = networks.get(call.tx, call.context, new.network_id)
    raise Conflict(f"Network {network.id} has its segment, and networks of this cloud have one.", type="SegmentExists")


@routes.put(PATH, rule="update_segment", body=bodies.Body)
def update(call: Call, body: bodies.Body) -> dict[str, Any]:
    row = network_segments.get(call.tx, call.values["segment_id"])
    new = bodies.one(body, "segment", UpdateSegment, read_only=READ_ONLY)
    attributes.constrain(call, row)
    values = attributes.columns(new, {"name": "name", "description": "description"})
    if "name" in values:
        values["name"] = values["name"] or ""
    return _one(call, network_segments.update(call.tx, row, values))


@routes.delete(PATH, rule="delete_segment")
def delete(call: Call) -> None:
    row = network_segments.get(call.tx, call.values["segment_id"])
    raise Conflict(f"Segment '{row.id}' cannot be deleted: it is the one of network {row.network_id}.", type="SegmentInUse")
