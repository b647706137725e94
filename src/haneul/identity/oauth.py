"""OAuth 1: a consumer asks for a request token, a user authorizes it with some of their roles, the consumer gets an access token
for it and logs in with requests that it signs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from msgspec import Struct
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from haneul.identity.credentials import Vault
from haneul.identity.lookup import require
from haneul.identity.model import Consumer, OAuthNonce, OAuthToken, Project, Role
from haneul.identity.standing import Roles, Scope, held
from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound, Unauthorized

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud

REQUEST_SECONDS, ACCESS_SECONDS = 28800, 86400  # Keystone's
FRESH = 600.0  # how far a request's time stamp may be off
_DIGESTS = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Signed(Struct):
    """A request with the parts that its signature covers. `given`: what its Authorization header says."""

    method: str
    url: str
    query: list[tuple[str, str]]
    given: dict[str, str]

    def need(self, name: str) -> str:
        value = self.given.get(name)
        if not value:
            raise BadRequest(f"Expecting to find {name} in request.")
        return value


class RoleRef(Struct):
    id: str | None = None
    name: str | None = None


def given(header: str) -> dict[str, str]:
    """The parameters of an Authorization header."""
    kind, _, rest = header.partition(" ")
    if kind.lower() != "oauth":
        raise BadRequest("Error parsing OAuth headers: there is no Authorization of kind OAuth.")
    found: dict[str, str] = {}
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        found[unquote(name)] = unquote(value.strip('"'))
    return found


def _encoded(text: str) -> str:
    return quote(text, safe="-._~")


def _normalized(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted((_encoded(name), _encoded(value)) for name, value in pairs))


def signature(signed: Signed, consumer_secret: str, token_secret: str) -> str:
    """As RFC 5849 makes it."""
    digest = _DIGESTS.get(signed.need("oauth_signature_method"))
    if digest is None:
        raise BadRequest(f"A request is signed with one of {', '.join(_DIGESTS)}.")
    own = [(name, value) for name, value in signed.given.items() if name not in ("realm", "oauth_signature")]
    text = "&".join((signed.method, _encoded(signed.url), _encoded(_normalized([*signed.query, *own]))))
    key = f"{_encoded(consumer_secret)}&{_encoded(token_secret)}"
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), digest)).decode()


def check(tx: Transaction, signed: Signed, consumer: Consumer, token: OAuthToken | None) -> None:
    """Unauthorized unless the consumer, with the token's secret, signed this request just now and for the first time."""
    vault = tx.cloud.get(Vault)
    right = signature(signed, vault.open(consumer.sealed), "" if token is None else vault.open(token.sealed))
    stamp = signed.need("oauth_timestamp")
    if not hmac.compare_digest(right.encode(), signed.need("oauth_signature").encode()):
        raise Unauthorized("Invalid signature")
    if not stamp.isdigit() or len(stamp) > 12 or abs(int(stamp) - clock.seconds()) > FRESH:
        raise Unauthorized("Invalid signature: its time stamp is too old.")
    once = f"{consumer.id}/{token.id if token else ''}/{stamp}/{signed.need('oauth_nonce')}"
    tx.add(OAuthNonce(nonce=hashlib.sha256(once.encode()).hexdigest(), used_at=clock.seconds()))
    try:
        tx.flush()
    except IntegrityError as error:
        raise Unauthorized("This request has been made before.") from error


def forget_nonces(tx: Transaction) -> int:
    """Those whose time stamps nobody would take any more."""
    old = delete(OAuthNonce).where(OAuthNonce.used_at < clock.seconds() - 2 * FRESH).returning(OAuthNonce.nonce)
    return len(tx.execute(old).all())


# -------------------------------------------------------------------- from request to access

def ask(tx: Transaction, signed: Signed, project_id: str) -> tuple[OAuthToken, str]:
    """A request token for a project, and its secret."""
    consumer = require(tx, Consumer, signed.need("oauth_consumer_key"))
    check(tx, signed, consumer, None)  # before anything else: whether a project exists is not for everybody
    project = require(tx, Project, project_id)
    secret = secrets.token_hex(16)
    row = OAuthToken(id=ids.new_hex(), access=False, consumer_id=consumer.id, project_id=project.id, role_ids=[],
                     sealed=tx.cloud.get(Vault).seal(secret), expires_at=clock.now() + timedelta(seconds=REQUEST_SECONDS))
    tx.add(row)
    tx.flush()
    return row, secret


def _check_waiting(row: OAuthToken) -> None:
    if row.expires_at is not None and row.expires_at <= clock.now():
        raise Unauthorized("Request token is expired")


def authorize(tx: Transaction, context: Context, row: OAuthToken, wanted: list[RoleRef]) -> str:
    """The verifier that the user hands to the consumer. Only roles that the user has in the project."""
    _check_waiting(row)
    if not wanted:
        raise BadRequest("Invalid input for field 'roles': name at least one.")
    assert context.user_id is not None
    present = set(Roles(tx).closure(held(tx, context.user_id, Scope("project", row.project_id))))
    role_ids = [_role_id(tx, reference) for reference in wanted]
    if not set(role_ids) <= present:
        raise Unauthorized("authorizing user does not have role required")
    row.user_id, row.role_ids = context.user_id, list(dict.fromkeys(role_ids))
    row.verifier = "".join(secrets.choice(_LETTERS) for _ in range(8))
    tx.flush()
    return row.verifier


def _role_id(tx: Transaction, reference: RoleRef) -> str:
    if reference.id:
        return require(tx, Role, reference.id).id
    found = tx.execute(select(Role.id).where(Role.name == (reference.name or ""), Role.domain_id.is_(None))).scalar()
    if found is None:
        raise NotFound(f"Could not find role: {reference.name}.")
    return found


def exchange(tx: Transaction, signed: Signed) -> tuple[OAuthToken, str]:
    """An access token, and its secret, for a request token that a user has authorized: once."""
    consumer_id, token_id, verifier = (signed.need(name) for name in ("oauth_consumer_key", "oauth_token", "oauth_verifier"))
    row = tx.get(OAuthToken, token_id)
    if row is None or row.access:
        raise NotFound(f"Could not find request token: {token_id[:64]}.")
    _check_waiting(row)
    consumer = tx.get(Consumer, consumer_id)
    if consumer is None or row.consumer_id != consumer.id:
        raise Unauthorized("Provided consumer key does not match stored consumer key.")
    check(tx, signed, consumer, row)
    if row.verifier is None or row.user_id is None:
        raise Unauthorized("Request Token does not have an authorizing user id.")
    if not hmac.compare_digest(row.verifier.encode(), verifier.encode()):
        raise Unauthorized("Provided verifier does not match stored verifier")
    secret = secrets.token_hex(16)
    given = OAuthToken(id=ids.new_hex(), access=True, consumer_id=consumer.id, user_id=row.user_id, project_id=row.project_id,
                       role_ids=row.role_ids, sealed=tx.cloud.get(Vault).seal(secret),
                       expires_at=clock.now() + timedelta(seconds=ACCESS_SECONDS))
    tx.delete(row)
    tx.add(given)
    tx.flush()
    return given, secret


def prove(cloud: Cloud, signed: Signed | None) -> OAuthToken:
    """The access token that a log-in was signed with."""
    if signed is None:
        raise BadRequest("Error parsing OAuth headers: there is no Authorization of kind OAuth.")
    token_id, consumer_id = signed.need("oauth_token"), signed.need("oauth_consumer_key")

    def work(tx: Transaction) -> OAuthToken:
        row, consumer = tx.get(OAuthToken, token_id), tx.get(Consumer, consumer_id)
        if row is None or not row.access or consumer is None or row.consumer_id != consumer.id:
            raise Unauthorized("Could not validate the access token")
        if row.expires_at is not None and row.expires_at <= clock.now():
            raise Unauthorized("Access token is expired")
        check(tx, signed, consumer, row)
        return row

    return cloud.database.transact(work)


def of_user(tx: Transaction, user_id: str, token_id: str) -> OAuthToken:
    row = tx.get(OAuthToken, token_id)
    if row is None or not row.access or row.user_id != user_id:
        raise NotFound(f"Could not find access token: {token_id[:64]}.")
    return row
