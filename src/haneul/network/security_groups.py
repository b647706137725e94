"""Security groups and their rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy import Table, bindparam, func, or_, select

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Conflict
from haneul.network import access, address_groups, changes, quota
from haneul.network.errors import (
    SecurityGroupCannotRemoveDefault,
    SecurityGroupCannotUpdateDefault,
    SecurityGroupDefaultAlreadyExists,
    SecurityGroupEthertypeConflictWithProtocol,
    SecurityGroupInUse,
    SecurityGroupInvalidIcmpValue,
    SecurityGroupInvalidPortRange,
    SecurityGroupInvalidPortValue,
    SecurityGroupMissingIcmpType,
    SecurityGroupNotFound,
    SecurityGroupRemoteGroupAndRemoteIpPrefix,
    SecurityGroupRuleExists,
    SecurityGroupRuleInvalidProtocol,
    SecurityGroupRuleNotFound,
    SecurityGroupRuleParameterConflict,
)
from haneul.network.model import DefaultRuleRow, MembershipRow, PortRow, SecurityGroupRow, SecurityRuleRow

NUMBERS = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "hopopt": 0,
    "icmp": 1,
    "igmp": 2,
    "ip": 0,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}
_ICMP = ("icmp", "1", "icmpv6", "ipv6-icmp", "58")
_PORTS = ("tcp", "6", "udp", "17", "sctp", "132", "dccp", "33", "udplite", "136")
_ONLY_V6 = ("icmpv6", "ipv6-encap", "ipv6-frag", "ipv6-icmp", "ipv6-nonxt", "ipv6-opts", "ipv6-route")
PARENT = "PARENT"
_DEFAULT = select(SecurityGroupRow.id).where(
    SecurityGroupRow.project_id == bindparam("project"), SecurityGroupRow.is_default
)

_port, _membership, _group = (cast(Table, model.__table__) for model in (PortRow, MembershipRow, SecurityGroupRow))
_NAMES = (
    select(_port.c.device_id, _group.c.name)
    .distinct()
    .join(_membership, _membership.c.port_id == _port.c.id)
    .join(_group, _group.c.id == _membership.c.security_group_id)
    .where(_port.c.device_id.in_(bindparam("devices", expanding=True)))
    .order_by(_group.c.name)
)


class MultipleGroups(Conflict):
    """A name that several groups have."""


def get(tx: Transaction, context: Context, id: str) -> SecurityGroupRow:
    row = tx.execute(
        select(SecurityGroupRow).where(SecurityGroupRow.id == id, access.shareable(SecurityGroupRow, context))
    ).scalar()
    if row is None:
        raise SecurityGroupNotFound(id)
    return row


def of_project(tx: Transaction, context: Context, project_id: str | None) -> list[SecurityGroupRow]:
    """A project's groups that the caller may see, by name; None: every project's."""
    query = select(SecurityGroupRow).where(access.shareable(SecurityGroupRow, context))
    if project_id is not None:
        query = query.where(SecurityGroupRow.project_id == project_id)
    return list(tx.execute(query.order_by(SecurityGroupRow.project_id, SecurityGroupRow.name, SecurityGroupRow.id)).scalars())


def rule(tx: Transaction, context: Context, id: str) -> SecurityRuleRow:
    row = tx.execute(
        select(SecurityRuleRow).where(SecurityRuleRow.id == id, access.owned(SecurityRuleRow, context))
    ).scalar()
    if row is None:
        raise SecurityGroupRuleNotFound(id)
    return row


def names(tx: Transaction, ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Name and project of groups, by id."""
    return {
        id: (name, project)
        for id, name, project in tx.execute(
            select(SecurityGroupRow.id, SecurityGroupRow.name, SecurityGroupRow.project_id).where(
                SecurityGroupRow.id.in_(set(ids))
            )
        )
    }


def named(tx: Transaction, context: Context, names_or_ids: Iterable[str], project_id: str | None = None) -> list[str]:
    """Ids of groups by name or id, in the order asked. The project's default group is made when it is missing.

    SecurityGroupNotFound for one that the caller cannot use, MultipleGroups for a name that is not unique.
    """
    project = project_id or context.project_id or ""
    wanted = list(dict.fromkeys(names_or_ids))
    if not wanted:
        return []
    made = default(tx, project) if "default" in wanted else None
    rows = tx.execute(
        select(SecurityGroupRow.id, SecurityGroupRow.name).where(
            or_(SecurityGroupRow.project_id == project, access.shareable(SecurityGroupRow, context)),
            or_(
                SecurityGroupRow.id.in_(wanted),
                (SecurityGroupRow.name.in_(wanted)) & (SecurityGroupRow.project_id == project),
            ),
        )
    ).all()
    known = {id for id, _ in rows}
    found: list[str] = []
    for word in wanted:
        ids = [word] if word in known else [id for id, name in rows if name == word]
        if word == "default" and made is not None and len(ids) != 1:
            ids = [made]
        if not ids:
            raise SecurityGroupNotFound(word)
        if len(ids) > 1:
            raise MultipleGroups(f"Multiple security groups found matching '{word}'. Use an ID to be more specific.")
        found.append(ids[0])
    return found


def names_of_devices(tx: Transaction, device_ids: Iterable[str]) -> dict[str, list[str]]:
    """The names of the groups on each device's ports, each once; one statement, for server views."""
    found: dict[str, list[str]] = {id: [] for id in device_ids}
    if found:
        tx.flush()
        for device, name in tx.core(_NAMES, devices=list(found)):
            found[device].append(name)
    return found


def default(tx: Transaction, project_id: str) -> str:
    """The id of a project's default group, made with its rules on first use."""
    found = tx.execute(_DEFAULT, {"project": project_id}).scalar()
    if found is None:
        tx.lock("default-security-group", project_id)
        found = (
            tx.execute(_DEFAULT, {"project": project_id}).scalar()
            or _make(
                tx,
                SecurityGroupRow(
                    project_id=project_id, name="default", description="Default security group", is_default=True
                ),
            ).id
        )
    return found


def _make(tx: Transaction, row: SecurityGroupRow) -> SecurityGroupRow:
    tx.add(row)
    tx.flush()
    used = DefaultRuleRow.used_in_default_sg if row.is_default else DefaultRuleRow.used_in_non_default_sg
    for template in tx.execute(select(DefaultRuleRow).where(used)).scalars():
        remote = row.id if template.remote_group_id == PARENT else template.remote_group_id
        tx.add(
            SecurityRuleRow(
                project_id=row.project_id,
                security_group_id=row.id,
                direction=template.direction,
                ethertype=template.ethertype,
                protocol=template.protocol,
                port_range_min=template.port_range_min,
                port_range_max=template.port_range_max,
                remote_ip_prefix=template.remote_ip_prefix,
                remote_group_id=remote,
            )
        )
    tx.flush()
    return row


def create(
    tx: Transaction, context: Context, *, project_id: str, name: str, description: str = "", stateful: bool = True
) -> SecurityGroupRow:
    default(tx, project_id)
    if name.lower() == "default":
        raise SecurityGroupDefaultAlreadyExists()
    used = select(func.count()).select_from(DefaultRuleRow).where(DefaultRuleRow.used_in_non_default_sg)
    quota.check(tx, project_id, security_group=1, security_group_rule=tx.execute(used).scalar_one())
    return _make(tx, SecurityGroupRow(project_id=project_id, name=name, description=description, stateful=stateful))


def update(tx: Transaction, row: SecurityGroupRow, values: dict[str, Any]) -> SecurityGroupRow:
    if row.is_default and "name" in values and values["name"] != row.name:
        raise SecurityGroupCannotUpdateDefault()
    if not row.is_default and values.get("name", "").lower() == "default":
        raise SecurityGroupDefaultAlreadyExists()
    if "stateful" in values and values["stateful"] != row.stateful:
        if tx.execute(select(MembershipRow.port_id).where(MembershipRow.security_group_id == row.id).limit(1)).first():
            raise SecurityGroupInUse(row.id)
    for key, value in values.items():
        setattr(row, key, value)
    row.touch()
    tx.flush()
    return row


def delete(tx: Transaction, context: Context, row: SecurityGroupRow) -> None:
    if row.is_default and not context.is_admin:
        raise SecurityGroupCannotRemoveDefault()
    used = tx.execute(select(MembershipRow.port_id).where(MembershipRow.security_group_id == row.id).limit(1)).first()
    if used:
        raise SecurityGroupInUse(row.id)
    referring = set(
        tx.execute(select(SecurityRuleRow.security_group_id).where(SecurityRuleRow.remote_group_id == row.id)).scalars()
    ) - {row.id}
    changes.of_groups(tx, referring)
    access.forget(tx, row.id)
    tx.delete(row)
    tx.flush()


# ---------------------------------------------------------------- rules


def rules_of(tx: Transaction, group_ids: Sequence[str]) -> dict[str, list[SecurityRuleRow]]:
    found: dict[str, list[SecurityRuleRow]] = {id: [] for id in group_ids}
    for row in tx.execute(
        select(SecurityRuleRow)
        .where(SecurityRuleRow.security_group_id.in_(group_ids))
        .order_by(SecurityRuleRow.created_at, SecurityRuleRow.id)
    ).scalars():
        found[row.security_group_id].append(row)
    return found


def add_rules(tx: Transaction, context: Context, wanted: list[dict[str, Any]]) -> list[SecurityRuleRow]:
    """Checked and added; each is the values of a SecurityRuleRow. The groups must be the caller's to change."""
    rows: list[SecurityRuleRow] = []
    groups = {values["security_group_id"] for values in wanted}
    present = {_same(row): row.id for rules in rules_of(tx, list(groups)).values() for row in rules}
    for project in {values["project_id"] for values in wanted}:
        quota.check(tx, project, security_group_rule=sum(values["project_id"] == project for values in wanted))
    for values in wanted:
        check(values)
        if values.get("remote_group_id"):
            get(tx, context, values["remote_group_id"])
        if values.get("remote_address_group_id"):
            tx.lock("address-group", values["remote_address_group_id"])
            address_groups.get(tx, context, values["remote_address_group_id"])
        row = SecurityRuleRow(**values)
        key = _same(row)
        if key in present:
            raise SecurityGroupRuleExists(present[key])
        tx.add(row)
        tx.flush()
        present[key] = row.id
        rows.append(row)
    _touch(tx, groups)
    return rows


def remove_rule(tx: Transaction, row: SecurityRuleRow) -> None:
    group = row.security_group_id
    tx.delete(row)
    tx.flush()
    _touch(tx, {group})


def _touch(tx: Transaction, groups: set[str]) -> None:
    for group in tx.execute(select(SecurityGroupRow).where(SecurityGroupRow.id.in_(groups))).scalars():
        group.touch()
    changes.of_groups(tx, groups)


def _same(row: SecurityRuleRow) -> tuple[Any, ...]:
    """What makes two rules the same: a protocol's name and number are, "any" prefixes and none are not."""
    protocol = None if row.protocol is None else str(NUMBERS.get(row.protocol, row.protocol))
    return (
        row.security_group_id,
        row.direction,
        row.ethertype,
        protocol,
        row.port_range_min,
        row.port_range_max,
        row.remote_ip_prefix,
        row.remote_group_id,
        row.remote_address_group_id,
    )


def check(values: dict[str, Any]) -> None:
    """Neutron's rules for rules; brings `values` into the form that is kept."""
    protocol = values["protocol"] = _protocol(values.get("protocol"), values["ethertype"])
    if sum(bool(values.get(f"remote_{name}")) for name in ("group_id", "ip_prefix", "address_group_id")) > 1:
        raise SecurityGroupRemoteGroupAndRemoteIpPrefix()
    if values.get("remote_ip_prefix"):
        try:
            prefix = ipaddress.ip_network(values["remote_ip_prefix"], strict=False)
        except ValueError:
            raise SecurityGroupRuleParameterConflict(values["ethertype"], values["remote_ip_prefix"]) from None
        if f"IPv{prefix.version}" != values["ethertype"] or "%" in values["remote_ip_prefix"]:
            raise SecurityGroupRuleParameterConflict(values["ethertype"], values["remote_ip_prefix"])
    low, high = values.get("port_range_min"), values.get("port_range_max")
    if protocol in _ICMP:
        for field, attribute, value in (("type", "port-range-min", low), ("code", "port-range-max", high)):
            if value is not None and not 0 <= value <= 255:
                raise SecurityGroupInvalidIcmpValue(field, attribute, value)
        if low is None and high is not None:
            raise SecurityGroupMissingIcmpType(high)
    elif low is not None or high is not None:
        _check_ports(protocol, low, high)


def _check_ports(protocol: str | None, low: int | None, high: int | None) -> None:
    from haneul.network.errors import InvalidInput

    if protocol is None:
        raise InvalidInput("Must also specify protocol if port range is given")
    if protocol not in _PORTS:
        raise InvalidInput(f"Port range cannot be specified for protocol {protocol}")
    for port in (low, high):
        if port is not None and not 0 <= port <= 65535:
            raise SecurityGroupInvalidPortValue(port)
    if low is None or high is None or low > high:
        raise SecurityGroupInvalidPortRange()


def _protocol(protocol: Any, ethertype: str) -> str | None:
    """As Neutron keeps it: lower case, "any" and "0" are none at all, ICMP by the name of its IP version."""
    if protocol is None or str(protocol).lower() in ("any", "", "0"):
        return None
    text = str(protocol).lower()
    if text.isdigit() and text.isascii():
        if int(text) > 255:
            raise SecurityGroupRuleInvalidProtocol(protocol, sorted(NUMBERS))
        if ethertype == "IPv4" and int(text) in {NUMBERS[name] for name in _ONLY_V6}:
            raise SecurityGroupEthertypeConflictWithProtocol(ethertype, text)
    elif text not in NUMBERS:
        raise SecurityGroupRuleInvalidProtocol(protocol, sorted(NUMBERS))
    elif text in _ONLY_V6 and ethertype == "IPv4":
        raise SecurityGroupEthertypeConflictWithProtocol(ethertype, text)
    if ethertype == "IPv6" and text in ("icmp", "icmpv6"):
        return "ipv6-icmp"
    return text
