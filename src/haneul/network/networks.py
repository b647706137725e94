"""Networks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, bindparam, or_, select
from sqlalchemy import delete as delete_from

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.network import access, bandwidth, changes, network_segments, qos, quota, segments
from haneul.network.errors import ExternalNetworkInUse, InvalidSharedSetting, NetworkInUse, NetworkNotFound
from haneul.network.errors_services import DefaultExternalNetworkExists
from haneul.network.model import FloatingIpRow, NetworkRow, PortRow, RbacRow, RouterRow, SubnetPoolRow, SubnetRow

AUTO_DELETED = ("network:dhcp",)
EVERYBODY = "*"

_subnet: Any = SubnetRow.__table__
_BY_ID = select(NetworkRow).where(NetworkRow.id == bindparam("id"))
_SUBNETS = (
    select(_subnet.c.network_id, _subnet.c.id)
    .where(_subnet.c.network_id.in_(bindparam("ids", expanding=True)))
    .order_by(_subnet.c.created_at, _subnet.c.id)
)


def get(tx: Transaction, context: Context, id: str) -> NetworkRow:
    """A network that the caller may see. Raises NetworkNotFound."""
    row = tx.execute(_BY_ID, {"id": id}).scalar()
    if row is None or not access.may_see_network(tx, context, row):
        raise NetworkNotFound(id)
    return row


def visible(tx: Transaction, context: Context, *, external: bool = False) -> list[NetworkRow]:
    """Every network that the caller may see, or only the external ones."""
    query = select(NetworkRow).where(access.networks(context))
    if external:
        query = query.where(NetworkRow.external)
    return list(tx.execute(query.order_by(NetworkRow.created_at, NetworkRow.id)).scalars())


def available(tx: Transaction, context: Context) -> list[NetworkRow]:
    """Networks that a server may be put on without naming one: the project's own and shared ones, not external ones of
    others. In the order of their making."""
    return list(
        tx.execute(
            select(NetworkRow)
            .where(
                or_(
                    NetworkRow.project_id == context.project_id,
                    NetworkRow.shared,
                    NetworkRow.id.in_(access.shared_with(context, "access_as_shared")),
                ),
                or_(~NetworkRow.external, NetworkRow.shared),
            )
            .order_by(NetworkRow.created_at, NetworkRow.id)
        ).scalars()
    )


def create(
    tx: Transaction,
    context: Context,
    *,
    project_id: str,
    name: str = "",
    shared: bool = False,
    external: bool = False,
    segment: segments.Wanted | None = None,
    mtu: int | None = None,
    **values: Any,
) -> NetworkRow:
    quota.check(tx, project_id, network=1)
    if values.get("qos_policy_id") is not None:
        qos.change(tx, context, None, values["qos_policy_id"])
    else:
        values["qos_policy_id"] = qos.default(tx, project_id)
    if external and values.get("is_default"):
        _check_default(tx, None)
    found = segments.allocate(tx, segment or segments.Wanted())
    row = NetworkRow(
        project_id=project_id,
        name=name,
        type=found.type,
        physical_network=found.physical_network,
        segmentation_id=found.segmentation_id,
        mtu=segments.mtu(tx, found.type, mtu),
        revision_number=1,
        **values,
    )
    tx.add(row)
    tx.flush()
    qos.check_network(tx, row.qos_policy_id, row.id)
    network_segments.make(tx, row)
    if shared:
        share(tx, row, True)
    if external:
        expose(tx, row, True)
    return row


def update(tx: Transaction, context: Context, row: NetworkRow, values: dict[str, Any]) -> NetworkRow:
    """`values` by column, and shared and external."""
    policy = row.qos_policy_id
    if "qos_policy_id" in values:
        qos.change(tx, context, policy, values["qos_policy_id"])
        qos.check_network(tx, values["qos_policy_id"], row.id)
        if values["qos_policy_id"] != policy:
            bandwidth.refuse_if_held(tx, and_(PortRow.network_id == row.id, PortRow.qos_policy_id.is_(None)))
    if "shared" in values and values["shared"] != row.shared:
        share(tx, row, values["shared"])
    if "external" in values and values["external"] != row.external:
        expose(tx, row, values["external"])
    if values.get("mtu") is not None:
        values["mtu"] = segments.mtu(tx, row.type, values["mtu"])
        versions = tx.execute(select(SubnetRow.ip_version).where(SubnetRow.network_id == row.id)).scalars()
        segments.check_mtu(row.id, values["mtu"], versions)
    if row.external and values.get("is_default", row.is_default):
        _check_default(tx, row.id)
    for key, value in values.items():
        if key not in ("shared", "external"):
            setattr(row, key, value)
    row.touch()
    tx.flush()
    changes.of_networks(tx, [row.id])
    if row.qos_policy_id != policy:
        qos.network_changed(tx, row.id)
    return row


def _check_default(tx: Transaction, id: str | None) -> None:
    """One external network is where projects get theirs a way out without saying so."""
    tx.lock("default-external-network")
    query = select(NetworkRow.id).where(NetworkRow.external, NetworkRow.is_default)
    other = tx.execute(query.where(NetworkRow.id != id) if id is not None else query).scalar()
    if other is not None:
        raise DefaultExternalNetworkExists(other)


def delete(tx: Transaction, row: NetworkRow) -> None:
    """With its subnets, its DHCP ports, and floating IPs that nobody uses; any other port is in the way."""
    for floating in (
        tx.execute(
            select(FloatingIpRow).where(FloatingIpRow.floating_network_id == row.id, FloatingIpRow.router_id.is_(None))
        )
        .scalars()
        .all()
    ):
        port = tx.get_one(PortRow, floating.floating_port_id)
        tx.delete(floating)
        tx.flush()
        tx.delete(port)
    tx.flush()
    busy = tx.execute(
        select(PortRow.id).where(PortRow.network_id == row.id, PortRow.device_owner.not_in(AUTO_DELETED)).limit(1)
    ).first()
    if busy:
        raise NetworkInUse(row.id)
    for port in tx.execute(select(PortRow).where(PortRow.network_id == row.id)).scalars():
        tx.delete(port)
    tx.flush()
    tx.execute(delete_from(SubnetRow).where(SubnetRow.network_id == row.id))
    tx.execute(delete_from(RbacRow).where(RbacRow.object_id == row.id))
    tx.delete(row)
    tx.flush()


# ---------------------------------------------------------------- sharing


def share(tx: Transaction, row: NetworkRow, on: bool) -> None:
    """With everybody: an RBAC policy for "*", as Neutron keeps it."""
    if not on and row.shared:
        others = tx.execute(
            select(PortRow.id)
            .where(PortRow.network_id == row.id, PortRow.project_id.not_in([row.project_id, ""]))
            .limit(1)
        ).first()
        if others:
            raise InvalidSharedSetting(row.name)
    set_wildcard(tx, row, "access_as_shared", on)
    row.shared = on


def expose(tx: Transaction, row: NetworkRow, on: bool) -> None:
    """As external: routers may have their gateway on it."""
    if not on and row.external:
        used = (
            tx.execute(select(RouterRow.id).where(RouterRow.gateway_network_id == row.id).limit(1)).first()
            or tx.execute(select(FloatingIpRow.id).where(FloatingIpRow.floating_network_id == row.id).limit(1)).first()
        )
        if used:
            raise ExternalNetworkInUse(row.id)
    set_wildcard(tx, row, "access_as_external", on)
    row.external = on


def set_wildcard(tx: Transaction, row: NetworkRow, action: str, on: bool) -> None:
    found = tx.execute(
        select(RbacRow).where(
            RbacRow.object_id == row.id, RbacRow.action == action, RbacRow.target_project == EVERYBODY
        )
    ).scalar()
    if on and found is None:
        tx.add(
            RbacRow(
                project_id=row.project_id,
                object_type="network",
                object_id=row.id,
                action=action,
                target_project=EVERYBODY,
            )
        )
    elif not on and found is not None:
        tx.delete(found)
    tx.flush()


# ---------------------------------------------------------------- figures


def address_scopes(tx: Transaction, network_ids: list[str]) -> dict[tuple[str, int], str]:
    """The address scope of a network's subnets, by network and IP version."""
    return {
        (network, version): str(scope)
        for network, version, scope in tx.execute(
            select(SubnetRow.network_id, SubnetRow.ip_version, SubnetPoolRow.address_scope_id)
            .join(SubnetPoolRow, SubnetPoolRow.id == SubnetRow.subnetpool_id)
            .where(SubnetRow.network_id.in_(network_ids), SubnetPoolRow.address_scope_id.is_not(None))
        )
    }


def subnet_ids(tx: Transaction, network_ids: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {id: [] for id in network_ids}
    tx.flush()
    for network, subnet in tx.core(_SUBNETS, ids=network_ids):
        found[network].append(subnet)
    return found
