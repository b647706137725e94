"""What the tasks of volumes share: reading the row, opening its key, and how a failure ends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from haneul.host.contract import HostError, NoRoom
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Problem
from haneul.kernel.tasks import Fault, Work
from haneul.volume import attachments, messages, rows, secrets
from haneul.volume.model import VolumeRow

GIB = 1 << 30
NO_ROOM, NOT_THERE = 507, 404


class OnVolume(Struct, kw_only=True):
    """Arguments of a task that needs nothing but its volume."""

    volume_id: str


def plain(function: Callable[[Work[Any]], None]) -> Callable[[Work[Any]], None]:
    """Decorator of a step: what a back end says may name its files and programs, and is for the operator."""

    @functools.wraps(function)
    def run(work: Work[Any]) -> None:
        try:
            function(work)
        except NoRoom as error:
            raise Fault("The back end has no room for this.", str(error), code=NO_ROOM) from error
        except HostError as error:
            raise Fault("The back end could not do it.", str(error)) from error
        except Problem as problem:
            raise Fault(problem.message, code=problem.status) from problem

    return run


def load(work: Work[Any]) -> VolumeRow:
    with work.cloud.database.read() as tx:
        return row_of(tx, work)


def row_of(tx: Transaction, work: Work[Any]) -> VolumeRow:
    row = rows.by_id(tx, work.arguments.volume_id)
    if row is None:
        raise Fault("The volume was deleted.", code=NOT_THERE)
    return row


def key_of(cloud: Cloud, row: VolumeRow) -> str | None:
    """The passphrase of an encrypted volume, for its host."""
    return secrets.opened(cloud, row.key) if row.key else None


def rest(tx: Transaction, row: VolumeRow) -> None:
    """Whatever worked on the volume has ended: its status is again what its attachments say. One whose forced deletion was
    asked for meanwhile stays `deleting`: nobody is to attach it before that has its turn."""
    if row.status != "deleting":
        rows.put(row, attachments.status_of(tx, row.id))


def tell(work: Work[Any], tx: Transaction, row: VolumeRow, action: str, detail: str) -> None:
    """A message that its owner can read."""
    messages.record(tx, project_id=row.project_id, request_id=work.request_id, action=action, detail=detail,
                    resource_type=messages.VOLUME, resource_id=row.id)
