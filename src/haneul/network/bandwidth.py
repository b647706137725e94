"""Bandwidth that ports are promised: what a server's ports ask of its host, and what a change of policy takes or gives back.

A port shows it as `resource_request`; where a host has promised it, the port's binding profile says who (`allocation`).
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, select

from haneul.fleet.model import HostRow
from haneul.kernel.database import Transaction
from haneul.network import limits
from haneul.network.errors_qos import BandwidthHeld, QosPlacementAllocationConflict
from haneul.network.model import NetworkRow, PortRow
from haneul.placement import bandwidth
from haneul.placement.traits import physnet_trait

KEY = "allocation"
CLASSES = {"egress": bandwidth.EGRESS, "ingress": bandwidth.INGRESS}


class Request(Struct):
    """`group` names the request in `resource_request` and in the binding profile."""

    port_id: str
    group: str
    physnet: str
    resources: dict[str, int]


def offered(tx: Transaction, network_id: str) -> bool:
    """Whether bandwidth can be promised on a network: its physical network's is configured."""
    physnet = tx.execute(select(NetworkRow.physical_network).where(NetworkRow.id == network_id)).scalar()
    return physnet in tx.cloud.config.network.bandwidths


def requests(tx: Transaction, ports: Sequence[Any]) -> list[Request]:
    """Of those of the ports (rows, or views' likes with id, network_id and qos_policy_id) that ask for any."""
    offers = tx.cloud.config.network.bandwidths
    if not offers or not ports:
        return []
    networks = {
        id: (physnet, policy)
        for id, physnet, policy in tx.execute(
            select(NetworkRow.id, NetworkRow.physical_network, NetworkRow.qos_policy_id).where(
                NetworkRow.id.in_({port.network_id for port in ports}), NetworkRow.physical_network.in_(offers)
            )
        )
    }
    policies = {
        port.id: port.qos_policy_id or networks[port.network_id][1] for port in ports if port.network_id in networks
    }
    rules = limits.rules(tx, {policy for policy in policies.values() if policy})
    found = []
    for port in ports:
        resources = {
            CLASSES[rule.direction]: rule.min_kbps
            for rule in rules.get(policies.get(port.id) or "", [])
            if rule.type == "minimum_bandwidth" and rule.min_kbps
        }
        if resources:
            group = str(uuid.uuid5(uuid.UUID(port.id), "bandwidth"))
            found.append(Request(port.id, group, networks[port.network_id][0] or "", resources))
    return found


def by_network(tx: Transaction, network_id: str) -> bool:
    """Whether every new port on the network would ask for some."""
    return bool(requests(tx, [_As(str(uuid.UUID(int=0)), network_id, None)]))


def shown(request: Request) -> dict[str, Any]:
    return {
        "request_groups": [
            {
                "id": request.group,
                "required": [physnet_trait(request.physnet), bandwidth.VNIC_TRAIT],
                "resources": request.resources,
            }
        ],
        "same_subtree": [request.group],
    }


# ---------------------------------------------------------------- for servers


def of_server(tx: Transaction, server_id: str | None, port_ids: Iterable[str] = ()) -> list[Request]:
    """What the ports of a server ask for, and further ones that it will get."""
    if not tx.cloud.config.network.bandwidths:
        return []
    wanted = list(port_ids)
    mine = PortRow.id.in_(wanted) if server_id is None else PortRow.id.in_(wanted) | (PortRow.device_id == server_id)
    return requests(tx, list(tx.execute(select(PortRow).where(mine)).scalars()))


def summed(asked: Sequence[Request]) -> dict[str, dict[str, int]]:
    """By physical network."""
    total: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for request in asked:
        for name, amount in request.resources.items():
            total[request.physnet][name] += amount
    return {physnet: dict(amounts) for physnet, amounts in total.items()}


def granted(tx: Transaction, asked: Sequence[Request], host_id: str) -> None:
    """A host holds it for them now: the ports say so."""
    for request in asked:
        row = tx.get_one(PortRow, request.port_id)
        row.profile = {**row.profile, KEY: {request.group: bandwidth.provider_of(host_id, request.physnet)}}


def take(tx: Transaction, port: PortRow, server_id: str, host: str) -> None:
    """A port that is plugged into a server which runs already. Raises QosPlacementAllocationConflict."""
    for request in requests(tx, [port]):
        host_id = tx.execute(select(HostRow.id).where(HostRow.name == host)).scalar_one()
        provider = bandwidth.provider_of(host_id, request.physnet)
        if not bandwidth.adjust(tx, server_id, provider, request.resources):
            raise QosPlacementAllocationConflict(server_id, provider)
        granted(tx, [request], host_id)


def give_back(tx: Transaction, port: PortRow) -> None:
    """The port leaves its server."""
    held = port.profile.get(KEY)
    if not held:
        return
    for request in requests(tx, [port]):
        if request.group in held:
            less = {name: -amount for name, amount in request.resources.items()}
            bandwidth.adjust(tx, port.device_id, held[request.group], less)
    port.profile = {key: value for key, value in port.profile.items() if key != KEY}


def change(tx: Transaction, port: PortRow, policy_id: str | None) -> None:
    """Another policy for a port whose host holds bandwidth for it. Raises QosPlacementAllocationConflict."""
    held = port.profile.get(KEY)
    if not held:
        return
    (group, provider), *_ = held.items()
    before = {name: amount for request in requests(tx, [port]) for name, amount in request.resources.items()}
    wished = _As(port.id, port.network_id, policy_id)
    after = {name: amount for request in requests(tx, [wished]) for name, amount in request.resources.items()}
    more = {name: after.get(name, 0) - before.get(name, 0) for name in before.keys() | after.keys()}
    if not bandwidth.adjust(tx, port.device_id, provider, more):
        raise QosPlacementAllocationConflict(port.device_id, provider)


def refuse_if_held(tx: Transaction, ports: ColumnElement[bool]) -> None:
    """For changes that would alter what many ports ask for: none of them may have been granted any."""
    if not tx.cloud.config.network.bandwidths:
        return
    for id, profile in tx.execute(select(PortRow.id, PortRow.profile).where(PortRow.host != "", ports)):
        if KEY in profile:
            raise BandwidthHeld(id)


class _As(Struct):
    """A port as it would be."""

    id: str
    network_id: str
    qos_policy_id: str | None
