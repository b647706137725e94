"""Who may see what: an owner, everybody an object is shared with, and the administrator."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, delete, or_, select, true

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.network.model import NetworkRow, PortRow, RbacRow, SubnetRow


def owner(context: Context, asked: str | None) -> str:
    """The project that a new object belongs to; whether the caller may name another one is the policy's to say."""
    return asked if asked else context.project_id or ""


def sees_all(context: Context) -> bool:
    return context.is_admin or context.is_service


def shared_with(context: Context, *actions: str) -> Any:
    """A select of ids of objects that an RBAC policy opens to the caller's project, or to everybody."""
    return select(RbacRow.object_id).where(
        RbacRow.action.in_(actions), RbacRow.target_project.in_((context.project_id, "*"))
    )


def networks(context: Context) -> ColumnElement[bool]:
    if sees_all(context):
        return true()
    return or_(
        NetworkRow.project_id == context.project_id,
        NetworkRow.shared,
        NetworkRow.id.in_(shared_with(context, "access_as_shared", "access_as_external")),
    )


def subnets(context: Context) -> ColumnElement[bool]:
    """Subnets of shared networks are seen by their users; those of merely external networks are not."""
    if sees_all(context):
        return true()
    return or_(
        SubnetRow.project_id == context.project_id,
        SubnetRow.network_id.in_(
            select(NetworkRow.id).where(
                or_(
                    NetworkRow.project_id == context.project_id,
                    NetworkRow.shared,
                    NetworkRow.id.in_(shared_with(context, "access_as_shared")),
                )
            )
        ),
    )


def ports(context: Context) -> ColumnElement[bool]:
    """Who owns a network sees every port of it."""
    if sees_all(context):
        return true()
    return or_(
        PortRow.project_id == context.project_id,
        PortRow.network_id.in_(select(NetworkRow.id).where(NetworkRow.project_id == context.project_id)),
    )


def forget(tx: Transaction, object_id: str) -> None:
    """The RBAC policies on an object end with it."""
    tx.execute(delete(RbacRow).where(RbacRow.object_id == object_id))


def owned(model: Any, context: Context) -> ColumnElement[bool]:
    if sees_all(context):
        return true()
    return model.project_id == context.project_id  # type: ignore[no-any-return]


def shareable(model: Any, context: Context) -> ColumnElement[bool]:
    """For what has a `shared` column and may be in RBAC policies: security groups, address scopes, subnet pools."""
    if sees_all(context):
        return true()
    return or_(
        model.project_id == context.project_id, model.shared, model.id.in_(shared_with(context, "access_as_shared"))
    )


def may_see_network(tx: Transaction, context: Context, network: NetworkRow) -> bool:
    """`networks` for one that has been read."""
    if sees_all(context) or network.project_id == context.project_id or network.shared:
        return True
    shared = shared_with(context, "access_as_shared", "access_as_external").where(RbacRow.object_id == network.id)
    return tx.execute(shared).first() is not None


def may_use_network(tx: Transaction, context: Context, network: NetworkRow) -> bool:
    """Whether ports may be made on it: own, or shared. An external network is only for gateways and floating IPs."""
    if sees_all(context) or network.project_id == context.project_id or network.shared:
        return True
    return (
        tx.execute(shared_with(context, "access_as_shared").where(RbacRow.object_id == network.id)).first() is not None
    )
