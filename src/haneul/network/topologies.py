"""Get me a network: a project's own, made on demand from the default subnet pools, behind a router to the default outside."""

from __future__ import annotations

from sqlalchemy import select

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound
from haneul.network import access, networks, routers, subnet_pools, subnets
from haneul.network.errors_services import AutoAllocationFailure
from haneul.network.model import NetworkRow, PortRow, RouterRow, SubnetPoolRow, SubnetRow
from haneul.network.model_services import TopologyRow

NAME = "auto_allocated_"


def check(tx: Transaction, context: Context) -> None:
    """Whether one could be made: an outside and something to cut subnets from."""
    _outside(tx)
    _pools(tx, context)


def present(tx: Transaction, project_id: str) -> str | None:
    """The network that the project was given."""
    row = tx.get(TopologyRow, project_id)
    return row.network_id if row is not None else None


def get(tx: Transaction, context: Context, project_id: str) -> str:
    """The project's network, made now if it has none. The context is who asks: what it may not use is not used for it."""
    tx.lock("auto-allocated-topology", project_id)
    found = present(tx, project_id)
    if found is not None:
        return found
    outside, pools = _outside(tx), _pools(tx, context)
    network = networks.create(tx, context, project_id=project_id, name=f"{NAME}network")
    made = [_subnet(tx, context, network, pool) for pool in pools]
    try:
        router = routers.create(
            tx,
            context,
            project_id=project_id,
            name=f"{NAME}router",
            gateway=routers.Gateway(network_id=outside),
        )
        for subnet in made:
            routers.add_interface(tx, context, router, subnet_id=subnet.id)
    except BadRequest:
        raise AutoAllocationFailure("Unable to provide external connectivity") from None
    tx.add(TopologyRow(project_id=project_id, network_id=network.id, router_id=router.id))
    tx.flush()
    return network.id


def _subnet(tx: Transaction, context: Context, network: NetworkRow, pool: SubnetPoolRow) -> SubnetRow:
    try:
        cidr = subnet_pools.allocate(tx, pool, network.project_id)
        new = subnets.NewSubnet(
            network_id=network.id,
            project_id=network.project_id,
            ip_version=pool.ip_version,
            cidr=cidr,
            name=f"{NAME}subnet_v{pool.ip_version}",
            subnetpool_id=pool.id,
        )
        return subnets.create(tx, context, network, new)
    except (BadRequest, NotFound):
        raise AutoAllocationFailure("Unable to provide tenant private network") from None


def delete(tx: Transaction, context: Context, project_id: str) -> None:
    """With all that was made for it; a network in use stays, and so does the rest. Without one there is nothing to do."""
    row = tx.get(TopologyRow, project_id)
    if row is None:
        return
    network, router = tx.get_one(NetworkRow, row.network_id), tx.get(RouterRow, row.router_id) if row.router_id else None
    if router is not None:
        for port in tx.execute(
            select(PortRow).where(
                PortRow.device_id == router.id,
                PortRow.device_owner == routers.INTERFACE,
                PortRow.network_id == network.id,
            )
        ).scalars().all():
            routers.remove_interface(tx, context, router, port_id=port.id)
        tx.delete(row)
        tx.flush()
        routers.delete(tx, router)
    networks.delete(tx, network)


def _outside(tx: Transaction) -> str:
    found = tx.execute(
        select(NetworkRow.id)
        .where(NetworkRow.external, NetworkRow.is_default)
        .order_by(NetworkRow.created_at, NetworkRow.id)
        .limit(1)
    ).scalar()
    if found is None:
        raise AutoAllocationFailure("No default router:external network")
    return found


def _pools(tx: Transaction, context: Context) -> list[SubnetPoolRow]:
    found = list(
        tx.execute(
            select(SubnetPoolRow)
            .where(SubnetPoolRow.is_default, access.shareable(SubnetPoolRow, context))
            .order_by(SubnetPoolRow.ip_version)
        ).scalars()
    )
    if not found:
        raise AutoAllocationFailure("No default subnetpools defined")
    return found
