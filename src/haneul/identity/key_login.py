"""Tokens for requests that EC2 keys signed. A service that received one asks; the token speaks for the keys' owner."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from haneul.identity import trusts
from haneul.identity.credentials import Vault, ec2_id
from haneul.identity.model import ApplicationCredential, Credential, Trust
from haneul.identity.signatures import Signed
from haneul.identity.standing import Scope
from haneul.identity.tokens import Claims, Entry, Tokens, audit_id
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.errors import NotFound, Unauthorized

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud


def log_in(cloud: Cloud, signed: Signed, check: Callable[[Signed, str], None]) -> tuple[str, Entry]:
    """Unauthorized for a wrong signature, or an owner who may not enter the project any more."""
    tokens, now = cloud.get(Tokens), clock.seconds()
    revision = tokens.revision.read()
    with cloud.database.read() as tx:
        credential = tx.get(Credential, ec2_id(signed.access))
        if credential is None or credential.type != "ec2":
            raise NotFound("EC2 access key not found.")
        blob = msgspec.json.decode(cloud.get(Vault).open(credential.sealed), type=dict[str, Any])
        check(signed, str(blob.get("secret") or ""))
        claims = _claims(tx, credential, blob, now, now + cloud.config.identity.token_seconds)
        issued = tokens.issue(tx, claims, revision)
        trust = tx.get(Trust, claims.trust_id or "")
    if trust is not None and trust.remaining_uses is not None:
        cloud.database.transact(lambda tx: trusts.consume(tx, trust.id))
    return issued


def _claims(tx: Transaction, credential: Credential, blob: dict[str, Any], now: float, until: float) -> Claims:
    """With the bounds that the keys were made in: a trust's or an application credential's."""
    if not blob.get("secret"):
        raise Unauthorized("EC2 signature not supplied.")
    user_id, project_id = credential.user_id, credential.project_id or ""
    trust_id, application_id = blob.get("trust_id"), blob.get("app_cred_id")
    if trust_id is not None:
        trust = _trust(tx, str(trust_id))
        if user_id not in (trust.trustee_user_id, trust.trustor_user_id if trust.impersonation else None):
            raise Unauthorized()
        user_id = trust.trustee_user_id
        until = until if trust.expires_at is None else min(until, now + (trust.expires_at - clock.now()).total_seconds())
    if application_id is not None:
        application = tx.get(ApplicationCredential, str(application_id))
        if application is None or application.user_id != user_id:
            raise Unauthorized()
        if application.expires_at is not None:
            until = min(until, now + (application.expires_at - clock.now()).total_seconds())
    if blob.get("access_token_id") is not None:
        raise Unauthorized()
    return Claims(user_id, ("ec2credential",), Scope("project", project_id), now, until, (audit_id(),),
                  None if application_id is None else str(application_id), None if trust_id is None else str(trust_id))


def _trust(tx: Transaction, trust_id: str) -> Trust:
    try:
        return trusts.get(tx, trust_id)
    except NotFound as error:
        raise Unauthorized() from error
