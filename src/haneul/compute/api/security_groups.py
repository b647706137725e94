"""/os-security-groups and /os-security-group-rules below 2.36: the network room's groups as Nova shows them.

Who may is the network room's to say, by its own rules.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from haneul.compute.api.shapes import Body
from haneul.compute.problems import TooMany
from haneul.kernel import ids
from haneul.kernel.errors import BadRequest, Conflict, NotFound
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.network import errors, security_groups
from haneul.network.model import SecurityGroupRow, SecurityRuleRow

routes = Routes()
PATH = "/os-security-groups"
RULES = "/os-security-group-rules"
LAST = (2, 35)
_PROTOCOLS = ("tcp", "udp", "icmp")

Text = Annotated[str, Meta(max_length=255)]


class Group(Body):
    name: Text
    description: Text


class GroupBody(Body):
    security_group: Group


class Rule(Body):
    parent_group_id: str
    ip_protocol: str | None = None
    from_port: int | str | None = None
    to_port: int | str | None = None
    cidr: str | None = None
    group_id: str | None | UnsetType = UNSET


class RuleBody(Body):
    security_group_rule: Rule


def view(call: Call, rows: list[SecurityGroupRow]) -> list[dict[str, Any]]:
    rules = security_groups.rules_of(call.tx, [row.id for row in rows]) if rows else {}
    names = security_groups.names(call.tx, [rule.remote_group_id for found in rules.values() for rule in found
                                            if rule.remote_group_id])
    return [{"id": row.id, "name": row.name, "description": row.description, "tenant_id": row.project_id,
             "rules": [_rule(rule, names) for rule in rules[row.id] if rule.direction == "ingress"]} for row in rows]


def _rule(row: SecurityRuleRow, names: dict[str, tuple[str, str]]) -> dict[str, Any]:
    low, high = row.port_range_min, row.port_range_max
    if row.protocol and low is None and high is None:
        low, high = (1, 65535) if row.protocol in ("tcp", "udp") else (-1, -1)
    found: dict[str, Any] = {"id": row.id, "parent_group_id": row.security_group_id, "ip_protocol": row.protocol,
                             "from_port": low, "to_port": high, "group": {}, "ip_range": {}}
    if row.remote_group_id:
        name, project = names[row.remote_group_id]
        found["group"] = {"name": name, "tenant_id": project}
    else:
        found["ip_range"] = {"cidr": row.remote_ip_prefix or ("0.0.0.0/0" if row.ethertype == "IPv4" else "::/0")}
    return found


def _uuid(value: str) -> str:
    if not ids.is_uuid(value):
        raise BadRequest("Security group id should be uuid")
    return value


def _group(call: Call) -> SecurityGroupRow:
    return security_groups.get(call.tx, call.context, _uuid(call.values["group_id"]))


# ---------------------------------------------------------------- groups


@routes.get(PATH, rule="get_security_group", maximum=LAST, writes=True)
def index(call: Call) -> dict[str, Any]:
    """A write, because a project's default group is made when it is first looked for."""
    everybody = call.context.is_admin and paging.flag(call.argument("all_tenants") or "0")
    project = call.context.project_id or ""
    security_groups.default(call.tx, project)
    rows = security_groups.of_project(call.tx, call.context, None if everybody else project)
    offset = call.argument("offset") or "0"
    if not offset.isdigit():
        raise BadRequest("offset param must be an integer")
    start = int(offset)
    return {"security_groups": view(call, rows[start:start + paging.limit_of(call)])}


@routes.get(PATH + "/{group_id}", rule="get_security_group", maximum=LAST)
def show(call: Call) -> dict[str, Any]:
    return {"security_group": view(call, [_group(call)])[0]}


@routes.post(PATH, rule="create_security_group", maximum=LAST, body=GroupBody)
def create(call: Call, body: GroupBody) -> dict[str, Any]:
    group = body.security_group
    try:
        row = security_groups.create(call.tx, call.context, project_id=call.context.project_id or "",
                                     name=group.name, description=group.description)
    except Conflict as error:
        raise TooMany(error.message) from error
    return {"security_group": view(call, [row])[0]}


@routes.put(PATH + "/{group_id}", rule="update_security_group", maximum=LAST, target=_group, body=GroupBody)
def update(call: Call, row: SecurityGroupRow, body: GroupBody) -> dict[str, Any]:
    group = body.security_group
    try:
        security_groups.update(call.tx, row, {"name": group.name, "description": group.description})
    except Conflict as error:
        raise BadRequest(error.message) from error
    return {"security_group": view(call, [row])[0]}


@routes.delete(PATH + "/{group_id}", rule="delete_security_group", maximum=LAST, target=_group, status=202)
def delete(call: Call, row: SecurityGroupRow) -> Reply:
    try:
        security_groups.delete(call.tx, call.context, row)
    except Conflict as error:
        raise BadRequest(error.message) from error
    return Reply(status=202)


# ---------------------------------------------------------------- rules


@routes.post(RULES, rule="create_security_group_rule", maximum=LAST, body=RuleBody)
def create_rule(call: Call, body: RuleBody) -> dict[str, Any]:
    asked = body.security_group_rule
    group = security_groups.get(call.tx, call.context, _uuid(asked.parent_group_id))
    if not call.context.is_admin and group.project_id != call.context.project_id:
        raise errors.SecurityGroupNotFound(group.id)  # shared with the caller, but not the caller's to change
    source = asked.group_id or None
    if source is not None:
        security_groups.get(call.tx, call.context, _uuid(source))
    values = _values(asked, source)
    try:
        row = security_groups.add_rules(call.tx, call.context, [
            {**values, "security_group_id": group.id, "project_id": group.project_id}])[0]
    except errors.OverQuota as error:
        raise TooMany(error.message) from error
    except Conflict as error:
        raise BadRequest(error.message) from error
    names = security_groups.names(call.tx, [source] if source else [])
    return {"security_group_rule": _rule(row, names)}


def _values(asked: Rule, source: str | None) -> dict[str, Any]:
    """As Nova reads it: whole ranges may be left out with a source group; with an address range nothing may."""
    protocol = (asked.ip_protocol or "").lower()
    low, high = asked.from_port, asked.to_port
    if source is not None and protocol and low is None and high is None:
        low, high = (-1, -1) if protocol == "icmp" else (1, 65535)
    if not protocol or low is None or high is None:
        if source is None:
            raise BadRequest("Not enough parameters to build a valid rule.")
        protocol = ""
    first, last = _ports(protocol, low, high) if protocol else (None, None)
    cidr = None if source is not None else _cidr(asked.cidr)
    return {"direction": "ingress", "ethertype": "IPv6" if cidr and ":" in cidr else "IPv4", "protocol": protocol or None,
            "port_range_min": first, "port_range_max": last, "remote_ip_prefix": cidr, "remote_group_id": source,
            "description": ""}


def _cidr(text: str | None) -> str:
    """Kept as it was written, host bits and all."""
    try:
        ipaddress.ip_network(text or "0.0.0.0/0", strict=False)
        return text or "0.0.0.0/0"
    except ValueError:
        raise BadRequest(f"Invalid cidr {str(text)[:64]}.") from None


def _ports(protocol: str, low: int | str | None, high: int | str | None) -> tuple[int | None, int | None]:
    if protocol not in _PROTOCOLS:
        raise BadRequest(f"Invalid IP protocol {protocol[:32]}.")
    try:
        first, last = int(low or 0), int(high or 0)
    except ValueError:
        raise BadRequest("Type and Code must be integers for ICMP protocol type" if protocol == "icmp"
                         else "To and From ports must be integers") from None
    if protocol == "icmp":
        if not (-1 <= first <= 255 and -1 <= last <= 255):
            raise BadRequest(f"Invalid port range {first}:{last}. For ICMP, the type:code must be valid")
    elif first > last:
        raise BadRequest(f"Invalid port range {first}:{last}. Former value cannot be greater than the later")
    elif first < 1 or last > 65535:
        raise BadRequest(f"Invalid port range {first}:{last}. Valid {protocol.upper()} ports should be between 1-65535")
    return (None if first == -1 else first), (None if last == -1 else last)


def _one_rule(call: Call) -> SecurityRuleRow:
    row = security_groups.rule(call.tx, call.context, _uuid(call.values["rule_id"]))
    if row.direction != "ingress":
        raise NotFound(f"Security group with rule {row.id} not found.")
    return row


@routes.delete(RULES + "/{rule_id}", rule="delete_security_group_rule", maximum=LAST, target=_one_rule, status=202)
def delete_rule(call: Call, row: SecurityRuleRow) -> Reply:
    security_groups.remove_rule(call.tx, row)
    return Reply(status=202)
