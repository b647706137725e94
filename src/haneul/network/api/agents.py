"""/agents and /availability_zones: what hosts do for networks, as Neutron's clients know it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import select

from haneul.fleet.model import HostRow
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.network import agents
from haneul.network.agents import Agent
from haneul.network.api import attributes, bodies, networks, routers
from haneul.network.model import NetworkRow
from haneul.network.model_services import DHCP_AGENT, FABRIC_AGENT, L3_AGENT

routes = Routes()
ZONE = "nova"
NAMES = {
    L3_AGENT: ("haneul-l3", "l3_agent"),
    DHCP_AGENT: ("haneul-dhcp", "dhcp_agent"),
    FABRIC_AGENT: ("haneul-fabric", "N/A"),
}
PATH = "/agents/{agent_id}"
_ADDED = Reply(raw=b"null")  # what Neutron answers, and its clients read


class UpdateAgent(Struct, kw_only=True, forbid_unknown_fields=True):
    admin_state_up: bool | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=255)] | None | UnsetType = UNSET


class RouterOf(Struct, forbid_unknown_fields=True):
    router_id: str


class NetworkOf(Struct, forbid_unknown_fields=True):
    network_id: str


def view(agent: Agent) -> dict[str, Any]:
    host, (binary, topic) = agent.host, NAMES[agent.kind]
    settings: dict[str, Any] = {}
    if agent.kind == FABRIC_AGENT:
        settings = {"tunneling_ip": (host.facts or {}).get("tunnel_ip"), "tunnel_types": ["vxlan"]}
    elif agent.kind == L3_AGENT:
        settings = {"agent_mode": "legacy"}
    return {
        "id": agent.id,
        "agent_type": agent.kind,
        "binary": binary,
        "topic": topic,
        "host": host.name,
        "admin_state_up": agent.admin_state_up,
        "alive": host.state == "up",
        "availability_zone": None if topic == "N/A" else ZONE,
        "created_at": host.created_at.strftime("%Y-%m-%d %H:%M:%S"),
        "started_at": host.created_at.strftime("%Y-%m-%d %H:%M:%S"),
        "heartbeat_timestamp": datetime.fromtimestamp(host.heartbeat, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "description": agent.description,
        "resources_synced": None,
        "configurations": settings,
    }


def loaded(call: Call) -> Agent:
    return agents.get(call.tx, call.values["agent_id"])


@routes.get("/agents", rule="get_extension")
def index(call: Call) -> dict[str, Any]:
    """As with every list of Neutron, what the caller may not see is left out; here that is all or nothing."""
    if not call.allows("get_agent"):
        return {"agents": []}
    found = [view(agent) for agent in agents.of_hosts(call.tx, call.arguments("host") or None)]
    for key, value in call.query:
        if key == "agent_type":
            wanted = [word.lower() for word in call.arguments(key)]
            found = [agent for agent in found if agent[key].lower() in wanted]
        elif key in ("binary", "id", "topic", "availability_zone", "description"):
            found = [agent for agent in found if agent[key] in call.arguments(key)]
        elif key in ("alive", "admin_state_up"):
            found = [agent for agent in found if agent[key] == paging.flag(value)]
    for key, direction in reversed(paging.sort_of(call, list(found[0]) if found else ["id"], [("id", "asc")])):
        if call.argument("sort_key"):
            found.sort(key=lambda agent: str(agent[key]), reverse=direction == "desc")
    return {"agents": attributes.shown(call, "agent", found)}


@routes.get(PATH, rule="get_agent")
def show(call: Call) -> dict[str, Any]:
    return {"agent": attributes.shown(call, "agent", [view(loaded(call))])[0]}


@routes.put(PATH, rule="update_agent", body=bodies.Body)
def update(call: Call, body: bodies.Body) -> dict[str, Any]:
    agent = loaded(call)
    new = bodies.one(body, "agent", UpdateAgent, read_only=frozenset(view(agent)))
    values = attributes.columns(new, {name: name for name in ("admin_state_up", "description")})
    return {"agent": attributes.shown(call, "agent", [view(agents.update(call.tx, agent, values))])[0]}


@routes.delete(PATH, rule="delete_agent")
def delete(call: Call) -> None:
    agents.remove(call.tx, loaded(call))


@routes.get(PATH + "/l3-routers", rule="get_l3-routers")
def l3_routers(call: Call) -> dict[str, Any]:
    return {"routers": routers.view(call.tx, agents.routers_of(call.tx, loaded(call)))}


@routes.post(PATH + "/l3-routers", rule="create_l3-router", body=bodies.Body, status=201)
def add_router(call: Call, body: bodies.Body) -> Reply:
    agents.add_router(call.tx, call.context, loaded(call), bodies.plain(body, RouterOf).router_id)
    return _ADDED


@routes.delete(PATH + "/l3-routers/{router_id}", rule="delete_l3-router")
def remove_router(call: Call) -> None:
    agents.remove_router(call.tx, call.context, loaded(call), call.values["router_id"])


@routes.get("/routers/{router_id}/l3-agents", rule="get_l3-agents")
def l3_agents(call: Call) -> dict[str, Any]:
    row = routers.loaded(call)
    return {"agents": [view(agent) for agent in agents.of_hosts(call.tx, [row.host], L3_AGENT)] if row.host else []}


@routes.get(PATH + "/dhcp-networks", rule="get_dhcp-networks")
def dhcp_networks(call: Call) -> dict[str, Any]:
    ids = agents.networks_of(call.tx, loaded(call))
    query = select(NetworkRow).where(NetworkRow.id.in_(ids)).order_by(NetworkRow.created_at, NetworkRow.id)
    return {"networks": networks.view(call.tx, list(call.tx.execute(query).scalars()))}


@routes.post(PATH + "/dhcp-networks", rule="create_dhcp-network", body=bodies.Body, status=201)
def add_network(call: Call, body: bodies.Body) -> Reply:
    agents.add_network(call.tx, call.context, loaded(call), bodies.plain(body, NetworkOf).network_id)
    return _ADDED


@routes.delete(PATH + "/dhcp-networks/{network_id}", rule="delete_dhcp-network")
def remove_network(call: Call) -> None:
    agents.remove_network(call.tx, call.context, loaded(call), call.values["network_id"])


@routes.get("/networks/{network_id}/dhcp-agents", rule="get_dhcp-agents")
def dhcp_agents(call: Call) -> dict[str, Any]:
    return {"agents": [view(agent) for agent in agents.of_network(call.tx, networks.loaded(call).id)]}


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
