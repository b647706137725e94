"""/floatingips and /floatingip_pools."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import select

from haneul.kernel.database import Transaction
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import access, floating_ips, limits, port_forwardings
from haneul.network.api import attributes, bodies, lists
from haneul.network.api import port_forwardings as forwardings_api
from haneul.network.api.networks import Name, Project
from haneul.network.model import FloatingIpRow, NetworkRow, PortRow, SubnetRow

routes = Routes()
READ_ONLY = frozenset(
    {
        "id",
        "status",
        "created_at",
        "updated_at",
        "revision_number",
        "tags",
        "port_forwardings",
        "floating_network_id",
        "floating_ip_address",
        "project_id",
        "tenant_id",
        "port_details",
        "qos_network_policy_id",
    }
)


class UpdateFloatingIp(Struct, kw_only=True, forbid_unknown_fields=True):
    description: Name | UnsetType = UNSET
    port_id: str | None | UnsetType = UNSET
    fixed_ip_address: str | None | UnsetType = UNSET
    qos_policy_id: str | None | UnsetType = UNSET
    router_id: str | None | UnsetType = UNSET


class CreateFloatingIp(UpdateFloatingIp, kw_only=True, forbid_unknown_fields=True):
    floating_network_id: str
    floating_ip_address: str | None | UnsetType = UNSET
    subnet_id: str | None | UnsetType = UNSET
    dns_name: Name | UnsetType = UNSET
    dns_domain: Name | UnsetType = UNSET
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


def view(tx: Transaction, rows: list[FloatingIpRow]) -> list[dict[str, Any]]:
    wanted = [row.port_id for row in rows if row.port_id]
    details = (
        {
            id: {
                "name": name,
                "network_id": network,
                "mac_address": mac,
                "admin_state_up": up,
                "status": status,
                "device_id": device,
                "device_owner": owner,
            }
            for id, name, network, mac, up, status, device, owner in tx.execute(
                select(
                    PortRow.id,
                    PortRow.name,
                    PortRow.network_id,
                    PortRow.mac_address,
                    PortRow.admin_state_up,
                    PortRow.status,
                    PortRow.device_id,
                    PortRow.device_owner,
                ).where(PortRow.id.in_(wanted))
            )
        }
        if wanted
        else {}
    )
    forwardings = port_forwardings.of(tx, [row.id for row in rows if row.router_id and not row.port_id])
    found = []
    policies = limits.of_networks(tx, {row.floating_network_id for row in rows}) if rows else {}
    for row in rows:
        entry = {
            **attributes.standard(row),
            "floating_network_id": row.floating_network_id,
            "floating_ip_address": row.floating_ip_address,
            "port_id": row.port_id,
            "fixed_ip_address": row.fixed_ip_address,
            "router_id": row.router_id,
            "status": row.status,
            "dns_name": row.dns_name,
            "dns_domain": row.dns_domain,
            "qos_policy_id": row.qos_policy_id,
            "qos_network_policy_id": policies.get(row.floating_network_id),
            "port_details": details.get(row.port_id or ""),
            "port_forwardings": [forwardings_api.brief(entry) for entry in forwardings.get(row.id, [])],
        }
        del entry["name"]
        found.append(entry)
    return found


LISTING = lists.Listing(
    resource="floatingip",
    plural="floatingips",
    model=FloatingIpRow,
    view=view,
    visible=lambda context: access.owned(FloatingIpRow, context),
    columns={
        **lists.standard_columns(FloatingIpRow),
        **{
            name: getattr(FloatingIpRow, name)
            for name in (
                "floating_network_id",
                "floating_ip_address",
                "port_id",
                "fixed_ip_address",
                "router_id",
                "status",
                "qos_policy_id",
            )
        },
    },
)


def _one(call: Call, row: FloatingIpRow) -> dict[str, Any]:
    return {"floatingip": attributes.shown(call, "floatingip", view(call.tx, [row]))[0]}


def loaded(call: Call) -> FloatingIpRow:
    return floating_ips.get(call.tx, call.context, call.values["floatingip_id"])


@routes.get("/floatingips", rule="get_floatingip")
def index(call: Call) -> dict[str, Any]:
    return lists.answer(call, LISTING)


@routes.get("/floatingips/{floatingip_id}", rule="get_floatingip")
def show(call: Call) -> dict[str, Any]:
    return _one(call, loaded(call))


@routes.post("/floatingips", rule="create_floatingip", body=bodies.Body, status=201)
def create(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(
        body,
        "floatingip",
        "floatingips",
        CreateFloatingIp,
        read_only=READ_ONLY - {"floating_network_id", "floating_ip_address", "project_id", "tenant_id"},
    )
    rows = [_create(call, new) for new in wanted]
    return {"floatingips": attributes.shown(call, "floatingip", view(call.tx, rows))} if bulk else _one(call, rows[0])


def _create(call: Call, new: CreateFloatingIp) -> FloatingIpRow:
    project = access.owner(call.context, new.project_id or new.tenant_id or None)
    target = {"project_id": project}
    attributes.require(call, "create_floatingip", target)
    if new.floating_ip_address:
        attributes.check(call, "create_floatingip", new, target)
    return floating_ips.create(
        call.tx,
        call.context,
        project_id=project,
        floating_network_id=new.floating_network_id,
        floating_ip_address=new.floating_ip_address or None,
        subnet_id=new.subnet_id or None,
        port_id=new.port_id or None,
        fixed_ip_address=new.fixed_ip_address or None,
        router_id=new.router_id or None,
        **attributes.columns(new, {name: name for name in ("description", "dns_name", "dns_domain", "qos_policy_id")}),
    )


@routes.put("/floatingips/{floatingip_id}", rule="update_floatingip", target=loaded, body=bodies.Body)
def update(call: Call, row: FloatingIpRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(body, "floatingip", UpdateFloatingIp, read_only=READ_ONLY)
    attributes.constrain(call, row)
    port = new.port_id if new.port_id != "" else None
    if not body["floatingip"]:
        port = None  # an empty object takes it off its port, as ever in Neutron
    return _one(
        call,
        floating_ips.update(
            call.tx,
            call.context,
            row,
            port_id=port,
            fixed_ip_address=new.fixed_ip_address,
            router_id=new.router_id or None,
            **attributes.columns(new, {"description": "description", "qos_policy_id": "qos_policy_id"}),
        ),
    )


@routes.delete("/floatingips/{floatingip_id}", rule="delete_floatingip", target=loaded)
def delete(call: Call, row: FloatingIpRow) -> None:
    attributes.constrain(call, row)
    floating_ips.delete(call.tx, row)


@routes.get("/floatingip_pools", rule="get_floatingip_pool")
@routes.get("/floatingip-pools", rule="get_floatingip_pool")  # where Neutron itself has them
def pools(call: Call) -> dict[str, Any]:
    """The subnets that floating IPs can come from."""
    rows = call.tx.execute(
        select(SubnetRow.id, SubnetRow.name, SubnetRow.cidr, NetworkRow.id)
        .join(NetworkRow, NetworkRow.id == SubnetRow.network_id)
        .where(NetworkRow.external, SubnetRow.ip_version == 4, access.networks(call.context))
    )
    project = call.context.project_id
    return {
        "floatingip_pools": [
            {
                "subnet_id": id,
                "subnet_name": name,
                "cidr": cidr,
                "network_id": network,
                "project_id": project,
                "tenant_id": project,
            }
            for id, name, cidr, network in rows
        ]
    }
