"""/qos/policies and /qos/rule-types."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from haneul.kernel.database import Transaction
from haneul.kernel.errors import Forbidden, NotFound
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import access, limits, qos
from haneul.network.api import attributes, bodies, lists
from haneul.network.api.networks import Name, Project
from haneul.network.model_qos import QosPolicyRow

routes = Routes()
READ_ONLY = frozenset({"id", "rules", "created_at", "updated_at", "revision_number", "tags", "project_id", "tenant_id"})
DRIVER = "linux"
MOST = 2147483647
VALUES: dict[str, Any] = {"direction": ["ingress", "egress"], "dscp_mark": list(qos.DSCP_MARKS)}


class UpdatePolicy(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    shared: bool | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET


class CreatePolicy(UpdatePolicy, kw_only=True, forbid_unknown_fields=True):
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


_COLUMNS = {name: name for name in ("name", "description", "shared", "is_default")}


def rule_view(row: Any) -> dict[str, Any]:
    kind = qos.KINDS[row.type]
    names = (*kind.parameters, *(["direction"] if kind.directions else []))
    return {"id": row.id, **{name: getattr(row, name) for name in names}}


def _views(call: Call, tx: Transaction, rows: list[QosPolicyRow]) -> list[dict[str, Any]]:
    """`shared` is as the caller sees it: with everybody, or with the caller's project."""
    ids = [row.id for row in rows]
    rules = limits.rules(tx, ids) if ids else {}
    shared = qos.shared_with(tx, call.context, ids) if ids else set()
    return [
        {
            **attributes.standard(row),
            "shared": row.id in shared,
            "is_default": row.is_default,
            "rules": [
                {**rule_view(rule), "type": rule.type, "qos_policy_id": row.id} for rule in rules.get(row.id, [])
            ],
        }
        for row in rows
    ]


def _one(call: Call, row: QosPolicyRow) -> dict[str, Any]:
    return {"policy": attributes.shown(call, "policy", _views(call, call.tx, [row]))[0]}


def loaded(call: Call) -> QosPolicyRow:
    return qos.get(call.tx, call.context, call.values["qos_policy_id"])


@routes.get("/qos/policies", rule="get_policy")
def index(call: Call) -> dict[str, Any]:
    listing = lists.Listing(
        resource="policy",
        plural="policies",
        model=QosPolicyRow,
        visible=qos.visible,
        view=lambda tx, rows: _views(call, tx, rows),
        columns={
            **lists.standard_columns(QosPolicyRow),
            "shared": QosPolicyRow.shared,
            "is_default": QosPolicyRow.is_default,
        },
    )
    return lists.answer(call, listing)


@routes.get("/qos/policies/{qos_policy_id}", rule="get_policy")
def show(call: Call) -> dict[str, Any]:
    return _one(call, loaded(call))


@routes.post("/qos/policies", rule="create_policy", body=bodies.Body, status=201)
def create(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "policy", "policies", CreatePolicy, read_only=READ_ONLY)
    rows = []
    for new in wanted:
        project = access.owner(call.context, new.project_id or new.tenant_id or None)
        attributes.require(call, "create_policy", {"project_id": project})
        rows.append(qos.create(call.tx, project_id=project, **attributes.columns(new, _COLUMNS)))
    return {"policies": _views(call, call.tx, rows)} if bulk else _one(call, rows[0])


@routes.put("/qos/policies/{qos_policy_id}", rule="update_policy", target=loaded, body=bodies.Body)
def update(call: Call, row: QosPolicyRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(body, "policy", UpdatePolicy, read_only=READ_ONLY)
    attributes.constrain(call, row)
    return _one(call, qos.update(call.tx, row, attributes.columns(new, _COLUMNS)))


@routes.delete("/qos/policies/{qos_policy_id}", rule="delete_policy", target=loaded)
def delete(call: Call, row: QosPolicyRow) -> None:
    attributes.constrain(call, row)
    qos.delete_policy(call.tx, row)


# ---------------------------------------------------------------- what there is


@routes.get("/qos/rule-types", rule="get_rule_type")
def types(call: Call) -> dict[str, Any]:
    """What hosts here enforce; with all_rules, everything that a policy may say."""
    every = paging.flag(call.argument("all_rules") or "false", "all_rules")
    return {"rule_types": [{"type": name} for name in qos.KINDS if every or name in qos.supported(call.tx)]}


@routes.get("/qos/rule-types/{rule_type}", rule="get_rule_type")
def show_type(call: Call) -> dict[str, Any]:
    """Neutron shows the drivers' details to administrators only, whatever the policy."""
    if not call.context.is_admin:
        raise Forbidden("Not authorized.", type="NotAuthorized")
    name = call.values["rule_type"]
    kind = qos.KINDS.get(name)
    if kind is None or name not in qos.supported(call.tx):
        raise NotFound(f"Rule type {name[:64]} could not be found.", type="QosRuleTypeNotFound")
    parameters = [
        {
            "parameter_name": parameter,
            "parameter_type": "choices" if parameter in VALUES else "range",
            "parameter_values": VALUES.get(parameter, {"start": 0, "end": MOST}),
        }
        for parameter in (*kind.parameters, *(["direction"] if kind.directions else []))
    ]
    return {"rule_type": {"type": name, "drivers": [{"name": DRIVER, "supported_parameters": parameters}]}}
