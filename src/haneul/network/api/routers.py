"""/routers."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import select

from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import access, routers
from haneul.network.addresses import Wish
from haneul.network.api import attributes, bodies, lists
from haneul.network.api.networks import Name, Project
from haneul.network.api.ports import FixedIp
from haneul.network.api.subnets import Route
from haneul.network.model import PortRow, RouterRow

routes = Routes()
READ_ONLY = frozenset(
    {
        "id",
        "status",
        "created_at",
        "updated_at",
        "revision_number",
        "tags",
        "availability_zones",
        "project_id",
        "tenant_id",
    }
)


class GatewayInfo(Struct, forbid_unknown_fields=True):
    network_id: str | UnsetType = UNSET
    enable_snat: bool | UnsetType = UNSET
    external_fixed_ips: list[FixedIp] | UnsetType = UNSET
    qos_policy_id: str | None | UnsetType = UNSET


class CreateRouter(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    admin_state_up: bool | UnsetType = UNSET
    external_gateway_info: GatewayInfo | None | UnsetType = UNSET
    distributed: bool | None | UnsetType = UNSET
    ha: bool | None | UnsetType = UNSET
    flavor_id: str | None | UnsetType = UNSET
    availability_zone_hints: list[str] | UnsetType = UNSET
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


class UpdateRouter(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    admin_state_up: bool | UnsetType = UNSET
    external_gateway_info: GatewayInfo | None | UnsetType = UNSET
    distributed: bool | None | UnsetType = UNSET
    ha: bool | None | UnsetType = UNSET
    routes: list[Route] | None | UnsetType = UNSET


class Interface(Struct, kw_only=True, forbid_unknown_fields=True):
    subnet_id: str | UnsetType = UNSET
    port_id: str | UnsetType = UNSET


class Extra(Struct, kw_only=True, forbid_unknown_fields=True):
    routes: list[Route]


def view(tx: Transaction, rows: list[RouterRow]) -> list[dict[str, Any]]:
    gateways = (
        {
            port.id: port
            for port in tx.execute(
                select(PortRow).where(PortRow.id.in_([row.gateway_port_id for row in rows if row.gateway_port_id]))
            ).scalars()
        }
        if any(row.gateway_port_id for row in rows)
        else {}
    )
    return [
        {
            **attributes.standard(row),
            "status": "ACTIVE",
            "admin_state_up": row.admin_state_up,
            "external_gateway_info": _gateway(row, gateways.get(row.gateway_port_id or "")),
            "routes": row.routes,
            "distributed": False,
            "ha": False,
            "flavor_id": row.flavor_id,
            "availability_zone_hints": row.availability_zone_hints,
            "availability_zones": ["nova"] if row.host else [],
        }
        for row in rows
    ]


def _gateway(row: RouterRow, port: PortRow | None) -> dict[str, Any] | None:
    if port is None:
        return None
    return {
        "network_id": row.gateway_network_id,
        "enable_snat": row.enable_snat,
        "external_fixed_ips": port.fixed_ips,
        "qos_policy_id": row.gateway_qos_policy_id,
    }


LISTING = lists.Listing(
    resource="router",
    plural="routers",
    model=RouterRow,
    visible=lambda context: access.owned(RouterRow, context),
    view=view,
    columns={
        **lists.standard_columns(RouterRow),
        "admin_state_up": RouterRow.admin_state_up,
        "flavor_id": RouterRow.flavor_id,
    },
    filters={
        "status": lambda values: RouterRow.id.is_not(None) if "ACTIVE" in values else RouterRow.id.is_(None),
        "external_gateway_info": lambda values: RouterRow.gateway_network_id.in_(
            [value.partition("=")[2] for value in values if value.startswith("network_id=")]
        ),
    },
)


def _one(call: Call, row: RouterRow) -> dict[str, Any]:
    return {"router": attributes.shown(call, "router", view(call.tx, [row]))[0]}


def loaded(call: Call) -> RouterRow:
    return routers.get(call.tx, call.context, call.values["router_id"])


def _wanted(info: GatewayInfo | None, row: RouterRow | None) -> routers.Gateway | None:
    """An empty object takes the gateway away; one without a network means the network that it has."""
    if info is None or (
        info.network_id is UNSET
        and info.enable_snat is UNSET
        and info.external_fixed_ips is UNSET
        and info.qos_policy_id is UNSET
    ):
        return None
    network = info.network_id if info.network_id is not UNSET else row.gateway_network_id if row else None
    if network is None:
        raise BadRequest("Bad router request: network_id must be specified.", type="BadRequest")
    return routers.Gateway(
        network_id=network,
        enable_snat=info.enable_snat,
        qos_policy_id=info.qos_policy_id,
        external_fixed_ips=UNSET
        if info.external_fixed_ips is UNSET
        else [Wish(entry.subnet_id or None, entry.ip_address or None) for entry in info.external_fixed_ips],
    )


def _refuse_kinds(new: CreateRouter | UpdateRouter) -> None:
    if new.distributed is True or new.ha is True:
        raise BadRequest(
            "Bad router request: distributed and highly available routers are not supported.", type="BadRequest"
        )


@routes.get("/routers", rule="get_router")
def index(call: Call) -> dict[str, Any]:
    return lists.answer(call, LISTING)


@routes.get("/routers/{router_id}", rule="get_router")
def show(call: Call) -> dict[str, Any]:
    return _one(call, loaded(call))


@routes.post("/routers", rule="create_router", body=bodies.Body, status=201)
def create(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "router", "routers", CreateRouter, read_only=READ_ONLY)
    rows = [_create(call, new) for new in wanted]
    return {"routers": attributes.shown(call, "router", view(call.tx, rows))} if bulk else _one(call, rows[0])


def _create(call: Call, new: CreateRouter) -> RouterRow:
    project = access.owner(call.context, new.project_id or new.tenant_id or None)
    target = {"project_id": project}
    attributes.require(call, "create_router", target)
    attributes.check(call, "create_router", new, target)
    _refuse_kinds(new)
    gateway = _wanted(new.external_gateway_info, None) if new.external_gateway_info else None
    return routers.create(
        call.tx,
        call.context,
        project_id=project,
        gateway=gateway,
        **attributes.columns(
            new,
            {name: name for name in ("name", "description", "admin_state_up", "availability_zone_hints", "flavor_id")},
        ),
    )


@routes.put("/routers/{router_id}", rule="update_router", target=loaded, body=bodies.Body)
def update(call: Call, row: RouterRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(body, "router", UpdateRouter, read_only=READ_ONLY)
    attributes.constrain(call, row)
    attributes.check(call, "update_router", new, {"project_id": row.project_id})
    _refuse_kinds(new)
    values = attributes.columns(new, {name: name for name in ("name", "description", "admin_state_up")})
    if new.routes is not UNSET:
        values["routes"] = _plain(new.routes or [])
    gateway = UNSET if new.external_gateway_info is UNSET else _wanted(new.external_gateway_info, row)
    return _one(call, routers.update(call.tx, call.context, row, values, gateway))


def _plain(wanted: list[Route]) -> list[dict[str, str]]:
    return [{"destination": route.destination, "nexthop": route.nexthop} for route in wanted]


@routes.delete("/routers/{router_id}", rule="delete_router", target=loaded)
def delete(call: Call, row: RouterRow) -> None:
    attributes.constrain(call, row)
    routers.delete(call.tx, row)


def _changed(row: RouterRow, port: PortRow, subnet_ids: list[str]) -> dict[str, Any]:
    return {
        "id": row.id,
        "project_id": row.project_id,
        "tenant_id": row.project_id,
        "port_id": port.id,
        "network_id": port.network_id,
        "subnet_id": subnet_ids[0],
        "subnet_ids": subnet_ids,
        "tags": row.tags,
    }


@routes.put("/routers/{router_id}/add_router_interface", rule="add_router_interface", target=loaded, body=bodies.Body)
def add_interface(call: Call, row: RouterRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.plain(body, Interface)
    attributes.uuid("subnet_id", new.subnet_id)
    attributes.uuid("port_id", new.port_id)
    return _changed(
        row,
        *routers.add_interface(
            call.tx, call.context, row, subnet_id=new.subnet_id or None, port_id=new.port_id or None
        ),
    )


@routes.put(
    "/routers/{router_id}/remove_router_interface", rule="remove_router_interface", target=loaded, body=bodies.Body
)
def remove_interface(call: Call, row: RouterRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.plain(body, Interface)
    return _changed(
        row,
        *routers.remove_interface(
            call.tx, call.context, row, subnet_id=new.subnet_id or None, port_id=new.port_id or None
        ),
    )


@routes.put("/routers/{router_id}/add_extraroutes", rule="add_extraroutes", target=loaded, body=bodies.Body)
def add_extraroutes(call: Call, row: RouterRow, body: bodies.Body) -> dict[str, Any]:
    wanted = _plain(bodies.one(body, "router", Extra).routes)
    return _one(call, routers.add_routes(call.tx, call.context, row, wanted))


@routes.put("/routers/{router_id}/remove_extraroutes", rule="remove_extraroutes", target=loaded, body=bodies.Body)
def remove_extraroutes(call: Call, row: RouterRow, body: bodies.Body) -> dict[str, Any]:
    gone = _plain(bodies.one(body, "router", Extra).routes)
    return _one(call, routers.remove_routes(call.tx, call.context, row, gone))
