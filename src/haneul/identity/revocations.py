"""Voiding tokens that were issued before now: of a user, a scope, a credential, or one by its audit id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete

from haneul.identity.model import Revocation
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.reconcilers import reconciler

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud


def revoke(tx: Transaction, subject: str) -> None:
    """`subject`: an audit id, or the id of a user, project, domain or application credential."""
    now = clock.seconds()
    tx.add(Revocation(subject=subject, issued_before=now, until=now + tx.cloud.config.identity.token_seconds + 60))


@reconciler("identity.revocations", every=600.0)
def forget_old(cloud: Cloud) -> int:
    """Rows whose tokens have all expired."""
    with cloud.database.write() as tx:
        old = delete(Revocation).where(Revocation.until < clock.seconds()).returning(Revocation.id)
        return len(tx.execute(old).all())
