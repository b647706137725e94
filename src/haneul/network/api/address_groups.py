"""/address-groups."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from haneul.kernel.database import Transaction
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import access, address_groups
from haneul.network.api import attributes, bodies, lists
from haneul.network.api.networks import Name, Project
from haneul.network.model_services import AddressGroupRow

routes = Routes()
PATH = "/address-groups/{address_group_id}"
READ_ONLY = frozenset({"id", "shared", "addresses", "project_id", "tenant_id"})


class UpdateAddressGroup(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET


class CreateAddressGroup(UpdateAddressGroup, kw_only=True, forbid_unknown_fields=True):
    addresses: list[str] | None | UnsetType = UNSET
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


class Addresses(Struct, forbid_unknown_fields=True):
    addresses: list[str]


def view(tx: Transaction, rows: list[AddressGroupRow]) -> list[dict[str, Any]]:
    return [
        {
            "id": row.id,
            "name": row.name,
            "description": row.description,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "addresses": row.addresses,
        }
        for row in rows
    ]


LISTING = lists.Listing(
    resource="address_group",
    plural="address_groups",
    model=AddressGroupRow,
    view=view,
    visible=lambda context: access.shareable(AddressGroupRow, context),
    columns={
        **{name: getattr(AddressGroupRow, name) for name in ("id", "name", "description", "project_id", "shared")},
        "tenant_id": AddressGroupRow.project_id,
    },
)


def _one(call: Call, row: AddressGroupRow) -> dict[str, Any]:
    return {"address_group": attributes.shown(call, "address_group", view(call.tx, [row]))[0]}


def loaded(call: Call) -> AddressGroupRow:
    return address_groups.owned(call.tx, call.context, call.values["address_group_id"])


@routes.get("/address-groups", rule="get_address_group")
def index(call: Call) -> dict[str, Any]:
    return lists.answer(call, LISTING)


@routes.get(PATH, rule="get_address_group")
def show(call: Call) -> dict[str, Any]:
    return _one(call, address_groups.get(call.tx, call.context, call.values["address_group_id"]))


@routes.post("/address-groups", rule="create_address_group", body=bodies.Body, status=201)
def create(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "address_group", "address_groups", CreateAddressGroup)
    rows = []
    for new in wanted:
        project = access.owner(call.context, new.project_id or new.tenant_id or None)
        attributes.require(call, "create_address_group", {"project_id": project})
        named = attributes.columns(new, {"name": "name", "description": "description"})
        rows.append(address_groups.create(call.tx, project_id=project, addresses=new.addresses or [], **named))
    return {"address_groups": view(call.tx, rows)} if bulk else _one(call, rows[0])


@routes.put(PATH, rule="update_address_group", target=loaded, body=bodies.Body)
def update(call: Call, row: AddressGroupRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(body, "address_group", UpdateAddressGroup, read_only=READ_ONLY)
    values = attributes.columns(new, {"name": "name", "description": "description"})
    return _one(call, address_groups.update(call.tx, row, values))


@routes.delete(PATH, rule="delete_address_group", target=loaded)
def delete(call: Call, row: AddressGroupRow) -> None:
    address_groups.delete(call.tx, row)


@routes.put(PATH + "/add_addresses", rule="add_addresses", target=loaded, body=bodies.Body)
def add(call: Call, row: AddressGroupRow, body: bodies.Body) -> dict[str, Any]:
    return _one(call, address_groups.add(call.tx, row, _addresses(body)))


@routes.put(PATH + "/remove_addresses", rule="remove_addresses", target=loaded, body=bodies.Body)
def remove(call: Call, row: AddressGroupRow, body: bodies.Body) -> dict[str, Any]:
    return _one(call, address_groups.remove(call.tx, row, _addresses(body)))


def _addresses(body: bodies.Body) -> list[str]:
    """As `{"addresses": [...]}`, which clients send, or under the resource's name."""
    inner = body.get("address_group")
    return bodies.plain(inner if isinstance(inner, dict) else body, Addresses).addresses
