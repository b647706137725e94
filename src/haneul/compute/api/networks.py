"""/os-networks and /os-tenant-networks below 2.36, to list and show: the network room's networks as Nova shows them."""

from __future__ import annotations

from typing import Any

from haneul.kernel.errors import NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import networks
from haneul.network.model import NetworkRow

routes = Routes()
LAST = (2, 35)
# What nova-network knew of a network. Nova has shown null for all of them since Neutron holds the networks.
_GONE = ("cidr", "netmask", "gateway", "broadcast", "dns1", "dns2", "cidr_v6", "gateway_v6", "netmask_v6")
_GONE_FOR_ADMINS = ("created_at", "updated_at", "deleted_at", "deleted", "injected", "bridge", "vlan", "vpn_public_address",
                    "vpn_public_port", "vpn_private_address", "dhcp_start", "project_id", "host", "bridge_interface",
                    "multi_host", "priority", "rxtx_base", "mtu", "dhcp_server", "enable_dhcp", "share_address")


def _view(call: Call, row: NetworkRow) -> dict[str, Any]:
    gone = _GONE + _GONE_FOR_ADMINS if call.context.is_admin else _GONE
    return {**dict.fromkeys(gone), "id": row.id, "label": row.name}


def _tenant_view(row: NetworkRow) -> dict[str, Any]:
    return {"id": row.id, "cidr": None, "label": row.name}


def _one(call: Call) -> NetworkRow:
    try:
        return networks.get(call.tx, call.context, call.values["network_id"])
    except NotFound:
        raise NotFound("Network not found") from None


@routes.get("/os-networks", rule="get_network", maximum=LAST)
def index(call: Call) -> dict[str, Any]:
    return {"networks": [_view(call, row) for row in networks.visible(call.tx, call.context)]}


@routes.get("/os-networks/{network_id}", rule="get_network", maximum=LAST)
def show(call: Call) -> dict[str, Any]:
    return {"network": _view(call, _one(call))}


@routes.get("/os-tenant-networks", rule="get_network", maximum=LAST)
def tenant_index(call: Call) -> dict[str, Any]:
    """The caller's own networks and shared ones."""
    return {"networks": [_tenant_view(row) for row in networks.available(call.tx, call.context)]}


@routes.get("/os-tenant-networks/{network_id}", rule="get_network", maximum=LAST)
def tenant_show(call: Call) -> dict[str, Any]:
    return {"network": _tenant_view(_one(call))}
