"""/subnetpools and /address-scopes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from haneul.kernel.database import Transaction
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import access, subnet_pools
from haneul.network.api import attributes, bodies, lists
from haneul.network.api.networks import Name, Project
from haneul.network.model import AddressScopeRow, SubnetPoolRow

routes = Routes()
Length = Annotated[int, Meta(ge=0, le=128)]
READ_ONLY = frozenset(
    {"id", "ip_version", "created_at", "updated_at", "revision_number", "tags", "shared", "project_id", "tenant_id"}
)


class UpdatePool(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    prefixes: list[str] | UnsetType = UNSET
    default_prefixlen: Length | UnsetType = UNSET
    min_prefixlen: Length | UnsetType = UNSET
    max_prefixlen: Length | UnsetType = UNSET
    default_quota: Annotated[int, Meta(ge=0)] | None | UnsetType = UNSET
    address_scope_id: str | None | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET


class CreatePool(UpdatePool, kw_only=True, forbid_unknown_fields=True):
    name: Name
    prefixes: list[str]
    shared: bool | UnsetType = UNSET
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


class Prefixes(Struct, kw_only=True, forbid_unknown_fields=True):
    prefixes: list[str]


class UpdateScope(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    shared: bool | UnsetType = UNSET


class CreateScope(UpdateScope, kw_only=True, forbid_unknown_fields=True):
    ip_version: Literal[4, 6]
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


_COLUMNS = {
    name: name
    for name in (
        "name",
        "description",
        "default_prefixlen",
        "min_prefixlen",
        "max_prefixlen",
        "default_quota",
        "address_scope_id",
        "is_default",
        "prefixes",
    )
}


def view(tx: Transaction, rows: list[SubnetPoolRow]) -> list[dict[str, Any]]:
    return [
        {
            **attributes.standard(row),
            "prefixes": row.prefixes,
            "ip_version": row.ip_version,
            "shared": row.shared,
            "default_prefixlen": str(row.default_prefixlen),  # words in Neutron's answers, though numbers in requests
            "min_prefixlen": str(row.min_prefixlen),
            "max_prefixlen": str(row.max_prefixlen),
            "default_quota": row.default_quota,
            "address_scope_id": row.address_scope_id,
            "is_default": row.is_default,
        }
        for row in rows
    ]


def scope_view(tx: Transaction, rows: list[AddressScopeRow]) -> list[dict[str, Any]]:
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "shared": row.shared,
            "ip_version": row.ip_version,
        }
        for row in rows
    ]


POOLS = lists.Listing(
    resource="subnetpool",
    plural="subnetpools",
    model=SubnetPoolRow,
    view=view,
    visible=lambda context: access.shareable(SubnetPoolRow, context),
    columns={
        **lists.standard_columns(SubnetPoolRow),
        **{
            name: getattr(SubnetPoolRow, name)
            for name in (
                "ip_version",
                "shared",
                "default_prefixlen",
                "min_prefixlen",
                "max_prefixlen",
                "address_scope_id",
                "is_default",
                "default_quota",
            )
        },
    },
)
SCOPES = lists.Listing(
    resource="address_scope",
    plural="address_scopes",
    model=AddressScopeRow,
    view=scope_view,
    visible=lambda context: access.shareable(AddressScopeRow, context),
    columns={name: getattr(AddressScopeRow, name) for name in ("id", "name", "project_id", "ip_version", "shared")}
    | {"tenant_id": AddressScopeRow.project_id},
)


def loaded(call: Call) -> SubnetPoolRow:
    return subnet_pools.get(call.tx, call.context, call.values["subnetpool_id"])


def loaded_scope(call: Call) -> AddressScopeRow:
    return subnet_pools.get_scope(call.tx, call.context, call.values["address_scope_id"])


def _one(call: Call, row: SubnetPoolRow) -> dict[str, Any]:
    return {"subnetpool": attributes.shown(call, "subnetpool", view(call.tx, [row]))[0]}


@routes.get("/subnetpools", rule="get_subnetpool")
def index(call: Call) -> dict[str, Any]:
    return lists.answer(call, POOLS)


@routes.get("/subnetpools/{subnetpool_id}", rule="get_subnetpool")
def show(call: Call) -> dict[str, Any]:
    return _one(call, loaded(call))


@routes.post("/subnetpools", rule="create_subnetpool", body=bodies.Body, status=201)
def create(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "subnetpool", "subnetpools", CreatePool, read_only=READ_ONLY - {"shared"})
    rows = []
    for new in wanted:
        attributes.uuid("address_scope_id", new.address_scope_id)
        project = access.owner(call.context, new.project_id or new.tenant_id or None)
        attributes.require(call, "create_subnetpool", {"project_id": project})
        attributes.check(call, "create_subnetpool", new, {"project_id": project})
        values = attributes.columns(new, {**_COLUMNS, "shared": "shared"})
        rows.append(
            subnet_pools.create(
                call.tx, call.context, project_id=project, prefixes=values.pop("prefixes"), values=values
            )
        )
    return {"subnetpools": view(call.tx, rows)} if bulk else _one(call, rows[0])


@routes.put("/subnetpools/{subnetpool_id}", rule="update_subnetpool", target=loaded, body=bodies.Body)
def update(call: Call, row: SubnetPoolRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(body, "subnetpool", UpdatePool, read_only=READ_ONLY)
    attributes.uuid("address_scope_id", new.address_scope_id)
    attributes.constrain(call, row)
    attributes.check(call, "update_subnetpool", new, {"project_id": row.project_id})
    return _one(call, subnet_pools.update(call.tx, call.context, row, attributes.columns(new, _COLUMNS)))


@routes.delete("/subnetpools/{subnetpool_id}", rule="delete_subnetpool", target=loaded)
def delete(call: Call, row: SubnetPoolRow) -> None:
    subnet_pools.delete(call.tx, row)


@routes.put("/subnetpools/{subnetpool_id}/add_prefixes", rule="add_prefixes", target=loaded, body=bodies.Body)
def add_prefixes(call: Call, row: SubnetPoolRow, body: bodies.Body) -> dict[str, Any]:
    return {"prefixes": subnet_pools.add_prefixes(call.tx, row, bodies.plain(body, Prefixes).prefixes)}


@routes.put("/subnetpools/{subnetpool_id}/remove_prefixes", rule="remove_prefixes", target=loaded, body=bodies.Body)
def remove_prefixes(call: Call, row: SubnetPoolRow, body: bodies.Body) -> dict[str, Any]:
    return {"prefixes": subnet_pools.remove_prefixes(call.tx, row, bodies.plain(body, Prefixes).prefixes)}


@routes.get("/address-scopes", rule="get_address_scope")
def scopes(call: Call) -> dict[str, Any]:
    return lists.answer(call, SCOPES)


@routes.get("/address-scopes/{address_scope_id}", rule="get_address_scope")
def show_scope(call: Call) -> dict[str, Any]:
    return {"address_scope": attributes.shown(call, "address_scope", scope_view(call.tx, [loaded_scope(call)]))[0]}


@routes.post("/address-scopes", rule="create_address_scope", body=bodies.Body, status=201)
def create_scope(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "address_scope", "address_scopes", CreateScope)
    rows = []
    for new in wanted:
        project = access.owner(call.context, new.project_id or new.tenant_id or None)
        attributes.require(call, "create_address_scope", {"project_id": project})
        attributes.check(call, "create_address_scope", new, {"project_id": project})
        rows.append(
            AddressScopeRow(
                project_id=project, **attributes.columns(new, {name: name for name in ("name", "shared", "ip_version")})
            )
        )
    call.tx.add_all(rows)
    call.tx.flush()
    views = scope_view(call.tx, rows)
    return {"address_scopes": views} if bulk else {"address_scope": views[0]}


@routes.put("/address-scopes/{address_scope_id}", rule="update_address_scope", target=loaded_scope, body=bodies.Body)
def update_scope(call: Call, row: AddressScopeRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(body, "address_scope", UpdateScope, read_only=READ_ONLY)
    attributes.check(call, "update_address_scope", new, {"project_id": row.project_id})
    if row.shared and new.shared is False:
        from haneul.kernel.errors import BadRequest

        raise BadRequest(
            "Unable to update address scope: Shared address scope can't be unshared.", type="AddressScopeUpdateError"
        )
    for key, value in attributes.columns(new, {"name": "name", "shared": "shared"}).items():
        setattr(row, key, value)
    row.touch()
    return {"address_scope": scope_view(call.tx, [row])[0]}


@routes.delete("/address-scopes/{address_scope_id}", rule="delete_address_scope", target=loaded_scope)
def delete_scope(call: Call, row: AddressScopeRow) -> None:
    subnet_pools.delete_scope(call.tx, row)
