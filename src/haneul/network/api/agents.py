"""/agents and /availability_zones: what hosts do for networks, as Neutron's clients know it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from haneul.fleet.model import HostRow
from haneul.kernel.database import Transaction
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network.api import attributes
from haneul.network.errors import AgentNotFound
from haneul.network.model import PortRow, RouterRow

routes = Routes()
ZONE = "nova"
KINDS = {
    "L3 agent": ("haneul-l3", "l3_agent"),
    "DHCP agent": ("haneul-dhcp", "dhcp_agent"),
    "Linux bridge agent": ("haneul-fabric", "N/A"),
}


def _id(host: HostRow, kind: str) -> str:
    """One host agent does all; each of Neutron's kinds of it has an id of its own that never changes."""
    return str(uuid.uuid5(uuid.UUID(host.id), kind))


def _view(tx: Transaction, host: HostRow, kind: str) -> dict[str, Any]:
    binary, topic = KINDS[kind]
    beat = datetime.fromtimestamp(host.heartbeat, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return {
        "id": _id(host, kind),
        "agent_type": kind,
        "binary": binary,
        "topic": topic,
        "host": host.name,
        "admin_state_up": True,
        "alive": host.state == "up",
        "availability_zone": None if topic == "N/A" else ZONE,
        "created_at": host.created_at.strftime("%Y-%m-%d %H:%M:%S"),
        "started_at": host.created_at.strftime("%Y-%m-%d %H:%M:%S"),
        "heartbeat_timestamp": beat,
        "description": None,
        "resources_synced": None,
        "configurations": {"tunneling_ip": (host.facts or {}).get("tunnel_ip"), "tunnel_types": ["vxlan"]}
        if kind == "Linux bridge agent"
        else {"agent_mode": "legacy"}
        if kind == "L3 agent"
        else {},
    }


def of_hosts(tx: Transaction, names: Iterable[str] | None, *kinds: str) -> list[dict[str, Any]]:
    query = select(HostRow).order_by(HostRow.number)
    if names is not None:
        query = query.where(HostRow.name.in_(list(names)))
    return [_view(tx, host, kind) for host in tx.execute(query).scalars() for kind in (kinds or KINDS)]


@routes.get("/agents", rule="get_extension")
def index(call: Call) -> dict[str, Any]:
    """As with every list of Neutron, what the caller may not see is left out; here that is all or nothing."""
    if not call.allows("get_agent"):
        return {"agents": []}
    found = of_hosts(call.tx, call.arguments("host") or None)
    for key, value in call.query:
        if key in ("agent_type", "binary", "id", "topic", "availability_zone"):
            found = [agent for agent in found if agent[key] in call.arguments(key)]
        elif key in ("alive", "admin_state_up"):
            found = [agent for agent in found if agent[key] == paging.flag(value)]
    return {"agents": attributes.shown(call, "agent", found)}


@routes.get("/agents/{agent_id}", rule="get_agent")
def show(call: Call) -> dict[str, Any]:
    for agent in of_hosts(call.tx, None):
        if agent["id"] == call.values["agent_id"]:
            return {"agent": attributes.shown(call, "agent", [agent])[0]}
    raise AgentNotFound(call.values["agent_id"])


@routes.get("/agents/{agent_id}/l3-routers", rule="get_l3-routers")
def l3_routers(call: Call) -> dict[str, Any]:
    from haneul.network.api import routers

    host = show(call)["agent"]["host"]
    return {
        "routers": routers.view(
            call.tx, list(call.tx.execute(select(RouterRow).where(RouterRow.host == host)).scalars())
        )
    }


@routes.get("/agents/{agent_id}/dhcp-networks", rule="get_dhcp-networks")
def dhcp_networks(call: Call) -> dict[str, Any]:
    from haneul.network import wiring
    from haneul.network.api import networks
    from haneul.network.model import NetworkRow

    host = show(call)["agent"]["host"]
    ids = wiring.wanted(call.tx, host).networks
    return {
        "networks": networks.view(
            call.tx, list(call.tx.execute(select(NetworkRow).where(NetworkRow.id.in_(ids))).scalars())
        )
    }


@routes.get("/networks/{network_id}/dhcp-agents", rule="get_dhcp-agents")
def dhcp_agents(call: Call) -> dict[str, Any]:
    """Every host that has a port of the network serves its DHCP."""
    from haneul.network import changes
    from haneul.network.api import networks

    row = networks.loaded(call)
    served = call.tx.execute(
        select(PortRow.id).where(PortRow.network_id == row.id, PortRow.device_owner == "network:dhcp")
    ).first()
    hosts = {host for _, host in changes.hosts_of_networks(call.tx, [row.id])} if served else set()
    return {"agents": of_hosts(call.tx, hosts, "DHCP agent") if hosts else []}


@routes.get("/availability_zones", rule="get_availability_zone")
def zones(call: Call) -> dict[str, Any]:
    up = call.tx.execute(select(HostRow.name).where(HostRow.state == "up").limit(1)).first()
    found = (
        [{"name": ZONE, "resource": resource, "state": "available"} for resource in ("network", "router")] if up else []
    )
    return {"availability_zones": attributes.shown(call, "availability_zone", found)}


@routes.get("/service-providers", rule="get_service_provider")
def providers(call: Call) -> dict[str, Any]:
    """One way to route: on one host."""
    return {"service_providers": [{"service_type": "L3_ROUTER_NAT", "name": "single_node", "default": True}]}
