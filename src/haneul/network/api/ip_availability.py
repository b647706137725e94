"""/network-ip-availabilities: how many addresses each network has, and how many are in use."""

from __future__ import annotations

import ipaddress
from typing import Any

from sqlalchemy import func, select

from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network.api import attributes
from haneul.network.errors import NetworkNotFound
from haneul.network.model import AllocationRow, NetworkRow, SubnetRow

routes = Routes()


def _views(call: Call, networks: list[NetworkRow], version: int | None) -> list[dict[str, Any]]:
    """Three statements for any number of networks."""
    ids = [row.id for row in networks]
    query = select(SubnetRow).where(SubnetRow.network_id.in_(ids))
    subnets = list(
        call.tx.execute(query if version is None else query.where(SubnetRow.ip_version == version)).scalars()
    )
    used = {
        id: count
        for id, count in call.tx.execute(
            select(AllocationRow.subnet_id, func.count())
            .where(AllocationRow.network_id.in_(ids))
            .group_by(AllocationRow.subnet_id)
        )
    }
    found = []
    for row in networks:
        mine: list[dict[str, Any]] = [
            {
                "subnet_id": subnet.id,
                "subnet_name": subnet.name,
                "cidr": subnet.cidr,
                "ip_version": subnet.ip_version,
                "total_ips": _size(subnet),
                "used_ips": used.get(subnet.id, 0),
            }
            for subnet in subnets
            if subnet.network_id == row.id
        ]
        found.append(
            {
                "network_id": row.id,
                "network_name": row.name,
                "project_id": row.project_id,
                "tenant_id": row.project_id,
                "total_ips": sum(entry["total_ips"] for entry in mine),
                "used_ips": sum(entry["used_ips"] for entry in mine),
                "subnet_ip_availability": mine,
            }
        )
    return found


def _size(subnet: SubnetRow) -> int:
    return sum(
        int(ipaddress.ip_address(pool["end"])) - int(ipaddress.ip_address(pool["start"])) + 1
        for pool in subnet.allocation_pools
    )


@routes.get("/network-ip-availabilities", rule="get_extension")
def index(call: Call) -> dict[str, Any]:
    """What the caller may not see is left out, which is all or nothing."""
    if not call.allows("get_network_ip_availability"):
        return {"network_ip_availabilities": []}
    query = select(NetworkRow).order_by(NetworkRow.id)
    for key, column in (
        ("network_id", NetworkRow.id),
        ("network_name", NetworkRow.name),
        ("project_id", NetworkRow.project_id),
        ("tenant_id", NetworkRow.project_id),
    ):
        if call.arguments(key):
            query = query.where(column.in_(call.arguments(key)))
    version = call.argument("ip_version")
    views = _views(call, list(call.tx.execute(query).scalars()), int(version) if version in ("4", "6") else None)
    if version in ("4", "6"):
        views = [view for view in views if view["subnet_ip_availability"]]
    return {"network_ip_availabilities": attributes.shown(call, "network_ip_availability", views)}


@routes.get("/network-ip-availabilities/{network_id}", rule="get_network_ip_availability")
def show(call: Call) -> dict[str, Any]:
    row = call.tx.get(NetworkRow, call.values["network_id"])
    if row is None:
        raise NetworkNotFound(call.values["network_id"])
    return {"network_ip_availability": attributes.shown(call, "network_ip_availability", _views(call, [row], None))[0]}
