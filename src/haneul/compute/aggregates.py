"""Host aggregates, and through them availability zones."""

from __future__ import annotations

from sqlalchemy import select

from haneul.compute.model import AggregateRow, ServerRow
from haneul.fleet.model import HostRow
from haneul.kernel import clock, ids
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, NotFound

ZONE = "availability_zone"


def get(tx: Transaction, aggregate_id: str) -> AggregateRow:
    if not aggregate_id.removeprefix("-").isdigit() or not aggregate_id.isascii():
        raise BadRequest("Invalid input received: id must be an integer")
    row = tx.get(AggregateRow, int(aggregate_id)) if len(aggregate_id) < 10 else None
    if row is None:
        raise NotFound(f"Aggregate {aggregate_id} could not be found.")
    return row


def create(tx: Transaction, name: str, zone: str | None) -> AggregateRow:
    _free_name(tx, name)
    row = AggregateRow(uuid=ids.new(), name=name, hosts=[], meta={ZONE: zone} if zone else {}, created_at=clock.now())
    tx.add(row)
    tx.flush()
    return row


def _free_name(tx: Transaction, name: str) -> None:
    if tx.execute(select(AggregateRow.id).where(AggregateRow.name == name)).first():
        raise Conflict(f"Aggregate {name} already exists.")


def rename(tx: Transaction, row: AggregateRow, name: str) -> None:
    if name != row.name:
        _free_name(tx, name)
        row.name, row.updated_at = name, clock.now()


def set_metadata(tx: Transaction, row: AggregateRow, changes: dict[str, str | None]) -> None:
    """None takes a key away. A new zone may not pull servers' hosts into another zone, or give a host two zones."""
    if ZONE in changes and changes[ZONE] != row.meta.get(ZONE):
        zone = changes[ZONE]
        if zone == "":
            raise BadRequest("Aggregate availability_zone must not be empty.")
        _check_zone(tx, row, row.hosts, zone)
    row.meta = {key: value for key, value in {**row.meta, **changes}.items() if value is not None}
    row.updated_at = clock.now()
    _apply(tx)


def add_host(tx: Transaction, row: AggregateRow, host: str) -> None:
    if tx.get(HostRow, host) is None:
        raise NotFound(f"Compute host {host[:255]} could not be found.")
    if host in row.hosts:
        raise Conflict(f"Aggregate {row.id} already has host {host}.")
    if row.meta.get(ZONE):
        _check_zone(tx, row, [host], row.meta[ZONE])
    row.hosts = [*row.hosts, host]
    row.updated_at = clock.now()
    _apply(tx)


def remove_host(tx: Transaction, row: AggregateRow, host: str) -> None:
    if host not in row.hosts:
        raise NotFound(f"Cannot remove host {host[:255]} in aggregate {row.id}")
    if row.meta.get(ZONE) and _has_servers(tx, [host]):
        raise Conflict(f"Cannot remove host from aggregate {row.id}. Reason: One or more hosts contain instances in this zone.")
    row.hosts = [other for other in row.hosts if other != host]
    row.updated_at = clock.now()
    _apply(tx)


def delete(tx: Transaction, row: AggregateRow) -> None:
    if row.hosts:
        raise BadRequest(f"Cannot delete aggregate {row.id}. Reason: Host aggregate is not empty.")
    tx.delete(row)


def _has_servers(tx: Transaction, hosts: list[str]) -> bool:
    return tx.execute(select(ServerRow.id).where(
        ServerRow.host.in_(hosts), ServerRow.deleted.is_(False)).limit(1)).first() is not None


def _check_zone(tx: Transaction, row: AggregateRow, hosts: list[str], zone: str | None) -> None:
    for other in tx.execute(select(AggregateRow).where(AggregateRow.id != row.id)).scalars():
        if zone and other.meta.get(ZONE) not in (None, zone) and set(other.hosts) & set(hosts):
            raise Conflict(f"Cannot update aggregate {row.id}. Reason: One or more hosts already in different availability "
                           "zone(s)")
    current = {name: found for name, found in tx.execute(select(HostRow.name, HostRow.availability_zone).where(
        HostRow.name.in_(hosts)))}
    moved = [host for host in hosts if (current.get(host) or "nova") != (zone or "nova")]
    if moved and _has_servers(tx, moved):
        raise Conflict(f"Cannot update aggregate {row.id}. Reason: One or more hosts contain instances in this zone")


def _apply(tx: Transaction) -> None:
    """Each host's row says its zone: that is what the scheduler reads."""
    tx.flush()
    zones: dict[str, str] = {}
    for row in tx.execute(select(AggregateRow).order_by(AggregateRow.id)).scalars():
        if row.meta.get(ZONE):
            zones.update(dict.fromkeys(row.hosts, row.meta[ZONE]))
    for host in tx.execute(select(HostRow)).scalars():
        if host.availability_zone != zones.get(host.name):
            host.availability_zone = zones.get(host.name)
