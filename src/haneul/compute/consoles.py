"""Screens: one-shot tokens, of which only the hash is kept, and what they lead to."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import delete

from haneul.compute import states
from haneul.compute.model import ConsoleTokenRow, ServerRow
from haneul.compute.problems import NotReady
from haneul.kernel import clock
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest

SECONDS = 600.0


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def open_vnc(tx: Transaction, context: Context, row: ServerRow, kind: str) -> str:
    """The address that a browser opens; it works once, for ten minutes."""
    if kind != "novnc":
        raise BadRequest(f"Unavailable console type {kind}.")
    if row.host is None or row.vm_state in (states.BUILDING, states.DELETED):
        raise NotReady(row.id)
    states.require(context, row, "get_vnc_console", (states.ACTIVE, states.PAUSED, states.RESCUED, states.RESIZED,
                                                     states.ERROR), task_states=None)
    token = secrets.token_urlsafe(32)
    tx.execute(delete(ConsoleTokenRow).where(ConsoleTokenRow.expires < clock.seconds()))
    tx.add(ConsoleTokenRow(hash=_hash(token), server_id=row.id, host=row.host, type=kind, expires=clock.seconds() + SECONDS))
    return f"{tx.cloud.url}/compute/vnc?path=compute%2Fvnc%3Ftoken%3D{token}"


def redeem(tx: Transaction, token: str) -> tuple[str, str] | None:
    """(host, server) of a token that is good, which it then is no more."""
    found = tx.execute(delete(ConsoleTokenRow).where(ConsoleTokenRow.hash == _hash(token)).returning(
        ConsoleTokenRow.host, ConsoleTokenRow.server_id, ConsoleTokenRow.expires)).first()
    if found is None or found[2] < clock.seconds():
        return None
    return found[0], found[1]
