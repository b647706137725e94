"""Voiding tokens that were issued before now: of a user, a scope, a credential, or one by its audit id."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from haneul.identity import oauth
from haneul.identity.model import Revocation
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.reconcilers import reconciler

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud


def revoke(tx: Transaction, subject: str, kind: str = "") -> None:
    """`subject`: an audit id, or the id of a user, project, domain or application credential. `kind`: what it is, by the key
    that OS-REVOKE shows it under; "" for what Keystone has no event for."""
    now = clock.seconds()
    tx.add(Revocation(subject=subject, issued_before=now, until=now + tx.cloud.config.identity.token_seconds + 60, kind=kind))


def events(tx: Transaction, since: float | None) -> list[dict[str, Any]]:
    """What has been revoked, as Keystone tells its services. Newer than `since` seconds."""
    query = select(Revocation.kind, Revocation.subject, Revocation.issued_before).where(Revocation.kind != "")
    if since is not None:
        query = query.where(Revocation.issued_before > since)
    return [{kind: subject, "issued_before": _moment(before)}
            for kind, subject, before in tx.execute(query.order_by(Revocation.issued_before))]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@reconciler("identity.revocations", every=600.0)
def forget_old(cloud: Cloud) -> int:
    """Rows whose tokens have all expired; nonces that nobody could use again."""
    with cloud.database.write() as tx:
        old = delete(Revocation).where(Revocation.until < clock.seconds()).returning(Revocation.id)
        return len(tx.execute(old).all()) + oauth.forget_nonces(tx)
