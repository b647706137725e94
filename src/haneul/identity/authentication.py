"""Log-in: who is it, for which scope, and the token they get.

Every refusal is the same 401 and costs the same password hash, whether a user does not exist, is disabled, locked or mistyped.
No transaction is open while a password is hashed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field
from sqlalchemy import delete, select, update

from haneul.identity import oauth, password_rules, passwords, trusts
from haneul.identity.lookup import refuse
from haneul.identity.model import ApplicationCredential, Failure, OAuthToken, Password, Project, Trust, User
from haneul.identity.standing import UNSCOPED, Scope, Standing
from haneul.identity.tokens import Claims, Entry, Tokens, audit_id
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Forbidden, NotFound, Unauthorized

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud


class DomainRef(Struct):
    id: str | None = None
    name: str | None = None


class UserRef(Struct):
    id: str | None = None
    name: str | None = None
    domain: DomainRef | None = None
    password: str | None = None


class PasswordMethod(Struct):
    user: UserRef


class TokenMethod(Struct):
    id: str


class CredentialMethod(Struct):
    secret: str
    id: str | None = None
    name: str | None = None
    user: UserRef | None = None


class Identity(Struct):
    methods: list[str]
    password: PasswordMethod | None = None
    token: TokenMethod | None = None
    application_credential: CredentialMethod | None = None


class ProjectRef(Struct):
    id: str | None = None
    name: str | None = None
    domain: DomainRef | None = None


class TrustRef(Struct):
    id: str | None = None


class ScopeRef(Struct):
    project: ProjectRef | None = None
    domain: DomainRef | None = None
    system: dict[str, Any] | None = None
    trust: TrustRef | None = field(default=None, name="OS-TRUST:trust")
    unscoped: dict[str, Any] | UnsetType = UNSET


class Auth(Struct):
    identity: Identity
    scope: ScopeRef | str | UnsetType = UNSET


class AuthRequest(Struct):
    auth: Auth


class Proof(Struct):
    """What a method showed. `base`: the claims of the token that this one is derived from."""

    user_id: str
    base: Claims | None = None
    credential: ApplicationCredential | None = None
    given: OAuthToken | None = None


def log_in(cloud: Cloud, auth: Auth, signed: oauth.Signed | None = None) -> tuple[str, Entry]:
    """A new token. Raises Unauthorized, BadRequest or, for a scope that a derived token may not have, Forbidden.

    It counts as issued when the log-in began, and is remembered at the revision of then: what is revoked while a password is
    being hashed voids it too. `signed`: the request, where its Authorization header is OAuth's.
    """
    tokens, started = cloud.get(Tokens), clock.seconds()
    revision = tokens.revision.read()
    wanted = auth.identity.methods
    unknown = [method for method in wanted if method not in _CHECKS and method != "oauth1"]
    if not wanted or unknown:
        raise Unauthorized("Attempted to authenticate with an unsupported method.")
    proofs = [_CHECKS[method](cloud, auth.identity) if method in _CHECKS else _by_oauth(cloud, signed)
              for method in dict.fromkeys(wanted)]
    if len({proof.user_id for proof in proofs}) != 1:
        raise Unauthorized()
    base = next((proof.base for proof in proofs if proof.base), None)
    credential = next((proof.credential for proof in proofs if proof.credential), None)
    given = next((proof.given for proof in proofs if proof.given), None)
    methods = tuple(dict.fromkeys([*(base.methods if base else ()), *wanted]))
    with cloud.database.read() as tx:
        user = tokens.standing(tx, proofs[0].user_id, UNSCOPED, revision)
        _enough_factors(user, methods, base)
        if given is not None:
            if len(proofs) > 1:  # its token has bounds of its own, and those of another method would be lost
                raise Unauthorized()
            return tokens.issue(tx, _given_claims(cloud, auth, given, methods, started), revision)
        trust = _trust(tx, auth.scope)
        if trust is None:
            scope = _scope(tx, auth, user, base, credential, revision)
        elif credential is not None or (base is not None and base.credential_id is not None):
            raise Forbidden("Application credentials cannot request a scope.")
        else:
            scope = Scope("project", trust.project_id) if trust.project_id else UNSCOPED
        claims = _claims(cloud, user, methods, scope, base, credential, started)
        if trust is None:
            return tokens.issue(tx, claims, revision)
        ends = claims.expires_at
        if trust.expires_at is not None:
            ends = min(ends, started + (trust.expires_at - clock.now()).total_seconds())
        issued = tokens.issue(tx, msgspec.structs.replace(claims, trust_id=trust.id, expires_at=ends), revision)
    if trust.remaining_uses is not None:  # a use is taken once the token could be made, which nobody has seen by then
        cloud.database.transact(lambda tx: trusts.consume(tx, trust.id))
    return issued


def _given_claims(cloud: Cloud, auth: Auth, given: OAuthToken, methods: tuple[str, ...], now: float) -> Claims:
    """An access token is for its project, whatever was asked for, and what it gives ends with it."""
    if isinstance(auth.scope, ScopeRef) and (auth.scope.project is None or auth.scope.project.id != given.project_id):
        raise Forbidden("An OAuth access token is for its own project only.")
    until = float(int(now + cloud.config.identity.token_seconds))
    if given.expires_at is not None:
        until = min(until, now + (given.expires_at - clock.now()).total_seconds())
    return Claims(given.user_id or "", methods, Scope("project", given.project_id), now, until, (audit_id(),),
                  oauth_token_id=given.id)


def _by_oauth(cloud: Cloud, signed: oauth.Signed | None) -> Proof:
    given = oauth.prove(cloud, signed)
    if given.user_id is None:
        raise Unauthorized()
    return Proof(given.user_id, given=given)


def _trust(tx: Transaction, scope: ScopeRef | str | UnsetType) -> Trust | None:
    """The trust that a log-in asks for."""
    if not isinstance(scope, ScopeRef) or scope.trust is None:
        return None
    if scope.project is not None or scope.domain is not None or scope.system is not None:
        raise BadRequest("Specify only one scope: a project, a domain, a trust or the system.")
    if not scope.trust.id:
        raise BadRequest("Expecting to find id in OS-TRUST:trust.")
    try:
        return trusts.get(tx, scope.trust.id)
    except NotFound as error:
        raise Unauthorized(error.message) from error


def _claims(cloud: Cloud, user: Standing, methods: tuple[str, ...], scope: Scope, base: Claims | None,
            credential: ApplicationCredential | None, now: float) -> Claims:
    """A derived token ends with the one it comes from, and names the first of its chain."""
    expires = now + cloud.config.identity.token_seconds
    credential_id = credential.id if credential else base.credential_id if base else None
    if base is not None:
        expires = min(expires, base.expires_at)
    if credential is not None and credential.expires_at is not None:
        expires = min(expires, now + (credential.expires_at - clock.now()).total_seconds())
    audits = (audit_id(), base.audit_ids[-1]) if base else (audit_id(),)
    return Claims(user.user_id, methods, scope, now, float(int(expires)) if base is None else expires, audits, credential_id)


# -------------------------------------------------------------------- methods

def _by_password(cloud: Cloud, identity: Identity) -> Proof:
    if identity.password is None:
        raise BadRequest("Expecting to find password in identity. The server could not comply with the request since it is "
                         "either malformed or otherwise incorrect. The client is assumed to be in error.")
    reference = identity.password.user
    user = _right_password(cloud, reference, reference.password or "")
    if user is None:
        raise Unauthorized()
    if user.password_expires_at is not None and user.password_expires_at <= clock.now() \
            and not user.options.get("ignore_password_expiry"):
        raise Unauthorized(f"The password is expired and needs to be changed for user: {user.id}.")
    return Proof(user.id)


def by_old_password(cloud: Cloud, user_id: str, password: str) -> User | None:
    """For changing it: an expired password is good enough, a disabled or locked user is not."""
    return _right_password(cloud, UserRef(id=user_id), password)


def _right_password(cloud: Cloud, reference: UserRef, given: str) -> User | None:
    settings = cloud.config.identity
    with cloud.database.read() as tx:
        user = find_user(tx, reference)
        stored = current_password(tx, user.id) if user else None
        failure = tx.get(Failure, user.id) if user else None
        enabled = user is not None and user.enabled and _domain_enabled(tx, user.domain_id)
    right = passwords.matches(given[:passwords.MAXIMUM], stored or passwords.dummy(settings.bcrypt_rounds))
    locked = user is not None and _locked(settings, user, failure)
    away = user is not None and password_rules.inactive(settings, user)
    if user is None or stored is None or not right or not enabled or locked or away:
        if user is not None and not right and not locked and settings.lockout_failures:
            _count_failure(cloud, user.id)
        return None
    note = password_rules.to_note(settings, user)
    if failure is not None or note:
        with cloud.database.write() as tx:
            tx.execute(delete(Failure).where(Failure.user_id == user.id))
            if note:  # a statement: what is cached of tokens does not depend on it
                tx.execute(update(User).where(User.id == user.id).values(last_active_at=clock.now()))
    return user


def _by_token(cloud: Cloud, identity: Identity) -> Proof:
    if identity.token is None:
        raise BadRequest("Expecting to find token in identity. The server could not comply with the request since it is "
                         "either malformed or otherwise incorrect. The client is assumed to be in error.")
    entry = cloud.get(Tokens).entry(identity.token.id)
    if entry is None:
        raise NotFound("Failed to validate token")  # not 401: as Keystone answers for a token that it was given to look at
    claims = entry.claims
    if claims.trust_id is not None or claims.oauth_token_id is not None:
        kind = "trust" if claims.trust_id is not None else "OAuth"
        raise refuse(f"Using {kind}-scoped token to create another token. Create a new {kind}-scoped token instead")
    if "ec2credential" in claims.methods:
        raise refuse("Using a delegated token to create another token is not allowed.")
    return Proof(claims.user_id, base=claims)


def _by_credential(cloud: Cloud, identity: Identity) -> Proof:
    given = identity.application_credential
    if given is None:
        raise BadRequest("Expecting to find application_credential in identity. The server could not comply with the request "
                         "since it is either malformed or otherwise incorrect. The client is assumed to be in error.")
    with cloud.database.read() as tx:
        credential = tx.get(ApplicationCredential, given.id) if given.id else None
        if credential is None and given.name is not None and given.user is not None:
            user = find_user(tx, given.user)
            credential = tx.execute(select(ApplicationCredential).where(
                ApplicationCredential.user_id == (user.id if user else ""),
                ApplicationCredential.name == given.name)).scalar()
    stored = credential.secret_hash if credential else passwords.dummy(cloud.config.identity.bcrypt_rounds)
    right = passwords.matches(given.secret[:passwords.MAXIMUM], stored)
    if credential is None or not right or (credential.expires_at is not None and credential.expires_at <= clock.now()):
        raise Unauthorized()
    return Proof(credential.user_id, credential=credential)


_CHECKS = {"password": _by_password, "token": _by_token, "application_credential": _by_credential}


def find_user(tx: Transaction, reference: UserRef) -> User | None:
    if reference.id:
        return tx.get(User, reference.id)
    if not reference.name or reference.domain is None:
        raise BadRequest("Expecting to find user id, or name and domain, in user. The server could not comply with the request "
                         "since it is either malformed or otherwise incorrect. The client is assumed to be in error.")
    domain_id = _domain_id(tx, reference.domain)
    return tx.execute(select(User).where(User.domain_id == (domain_id or ""), User.name == reference.name)).scalar()


def current_password(tx: Transaction, user_id: str) -> str | None:
    return tx.execute(select(Password.hash).where(Password.user_id == user_id).order_by(Password.id.desc()).limit(1)).scalar()


def _domain_id(tx: Transaction, reference: DomainRef) -> str | None:
    if reference.id:
        return reference.id
    return tx.execute(select(Project.id).where(Project.is_domain.is_(True), Project.name == (reference.name or ""))).scalar()


def _domain_enabled(tx: Transaction, domain_id: str) -> bool:
    return bool(tx.execute(select(Project.enabled).where(Project.id == domain_id)).scalar())


def _locked(settings: Any, user: User, failure: Failure | None) -> bool:
    if not settings.lockout_failures or failure is None or user.options.get("ignore_lockout_failure_attempts"):
        return False
    return failure.count >= settings.lockout_failures \
        and failure.last_at + timedelta(seconds=settings.lockout_seconds) > clock.now()


def _count_failure(cloud: Cloud, user_id: str) -> None:
    settings = cloud.config.identity

    def count(tx: Transaction) -> None:
        failure = tx.get(Failure, user_id)
        if failure is None:
            tx.add(Failure(user_id=user_id, count=1, last_at=clock.now()))
            return
        over = failure.count >= settings.lockout_failures
        failure.count, failure.last_at = (1 if over else failure.count + 1), clock.now()

    cloud.database.transact(count)


def _enough_factors(user: Standing, methods: tuple[str, ...], base: Claims | None) -> None:
    """Keystone's multi_factor_auth_rules: sets of methods, one of which must be whole. Unknown methods void a set."""
    options = user.options
    rules = [set(rule) for rule in options.get("multi_factor_auth_rules") or [] if rule and set(rule) <= set(_CHECKS)]
    if options.get("multi_factor_auth_enabled", True) and rules and not any(rule <= set(methods) for rule in rules):
        raise Unauthorized()


# -------------------------------------------------------------------- scope

def _scope(tx: Transaction, auth: Auth, user: Standing, base: Claims | None, credential: ApplicationCredential | None,
           revision: int) -> Scope:
    asked = _asked(tx, auth.scope, revision)
    bound = Scope("project", credential.project_id) if credential else base.scope if base and base.credential_id else None
    if bound is not None:  # a credential is for its own project, and so is all that is derived from it
        if asked is not None and asked != bound:
            raise Forbidden("Application credentials cannot request a scope.") if credential else Unauthorized()
        return bound
    if asked is not None:
        return asked
    if user.default_project_id is None:
        return UNSCOPED
    scope = Scope("project", user.default_project_id)
    try:  # a default project without a role in it is no error
        tx.cloud.get(Tokens).standing(tx, user.user_id, scope, revision)
    except Unauthorized:
        return UNSCOPED
    return scope


def _asked(tx: Transaction, scope: ScopeRef | str | UnsetType, revision: int) -> Scope | None:
    """None if nothing was asked for, so that the user's default project applies."""
    if isinstance(scope, UnsetType):
        return None
    if isinstance(scope, str):
        if scope != "unscoped":
            raise BadRequest("Invalid input for field 'scope'.")
        return UNSCOPED
    kinds = [scope.project is not None, scope.domain is not None, scope.system is not None]
    if sum(kinds) > 1:
        raise BadRequest("Specify only one scope: a project, a domain or the system.")
    if scope.project is not None:
        return Scope("project", _project_id(tx, scope.project, revision) or "")
    if scope.domain is not None:
        if not scope.domain.id and not scope.domain.name:
            raise BadRequest("Expecting to find domain id or name in scope.")
        return Scope("domain", _domain_id(tx, scope.domain) or "")
    if scope.system is not None:
        if scope.system.get("all") is not True:
            raise BadRequest("Expecting to find {\"all\": true} in system scope.")
        return Scope("system", "")
    return UNSCOPED if scope.unscoped is not UNSET else None


def _project_id(tx: Transaction, reference: ProjectRef, revision: int) -> str | None:
    if reference.id:
        return reference.id
    if not reference.name:
        raise BadRequest("Expecting to find project id or name in scope.")
    domain = reference.domain
    if domain is None:
        raise BadRequest("Expecting to find domain in project. The server could not comply with the request since it is either "
                         "malformed or otherwise incorrect. The client is assumed to be in error.")

    def look() -> str | None:
        return tx.execute(select(Project.id).where(
            Project.name == reference.name, Project.domain_id == (_domain_id(tx, domain) or ""))).scalar()

    return tx.cloud.get(Tokens).named((reference.name, domain.id, domain.name), revision, look)
