"""/security-groups, /security-group-rules and /default-security-group-rules."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import select

from haneul.kernel.database import Transaction
from haneul.kernel.errors import Conflict, NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import access, security_groups
from haneul.network.api import attributes, bodies, lists
from haneul.network.api.networks import Name, Project
from haneul.network.errors import SecurityGroupNotFound, SecurityGroupRuleNotFound, SecurityGroupRulesNotSingleTenant
from haneul.network.model import DefaultRuleRow, SecurityGroupRow, SecurityRuleRow

routes = Routes()
READ_ONLY = frozenset(
    {
        "id",
        "created_at",
        "updated_at",
        "revision_number",
        "tags",
        "security_group_rules",
        "shared",
        "project_id",
        "tenant_id",
    }
)


class UpdateGroup(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    stateful: bool | UnsetType = UNSET


class CreateGroup(UpdateGroup, kw_only=True, forbid_unknown_fields=True):
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


class RuleBody(Struct, kw_only=True, forbid_unknown_fields=True):
    direction: Literal["ingress", "egress"]
    ethertype: str | None = "IPv4"
    protocol: str | int | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None
    description: Name = ""


class CreateRule(RuleBody, kw_only=True, forbid_unknown_fields=True):
    security_group_id: str
    remote_address_group_id: str | None = None
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


class CreateDefaultRule(RuleBody, kw_only=True, forbid_unknown_fields=True):
    used_in_default_sg: bool = False
    used_in_non_default_sg: bool = True


def rule_view(row: SecurityRuleRow, defaults: set[str]) -> dict[str, Any]:
    """`defaults`: which groups are their projects' default ones."""
    view = {
        **attributes.standard(row),
        "security_group_id": row.security_group_id,
        "direction": row.direction,
        "ethertype": row.ethertype,
        "protocol": row.protocol,
        "port_range_min": row.port_range_min,
        "port_range_max": row.port_range_max,
        "remote_ip_prefix": row.remote_ip_prefix,
        "normalized_cidr": _normalized(row.remote_ip_prefix),
        "remote_group_id": row.remote_group_id,
        "remote_address_group_id": row.remote_address_group_id,
        "belongs_to_default_sg": row.security_group_id in defaults,
    }
    del view["name"], view["tags"]
    return view


def rule_views(tx: Transaction, rows: list[SecurityRuleRow]) -> list[dict[str, Any]]:
    groups = {row.security_group_id for row in rows}
    query = select(SecurityGroupRow.id).where(SecurityGroupRow.id.in_(groups), SecurityGroupRow.is_default)
    defaults = set(tx.execute(query).scalars())
    return [rule_view(row, defaults) for row in rows]


def _normalized(prefix: str | None) -> str | None:
    import ipaddress

    return str(ipaddress.ip_network(prefix, strict=False)) if prefix else None


def view(tx: Transaction, rows: list[SecurityGroupRow]) -> list[dict[str, Any]]:
    rules = security_groups.rules_of(tx, [row.id for row in rows]) if rows else {}
    return [
        {
            **attributes.standard(row),
            "stateful": row.stateful,
            "shared": row.shared,
            "security_group_rules": [
                rule_view(rule, {row.id} if row.is_default else set()) for rule in rules[row.id]
            ],
        }
        for row in rows
    ]


LISTING = lists.Listing(
    resource="security_group",
    plural="security_groups",
    model=SecurityGroupRow,
    view=view,
    visible=lambda context: access.shareable(SecurityGroupRow, context),
    columns={
        **lists.standard_columns(SecurityGroupRow),
        "stateful": SecurityGroupRow.stateful,
        "shared": SecurityGroupRow.shared,
    },
)

RULES = lists.Listing(
    resource="security_group_rule",
    plural="security_group_rules",
    model=SecurityRuleRow,
    view=rule_views,
    visible=lambda context: access.owned(SecurityRuleRow, context),
    columns={
        **lists.standard_columns(SecurityRuleRow),
        **{
            name: getattr(SecurityRuleRow, name)
            for name in (
                "security_group_id",
                "direction",
                "ethertype",
                "protocol",
                "port_range_min",
                "port_range_max",
                "remote_ip_prefix",
                "remote_group_id",
                "remote_address_group_id",
            )
        },
    },
)


def _one(call: Call, row: SecurityGroupRow) -> dict[str, Any]:
    return {"security_group": attributes.shown(call, "security_group", view(call.tx, [row]))[0]}


def loaded(call: Call) -> SecurityGroupRow:
    return security_groups.get(call.tx, call.context, call.values["security_group_id"])


@routes.get("/security-groups", rule="get_security_group")
def index(call: Call) -> dict[str, Any]:
    """A project's default group is there before anybody looks: made here, in a write of its own, when it is missing."""
    _ensure_default(call)
    return lists.answer(call, LISTING)


def _ensure_default(call: Call) -> None:
    project = call.argument("project_id") or call.argument("tenant_id") or call.context.project_id
    if project is None or (project != call.context.project_id and not call.context.is_admin):
        return
    if (
        call.tx.execute(
            select(SecurityGroupRow.id).where(SecurityGroupRow.project_id == project, SecurityGroupRow.is_default)
        ).first()
        is None
    ):
        call.tx.rollback()  # the snapshot must be a later one than what is written now
        call.cloud.database.transact(lambda tx: security_groups.default(tx, project))


@routes.get("/security-groups/{security_group_id}", rule="get_security_group")
def show(call: Call) -> dict[str, Any]:
    return _one(call, loaded(call))


@routes.post("/security-groups", rule="create_security_group", body=bodies.Body, status=201)
def create(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "security_group", "security_groups", CreateGroup, read_only=READ_ONLY)
    rows = [_create(call, new) for new in wanted]
    return {"security_groups": view(call.tx, rows)} if bulk else _one(call, rows[0])


def _create(call: Call, new: CreateGroup) -> SecurityGroupRow:
    project = access.owner(call.context, new.project_id or new.tenant_id or None)
    attributes.require(call, "create_security_group", {"project_id": project})
    return security_groups.create(
        call.tx,
        call.context,
        project_id=project,
        name=new.name or "",
        **attributes.columns(new, {"description": "description", "stateful": "stateful"}),
    )


@routes.put("/security-groups/{security_group_id}", rule="update_security_group", target=loaded, body=bodies.Body)
def update(call: Call, row: SecurityGroupRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(body, "security_group", UpdateGroup, read_only=READ_ONLY)
    attributes.constrain(call, row)
    return _one(
        call,
        security_groups.update(
            call.tx, row, attributes.columns(new, {name: name for name in ("name", "description", "stateful")})
        ),
    )


@routes.delete("/security-groups/{security_group_id}", rule="delete_security_group", target=loaded)
def delete(call: Call, row: SecurityGroupRow) -> None:
    attributes.constrain(call, row)
    security_groups.delete(call.tx, call.context, row)


# ---------------------------------------------------------------- rules


def loaded_rule(call: Call) -> SecurityRuleRow:
    id = call.values["rule_id"]
    row = call.tx.execute(
        select(SecurityRuleRow).where(SecurityRuleRow.id == id, access.owned(SecurityRuleRow, call.context))
    ).scalar()
    if row is None:
        raise SecurityGroupRuleNotFound(id)
    return row


@routes.get("/security-group-rules", rule="get_security_group_rule")
def rules(call: Call) -> dict[str, Any]:
    _ensure_default(call)
    return lists.answer(call, RULES)


@routes.get("/security-group-rules/{rule_id}", rule="get_security_group_rule")
def show_rule(call: Call) -> dict[str, Any]:
    return {"security_group_rule": attributes.shown(call, "security_group_rule", rule_views(call.tx, [loaded_rule(call)]))[0]}


@routes.post("/security-group-rules", rule="create_security_group_rule", body=bodies.Body, status=201)
def create_rule(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "security_group_rule", "security_group_rules", CreateRule, read_only=READ_ONLY)
    groups = {new.security_group_id for new in wanted}
    owned = {
        row.id: row
        for row in call.tx.execute(
            select(SecurityGroupRow).where(
                SecurityGroupRow.id.in_(groups), access.owned(SecurityGroupRow, call.context)
            )
        ).scalars()
    }
    for id in sorted(groups - owned.keys()):
        raise SecurityGroupNotFound(id)
    projects = {access.owner(call.context, new.project_id or new.tenant_id or None) for new in wanted}
    if len(projects) > 1:
        raise SecurityGroupRulesNotSingleTenant()
    attributes.require(call, "create_security_group_rule", {"project_id": projects.pop()})
    rows = security_groups.add_rules(
        call.tx,
        call.context,
        [
            {
                **_values(new),
                "remote_address_group_id": new.remote_address_group_id or None,
                "security_group_id": new.security_group_id,
                "project_id": owned[new.security_group_id].project_id,
            }
            for new in wanted
        ],
    )
    views = rule_views(call.tx, rows)
    return {"security_group_rules": views} if bulk else {"security_group_rule": views[0]}


def _values(new: RuleBody) -> dict[str, Any]:
    return {
        "direction": new.direction,
        "ethertype": _ethertype(new.ethertype),
        "protocol": new.protocol,
        "port_range_min": new.port_range_min,
        "port_range_max": new.port_range_max,
        "remote_ip_prefix": new.remote_ip_prefix,
        "remote_group_id": new.remote_group_id,
        "description": new.description,
    }


def _ethertype(text: str | None) -> str:
    for known in ("IPv4", "IPv6"):
        if text is not None and text.lower() == known.lower():
            return known
    from haneul.kernel.errors import BadRequest

    raise BadRequest(
        f"Security group rule for ethertype '{text}' not supported. Allowed values are ['IPv4', 'IPv6'].",
        type="SecurityGroupRuleInvalidEtherType",
    )


@routes.delete("/security-group-rules/{rule_id}", rule="delete_security_group_rule", target=loaded_rule)
def delete_rule(call: Call, row: SecurityRuleRow) -> None:
    security_groups.remove_rule(call.tx, row)


# ---------------------------------------------------------------- templates


def template_view(row: DefaultRuleRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "description": row.description,
        "direction": row.direction,
        "ethertype": row.ethertype,
        "protocol": row.protocol,
        "port_range_min": row.port_range_min,
        "port_range_max": row.port_range_max,
        "remote_ip_prefix": row.remote_ip_prefix,
        "remote_group_id": row.remote_group_id,
        "remote_address_group_id": None,
        "used_in_default_sg": row.used_in_default_sg,
        "used_in_non_default_sg": row.used_in_non_default_sg,
    }


TEMPLATES = lists.Listing(
    resource="default_security_group_rule",
    plural="default_security_group_rules",
    model=DefaultRuleRow,
    view=lambda tx, rows: [template_view(row) for row in rows],
    visible=lambda context: DefaultRuleRow.id.is_not(None),
    columns={
        name: getattr(DefaultRuleRow, name)
        for name in (
            "id",
            "description",
            "direction",
            "ethertype",
            "protocol",
            "port_range_min",
            "port_range_max",
            "remote_ip_prefix",
            "remote_group_id",
            "used_in_default_sg",
            "used_in_non_default_sg",
        )
    },
)


def _template(call: Call) -> DefaultRuleRow:
    row = call.tx.get(DefaultRuleRow, call.values["template_id"])
    if row is None:
        raise NotFound(
            f"Default Security Group rule {call.values['template_id']} does not exist",
            type="SecurityGroupDefaultRuleNotFound",
        )
    return row


@routes.get("/default-security-group-rules", rule="get_default_security_group_rule")
def templates(call: Call) -> dict[str, Any]:
    return lists.answer(call, TEMPLATES)


@routes.get("/default-security-group-rules/{template_id}", rule="get_default_security_group_rule")
def show_template(call: Call) -> dict[str, Any]:
    return {"default_security_group_rule": template_view(_template(call))}


@routes.post("/default-security-group-rules", rule="create_default_security_group_rule", body=bodies.Body, status=201)
def create_template(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, _ = bodies.some(body, "default_security_group_rule", "default_security_group_rules", CreateDefaultRule)
    new = wanted[0]
    values = _values(new)
    security_groups.check(values)
    _check_new_template(call.tx, values, new)
    row = DefaultRuleRow(
        **values, used_in_default_sg=new.used_in_default_sg, used_in_non_default_sg=new.used_in_non_default_sg
    )
    call.tx.add(row)
    call.tx.flush()
    return {"default_security_group_rule": template_view(row)}


def _check_new_template(tx: Transaction, values: dict[str, Any], new: CreateDefaultRule) -> None:
    """The same rule twice in the groups of one kind is a conflict."""
    keys = [name for name in values if name != "description"]
    for row in tx.execute(select(DefaultRuleRow)).scalars():
        both = (row.used_in_default_sg and new.used_in_default_sg) or (
            row.used_in_non_default_sg and new.used_in_non_default_sg
        )
        if both and all(getattr(row, name) == values[name] for name in keys):
            raise Conflict(
                f"Default Security group rule already exists. Rule id is {row.id}.", type="SecurityGroupRuleExists"
            )


@routes.delete("/default-security-group-rules/{template_id}", rule="delete_default_security_group_rule")
def delete_template(call: Call) -> None:
    call.tx.delete(_template(call))
