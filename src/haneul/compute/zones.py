"""Availability zones: a host's is named by an aggregate that holds it, else `nova`."""

from __future__ import annotations

from sqlalchemy import select

from haneul.compute.model import AggregateRow
from haneul.fleet.model import HostRow
from haneul.kernel.database import Transaction

DEFAULT = "nova"


def of_hosts(tx: Transaction) -> dict[str, str]:
    """Zones by host, for hosts that are in a named one."""
    found: dict[str, str] = {}
    for hosts, meta in tx.execute(select(AggregateRow.hosts, AggregateRow.meta).order_by(AggregateRow.id)):
        zone = meta.get("availability_zone")
        if zone:
            for host in hosts:
                found[host] = zone
    return found


def of_host(tx: Transaction, host: str) -> str:
    return of_hosts(tx).get(host, DEFAULT)


def hosts_in(tx: Transaction, zone: str) -> list[str]:
    """The enrolled hosts of a zone."""
    zones = of_hosts(tx)
    return [name for name in tx.execute(select(HostRow.name)).scalars() if zones.get(name, DEFAULT) == zone]
