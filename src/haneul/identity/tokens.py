"""Tokens: a sealed claim of who and where, resolved against the database, remembered until identity changes.

A token carries ids, times and audit ids; names, roles and whether it still holds are looked up. Both results are kept with the
revision they were looked up at and used only as long as the database still has that revision.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from sqlalchemy import select

from haneul.identity import catalog, trusts
from haneul.identity.keys import Keys
from haneul.identity.model import AccessRule, ApplicationCredential, OAuthToken, Revocation, Trust
from haneul.identity.revision import Revision
from haneul.identity.standing import UNSCOPED, Roles, Scope, Standing, find, place
from haneul.kernel import clock
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud

METHODS = ("password", "token", "application_credential", "ec2credential", "oauth1")  # their bits in a token
KINDS = ("unscoped", "project", "domain", "system")
LONGEST = 1024


class Claims(Struct, frozen=True):
    """What a token says by itself. `audit_ids`: its own, and the first of the chain it was derived along. Of a trust's token
    `user_id` is the trustee's, whomever the token speaks for."""

    user_id: str
    methods: tuple[str, ...]
    scope: Scope
    issued_at: float
    expires_at: float
    audit_ids: tuple[str, ...]
    credential_id: str | None = None
    trust_id: str | None = None
    oauth_token_id: str | None = None


class _Sealed(Struct, array_like=True, frozen=True):
    version: int
    user: bytes
    methods: int
    kind: int
    scope: bytes
    issued: float
    expires: float
    audit: tuple[bytes, ...]
    credential: bytes = b""
    trust: bytes = b""
    oauth: bytes = b""


class Entry(Struct):
    """A token that held at `revision`. `head` is the encoded answer of a validation up to its catalog."""

    revision: int
    claims: Claims
    standing: Standing
    context: Context
    head: bytes = b""


class Tokens:
    """Issues and resolves the tokens of a control process. The caches are bounded: when full, they start anew."""

    ENTRIES = 4096

    def __init__(self, cloud: Cloud, keys: Keys) -> None:
        self.cloud = cloud
        self.keys = keys
        self.revision = Revision(cloud.database)
        self._entries: dict[str, Entry] = {}
        self._claims: dict[str, Claims] = {}
        self._standings: dict[tuple[str, Scope], tuple[int, Standing]] = {}
        self._named: dict[tuple[str | None, ...], tuple[int, str]] = {}
        self._roles: tuple[int, Roles] | None = None
        self._catalogs: dict[str, tuple[int, bytes]] = {}

    # ---------------------------------------------------------------- resolving

    def entry(self, token: str) -> Entry | None:
        """None unless the token holds now."""
        revision = self.revision.read()
        entry = self._entries.get(token)
        if entry is None or entry.revision != revision:
            try:
                entry = self._resolve(token, revision)
            except (Unauthorized, Forbidden):
                self._entries.pop(token, None)
                return None
            _keep(self._entries, token, entry, self.ENTRIES)
        return entry if entry.claims.expires_at > clock.seconds() else None

    def known(self, token: str) -> Entry | None:
        """As it was last resolved: only for a token that `entry` answered for in this same request."""
        return self._entries.get(token)

    def _resolve(self, token: str, revision: int) -> Entry:
        claims = self.claims(token)
        if claims is None or claims.expires_at <= clock.seconds():
            raise Unauthorized()
        with self.cloud.database.read() as tx:
            entry = self._entry(tx, claims, revision)
            if _revoked(tx, claims, entry.standing):
                raise Unauthorized()
            return entry

    def _entry(self, tx: Transaction, claims: Claims, revision: int) -> Entry:
        if claims.trust_id is not None:
            standing = self._trusted(tx, claims, claims.trust_id, revision)
        else:
            standing = self.standing(tx, claims.user_id, claims.scope, revision)
        credential = None
        if claims.credential_id is not None:
            credential = tx.get(ApplicationCredential, claims.credential_id)
            if credential is None or credential.user_id != claims.user_id or credential.project_id != claims.scope.id \
                    or (credential.expires_at is not None and credential.expires_at <= clock.now()):
                raise Unauthorized()
            standing = self._narrowed(tx, standing, credential.role_ids, revision)
        if claims.oauth_token_id is not None:
            given = tx.get(OAuthToken, claims.oauth_token_id)
            if given is None or not given.access or given.user_id != claims.user_id or given.project_id != claims.scope.id \
                    or (given.expires_at is not None and given.expires_at <= clock.now()):
                raise Unauthorized()
            standing = self._narrowed(tx, standing, given.role_ids, revision)
        return Entry(revision, claims, standing, _context(tx, claims, standing, credential))

    def _narrowed(self, tx: Transaction, standing: Standing, role_ids: list[str], revision: int) -> Standing:
        """With no more than these roles, as far as the user still has them."""
        allowed = set(self.roles(tx, revision).closure(role_ids))
        roles = tuple(role for role in standing.roles if role[0] in allowed)
        if not roles:
            raise Unauthorized()
        return msgspec.structs.replace(standing, roles=roles)

    def _trusted(self, tx: Transaction, claims: Claims, trust_id: str, revision: int) -> Standing:
        """The trustor's in the trust's project, or the trustee's with the trustor's roles. Forbidden says why not."""
        trust = trusts.alive(tx, trust_id)
        if trust is None or (trust.project_id or "") != claims.scope.id:
            raise Unauthorized()
        if trust.trustee_user_id != claims.user_id:
            raise Forbidden("User is not a trustee.")
        trustee = self.standing(tx, trust.trustee_user_id, UNSCOPED, revision)
        try:
            acting = self.standing(tx, trust.trustor_user_id, UNSCOPED, revision)
        except Unauthorized as error:
            raise Forbidden("Trustor is disabled.") from error
        if not trusts.check_agents(tx, trust):
            raise Forbidden("One of the trust agents is disabled or deleted")
        acting = acting if trust.impersonation else trustee
        if trust.project_id is None:
            return acting
        roles = trusts.roles_of(tx, self.roles(tx, revision), trust)
        if not roles:
            raise Forbidden("Trustee has no delegated roles.")
        return msgspec.structs.replace(acting, scope=claims.scope, roles=roles, **place(tx, claims.scope))

    def claims(self, token: str) -> Claims | None:
        """What is sealed in a token, whether or not it still holds."""
        if len(token) > LONGEST:
            return None
        claims = self._claims.get(token)
        if claims is None:
            payload = self.keys.open(token)
            if payload is None:
                return None
            claims = _unpack(payload)
            if claims is not None:
                _keep(self._claims, token, claims, self.ENTRIES)
        return claims

    def standing(self, tx: Transaction, user_id: str, scope: Scope, revision: int) -> Standing:
        """`revision` must have been read before `tx` began."""
        known = self._standings.get((user_id, scope))
        if known is not None and known[0] == revision:
            return known[1]
        standing = find(tx, self.roles(tx, revision), user_id, scope)
        _keep(self._standings, (user_id, scope), (revision, standing), self.ENTRIES)
        return standing

    def roles(self, tx: Transaction, revision: int) -> Roles:
        known = self._roles
        if known is None or known[0] != revision:
            known = self._roles = (revision, Roles(tx))
        return known[1]

    def named(self, key: tuple[str | None, ...], revision: int, look: Callable[[], str | None]) -> str | None:
        """The id of a project that a log-in names, looked up once a revision. `revision` as in `standing`."""
        known = self._named.get(key)
        if known is None or known[0] != revision:
            found = look()
            if found is None:
                return None
            known = (revision, found)
            _keep(self._named, key, known, self.ENTRIES)
        return known[1]

    # ---------------------------------------------------------------- issuing

    def issue(self, tx: Transaction, claims: Claims, revision: int) -> tuple[str, Entry]:
        """A new token, already resolved. Unauthorized if the claims do not hold."""
        entry = self._entry(tx, claims, revision)
        token = self.keys.seal(_pack(claims))
        entry.context = msgspec.structs.replace(entry.context, token=token)
        _keep(self._claims, token, claims, self.ENTRIES)
        _keep(self._entries, token, entry, self.ENTRIES)
        return token, entry

    # ---------------------------------------------------------------- showing

    def shown(self, entry: Entry, *, with_catalog: bool = True) -> bytes:
        """The JSON body of an issue or a validation."""
        if not entry.head:
            entry.head = msgspec.json.encode(describe(self.cloud, entry))[:-1]
        if not with_catalog or entry.standing.scope.kind == "unscoped":
            return b'{"token":' + entry.head + b"}}"
        return b'{"token":' + entry.head + b',"catalog":' + self.catalog(entry) + b"}}"

    def catalog(self, entry: Entry) -> bytes:
        """Encoded. One for all projects unless endpoints name the project in their address."""
        project = entry.standing.scope.id if entry.standing.scope.kind == "project" else ""
        own = f"{project}/{entry.claims.user_id}"
        for key in ("", own):
            known = self._catalogs.get(key)
            if known is not None and known[0] == entry.revision:
                return known[1]
        with self.cloud.database.read() as tx:
            rows, personal = catalog.entries(tx, project, entry.claims.user_id)
        raw = msgspec.json.encode(rows)
        _keep(self._catalogs, own if personal else "", (entry.revision, raw), 64)
        return raw


def _keep(cache: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    if len(cache) >= most:
        cache.clear()
    cache[key] = value


def audit_id() -> str:
    return base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")


def _revoked(tx: Transaction, claims: Claims, standing: Standing) -> bool:
    subjects = [claims.audit_ids[0], claims.user_id, standing.user_id, standing.user_domain_id]
    if claims.trust_id is not None:
        trust = tx.get(Trust, claims.trust_id)
        subjects += [trust.trustor_user_id] if trust is not None else []
    subjects += [subject for subject in (claims.scope.id, standing.scope_domain_id, claims.credential_id) if subject]
    return tx.execute(select(Revocation.id).where(
        Revocation.subject.in_(subjects), Revocation.issued_before >= claims.issued_at).limit(1)).first() is not None


def _context(tx: Transaction, claims: Claims, standing: Standing, credential: ApplicationCredential | None) -> Context:
    kind, domain = standing.scope.kind, standing.scope.kind == "domain"
    rules = None
    if credential is not None and credential.limited:
        rules = tuple((rule.service, rule.method, rule.path) for rule in tx.execute(
            select(AccessRule.service, AccessRule.method, AccessRule.path)
            .where(AccessRule.id.in_(credential.access_rule_ids))))
    return Context(
        user_id=standing.user_id, user_name=standing.user_name, user_domain_id=standing.user_domain_id,
        project_id=standing.scope.id if kind == "project" else None,
        project_name=standing.scope_name if kind == "project" else None,
        project_domain_id=standing.scope_domain_id if kind == "project" else None,
        domain_id=standing.scope.id if domain else None, domain_name=standing.scope_name if domain else None,
        system_scope="all" if kind == "system" else None,
        roles=frozenset(name.lower() for _, name in standing.roles), role_ids=tuple(id for id, _ in standing.roles),
        methods=claims.methods, audit_ids=claims.audit_ids, issued_at=claims.issued_at, expires_at=claims.expires_at,
        application_credential_id=claims.credential_id, trust_id=claims.trust_id, oauth_token_id=claims.oauth_token_id,
        restricted=credential is not None and not credential.unrestricted, access_rules=rules)


def describe(cloud: Cloud, entry: Entry) -> dict[str, Any]:
    """A token as Keystone shows it, without its catalog."""
    claims, standing = entry.claims, entry.standing
    shown: dict[str, Any] = {
        "methods": list(claims.methods),
        "user": {"domain": {"id": standing.user_domain_id, "name": standing.user_domain_name}, "id": standing.user_id,
                 "name": standing.user_name, "password_expires_at": clock.iso(standing.password_expires_at, micro=True)},
        "audit_ids": list(claims.audit_ids), "expires_at": _moment(claims.expires_at), "issued_at": _moment(claims.issued_at),
    }
    kind = standing.scope.kind
    if kind == "project":
        shown["project"] = {"domain": {"id": standing.scope_domain_id, "name": standing.scope_domain_name},
                            "id": standing.scope.id, "name": standing.scope_name}
        shown["is_domain"] = standing.is_domain
    elif kind == "domain":
        shown["domain"] = {"id": standing.scope.id, "name": standing.scope_name}
    elif kind == "system":
        shown["system"] = {"all": True}
    if kind != "unscoped":
        shown["roles"] = [{"id": id, "name": name} for id, name in standing.roles]
    if claims.credential_id is not None or claims.trust_id is not None or claims.oauth_token_id is not None:
        with cloud.database.read() as tx:
            shown |= _delegation(tx, claims)
    return shown


def _delegation(tx: Transaction, claims: Claims) -> dict[str, Any]:
    """What a token says of where it comes from. What has gone since is left out: the token is void then."""
    shown: dict[str, Any] = {}
    credential = tx.get(ApplicationCredential, claims.credential_id or "")
    if credential is not None:
        shown["application_credential"] = {"id": credential.id, "name": credential.name,
                                           "restricted": not credential.unrestricted}
    trust = tx.get(Trust, claims.trust_id or "")
    if trust is not None:
        shown["OS-TRUST:trust"] = {"id": trust.id, "impersonation": trust.impersonation,
                                   "trustor_user": {"id": trust.trustor_user_id},
                                   "trustee_user": {"id": trust.trustee_user_id}}
    given = tx.get(OAuthToken, claims.oauth_token_id or "")
    if given is not None:
        shown["OS-OAUTH1"] = {"access_token_id": given.id, "consumer_id": given.consumer_id}
    return shown


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


# -------------------------------------------------------------------- payload

def _short(id: str) -> bytes:
    """16 bytes for the usual hexadecimal id; others, as `default`, spelt out behind a mark."""
    try:
        raw = bytes.fromhex(id)
    except ValueError:
        raw = b""
    return raw if len(raw) == 16 and raw.hex() == id else b"=" * (len(id) == 15) + b"=" + id.encode()


def _long(raw: bytes) -> str:
    return raw.hex() if len(raw) == 16 else raw.lstrip(b"=").decode()


def _pack(claims: Claims) -> bytes:
    audits = tuple(base64.urlsafe_b64decode(audit + "==") for audit in claims.audit_ids)
    methods = sum(1 << METHODS.index(method) for method in claims.methods)
    return msgspec.msgpack.encode(_Sealed(
        1, _short(claims.user_id), methods, KINDS.index(claims.scope.kind), _short(claims.scope.id), claims.issued_at,
        claims.expires_at, audits, *(_short(id or "") for id in (claims.credential_id, claims.trust_id, claims.oauth_token_id))))


_decode = msgspec.msgpack.Decoder(_Sealed).decode


def _unpack(payload: bytes) -> Claims | None:
    """None for a payload of another release."""
    try:
        sealed = _decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    if sealed.version != 1:
        return None
    return Claims(
        _long(sealed.user), tuple(method for bit, method in enumerate(METHODS) if sealed.methods >> bit & 1),
        Scope(KINDS[sealed.kind], _long(sealed.scope)), sealed.issued, sealed.expires,
        tuple(base64.urlsafe_b64encode(audit).decode().rstrip("=") for audit in sealed.audit),
        _long(sealed.credential) or None, _long(sealed.trust) or None, _long(sealed.oauth) or None)
