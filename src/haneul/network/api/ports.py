"""/ports."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated, Any, Literal, cast

from msgspec import UNSET, Meta, Struct, UnsetType, field
from sqlalchemy import Table, bindparam, select

from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import access, bandwidth, carrying, limits, networks, ports
from haneul.network.addresses import Wish
from haneul.network.api import attributes, bodies, lists
from haneul.network.api.networks import DnsName, Name, Project
from haneul.network.errors import BadAttribute
from haneul.network.model import AllocationRow, MembershipRow, NetworkRow, PortRow

routes = Routes()
READ_ONLY = frozenset(
    {
        "id",
        "status",
        "created_at",
        "updated_at",
        "revision_number",
        "tags",
        "network_id",
        "project_id",
        "tenant_id",
        "binding:vif_type",
        "binding:vif_details",
        "dns_assignment",
        "resource_request",
        "qos_network_policy_id",
        "trunk_details",
    }
)


class FixedIp(Struct, forbid_unknown_fields=True):
    subnet_id: str | UnsetType = UNSET
    ip_address: str | UnsetType = UNSET


class Pair(Struct, forbid_unknown_fields=True):
    ip_address: str
    mac_address: str | UnsetType = UNSET


class Option(Struct, forbid_unknown_fields=True):
    opt_name: Annotated[str, Meta(min_length=1, max_length=64)]
    opt_value: str | None = None
    ip_version: Literal[4, 6] = 4


class UpdatePort(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    admin_state_up: bool | UnsetType = UNSET
    mac_address: str | None | UnsetType = UNSET
    fixed_ips: list[FixedIp] | UnsetType = UNSET
    device_id: Name | UnsetType = UNSET
    device_owner: Name | UnsetType = UNSET
    security_groups: list[str] | None | UnsetType = UNSET
    port_security_enabled: bool | UnsetType = UNSET
    allowed_address_pairs: list[Pair] | None | UnsetType = UNSET
    extra_dhcp_opts: list[Option] | None | UnsetType = UNSET
    host: Name | None | UnsetType = field(default=UNSET, name="binding:host_id")
    vnic_type: Literal["normal"] | UnsetType = field(default=UNSET, name="binding:vnic_type")
    profile: dict[str, Any] | None | UnsetType = field(default=UNSET, name="binding:profile")
    dns_name: DnsName | UnsetType = UNSET
    qos_policy_id: str | None | UnsetType = UNSET


class CreatePort(UpdatePort, kw_only=True, forbid_unknown_fields=True):
    network_id: str
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET
    tags: list[Annotated[str, Meta(max_length=255)]] | UnsetType = UNSET


_SHOWN = (
    "id",
    "project_id",
    "name",
    "description",
    "tags",
    "revision_number",
    "created_at",
    "updated_at",
    "network_id",
    "mac_address",
    "status",
    "admin_state_up",
    "device_id",
    "device_owner",
    "host",
    "vnic_type",
    "profile",
    "port_security_enabled",
    "allowed_address_pairs",
    "extra_dhcp_opts",
    "dns_name",
    "qos_policy_id",
)
_LIGHT = tuple(getattr(PortRow, name) for name in _SHOWN)
_of_port = attrgetter(*_SHOWN)
_allocation, _membership = (cast(Table, model.__table__) for model in (AllocationRow, MembershipRow))
_IDS: Any = bindparam("ids", expanding=True)
_ADDRESSES = (
    select(_allocation.c.port_id, _allocation.c.subnet_id, _allocation.c.ip_address)
    .where(_allocation.c.port_id.in_(_IDS))
    .order_by(_allocation.c.number)
)
_MEMBERSHIPS = select(_membership.c.port_id, _membership.c.security_group_id).where(_membership.c.port_id.in_(_IDS))


def view(tx: Transaction, rows: list[Any]) -> list[dict[str, Any]]:
    """Of PortRows, or of a list's light rows, whose addresses and groups are read here."""
    domain = tx.cloud.config.network.dns_domain
    ips, groups = _details(tx, rows)
    found = [_view(row, ips[row.id], groups[row.id], domain) for row in rows]
    if found:
        _add_services(tx, found)
        for request in bandwidth.requests(tx, rows):
            next(view for view in found if view["id"] == request.port_id)["resource_request"] = bandwidth.shown(request)
    return found


def _add_services(tx: Transaction, views: list[dict[str, Any]]) -> None:
    """What other services say of ports: a trunk's details are there only on a trunk's parent."""
    policies = limits.of_networks(tx, {view["network_id"] for view in views})
    trunks = carrying.details(tx, [view["id"] for view in views])
    for view in views:
        view["qos_network_policy_id"] = policies.get(view["network_id"])
        if view["id"] in trunks:
            view["trunk_details"] = trunks[view["id"]]


def _details(tx: Transaction, rows: list[Any]) -> tuple[dict[str, list[dict[str, str]]], dict[str, list[str]]]:
    if not rows or isinstance(rows[0], PortRow):
        return {row.id: row.fixed_ips for row in rows}, {row.id: row.security_groups for row in rows}
    ips: dict[str, list[dict[str, str]]] = {row.id: [] for row in rows}
    groups: dict[str, list[str]] = {row.id: [] for row in rows}
    for port, subnet, ip in tx.core(_ADDRESSES, ids=list(ips)):
        ips[port].append({"subnet_id": subnet, "ip_address": ip})
    for port, group in tx.core(_MEMBERSHIPS, ids=list(ips)):
        groups[port].append(group)
    return ips, groups


def _view(row: Any, ips: list[dict[str, str]], groups: list[str], domain: str) -> dict[str, Any]:
    """Taken apart at once: in a long list attribute by attribute is what costs."""
    (
        id,
        project,
        name,
        description,
        tags,
        revision,
        created,
        updated,
        network,
        mac,
        status,
        up,
        device,
        owner,
        host,
        vnic_type,
        profile,
        secure,
        pairs,
        options,
        dns_name,
        policy,
    ) = _of_port(row) if isinstance(row, PortRow) else row
    return {
        "id": id,
        "project_id": project,
        "tenant_id": project,
        "name": name,
        "description": description,
        "tags": tags,
        "revision_number": revision,
        "created_at": clock.iso(created),
        "updated_at": clock.iso(updated),
        "network_id": network,
        "mac_address": mac,
        "status": status,
        "admin_state_up": up,
        "device_id": device,
        "device_owner": owner,
        "fixed_ips": ips,
        "security_groups": groups,
        "port_security_enabled": secure,
        "allowed_address_pairs": pairs,
        "extra_dhcp_opts": options,
        "dns_name": dns_name,
        "dns_assignment": [_assignment(dns_name, entry["ip_address"], domain) for entry in ips],
        "binding:host_id": host,
        "binding:vnic_type": vnic_type,
        "binding:profile": profile,
        "binding:vif_type": "bridge" if host else "unbound",
        "binding:vif_details": {"port_filter": True, "connectivity": "l2"} if host else {},
        "qos_policy_id": policy,
        "resource_request": None,
    }


def _assignment(dns_name: str, ip: str, domain: str) -> dict[str, str]:
    hostname = dns_name or f"host-{ip.replace('.', '-').replace(':', '-')}"
    return {"hostname": hostname, "ip_address": ip, "fqdn": f"{hostname}.{domain}."}


def _by_address(values: list[str]) -> Any:
    """fixed_ips=ip_address=…, subnet_id=… or ip_address_substr=…; several of a kind are alternatives, kinds all must hold."""
    asked: dict[str, list[str]] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or key not in ("ip_address", "subnet_id", "ip_address_substr", "network_id"):
            raise BadRequest(f"Invalid input for fixed_ips. Reason: '{value[:64]}' is not a valid filter.")
        asked.setdefault(key, []).append(text)
    query = select(AllocationRow.port_id)
    for key, texts in asked.items():
        if key == "ip_address_substr":
            for text in texts:
                query = query.where(AllocationRow.ip_address.contains(text, autoescape=True))
        else:
            query = query.where(getattr(AllocationRow, key).in_(texts))
    return PortRow.id.in_(query)


LISTING = lists.Listing(
    resource="port",
    plural="ports",
    model=PortRow,
    visible=access.ports,
    view=view,
    light=_LIGHT,
    columns={
        **lists.standard_columns(PortRow),
        **{
            name: getattr(PortRow, name)
            for name in (
                "network_id",
                "mac_address",
                "status",
                "admin_state_up",
                "device_id",
                "device_owner",
                "port_security_enabled",
                "dns_name",
                "qos_policy_id",
            )
        },
        "binding:host_id": PortRow.host,
        "binding:vnic_type": PortRow.vnic_type,
    },
    filters={
        "fixed_ips": _by_address,
        "security_groups": lambda values: PortRow.id.in_(
            select(MembershipRow.port_id).where(MembershipRow.security_group_id.in_(values))
        ),
    },
)


def _one(call: Call, row: PortRow) -> dict[str, Any]:
    return {"port": attributes.shown(call, "port", view(call.tx, [row]))[0]}


def loaded(call: Call) -> PortRow:
    row = ports.get(call.tx, call.context, call.values["port_id"])
    network = call.tx.get_one(NetworkRow, row.network_id)
    row.policy_target = _target(row.project_id, network, row.device_owner)
    return row


def _target(project: str, network: NetworkRow, owner: str) -> dict[str, Any]:
    return {
        "project_id": project,
        "network:project_id": network.project_id,
        "network:shared": network.shared,
        "device_owner_kind": "network" if owner.startswith("network:") else "other",
    }


@routes.get("/ports", rule="get_port")
def index(call: Call) -> dict[str, Any]:
    return lists.answer(call, LISTING)


@routes.get("/ports/{port_id}", rule="get_port")
def show(call: Call) -> dict[str, Any]:
    return _one(call, ports.get(call.tx, call.context, call.values["port_id"]))


@routes.post("/ports", rule="create_port", body=bodies.Body, status=201)
def create(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(
        body, "port", "ports", CreatePort, read_only=READ_ONLY - {"tags", "network_id", "project_id", "tenant_id"}
    )
    rows = ports.create_many(call.tx, call.context, [_new(call, new) for new in wanted])
    return {"ports": attributes.shown(call, "port", view(call.tx, rows))} if bulk else _one(call, rows[0])


def _new(call: Call, new: CreatePort) -> ports.NewPort:
    project = access.owner(call.context, new.project_id or new.tenant_id or None)
    network = networks.get(call.tx, call.context, new.network_id)
    target = _target(project, network, new.device_owner or "")
    attributes.require(call, "create_port", target)
    attributes.check(call, "create_port", new, target)
    return ports.NewPort(network_id=new.network_id, project_id=project, **_values(new))


def _values(new: UpdatePort) -> dict[str, Any]:
    """What a body sets, in the shape of the rules."""
    values = attributes.columns(
        new,
        {
            name: name
            for name in (
                "name",
                "description",
                "admin_state_up",
                "mac_address",
                "device_id",
                "device_owner",
                "port_security_enabled",
                "host",
                "vnic_type",
                "dns_name",
                "qos_policy_id",
                "tags",
            )
            if hasattr(new, name)
        },
    )
    if "host" in values:
        values["host"] = values["host"] or ""
    if "mac_address" in values and values["mac_address"] is None:
        values["mac_address"] = UNSET  # a new one is made
    if new.fixed_ips is not UNSET:
        values["fixed_ips"] = [Wish(entry.subnet_id or None, entry.ip_address or None) for entry in new.fixed_ips]
    if new.security_groups is not UNSET:
        values["security_groups"] = new.security_groups or []
        if len(set(values["security_groups"])) < len(values["security_groups"]):
            raise BadAttribute("security_groups", f"Duplicate items in the list: '{values['security_groups']}'")
    if new.profile is not UNSET:
        values["profile"] = new.profile or {}
    if new.allowed_address_pairs is not UNSET:
        values["allowed_address_pairs"] = [
            {
                "ip_address": pair.ip_address,
                **({"mac_address": pair.mac_address} if pair.mac_address is not UNSET else {}),
            }
            for pair in new.allowed_address_pairs or []
        ]
    if new.extra_dhcp_opts is not UNSET:
        values["extra_dhcp_opts"] = [
            {"opt_name": option.opt_name, "opt_value": option.opt_value, "ip_version": option.ip_version}
            for option in new.extra_dhcp_opts or []
        ]
    return values


@routes.put("/ports/{port_id}", rule="update_port", target=loaded, body=bodies.Body)
def update(call: Call, row: PortRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(body, "port", UpdatePort, read_only=READ_ONLY)
    attributes.constrain(call, row)
    network = call.tx.get_one(NetworkRow, row.network_id)
    owner = row.device_owner if new.device_owner is UNSET else new.device_owner
    attributes.check(call, "update_port", new, _target(row.project_id, network, owner))
    return _one(call, ports.update(call.tx, call.context, row, _values(new)))


@routes.delete("/ports/{port_id}", rule="delete_port", target=loaded)
def delete(call: Call, row: PortRow) -> None:
    attributes.constrain(call, row)
    ports.delete(call.tx, call.context, row.id, direct=True)
