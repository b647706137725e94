"""/qos/policies/{id}/<type>_rules, and the same rules without their policy's id: /qos/alias_<type>_rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import and_

from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import qos
from haneul.network.api import attributes, bodies, lists
from haneul.network.api.qos_policies import MOST, loaded, rule_view
from haneul.network.errors import BadAttribute
from haneul.network.errors_qos import QosPolicyNotFound, QosRuleNotFound
from haneul.network.model_qos import QosPolicyRow, QosRuleRow

routes = Routes()
READ_ONLY = frozenset({"id", "qos_policy_id", "type", "project_id", "tenant_id"})
Number = Annotated[int, Meta(ge=0, le=MOST)]
Direction = Literal["ingress", "egress"]


class UpdateBandwidth(Struct, kw_only=True, forbid_unknown_fields=True):
    max_kbps: Number | UnsetType = UNSET
    max_burst_kbps: Number | UnsetType = UNSET
    direction: Direction | UnsetType = UNSET


class CreateBandwidth(Struct, kw_only=True, forbid_unknown_fields=True):
    max_kbps: Number
    max_burst_kbps: Number = 0
    direction: Direction = "egress"


class UpdatePackets(Struct, kw_only=True, forbid_unknown_fields=True):
    max_kpps: Number | UnsetType = UNSET
    max_burst_kpps: Number | UnsetType = UNSET
    direction: Direction | UnsetType = UNSET


class CreatePackets(Struct, kw_only=True, forbid_unknown_fields=True):
    max_kpps: Number
    max_burst_kpps: Number = 0
    direction: Direction = "egress"


class UpdateMark(Struct, kw_only=True, forbid_unknown_fields=True):
    dscp_mark: Number | UnsetType = UNSET


class CreateMark(Struct, kw_only=True, forbid_unknown_fields=True):
    dscp_mark: Number


class UpdateLeast(Struct, kw_only=True, forbid_unknown_fields=True):
    min_kbps: Number | UnsetType = UNSET
    direction: Direction | UnsetType = UNSET


class CreateLeast(Struct, kw_only=True, forbid_unknown_fields=True):
    min_kbps: Number
    direction: Direction = "egress"


class UpdateLeastPackets(Struct, kw_only=True, forbid_unknown_fields=True):
    min_kpps: Number | UnsetType = UNSET
    direction: Literal["ingress", "egress", "any"] | UnsetType = UNSET


class CreateLeastPackets(Struct, kw_only=True, forbid_unknown_fields=True):
    min_kpps: Number
    direction: Literal["ingress", "egress", "any"] = "egress"


_BODIES: dict[str, tuple[type[Struct], type[Struct]]] = {
    "bandwidth_limit": (CreateBandwidth, UpdateBandwidth),
    "dscp_marking": (CreateMark, UpdateMark),
    "minimum_bandwidth": (CreateLeast, UpdateLeast),
    "packet_rate_limit": (CreatePackets, UpdatePackets),
    "minimum_packet_rate": (CreateLeastPackets, UpdateLeastPackets),
}
_WITHOUT_ALIAS = {"packet_rate_limit"}


def _values(new: Struct) -> dict[str, Any]:
    values = {name: getattr(new, name) for name in new.__struct_fields__ if getattr(new, name) is not UNSET}
    if values.get("dscp_mark", 0) not in qos.DSCP_MARKS:
        raise BadAttribute("dscp_mark", f"'{values['dscp_mark']}' is not in {list(qos.DSCP_MARKS)}")
    return values


def _listing(policy: QosPolicyRow, kind: str) -> lists.Listing:
    names = ("id", *qos.KINDS[kind].parameters, *(["direction"] if qos.KINDS[kind].directions else []))
    return lists.Listing(
        resource=f"policy_{kind}_rule",
        plural=f"{kind}_rules",
        model=QosRuleRow,
        visible=lambda context: and_(QosRuleRow.qos_policy_id == policy.id, QosRuleRow.type == kind),
        view=lambda tx, rows: [rule_view(row) for row in rows],
        columns={name: getattr(QosRuleRow, name) for name in names},
    )


def _rule(kind: str) -> Callable[[Call], QosRuleRow]:
    def load(call: Call) -> QosRuleRow:
        return qos.get_rule(call.tx, loaded(call), kind, call.values[f"{kind}_rule_id"])

    return load


def _anywhere(kind: str) -> Callable[[Call], QosRuleRow]:
    """By its own id alone."""

    def load(call: Call) -> QosRuleRow:
        id = call.values[f"{kind}_rule_id"]
        row = call.tx.get(QosRuleRow, id)
        if row is None or row.type != kind:
            raise QosRuleNotFound(id, "")
        try:
            qos.get(call.tx, call.context, row.qos_policy_id)
        except QosPolicyNotFound:
            raise QosRuleNotFound(id, "") from None
        return row

    return load


def _add(kind: str) -> None:
    """The routes of one type of rules."""
    name, path = f"{kind}_rule", f"/qos/policies/{{qos_policy_id}}/{kind}_rules"
    one, alias = f"{path}/{{{kind}_rule_id}}", f"/qos/alias_{kind}_rules/{{{kind}_rule_id}}"
    creation, change = _BODIES[kind]

    def index(call: Call) -> dict[str, Any]:
        return lists.answer(call, _listing(loaded(call), kind))

    def show(call: Call, row: QosRuleRow) -> dict[str, Any]:
        return {name: attributes.shown(call, f"policy_{name}", [rule_view(row)])[0]}

    def create(call: Call, body: bodies.Body) -> dict[str, Any]:
        policy = loaded(call)
        wanted, bulk = bodies.some(body, name, f"{name}s", creation, read_only=READ_ONLY)
        made = [rule_view(qos.add_rule(call.tx, policy, kind, _values(new))) for new in wanted]
        return {f"{name}s": made} if bulk else {name: made[0]}

    def update(call: Call, row: QosRuleRow, body: bodies.Body) -> dict[str, Any]:
        new = bodies.one(body, name, change, read_only=READ_ONLY)
        policy = call.tx.get_one(QosPolicyRow, row.qos_policy_id)
        return {name: rule_view(qos.update_rule(call.tx, policy, row, _values(new)))}

    def delete(call: Call, row: QosRuleRow) -> None:
        qos.remove_rule(call.tx, call.tx.get_one(QosPolicyRow, row.qos_policy_id), row)

    def seen(load: Callable[[Call], QosRuleRow]) -> Callable[[Call], QosRuleRow]:
        """Whoever sees the policy reads its rules."""

        def found(call: Call) -> QosRuleRow:
            row: Any = load(call)
            row.policy_target = {"project_id": call.context.project_id}
            return row  # type: ignore[no-any-return]

        return found

    routes.get(path, rule=f"get_policy_{name}")(index)
    routes.post(path, rule=f"create_policy_{name}", body=bodies.Body, status=201)(create)
    places = [(one, f"policy_{name}", _rule(kind))]
    if kind not in _WITHOUT_ALIAS:
        places.append((alias, f"alias_{name}", _anywhere(kind)))
    for where, resource, load in places:
        routes.get(where, rule=f"get_{resource}", target=seen(load))(show)
        routes.put(where, rule=f"update_{resource}", target=load, body=bodies.Body)(update)
        routes.delete(where, rule=f"delete_{resource}", target=load)(delete)


for _kind in qos.KINDS:
    _add(_kind)
