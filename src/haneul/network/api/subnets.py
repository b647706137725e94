"""/subnets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from haneul.kernel.database import Transaction
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import access, networks, subnet_pools, subnets
from haneul.network.api import attributes, bodies, lists
from haneul.network.api.networks import Name, Project
from haneul.network.errors import BadAttribute, InvalidInput
from haneul.network.model import NetworkRow, SubnetRow

routes = Routes()
Mode = Literal["slaac", "dhcpv6-stateful", "dhcpv6-stateless"]
READ_ONLY = frozenset(
    {
        "id",
        "created_at",
        "updated_at",
        "revision_number",
        "tags",
        "network_id",
        "ip_version",
        "cidr",
        "subnetpool_id",
        "project_id",
        "tenant_id",
        "ipv6_ra_mode",
        "ipv6_address_mode",
    }
)


class Pool(Struct, forbid_unknown_fields=True):
    start: str
    end: str


class Route(Struct, forbid_unknown_fields=True):
    destination: str
    nexthop: str


class UpdateSubnet(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    gateway_ip: str | None | UnsetType = UNSET
    allocation_pools: list[Pool] | UnsetType = UNSET
    enable_dhcp: bool | UnsetType = UNSET
    dns_nameservers: list[str] | None | UnsetType = UNSET
    host_routes: list[Route] | None | UnsetType = UNSET
    service_types: list[Name] | UnsetType = UNSET
    dns_publish_fixed_ip: bool | UnsetType = UNSET


class CreateSubnet(UpdateSubnet, kw_only=True, forbid_unknown_fields=True):
    network_id: str
    ip_version: Literal[4, 6] | UnsetType = UNSET
    cidr: str | None | UnsetType = UNSET
    prefixlen: Annotated[int, Meta(ge=0, le=128)] | None | UnsetType = UNSET
    subnetpool_id: str | None | UnsetType = UNSET
    use_default_subnetpool: bool | UnsetType = UNSET
    ipv6_ra_mode: Mode | UnsetType = UNSET
    ipv6_address_mode: Mode | UnsetType = UNSET
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


def view(tx: Transaction, rows: list[SubnetRow]) -> list[dict[str, Any]]:
    return [
        {
            **attributes.standard(row),
            "network_id": row.network_id,
            "ip_version": row.ip_version,
            "cidr": row.cidr,
            "gateway_ip": row.gateway_ip,
            "enable_dhcp": row.enable_dhcp,
            "ipv6_ra_mode": row.ipv6_ra_mode,
            "ipv6_address_mode": row.ipv6_address_mode,
            "allocation_pools": row.allocation_pools,
            "dns_nameservers": row.dns_nameservers,
            "host_routes": row.host_routes,
            "service_types": row.service_types,
            "subnetpool_id": row.subnetpool_id,
            "dns_publish_fixed_ip": row.dns_publish_fixed_ip,
            "segment_id": None,  # a network's one segment is everywhere
        }
        for row in rows
    ]


LISTING = lists.Listing(
    resource="subnet",
    plural="subnets",
    model=SubnetRow,
    visible=access.subnets,
    view=view,
    columns={
        **lists.standard_columns(SubnetRow),
        **{
            name: getattr(SubnetRow, name)
            for name in (
                "network_id",
                "ip_version",
                "cidr",
                "gateway_ip",
                "enable_dhcp",
                "ipv6_ra_mode",
                "ipv6_address_mode",
                "subnetpool_id",
            )
        },
    },
    filters={"shared": lambda values: SubnetRow.network_id.in_(_shared(values))},
)


def _shared(values: list[str]) -> Any:
    from sqlalchemy import select

    from haneul.kernel.wire import paging

    return select(NetworkRow.id).where(NetworkRow.shared.in_([paging.flag(value) for value in values]))


def _one(call: Call, row: SubnetRow) -> dict[str, Any]:
    return {"subnet": attributes.shown(call, "subnet", view(call.tx, [row]))[0]}


def loaded(call: Call) -> SubnetRow:
    row = subnets.get(call.tx, call.context, call.values["subnet_id"])
    network = call.tx.get(NetworkRow, row.network_id)
    row.policy_target = {"project_id": row.project_id, "network:project_id": network.project_id if network else None}
    return row


@routes.get("/subnets", rule="get_subnet")
def index(call: Call) -> dict[str, Any]:
    return lists.answer(call, LISTING)


@routes.get("/subnets/{subnet_id}", rule="get_subnet")
def show(call: Call) -> dict[str, Any]:
    return _one(call, subnets.get(call.tx, call.context, call.values["subnet_id"]))


@routes.post("/subnets", rule="create_subnet", body=bodies.Body, status=201)
def create(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "subnet", "subnets", CreateSubnet, read_only=READ_ONLY)
    rows = [_create(call, new) for new in wanted]
    return {"subnets": attributes.shown(call, "subnet", view(call.tx, rows))} if bulk else _one(call, rows[0])


def _create(call: Call, new: CreateSubnet) -> SubnetRow:
    project = access.owner(call.context, new.project_id or new.tenant_id or None)
    network = networks.get(call.tx, call.context, new.network_id)
    target = {"project_id": project, "network:project_id": network.project_id}
    attributes.require(call, "create_subnet", target)
    if network.project_id != call.context.project_id and not access.sees_all(call.context):
        attributes.require(
            call, "create_subnet", {"project_id": network.project_id, "network:project_id": network.project_id}
        )
    attributes.check(call, "create_subnet", new, target)
    cidr, version, pool = _prefix(call, new, project)
    values = {
        name: getattr(new, name)
        for name in (
            "name",
            "description",
            "gateway_ip",
            "enable_dhcp",
            "service_types",
            "ipv6_ra_mode",
            "ipv6_address_mode",
            "dns_publish_fixed_ip",
        )
        if getattr(new, name) is not UNSET
    }
    if new.allocation_pools is not UNSET:
        values["allocation_pools"] = [{"start": entry.start, "end": entry.end} for entry in new.allocation_pools]
    return subnets.create(
        call.tx,
        call.context,
        network,
        subnets.NewSubnet(
            network_id=network.id,
            project_id=project,
            ip_version=version,
            cidr=cidr,
            subnetpool_id=pool,
            dns_nameservers=new.dns_nameservers or [],
            host_routes=_routes(new.host_routes),
            **values,
        ),
    )


def _prefix(call: Call, new: CreateSubnet, project: str) -> tuple[str, int, str | None]:
    """The CIDR: given, or taken from a subnet pool."""
    version = None if new.ip_version is UNSET else int(new.ip_version)
    pool = None
    if new.subnetpool_id:
        pool = subnet_pools.get(call.tx, call.context, new.subnetpool_id)
    elif new.use_default_subnetpool is True:
        pool = subnet_pools.default(call.tx, version or 4)
    if pool is not None:
        taken = subnet_pools.allocate(
            call.tx,
            pool,
            project,
            version=version,
            cidr=new.cidr or None,
            prefixlen=None if new.prefixlen in (UNSET, None) else int(new.prefixlen),
        )  # type: ignore[arg-type]
        return taken, pool.ip_version, pool.id
    if version is None:
        raise InvalidInput(
            "ip_version must be specified in the absence of cidr and subnetpool_id"
            if not new.cidr
            else "ip_version must be specified"
        )
    if not new.cidr:
        raise BadAttribute("cidr", "a subnetpool must be specified in the absence of a cidr")
    return new.cidr, version, None


def _routes(routes: list[Route] | None | UnsetType) -> list[dict[str, str]]:
    return [{"destination": route.destination, "nexthop": route.nexthop} for route in routes] if routes else []


@routes.put("/subnets/{subnet_id}", rule="update_subnet", target=loaded, body=bodies.Body)
def update(call: Call, row: SubnetRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(body, "subnet", UpdateSubnet, read_only=READ_ONLY)
    attributes.constrain(call, row)
    attributes.check(call, "update_subnet", new, row.policy_target)
    values = attributes.columns(
        new,
        {
            name: name
            for name in ("name", "description", "gateway_ip", "enable_dhcp", "service_types", "dns_publish_fixed_ip")
        },
    )
    if new.dns_nameservers is not UNSET:
        values["dns_nameservers"] = new.dns_nameservers or []
    if new.host_routes is not UNSET:
        values["host_routes"] = _routes(new.host_routes)
    if new.allocation_pools is not UNSET:
        values["allocation_pools"] = [{"start": entry.start, "end": entry.end} for entry in new.allocation_pools]
    return _one(call, subnets.update(call.tx, row, values))


@routes.delete("/subnets/{subnet_id}", rule="delete_subnet", target=loaded)
def delete(call: Call, row: SubnetRow) -> None:
    attributes.constrain(call, row)
    subnets.delete(call.tx, row)
