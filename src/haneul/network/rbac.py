"""RBAC policies: opening an object to another project, or to everybody."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.network import access, qos, quota
from haneul.network.errors import (
    BadAttribute,
    DuplicateRbacPolicy,
    InvalidInput,
    NetworkNotFound,
    PolicyNotAuthorized,
    RbacPolicyInUse,
    RbacPolicyNotFound,
)
from haneul.network.model import (
    AddressScopeRow,
    FloatingIpRow,
    MembershipRow,
    NetworkRow,
    PortRow,
    RbacRow,
    RouterRow,
    SecurityGroupRow,
    SecurityRuleRow,
    SubnetPoolRow,
    SubnetRow,
)
from haneul.network.model_qos import QosPolicyRow
from haneul.network.model_services import AddressGroupRow

KINDS: dict[str, Any] = {
    "network": NetworkRow,
    "security_group": SecurityGroupRow,
    "address_scope": AddressScopeRow,
    "subnetpool": SubnetPoolRow,
    "qos_policy": QosPolicyRow,
    "address_group": AddressGroupRow,
}


def visible(context: Context) -> Any:
    if access.sees_all(context):
        return RbacRow.id.is_not(None)
    return RbacRow.project_id == context.project_id


def get(tx: Transaction, context: Context, id: str) -> RbacRow:
    row = tx.execute(select(RbacRow).where(RbacRow.id == id, visible(context))).scalar()
    if row is None:
        raise RbacPolicyNotFound(id)
    return row


def create(
    tx: Transaction,
    context: Context,
    *,
    project_id: str,
    object_type: str,
    object_id: str,
    action: str,
    target_project: str,
) -> RbacRow:
    if object_type not in KINDS:
        raise BadAttribute("object_type", f"'{object_type}' is not in {sorted(KINDS)}")
    actions = ("access_as_shared", "access_as_external") if object_type == "network" else ("access_as_shared",)
    if action not in actions:
        raise InvalidInput(
            f"Invalid action '{action}' for object type '{object_type}'. Valid actions: {', '.join(actions)}"
        )
    quota.check(tx, project_id, rbac_policy=1)
    thing = _object(tx, context, object_type, object_id)
    if action == "access_as_external" and thing.physical_network is not None and not context.is_admin:
        raise PolicyNotAuthorized("create_rbac_policy")  # hosts carry the addresses of its gateways
    if object_type == "subnetpool" and thing.address_scope_id is not None:
        _check_scope_access(tx, thing, target_project)
    if tx.execute(
        select(RbacRow.id).where(
            RbacRow.object_id == object_id, RbacRow.action == action, RbacRow.target_project == target_project
        )
    ).first():
        raise DuplicateRbacPolicy()
    row = RbacRow(
        project_id=project_id,
        object_type=object_type,
        object_id=object_id,
        action=action,
        target_project=target_project,
    )
    tx.add(row)
    tx.flush()
    _settle(tx, thing, object_type, action)
    return row


def _check_scope_access(tx: Transaction, pool: SubnetPoolRow, target: str) -> None:
    """Who may take from a pool must be able to see the address scope that it belongs to."""
    scope = tx.get_one(AddressScopeRow, pool.address_scope_id)
    opened = select(RbacRow.id).where(RbacRow.object_id == scope.id, RbacRow.target_project == target)
    if not (scope.shared or scope.project_id == target or tx.execute(opened).first()):
        raise InvalidInput(f"Invalid subnet pool RBAC: project {target} has no access to address scope {scope.id}")


def retarget(tx: Transaction, row: RbacRow, target_project: str) -> RbacRow:
    _check_unused(tx, row, target_project)
    row.target_project = target_project
    tx.flush()
    _settle(tx, tx.get_one(KINDS[row.object_type], row.object_id), row.object_type, row.action)
    return row


def delete(tx: Transaction, row: RbacRow) -> None:
    _check_unused(tx, row)
    kind, id, action = row.object_type, row.object_id, row.action
    tx.delete(row)
    tx.flush()
    thing = tx.get(KINDS[kind], id)
    if thing is not None:
        _settle(tx, thing, kind, action)


def _object(tx: Transaction, context: Context, kind: str, id: str) -> Any:
    """Only an owner opens an object."""
    model = KINDS[kind]
    row = tx.execute(select(model).where(model.id == id, access.owned(model, context))).scalar()
    if row is not None:
        return row
    seen = access.networks(context) if kind == "network" else access.shareable(model, context)
    if tx.execute(select(model.id).where(model.id == id, seen)).first():
        raise InvalidInput(f"Only admins can manipulate policies on {kind} objects they do not own")
    raise NetworkNotFound(id) if kind == "network" else RbacPolicyNotFound(id)


def _settle(tx: Transaction, thing: Any, kind: str, action: str) -> None:
    """`shared` and `external` follow from the policies for everybody; a network is external as soon as there is any."""
    every = select(RbacRow.id).where(RbacRow.object_id == thing.id, RbacRow.action == action)
    if action == "access_as_external":
        thing.external = tx.execute(every.limit(1)).first() is not None
    else:
        thing.shared = tx.execute(every.where(RbacRow.target_project == "*")).first() is not None
    thing.touch()
    tx.flush()


def _check_unused(tx: Transaction, row: RbacRow, instead: str = "") -> None:
    """What the target project has on the object would be cut off, unless it is the one that gets it `instead`."""
    users: Any
    if row.action == "access_as_external" and row.target_project == "*":
        if tx.get_one(NetworkRow, row.object_id).is_default:
            raise RbacPolicyInUse(row.object_id, "it is the default external network")
    if row.object_type == "security_group":
        users = (
            select(PortRow.project_id)
            .join(MembershipRow, MembershipRow.port_id == PortRow.id)
            .where(MembershipRow.security_group_id == row.object_id)
        )
    elif row.object_type == "subnetpool":
        users = select(SubnetRow.project_id).where(SubnetRow.subnetpool_id == row.object_id)
    elif row.object_type == "address_group":
        users = (
            select(SecurityGroupRow.project_id)
            .join(SecurityRuleRow, SecurityRuleRow.security_group_id == SecurityGroupRow.id)
            .where(SecurityRuleRow.remote_address_group_id == row.object_id)
        )
    elif row.object_type == "qos_policy":
        users = qos.users(row.object_id)
    elif row.object_type == "address_scope":
        users = select(SubnetPoolRow.project_id).where(SubnetPoolRow.address_scope_id == row.object_id)
    elif row.action == "access_as_external":
        users = (
            select(RouterRow.project_id)
            .where(RouterRow.gateway_network_id == row.object_id)
            .union(select(FloatingIpRow.project_id).where(FloatingIpRow.floating_network_id == row.object_id))
        )
    else:
        users = select(PortRow.project_id).where(PortRow.network_id == row.object_id)
    owner = tx.execute(
        select(KINDS[row.object_type].project_id).where(KINDS[row.object_type].id == row.object_id)
    ).scalar()
    others = select(RbacRow.target_project).where(
        RbacRow.object_id == row.object_id, RbacRow.action == row.action, RbacRow.id != row.id
    )
    covered = set(tx.execute(others).scalars()) | {owner, "", instead}
    if row.object_type == "qos_policy" and row.target_project == "*":
        covered.discard(owner)  # Neutron keeps a shared policy shared while anybody at all uses it
    using = {project for (project,) in tx.execute(users)} - covered
    if "*" not in covered and (using if row.target_project == "*" else row.target_project in using):
        raise RbacPolicyInUse(row.object_id, "other projects use it")
