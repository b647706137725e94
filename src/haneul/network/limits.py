"""QoS policies as hosts and views read them: which one counts for what, and what it means there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, select

from haneul.host.contract import Qos, Rate
from haneul.kernel.database import Transaction
from haneul.network.model import FloatingIpRow, NetworkRow, PortRow, RouterRow
from haneul.network.model_qos import QosRuleRow

_network: Any = NetworkRow.__table__
_rule: Any = QosRuleRow.__table__
_IDS: Any = bindparam("ids", expanding=True)
_OF_NETWORKS = select(_network.c.id, _network.c.qos_policy_id).where(
    _network.c.id.in_(_IDS), _network.c.qos_policy_id.is_not(None)
)
_RULES = select(_rule).where(_rule.c.qos_policy_id.in_(_IDS)).order_by(_rule.c.created_at, _rule.c.id)


def of_networks(tx: Transaction, network_ids: Iterable[str]) -> dict[str, str]:
    """The policy of each network that has one."""
    return {id: policy for id, policy in tx.core(_OF_NETWORKS, ids=list(network_ids))}


def rules(tx: Transaction, policy_ids: Iterable[str]) -> dict[str, list[Any]]:
    """Rows of rules by policy, oldest first."""
    found: dict[str, list[Any]] = defaultdict(list)
    for row in tx.core(_RULES, ids=list(policy_ids)):
        found[row.qos_policy_id].append(row)
    return found


def of_policies(tx: Transaction, policy_ids: Iterable[str | None]) -> dict[str, Qos]:
    """What each policy means on a host; those that mean nothing there are left out."""
    wanted = {id for id in policy_ids if id is not None}
    if not wanted:
        return {}
    found = {id: _limit(rows) for id, rows in rules(tx, wanted).items()}
    return {id: qos for id, qos in found.items() if qos != Qos()}


def _limit(rows: list[Any]) -> Qos:
    rates: dict[str, dict[str, int]] = defaultdict(dict)
    mark = None
    for rule in rows:
        if rule.type == "bandwidth_limit":
            rates[rule.direction].update(kbps=rule.max_kbps, burst_kbit=rule.max_burst_kbps or 0)
        elif rule.type == "packet_rate_limit":
            rates[rule.direction].update(kpps=rule.max_kpps, burst_kpackets=rule.max_burst_kpps or 0)
        elif rule.type == "dscp_marking":
            mark = rule.dscp_mark
    return Qos(**{direction: Rate(**rate) for direction, rate in rates.items()}, dscp=mark)


def of_ports(tx: Transaction, ports: Iterable[PortRow], inherited: dict[str, str]) -> dict[str, Qos]:
    """Of each port that is limited or marked; `inherited` are the networks' policies, which are not for the cloud's own
    ports."""
    rows = list(ports)
    policies = {
        row.id: row.qos_policy_id
        or (None if row.device_owner.startswith("network:") else inherited.get(row.network_id))
        for row in rows
    }
    meant = of_policies(tx, policies.values())
    return {id: meant[policy] for id, policy in policies.items() if policy in meant}


def of_routers(tx: Transaction, routers: dict[str, RouterRow], ports: list[PortRow]) -> dict[str, dict[str, Qos]]:
    """Of each router's public addresses: by a policy of their own, or their network's."""
    public: list[Any] = [
        (row.id, row.gateway_network_id, entry.ip_address, row.gateway_qos_policy_id)
        for row in routers.values()
        for port in ports
        if port.id == row.gateway_port_id
        for entry in port.allocations
    ]
    public += tx.execute(
        select(
            FloatingIpRow.router_id,
            FloatingIpRow.floating_network_id,
            FloatingIpRow.floating_ip_address,
            FloatingIpRow.qos_policy_id,
        ).where(FloatingIpRow.router_id.in_(routers))
    ).all()
    inherited = of_networks(tx, {network for _, network, _, _ in public})
    meant = of_policies(tx, {policy or inherited.get(network) for _, network, _, policy in public})
    found: dict[str, dict[str, Qos]] = defaultdict(dict)
    for router, network, address, policy in public:
        if qos := meant.get(policy or inherited.get(network, "")):
            found[router][address] = qos
    return found
