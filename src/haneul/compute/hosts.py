"""Hosts as compute shows them: services that can be disabled, hypervisors with what runs on them."""

from __future__ import annotations

import platform
import uuid
from typing import Any

from msgspec import Struct
from sqlalchemy import Select, func, select

from haneul.compute.model import AggregateRow, ServerRow
from haneul.fleet.hosts import is_up
from haneul.fleet.model import HostRow
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Conflict, NotFound


class Load(Struct):
    """What the servers of a host take of it, by their flavors."""

    servers: int = 0
    busy: int = 0
    vcpus: int = 0
    ram: int = 0
    disk: int = 0


_DISK = ServerRow.flavor["disk"].as_integer() + ServerRow.flavor["ephemeral"].as_integer()
_SUMS = (func.count(), func.count(ServerRow.task_state), func.sum(ServerRow.vcpus), func.sum(ServerRow.ram), func.sum(_DISK))


def loads(tx: Transaction) -> dict[str, Load]:
    """Of every host that has servers, in one statement."""
    return _loads(tx, select(ServerRow.host, *_SUMS).where(ServerRow.host.is_not(None)).group_by(ServerRow.host))


def loads_by_project(tx: Transaction, host: str) -> dict[str, Load]:
    """Of one host, by the projects that have servers on it."""
    return _loads(tx, select(ServerRow.project_id, *_SUMS).where(ServerRow.host == host).group_by(ServerRow.project_id)
                  .order_by(ServerRow.project_id))


def _loads(tx: Transaction, query: Select[Any]) -> dict[str, Load]:
    return {key: Load(int(count), int(busy or 0), int(vcpus), int(ram), int(size or 0))
            for key, count, busy, vcpus, ram, size in tx.execute(query.where(ServerRow.deleted.is_(False)))}


def servers_on(tx: Transaction, hosts: list[str]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {host: [] for host in hosts}
    for host, seq, id in tx.execute(select(ServerRow.host, ServerRow.seq, ServerRow.id).where(
            ServerRow.host.in_(hosts), ServerRow.deleted.is_(False)).order_by(ServerRow.seq)):
        found[str(host)].append({"name": f"instance-{seq:08x}", "uuid": id})
    return found


def by_key(tx: Transaction, key: str, *, by_uuid: bool, what: str) -> HostRow:
    """By UUID since 2.53, before by number."""
    condition: Any = HostRow.id == key
    if not by_uuid:
        if not key.isdigit() or len(key) > 9:
            raise NotFound(f"{what} with ID '{key[:64]}' could not be found.")
        condition = HostRow.number == int(key)
    row = tx.execute(select(HostRow).where(condition)).scalar_one_or_none()
    if row is None:
        raise NotFound(f"{what} with ID '{key[:64]}' could not be found.")
    return row


def by_name(tx: Transaction, name: str) -> HostRow:
    row = tx.get(HostRow, name)
    if row is None:
        raise NotFound(f"Compute host {name[:255]} could not be found.")
    return row


CONTROL = ("nova-conductor", "nova-scheduler")  # what the control process is, in Nova's words
INTERNAL = "internal"  # their zone


def control_services() -> list[tuple[str, str, int]]:
    """The control process's services: binary, id, and the number that they had before 2.53. Never disabled, never down while they
    answer."""
    return [(binary, str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{binary}.{control_host()}")), 2**31 - 1 - position)
            for position, binary in enumerate(CONTROL)]


def control_host() -> str:
    return platform.node()


def up(row: HostRow) -> bool:
    return is_up(row)


def set_disabled(row: HostRow, disabled: bool, reason: str | None) -> None:
    row.disabled, row.disabled_reason, row.updated_at = disabled, reason if disabled else None, clock.now()


def set_forced_down(row: HostRow, forced: bool) -> None:
    row.forced_down, row.updated_at = forced, clock.now()


def remove(tx: Transaction, row: HostRow) -> None:
    """Only a host without servers; one whose agent still answers enrols again by itself."""
    if tx.execute(select(ServerRow.id).where(ServerRow.host == row.name, ServerRow.deleted.is_(False)).limit(1)).first():
        raise Conflict("Unable to delete compute service that is hosting instances. Migrate or delete the instances first.")
    for aggregate in tx.execute(select(AggregateRow)).scalars():
        if row.name in aggregate.hosts:
            aggregate.hosts = [host for host in aggregate.hosts if host != row.name]
    tx.delete(row)
