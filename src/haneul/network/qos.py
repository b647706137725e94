"""QoS policies: who may use them, what they are on, and the rules in them.

The host enforces what `SUPPORTED` says; a rule of another type may stand in a policy, but not on a port.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, delete, or_, select, union_all

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.network import access, bandwidth, changes, limits
from haneul.network.errors_qos import (
    PolicyRemoveAuthorizationError,
    QoSPolicyDefaultAlreadyExists,
    QosPolicyInUse,
    QosPolicyNotFound,
    QosRuleNotFound,
    QosRuleNotSupported,
    QosRuleNotSupportedByNetwork,
    QoSRuleParameterConflict,
    QoSRulesConflict,
)
from haneul.network.model import FloatingIpRow, NetworkRow, PortRow, RbacRow, RouterRow
from haneul.network.model_qos import QosPolicyRow, QosRuleRow

EVERYBODY = "*"
OBJECT_TYPE, SHARED = "qos_policy", "access_as_shared"
BOTH = ("ingress", "egress")
DSCP_MARKS = (0, *range(8, 41, 2), 44, 46, 48, 56)


MINIMUM = "minimum_bandwidth"


class Kind(Struct, frozen=True):
    """A type of rules: what it says, and in which directions it may say so."""

    parameters: tuple[str, ...]
    directions: tuple[str, ...] = ()
    supported: bool = True


KINDS = {
    "bandwidth_limit": Kind(("max_kbps", "max_burst_kbps"), BOTH),
    "dscp_marking": Kind(("dscp_mark",)),
    MINIMUM: Kind(("min_kbps",), BOTH, supported=False),  # where bandwidth is configured: `supported`
    "packet_rate_limit": Kind(("max_kpps", "max_burst_kpps"), BOTH),
    "minimum_packet_rate": Kind(("min_kpps",), (*BOTH, "any"), supported=False),
}
SUPPORTED = frozenset(name for name, kind in KINDS.items() if kind.supported)


def supported(tx: Transaction) -> frozenset[str]:
    """The types of rules that some port may have."""
    return SUPPORTED | {MINIMUM} if tx.cloud.config.network.bandwidths else SUPPORTED


# ---------------------------------------------------------------- policies


def visible(context: Context) -> ColumnElement[bool]:
    return access.shareable(QosPolicyRow, context)


def get(tx: Transaction, context: Context, id: str) -> QosPolicyRow:
    row = tx.execute(select(QosPolicyRow).where(QosPolicyRow.id == id, visible(context))).scalar()
    if row is None:
        raise QosPolicyNotFound(id)
    return row


def create(
    tx: Transaction, *, project_id: str, shared: bool = False, is_default: bool = False, **values: Any
) -> QosPolicyRow:
    if is_default:
        _check_default(tx, project_id)
    row = QosPolicyRow(project_id=project_id, is_default=is_default, **values)
    tx.add(row)
    tx.flush()
    if shared:
        share(tx, row, True)
    return row


def update(tx: Transaction, row: QosPolicyRow, values: dict[str, Any]) -> QosPolicyRow:
    if values.get("is_default") and not row.is_default:
        _check_default(tx, row.project_id)
    if (shared := values.pop("shared", row.shared)) != row.shared:
        share(tx, row, shared)
    for key, value in values.items():
        setattr(row, key, value)
    row.touch()
    tx.flush()
    return row


def delete_policy(tx: Transaction, row: QosPolicyRow) -> None:
    """With its rules; not while something uses it."""
    tx.lock("qos-policy", row.id)
    for kind, model, column in _USERS:
        used = tx.execute(select(model.id).where(column == row.id).limit(1)).scalar()
        if used is not None:
            raise QosPolicyInUse(row.id, kind, used)
    tx.execute(delete(RbacRow).where(RbacRow.object_id == row.id))
    tx.delete(row)
    tx.flush()


_USERS: tuple[tuple[str, Any, Any], ...] = (
    ("network", NetworkRow, NetworkRow.qos_policy_id),
    ("port", PortRow, PortRow.qos_policy_id),
    ("floatingip", FloatingIpRow, FloatingIpRow.qos_policy_id),
    ("router", RouterRow, RouterRow.gateway_qos_policy_id),
)


def users(policy_id: str) -> Any:
    """A select of the projects of what a policy is on."""
    return union_all(*(select(model.project_id).where(column == policy_id) for _kind, model, column in _USERS))


def _check_default(tx: Transaction, project_id: str) -> None:
    if default(tx, project_id) is not None:
        raise QoSPolicyDefaultAlreadyExists(project_id)


def default(tx: Transaction, project_id: str) -> str | None:
    """What a network without a policy of its own starts with."""
    return tx.execute(
        select(QosPolicyRow.id).where(QosPolicyRow.project_id == project_id, QosPolicyRow.is_default)
    ).scalar()


def share(tx: Transaction, row: QosPolicyRow, on: bool) -> None:
    """With everybody: an RBAC policy for "*"."""
    from haneul.network import rbac

    found = tx.execute(select(RbacRow).where(RbacRow.object_id == row.id, RbacRow.target_project == EVERYBODY)).scalar()
    if found is not None and not on:
        rbac.delete(tx, found)
    elif found is None and on:
        tx.add(
            RbacRow(
                project_id=row.project_id,
                object_type=OBJECT_TYPE,
                object_id=row.id,
                action=SHARED,
                target_project=EVERYBODY,
            )
        )
    row.shared = on
    tx.flush()


def shared_with(tx: Transaction, context: Context, policy_ids: list[str]) -> set[str]:
    """Which of the policies are shared with the caller's project, as everybody's or by name."""
    return set(
        tx.execute(
            select(RbacRow.object_id).where(
                RbacRow.object_id.in_(policy_ids), RbacRow.target_project.in_([EVERYBODY, context.project_id or ""])
            )
        ).scalars()
    )


# ---------------------------------------------------------------- what they are on


def change(tx: Transaction, context: Context, present: str | None, wanted: str | None) -> str | None:
    """Answers `wanted` if the caller may put it in the place of `present`. Who cannot see the policy that is there, because
    an administrator put it there, cannot take it off."""
    if present == wanted:
        return wanted
    if (
        present is not None
        and tx.execute(select(QosPolicyRow.id).where(QosPolicyRow.id == present, ~visible(context))).first()
    ):
        raise PolicyRemoveAuthorizationError(present)
    if wanted is not None:
        tx.lock("qos-policy", wanted)
        get(tx, context, wanted)
    return wanted


def check_port(tx: Transaction, policy_id: str | None, port_id: str, network_id: str) -> None:
    for type in unsupported(tx, policy_id, network_id):
        raise QosRuleNotSupported(type, port_id)


def check_network(tx: Transaction, policy_id: str | None, network_id: str) -> None:
    for type in unsupported(tx, policy_id, network_id):
        raise QosRuleNotSupportedByNetwork(type, network_id)


def unsupported(tx: Transaction, policy_id: str | None, network_id: str) -> list[str]:
    """The types of a policy's rules that mean nothing on a network."""
    if policy_id is None:
        return []
    types = set(tx.execute(select(QosRuleRow.type).where(QosRuleRow.qos_policy_id == policy_id)).scalars()) - SUPPORTED
    if MINIMUM in types and bandwidth.offered(tx, network_id):
        types.remove(MINIMUM)
    return sorted(types)


def _inheriting(policy_id: str) -> Any:
    return select(NetworkRow.id).where(NetworkRow.qos_policy_id == policy_id)


def _noticed(tx: Transaction, ports: ColumnElement[bool], routers: Any) -> None:
    notes = [
        (host, "ports", id)
        for host, id in tx.execute(select(PortRow.host, PortRow.id).where(PortRow.host != "", ports))
    ]
    changes.note(tx, notes)
    changes.of_routers(tx, list(tx.execute(routers).scalars()))


def changed(tx: Transaction, policy_id: str) -> None:
    """The rules of a policy changed: every port and router that has it, by itself or by its network."""
    inherits = and_(PortRow.qos_policy_id.is_(None), PortRow.network_id.in_(_inheriting(policy_id)))
    of_floating = select(FloatingIpRow.router_id).where(
        FloatingIpRow.router_id.is_not(None),
        or_(
            FloatingIpRow.qos_policy_id == policy_id,
            and_(FloatingIpRow.qos_policy_id.is_(None), FloatingIpRow.floating_network_id.in_(_inheriting(policy_id))),
        ),
    )
    of_gateways = select(RouterRow.id).where(
        or_(
            RouterRow.gateway_qos_policy_id == policy_id,
            and_(RouterRow.gateway_qos_policy_id.is_(None), RouterRow.gateway_network_id.in_(_inheriting(policy_id))),
        )
    )
    _noticed(tx, or_(PortRow.qos_policy_id == policy_id, inherits), of_floating.union(of_gateways))


def network_changed(tx: Transaction, network_id: str) -> None:
    """A network got another policy: what is on it and has none of its own."""
    _noticed(
        tx,
        and_(PortRow.network_id == network_id, PortRow.qos_policy_id.is_(None)),
        select(RouterRow.id).where(RouterRow.gateway_network_id == network_id),
    )


# ---------------------------------------------------------------- rules


def get_rule(tx: Transaction, policy: QosPolicyRow, type: str, id: str) -> QosRuleRow:
    row = tx.get(QosRuleRow, id)
    if row is None or (row.qos_policy_id, row.type) != (policy.id, type):
        raise QosRuleNotFound(id, policy.id)
    return row


def add_rule(tx: Transaction, policy: QosPolicyRow, type: str, values: dict[str, Any]) -> QosRuleRow:
    tx.lock("qos-policy", policy.id)
    row = QosRuleRow(qos_policy_id=policy.id, type=type, **values)
    _check_rule(tx, policy, row)
    tx.add(row)
    tx.flush()
    _check_users(tx, policy, type)
    policy.touch()
    changed(tx, policy.id)
    return row


def update_rule(tx: Transaction, policy: QosPolicyRow, row: QosRuleRow, values: dict[str, Any]) -> QosRuleRow:
    tx.lock("qos-policy", policy.id)
    for key, value in values.items():
        setattr(row, key, value)
    _check_rule(tx, policy, row)
    _check_users(tx, policy, row.type)
    policy.touch()
    tx.flush()
    changed(tx, policy.id)
    return row


def remove_rule(tx: Transaction, policy: QosPolicyRow, row: QosRuleRow) -> None:
    _check_users(tx, policy, row.type)
    tx.delete(row)
    policy.touch()
    tx.flush()
    changed(tx, policy.id)


def _check_rule(tx: Transaction, policy: QosPolicyRow, row: QosRuleRow) -> None:
    """One rule of a type and direction; no more promised than is let through."""
    with tx.no_autoflush:
        others = [rule for rule in limits.rules(tx, [policy.id])[policy.id] if rule.id != row.id]
    for rule in others:
        if rule.type == row.type and (rule.direction == row.direction or "any" in (rule.direction, row.direction)):
            raise QoSRulesConflict(row.type, rule.id, policy.id)
        if rule.direction == row.direction and {rule.type, row.type} == {MINIMUM, "bandwidth_limit"}:
            most, least = (row, rule) if row.max_kbps is not None else (rule, row)
            if (most.max_kbps or 0) < (least.min_kbps or 0):
                mine, theirs = (row.max_kbps, rule.min_kbps) if most is row else (row.min_kbps, rule.max_kbps)
                raise QoSRuleParameterConflict(mine, policy.id, rule.type, theirs)


def _check_users(tx: Transaction, policy: QosPolicyRow, type: str) -> None:
    """A rule that no host can enforce is refused by a policy in use, and one that would change what hosts have granted."""
    if type in SUPPORTED:
        return
    mine = or_(
        PortRow.qos_policy_id == policy.id,
        and_(PortRow.qos_policy_id.is_(None), PortRow.network_id.in_(_inheriting(policy.id))),
    )
    for port, network in tx.execute(select(PortRow.id, PortRow.network_id).where(mine)):
        check_port(tx, policy.id, port, network)
    for network in tx.execute(_inheriting(policy.id)).scalars():
        check_network(tx, policy.id, network)
    bandwidth.refuse_if_held(tx, mine)
