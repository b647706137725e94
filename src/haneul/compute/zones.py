"""Availability zones: a host's stands in its row, put there by an aggregate that names one; else it is `nova`."""

from __future__ import annotations

from sqlalchemy import select

from haneul.fleet.model import HostRow
from haneul.kernel.database import Transaction
from haneul.placement.scheduler import DEFAULT_ZONE

DEFAULT = DEFAULT_ZONE


def of_host(tx: Transaction, host: str) -> str:
    return tx.execute(select(HostRow.availability_zone).where(HostRow.name == host)).scalar() or DEFAULT


def by_zone(tx: Transaction) -> dict[str, list[HostRow]]:
    """Enrolled hosts by zone."""
    found: dict[str, list[HostRow]] = {}
    for row in tx.execute(select(HostRow).order_by(HostRow.name)).scalars():
        found.setdefault(row.availability_zone or DEFAULT, []).append(row)
    return found


def exists(tx: Transaction, zone: str) -> bool:
    column = HostRow.availability_zone
    wanted = column == zone if zone != DEFAULT else column.is_(None) | (column == zone)
    return tx.execute(select(HostRow.name).where(wanted).limit(1)).first() is not None
