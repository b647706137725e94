"""What each host does for networks, as Neutron's agents, and what an administrator decides of it.

One host agent does all; each of Neutron's kinds of agent has an id of its own that never changes. A router lives on one host.
DHCP is served by every host that has a guest of the network, unless it is taken from the host here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from sqlalchemy import delete, or_, select
from sqlalchemy import update as update_table

from haneul.fleet.model import HostRow
from haneul.kernel import clock
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.network import changes, networks, routers
from haneul.network.errors import AgentNotFound
from haneul.network.errors_services import (
    InvalidDHCPAgent,
    InvalidL3Agent,
    NetworkHostedByDHCPAgent,
    NetworkNotHostedByDhcpAgent,
    RouterHostedByL3Agent,
    RouterNotHostedByL3Agent,
)
from haneul.network.model import FloatingIpRow, PortRow, RouterRow
from haneul.network.model_services import DHCP_AGENT, FABRIC_AGENT, L3_AGENT, AgentRow, DhcpServiceRow

KINDS = (L3_AGENT, DHCP_AGENT, FABRIC_AGENT)


class Agent(Struct):
    id: str
    kind: str
    host: HostRow
    admin_state_up: bool = True
    description: str | None = None


def _id(host: HostRow, kind: str) -> str:
    return str(uuid.uuid5(uuid.UUID(host.id), kind))


def of_hosts(tx: Transaction, names: Iterable[str] | None, *kinds: str) -> list[Agent]:
    """Those of the named hosts, or all. A deleted one is not there until its host is heard of again."""
    query = select(HostRow).order_by(HostRow.number)
    if names is not None:
        query = query.where(HostRow.name.in_(list(names)))
    hosts = list(tx.execute(query).scalars())
    decided = {row.id: row for row in tx.execute(select(AgentRow)).scalars()}
    found = []
    for host in hosts:
        for kind in kinds or KINDS:
            agent = Agent(_id(host, kind), kind, host)
            row = decided.get(agent.id)
            if row is not None and row.deleted is not None and host.heartbeat <= row.deleted:
                continue
            if row is not None and row.deleted is None:
                agent.admin_state_up, agent.description = row.admin_state_up, row.description
            found.append(agent)
    return found


def get(tx: Transaction, id: str) -> Agent:
    for agent in of_hosts(tx, None):
        if agent.id == id:
            return agent
    raise AgentNotFound(id)


def update(tx: Transaction, agent: Agent, values: dict[str, Any]) -> Agent:
    """Switched off, an L3 agent routes nothing and gets no router, a DHCP agent serves nothing."""
    row = tx.get(AgentRow, agent.id) or AgentRow(id=agent.id, host=agent.host.name, kind=agent.kind, admin_state_up=True)
    turned = values.get("admin_state_up", agent.admin_state_up) != agent.admin_state_up
    row.deleted = None
    for key, value in values.items():
        setattr(row, key, value)
        setattr(agent, key, value)
    tx.add(row)
    tx.flush()
    if turned:
        _look_again(tx, agent)
    return agent


def remove(tx: Transaction, agent: Agent) -> None:
    """As in Neutron the record goes, and comes back by itself when its host reports; what was decided of it is forgotten."""
    row = tx.get(AgentRow, agent.id) or AgentRow(id=agent.id, host=agent.host.name, kind=agent.kind)
    turned = not agent.admin_state_up
    row.admin_state_up, row.description, row.deleted = True, None, clock.seconds()
    tx.add(row)
    tx.flush()
    if turned:
        _look_again(tx, agent)


def _look_again(tx: Transaction, agent: Agent) -> None:
    host = agent.host.name
    mine = tx.execute(select(RouterRow.id).where(RouterRow.host == host)).scalars().all()
    if agent.kind == L3_AGENT:
        changes.note(tx, [(host, "routers", id) for id in mine])
    if agent.kind in (L3_AGENT, DHCP_AGENT):
        changes.note(tx, [(host, "networks", id) for id in _carried(tx, host, mine)])


def _carried(tx: Transaction, host: str, router_ids: Iterable[str]) -> list[str]:
    """Networks that a host has for a port or a router."""
    return list(
        tx.execute(
            select(PortRow.network_id)
            .distinct()
            .where(
                or_(
                    PortRow.host == host,
                    PortRow.device_id.in_(list(router_ids)) & PortRow.device_owner.startswith("network:router"),
                )
            )
        ).scalars()
    )


# ---------------------------------------------------------------- routers


def _l3(agent: Agent) -> Agent:
    if agent.kind != L3_AGENT or not agent.admin_state_up:
        raise InvalidL3Agent(agent.id)
    return agent


def routers_of(tx: Transaction, agent: Agent) -> list[RouterRow]:
    if agent.kind != L3_AGENT:
        return []
    query = select(RouterRow).where(RouterRow.host == agent.host.name).order_by(RouterRow.created_at, RouterRow.id)
    return list(tx.execute(query).scalars())


def add_router(tx: Transaction, context: Context, agent: Agent, router_id: str) -> None:
    """One that is on another host is taken off there first, as in Neutron."""
    _l3(agent)
    row = routers.get(tx, context, router_id)
    if row.host == agent.host.name:
        return
    if row.host:
        (other,) = of_hosts(tx, [row.host], L3_AGENT) or [agent]
        raise RouterHostedByL3Agent(row.id, other.id)
    _settle(tx, row, agent.host.name)


def remove_router(tx: Transaction, context: Context, agent: Agent, router_id: str) -> None:
    """It stays without a host until it is put on one, or gets another interface or gateway."""
    if agent.kind != L3_AGENT:
        raise InvalidL3Agent(agent.id)
    row = routers.get(tx, context, router_id)
    if row.host != agent.host.name:
        raise RouterNotHostedByL3Agent(row.id, agent.id)
    _settle(tx, row, "")


def _settle(tx: Transaction, row: RouterRow, host: str) -> None:
    before, row.host = row.host, host
    row.touch()
    tx.flush()
    if not host:
        tx.execute(update_table(FloatingIpRow).where(FloatingIpRow.router_id == row.id).values(status="DOWN"))
    joined = tx.execute(select(PortRow.network_id).distinct().where(PortRow.device_id == row.id)).scalars().all()
    if before:
        changes.note(tx, [(before, "routers", row.id), *((before, "networks", network) for network in joined)])
    changes.of_routers(tx, [row.id])
    changes.of_networks(tx, joined)


# ---------------------------------------------------------------- DHCP


def networks_of(tx: Transaction, agent: Agent) -> list[str]:
    """Those that the host serves, or will as soon as it has a guest of them."""
    if agent.kind != DHCP_AGENT:
        return []
    mine = select(DhcpServiceRow.network_id, DhcpServiceRow.served).where(DhcpServiceRow.host == agent.host.name)
    said = {id: served for id, served in tx.execute(mine)}
    has_port = set(tx.execute(select(PortRow.network_id).where(PortRow.device_owner == "network:dhcp")).scalars())
    return sorted({id for id in has_port if said.get(id, True)} | {id for id, served in said.items() if served})


def of_network(tx: Transaction, network_id: str) -> list[Agent]:
    its = select(DhcpServiceRow.host, DhcpServiceRow.served).where(DhcpServiceRow.network_id == network_id)
    said = {host: served for host, served in tx.execute(its)}
    port = select(PortRow.id).where(PortRow.network_id == network_id, PortRow.device_owner == "network:dhcp")
    usual = tx.execute(port).first() is not None
    return [agent for agent in of_hosts(tx, None, DHCP_AGENT) if said.get(agent.host.name, usual)]


def add_network(tx: Transaction, context: Context, agent: Agent, network_id: str) -> None:
    if agent.kind != DHCP_AGENT or not agent.admin_state_up:
        raise InvalidDHCPAgent(agent.id)
    row = networks.get(tx, context, network_id)
    if agent.id in [other.id for other in of_network(tx, row.id)]:
        raise NetworkHostedByDHCPAgent(row.id, agent.id)
    _serve(tx, agent, row.id, True)


def remove_network(tx: Transaction, context: Context, agent: Agent, network_id: str) -> None:
    if agent.kind != DHCP_AGENT:
        raise InvalidDHCPAgent(agent.id)
    row = networks.get(tx, context, network_id)
    if agent.id not in [other.id for other in of_network(tx, row.id)]:
        raise NetworkNotHostedByDhcpAgent(row.id, agent.id)
    _serve(tx, agent, row.id, False)


def _serve(tx: Transaction, agent: Agent, network_id: str, served: bool) -> None:
    host = agent.host.name
    tx.execute(
        delete(DhcpServiceRow).where(DhcpServiceRow.network_id == network_id, DhcpServiceRow.host == host)
    )
    tx.add(DhcpServiceRow(network_id=network_id, host=host, served=served))
    tx.flush()
    changes.note(
        tx,
        [(name, "networks", id) for id, name in changes.hosts_of_networks(tx, [network_id]) if name == host],
    )
