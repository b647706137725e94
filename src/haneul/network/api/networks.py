"""/networks."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field
from sqlalchemy import and_, not_, or_, select

from haneul.kernel.database import Transaction
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import access, networks, segments
from haneul.network.api import attributes, bodies, lists
from haneul.network.model import NetworkRow, SubnetRow

routes = Routes()
Name = Annotated[str, Meta(max_length=255)]
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
DnsName = Annotated[
    str, Meta(max_length=255, pattern=rf"\A({_LABEL}(\.{_LABEL})*\.?)?\Z")
]  # ends up in dnsmasq's files
Project = Annotated[str, Meta(max_length=255)]
READ_ONLY = frozenset(
    {
        "id",
        "status",
        "subnets",
        "created_at",
        "updated_at",
        "revision_number",
        "tags",
        "availability_zones",
        "ipv4_address_scope",
        "ipv6_address_scope",
        "project_id",
        "tenant_id",
        "l2_adjacency",
    }
)


class UpdateNetwork(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    admin_state_up: bool | UnsetType = UNSET
    shared: bool | UnsetType = UNSET
    external: bool | UnsetType = field(default=UNSET, name="router:external")
    is_default: bool | UnsetType = UNSET
    port_security_enabled: bool | UnsetType = UNSET
    mtu: Annotated[int, Meta(ge=0, le=65535)] | None | UnsetType = UNSET
    dns_domain: DnsName | UnsetType = UNSET
    qos_policy_id: str | None | UnsetType = UNSET
    network_type: str | None | UnsetType = field(default=UNSET, name="provider:network_type")
    physical_network: str | None | UnsetType = field(default=UNSET, name="provider:physical_network")
    segmentation_id: int | None | UnsetType = field(default=UNSET, name="provider:segmentation_id")


class CreateNetwork(UpdateNetwork, kw_only=True, forbid_unknown_fields=True):
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET
    availability_zone_hints: list[str] | UnsetType = UNSET
    vlan_transparent: bool | None | UnsetType = UNSET


_COLUMNS = {
    name: name
    for name in (
        "name",
        "description",
        "admin_state_up",
        "is_default",
        "port_security_enabled",
        "dns_domain",
        "qos_policy_id",
        "shared",
        "external",
        "mtu",
    )
}


def view(tx: Transaction, rows: list[NetworkRow]) -> list[dict[str, Any]]:
    subnets = networks.subnet_ids(tx, [row.id for row in rows]) if rows else {}
    scopes = networks.address_scopes(tx, [row.id for row in rows]) if any(subnets.values()) else {}
    return [
        {
            **attributes.standard(row),
            "status": "ACTIVE",
            "admin_state_up": row.admin_state_up,
            "shared": row.shared,
            "router:external": row.external,
            **({"is_default": row.is_default} if row.external else {}),
            "subnets": subnets[row.id],
            "l2_adjacency": True,  # one segment
            "mtu": row.mtu,
            "port_security_enabled": row.port_security_enabled,
            "availability_zone_hints": row.availability_zone_hints,
            "availability_zones": ["nova"],
            "dns_domain": row.dns_domain,
            "qos_policy_id": row.qos_policy_id,
            "vlan_transparent": row.vlan_transparent,
            "ipv4_address_scope": scopes.get((row.id, 4)),
            "ipv6_address_scope": scopes.get((row.id, 6)),
            "provider:network_type": row.type,
            "provider:physical_network": row.physical_network,
            "provider:segmentation_id": row.segmentation_id,
        }
        for row in rows
    ]


def _flag(column: Any, name: str) -> lists.Filter:
    return lambda values: column.in_([paging.flag(value, name) for value in values])


LISTING = lists.Listing(
    resource="network",
    plural="networks",
    model=NetworkRow,
    visible=access.networks,
    view=view,
    columns={
        **lists.standard_columns(NetworkRow),
        "admin_state_up": NetworkRow.admin_state_up,
        "mtu": NetworkRow.mtu,
        "is_default": NetworkRow.is_default,
        "port_security_enabled": NetworkRow.port_security_enabled,
        "provider:network_type": NetworkRow.type,
        "provider:physical_network": NetworkRow.physical_network,
        "provider:segmentation_id": NetworkRow.segmentation_id,
        "shared": NetworkRow.shared,
        "qos_policy_id": NetworkRow.qos_policy_id,
        "vlan_transparent": NetworkRow.vlan_transparent,
    },
    filters={
        "router:external": _flag(NetworkRow.external, "router:external"),
        "status": lambda values: NetworkRow.id.is_not(None) if "ACTIVE" in values else NetworkRow.id.is_(None),
        "subnets": lambda values: NetworkRow.id.in_(select(SubnetRow.network_id).where(SubnetRow.id.in_(values))),
    },
)


def _one(call: Call, row: NetworkRow) -> dict[str, Any]:
    return {"network": attributes.shown(call, "network", view(call.tx, [row]))[0]}


def loaded(call: Call) -> NetworkRow:
    return networks.get(call.tx, call.context, call.values["network_id"])


@routes.get("/networks", rule="get_network")
def index(call: Call) -> dict[str, Any]:
    shared = call.argument("shared")
    if shared is not None and not access.sees_all(call.context):  # "shared" for a project means: with this project
        seen = access.shared_with(call.context, "access_as_shared")
        condition = or_(
            NetworkRow.shared, and_(NetworkRow.id.in_(seen), NetworkRow.project_id != call.context.project_id)
        )
        listing = lists.Listing(
            resource="network",
            plural="networks",
            model=NetworkRow,
            visible=access.networks,
            view=view,
            columns=LISTING.columns,
            filters={
                **LISTING.filters,
                "shared": lambda values: condition if paging.flag(values[-1]) else not_(condition),
            },
        )
        return lists.answer(call, listing)
    return lists.answer(call, LISTING)


@routes.get("/networks/{network_id}", rule="get_network")
def show(call: Call) -> dict[str, Any]:
    return _one(call, loaded(call))


@routes.post("/networks", rule="create_network", body=bodies.Body, status=201)
def create(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "network", "networks", CreateNetwork, read_only=READ_ONLY)
    rows = [_create(call, new) for new in wanted]
    return {"networks": attributes.shown(call, "network", view(call.tx, rows))} if bulk else _one(call, rows[0])


def _create(call: Call, new: CreateNetwork) -> NetworkRow:
    project = access.owner(call.context, new.project_id or new.tenant_id or None)
    target = {"project_id": project}
    attributes.require(call, "create_network", target)
    attributes.check(call, "create_network", new, target)
    values = attributes.columns(
        new, {**_COLUMNS, "availability_zone_hints": "availability_zone_hints", "vlan_transparent": "vlan_transparent"}
    )
    segment = segments.Wanted(
        new.network_type or None,
        new.physical_network or None,
        None if new.segmentation_id is UNSET else new.segmentation_id,
    )
    return networks.create(call.tx, call.context, project_id=project, segment=segment, **values)


@routes.put("/networks/{network_id}", rule="update_network", target=loaded, body=bodies.Body)
def update(call: Call, row: NetworkRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(body, "network", UpdateNetwork, read_only=READ_ONLY)
    attributes.constrain(call, row)
    attributes.check(call, "update_network", new, {"project_id": row.project_id})
    if new.network_type is not UNSET or new.physical_network is not UNSET:
        from haneul.network.errors import InvalidInput

        raise InvalidInput("Plugin does not support updating provider attributes")
    if new.segmentation_id is not UNSET and new.segmentation_id != row.segmentation_id:
        row.segmentation_id = segments.allocate(
            call.tx, segments.Wanted(row.type, row.physical_network, new.segmentation_id)
        ).segmentation_id
    return _one(call, networks.update(call.tx, call.context, row, attributes.columns(new, _COLUMNS)))


@routes.delete("/networks/{network_id}", rule="delete_network", target=loaded)
def delete(call: Call, row: NetworkRow) -> None:
    attributes.constrain(call, row)
    networks.delete(call.tx, row)
