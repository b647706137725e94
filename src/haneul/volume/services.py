"""What Cinder calls services: the scheduler and the backups of this control plane, and one cinder-volume a back end.

None of them is a process of its own; what an administrator says of one (disabled, frozen) is a row, and the scheduler heeds it.
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import func, select

from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound
from haneul.volume import pools, stores
from haneul.volume.model import PoolRow, SnapshotRow, VolumeRow, VolumeServiceRow

SCHEDULER, VOLUME, BACKUP = "cinder-scheduler", "cinder-volume", "cinder-backup"
_P: Any = PoolRow.__table__
_V: Any = VolumeRow.__table__
_S: Any = SnapshotRow.__table__
_POOLS = select(_P.c.name, _P.c.host, _P.c.backend, _P.c.facts, _P.c.at).order_by(_P.c.name)


class Service(Struct, frozen=True, kw_only=True):
    binary: str
    host: str
    zone: str
    up: bool
    at: datetime
    disabled: bool = False
    reason: str | None = None
    frozen: bool = False


class Held(Struct, kw_only=True):
    """What one project, or all, has on a back end."""

    volumes: int = 0
    volume_gib: int = 0
    snapshots: int = 0
    snapshot_gib: int = 0


def control_host(tx: Transaction) -> str:
    return tx.cloud.config.host.name or socket.gethostname()


def every(tx: Transaction) -> list[Service]:
    """The control plane's own are up, for it is they that answer."""
    said = {(row.binary, row.host): row for row in tx.execute(select(VolumeServiceRow)).scalars()}
    now, seconds = clock.now(), clock.seconds()
    own = control_host(tx)
    found = [_with(said, binary=binary, host=own, zone=pools.DEFAULT_ZONE, up=True, at=now) for binary in (BACKUP, SCHEDULER)]
    for row in tx.core(_POOLS):
        if row.backend in tx.cloud.config.volume.backends:
            at = datetime.fromtimestamp(row.at, UTC).replace(tzinfo=None)
            found.append(_with(said, binary=VOLUME, host=f"{row.host}@{row.backend}", up=pools.is_alive(row, seconds), at=at,
                               zone=row.facts.get("availability_zone") or pools.DEFAULT_ZONE))
    return found


def _with(said: dict[tuple[str, str], VolumeServiceRow], *, binary: str, host: str, **values: Any) -> Service:
    row = said.get((binary, host))
    if row is None:
        return Service(binary=binary, host=host, **values)
    return Service(binary=binary, host=host, disabled=row.disabled, reason=row.disabled_reason, frozen=row.frozen, **values)


def get(tx: Transaction, binary: str, host: str) -> Service:
    for service in every(tx):
        if service.binary == binary and service.host == host:
            return service
    raise NotFound(f"Service {binary[:64]} could not be found on host {host[:255]}.")


def enable(tx: Transaction, binary: str, host: str) -> None:
    get(tx, binary, host)
    row = _row(tx, binary, host)
    row.disabled, row.disabled_reason, row.updated_at = False, None, clock.now()


def disable(tx: Transaction, binary: str, host: str, reason: str | None = None) -> None:
    """No new volumes go there; those that are there stay usable."""
    get(tx, binary, host)
    row = _row(tx, binary, host)
    row.disabled, row.disabled_reason, row.updated_at = True, reason, clock.now()


def freeze(tx: Transaction, host: str, frozen: bool) -> None:
    """As Cinder: disabled, and marked as frozen."""
    back_end(tx, host)
    row = _row(tx, VOLUME, host)
    row.frozen, row.disabled, row.updated_at = frozen, frozen, clock.now()
    row.disabled_reason = "frozen" if frozen else None


def back_end(tx: Transaction, host: str) -> Service:
    """A cinder-volume by its host; BadRequest when there is none."""
    try:
        return get(tx, VOLUME, host)
    except NotFound as error:
        raise BadRequest(f"Invalid input received: Host {host[:255]} is not a cinder-volume host.") from error


def _row(tx: Transaction, binary: str, host: str) -> VolumeServiceRow:
    row = tx.get(VolumeServiceRow, (binary, host))
    if row is None:
        row = VolumeServiceRow(binary=binary, host=host, disabled=False, frozen=False)
        tx.add(row)
    return row


# ---------------------------------------------------------------- what lies on a back end


def held(tx: Transaction, host: str) -> dict[str, Held]:
    """By project, of host@backend whatever the pool."""
    here = _V.c.host.startswith(host + "#", autoescape=True)
    found: dict[str, Held] = {}
    for project, count, size in tx.core(select(_V.c.project_id, func.count(), func.sum(_V.c.size)).where(here)
                                        .group_by(_V.c.project_id)):
        found[project] = Held(volumes=count, volume_gib=int(size))
    for project, count, size in tx.core(select(_S.c.project_id, func.count(), func.sum(_S.c.volume_size)).join(
            _V, _V.c.id == _S.c.volume_id).where(here).group_by(_S.c.project_id)):
        one = found.setdefault(project, Held())
        one.snapshots, one.snapshot_gib = count, int(size)
    return found


def pool_of(tx: Transaction, host: str) -> Any:
    """The pool of host@backend or host@backend#pool."""
    backend = stores.backend_of(host)
    for row in tx.core(_POOLS):
        if row.backend == backend and host.partition("@")[0] == row.host and host in (row.name, row.name.partition("#")[0]):
            return row
    raise NotFound(f"Service cinder-volume could not be found on host {host[:255]}.")


def all_pools(tx: Transaction) -> list[Any]:
    """Those that the configuration names."""
    return [row for row in tx.core(_POOLS) if row.backend in tx.cloud.config.volume.backends]
