"""Servers to other hosts: what is asked before one moves. Moving itself is not there: on a cloud of one host there is
nowhere to go, as Nova says too; on more it is 501."""

from __future__ import annotations

from sqlalchemy import select

from haneul.compute import hosts
from haneul.compute.model import ServerRow
from haneul.compute.problems import InvalidState
from haneul.compute.states import ACTIVE, ERROR, PAUSED, STOPPED, require
from haneul.fleet.model import HostRow
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound, NotImplementedHere


def migrate(tx: Transaction, context: Context, row: ServerRow, host: str | None) -> None:
    require(context, row, "migrate", (ACTIVE, STOPPED))
    if host is not None:
        hosts_known(tx, host)
        if host == row.host:
            raise BadRequest(f"Cannot migrate instance {row.id} to its current host ({host}).")
    raise _nowhere(tx, row, "Cold migration")


def migrate_live(tx: Transaction, context: Context, row: ServerRow, host: str | None) -> None:
    require(context, row, "os-migrateLive", (ACTIVE, PAUSED))
    if host is not None:
        hosts_known(tx, host)
        if host == row.host:
            raise BadRequest(f"Unable to migrate instance ({row.id}) to current host ({host}).")
    raise _nowhere(tx, row, "Live migration")


def evacuate(tx: Transaction, context: Context, row: ServerRow, host: str | None) -> None:
    """Only from a host that is down."""
    if host is not None and tx.get(HostRow, host) is None:
        raise NotFound(f"Compute host {host} not found.")
    if host is not None and host == row.host:
        raise BadRequest("The target host can't be the same one.")
    require(context, row, "evacuate", (ACTIVE, STOPPED, ERROR), task_states=None)
    present = tx.get(HostRow, row.host) if row.host is not None else None
    if present is None:
        raise InvalidState("evacuate", row.id, "host", row.host)
    if hosts.up(present):
        raise BadRequest(f"Compute service of {row.host} is still in use.")
    raise _nowhere(tx, row, "Evacuation")


def hosts_known(tx: Transaction, host: str) -> None:
    if tx.get(HostRow, host) is None:
        raise BadRequest(f"Compute host {host[:255]} could not be found.")


def _nowhere(tx: Transaction, row: ServerRow, what: str) -> BadRequest | NotImplementedHere:
    others = [host for host in tx.execute(select(HostRow)).scalars()
              if host.name != row.host and hosts.up(host) and not host.disabled]
    if others:
        return NotImplementedHere(f"{what} is not implemented by this cloud: servers stay on their host.")
    return BadRequest("No valid host was found. There are not enough hosts available.")
