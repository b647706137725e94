"""/auth: tokens, and what the caller may scope to."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from sqlalchemy import select

from haneul.identity import authentication, revocations, standing
from haneul.identity.api import oauth
from haneul.identity.api.lists import switch
from haneul.identity.api.views import collection, domain_view, link, project_view
from haneul.identity.model import Project
from haneul.identity.moments import parsed
from haneul.identity.revocations import revoke
from haneul.identity.tokens import LONGEST, Entry, Tokens
from haneul.kernel.errors import Forbidden, NotFound
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes

routes = Routes()
_VARY = {"vary": "X-Auth-Token"}


@routes.post("/auth/tokens", None, anonymous=True, bare=True, body=authentication.AuthRequest, status=201)
def issue(call: Call, body: authentication.AuthRequest) -> Reply:
    """Opens its own transactions: none may be open while a password is hashed."""
    tokens = call.cloud.get(Tokens)
    signed = oauth.signed(call) if "oauth1" in body.auth.identity.methods else None
    token, entry = authentication.log_in(call.cloud, body.auth, signed)
    raw = tokens.shown(entry, with_catalog=_wants_catalog(call))
    return Reply(raw=raw, headers={"X-Subject-Token": token, **_VARY})


def _wants_catalog(call: Call) -> bool:
    return not call.query_string or not switch(call, "nocatalog")


def _target(call: Call, entry: Entry) -> dict[str, Any]:
    """A trust's token is its trustee's and, where it impersonates, also the trustor's, whom it speaks for."""
    spoken_for = entry.standing.user_id
    return {"target.token.user_id": spoken_for if spoken_for == call.context.user_id else entry.claims.user_id}


def _subject(call: Call, rule: str) -> tuple[str, Entry]:
    """The token asked about, for callers that may ask."""
    token = call.headers.get("x-subject-token", "")
    tokens = call.cloud.get(Tokens)
    entry = tokens.known(token) if token == call.headers.get("x-auth-token") else None  # it opened the door just now
    if entry is None and 0 < len(token) <= LONGEST:
        entry = tokens.entry(token)
    if entry is None and token:  # before any rule, as in Keystone: it is nobody's token, so it gives nobody away
        raise NotFound("Failed to validate token")
    target = _target(call, entry) if entry else {}
    if not call.cloud.policy.allows(rule, call.context, target):
        raise Forbidden(f"You are not authorized to perform the requested action: {rule}.")
    if entry is None:
        raise NotFound("Failed to validate token")
    return token, entry


@routes.get("/auth/tokens", "identity:validate_token", inline=True)
def validate(call: Call) -> Reply:
    token, entry = _subject(call, "identity:validate_token")
    raw = call.cloud.get(Tokens).shown(entry, with_catalog=_wants_catalog(call))
    return Reply(raw=raw, headers={"X-Subject-Token": token, **_VARY})


@routes.head("/auth/tokens", "identity:check_token", inline=True)
def check(call: Call) -> Reply:
    token, entry = _subject(call, "identity:check_token")
    return Reply(raw=call.cloud.get(Tokens).shown(entry), headers={"X-Subject-Token": token, **_VARY})


def _revocable(call: Call) -> dict[str, Any]:
    entry = _subject(call, "identity:revoke_token")[1]
    return {"entry": entry, **_target(call, entry)}


@routes.delete("/auth/tokens", "identity:revoke_token", target=_revocable)
def void(call: Call, found: dict[str, Any]) -> None:
    revoke(call.tx, found["entry"].claims.audit_ids[0], "audit_id")


@routes.get("/auth/catalog", "identity:get_auth_catalog")
def catalog(call: Call) -> Reply:
    tokens = call.cloud.get(Tokens)
    entry = tokens.entry(call.headers["x-auth-token"])
    if entry is None or entry.standing.scope.kind == "unscoped":
        raise Forbidden("A project-scoped token is required to produce a service catalog.")
    links = b'"links":{"next":null,"self":"%s/auth/catalog","previous":null}' % call.base_url.encode()
    return Reply(raw=b'{"catalog":' + tokens.catalog(entry) + b"," + links + b"}")


def _mine(call: Call, kind: str) -> list[Project]:
    assert call.context.user_id is not None
    found = standing.places(call.tx, call.context.user_id, kind)
    query = select(Project).where(Project.id.in_(found), Project.enabled.is_(True), Project.is_domain.is_(kind == "domain"))
    return list(call.tx.execute(query.order_by(Project.name)).scalars())


@routes.get("/auth/projects", "identity:get_auth_projects")
def projects(call: Call) -> dict[str, Any]:
    return collection(call, "projects", [project_view(call, project) for project in _mine(call, "project")])


@routes.get("/auth/domains", "identity:get_auth_domains")
def domains(call: Call) -> dict[str, Any]:
    return collection(call, "domains", [domain_view(call, domain) for domain in _mine(call, "domain")])


@routes.get("/auth/system", "identity:get_auth_system")
def system(call: Call) -> dict[str, Any]:
    assert call.context.user_id is not None
    held = standing.held(call.tx, call.context.user_id, standing.Scope(standing.SYSTEM, ""))
    return {"system": [{"all": True}] if held else [], "links": link(call, "auth", "system")}


@routes.get("/OS-REVOKE/events", "identity:list_revoke_events")
def events(call: Call) -> dict[str, Any]:
    since = parsed(call.argument("since"))
    found = revocations.events(call.tx, None if since is None else since.replace(tzinfo=UTC).timestamp())
    return {"events": found, "links": {"next": None, "previous": None, **link(call, "OS-REVOKE", "events")}}
