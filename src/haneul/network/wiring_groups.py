"""Security groups and address groups as a host needs them: rules, and the addresses of those that rules name."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from typing import Any

from sqlalchemy import or_, select

from haneul.host.contract import SecurityGroupSpec, SecurityRule
from haneul.kernel.database import Transaction
from haneul.network.model import AllocationRow, MembershipRow, PortRow, SecurityGroupRow, SecurityRuleRow
from haneul.network.model_services import AddressGroupRow


def of_ports(tx: Transaction, host: str, own: set[str], asked: list[str]) -> list[SecurityGroupSpec]:
    """The groups of the ports and those asked for that the host uses, and the groups that their rules name."""
    used = set(own)
    unsure = set(asked) - used
    if unsure:  # in use on the host, directly or as a remote group
        here = (
            select(MembershipRow.security_group_id)
            .join(PortRow, PortRow.id == MembershipRow.port_id)
            .where(PortRow.host == host)
        )
        used |= set(
            tx.execute(
                select(SecurityGroupRow.id).where(
                    SecurityGroupRow.id.in_(unsure),
                    or_(
                        SecurityGroupRow.id.in_(here),
                        SecurityGroupRow.id.in_(
                            select(SecurityRuleRow.remote_group_id).where(
                                SecurityRuleRow.remote_group_id.is_not(None),
                                SecurityRuleRow.security_group_id.in_(here),
                            )
                        ),
                    ),
                )
            ).scalars()
        )
    if not used:
        return []
    rules = _rules(tx, used)
    remote = {rule.remote_group_id for rule in rules if rule.remote_group_id} - used
    if remote:
        rules += _rules(tx, remote)
    every = used | remote
    stateful = {
        id: value
        for id, value in tx.execute(
            select(SecurityGroupRow.id, SecurityGroupRow.stateful).where(SecurityGroupRow.id.in_(every))
        )
    }
    members = _members(tx, every)
    return [
        SecurityGroupSpec(
            id=id,
            stateful=stateful[id],
            members=members.get(id, []),
            rules=[_rule_spec(rule) for rule in rules if rule.security_group_id == id],
        )
        for id in sorted(every)
        if id in stateful
    ]


def of_addresses(
    tx: Transaction, host: str, groups: list[SecurityGroupSpec], asked: list[str]
) -> list[SecurityGroupSpec]:
    """Address groups that rules of the host's groups name, of those that `groups` name or that are asked for. To a host each
    is a group without rules: its addresses are the members."""
    named = {rule.remote_group for group in groups for rule in group.rules if rule.remote_group}
    candidates = (named | set(asked)) - {group.id for group in groups}
    if not candidates:
        return []
    here = (
        select(MembershipRow.security_group_id)
        .join(PortRow, PortRow.id == MembershipRow.port_id)
        .where(PortRow.host == host)
    )
    used = select(SecurityRuleRow.remote_address_group_id).where(
        SecurityRuleRow.remote_address_group_id.in_(candidates), SecurityRuleRow.security_group_id.in_(here)
    )
    return [
        SecurityGroupSpec(id=id, members=sorted(addresses))
        for id, addresses in tx.execute(
            select(AddressGroupRow.id, AddressGroupRow.addresses)
            .where(AddressGroupRow.id.in_(used))
            .order_by(AddressGroupRow.id)
        )
    ]


def _rules(tx: Transaction, group_ids: set[str]) -> list[SecurityRuleRow]:
    return list(
        tx.execute(
            select(SecurityRuleRow)
            .where(SecurityRuleRow.security_group_id.in_(group_ids))
            .order_by(SecurityRuleRow.created_at, SecurityRuleRow.id)
        ).scalars()
    )


def _members(tx: Transaction, group_ids: set[str]) -> dict[str, list[str]]:
    """Addresses of the bound ports of each group that some rule names as remote, allowed pairs included."""
    named = select(SecurityRuleRow.remote_group_id).where(SecurityRuleRow.remote_group_id.in_(group_ids))
    found: dict[str, set[str]] = defaultdict(set)
    for group, ip, pairs in tx.execute(
        select(MembershipRow.security_group_id, AllocationRow.ip_address, PortRow.allowed_address_pairs)
        .join(PortRow, PortRow.id == MembershipRow.port_id)
        .join(AllocationRow, AllocationRow.port_id == PortRow.id)
        .where(MembershipRow.security_group_id.in_(named), PortRow.host != "")
    ):
        found[group].add(ip)
        found[group].update(pair["ip_address"] for pair in pairs)
    return {group: sorted(ips) for group, ips in found.items()}


def _rule_spec(row: Any) -> SecurityRule:
    return SecurityRule(
        id=row.id,
        direction=row.direction,
        ethertype=row.ethertype,
        protocol=row.protocol,
        port_min=row.port_range_min,
        port_max=row.port_range_max,
        remote_cidr=_normal(row.remote_ip_prefix),
        remote_group=row.remote_group_id or row.remote_address_group_id,
    )


def _normal(prefix: str | None) -> str | None:
    return str(ipaddress.ip_network(prefix, strict=False)) if prefix else None
