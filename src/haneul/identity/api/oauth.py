"""/OS-OAUTH1: from a consumer's request to its access token; and the access tokens that a user has given."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from sqlalchemy import select

from haneul.identity import oauth as rules
from haneul.identity.api import targets
from haneul.identity.api.roles import role_view
from haneul.identity.api.views import collection, link
from haneul.identity.delegation import refuse_delegated
from haneul.identity.model import OAuthToken, Role, User
from haneul.kernel import clock
from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes

routes = Routes()
TOKENS = "/users/{user_id}/OS-OAUTH1/access_tokens"
_REFUSED = "Cannot manage OAuth access tokens with a token issued via delegation."


class Authorize(Struct):
    roles: list[rules.RoleRef]


def signed(call: Call) -> rules.Signed:
    """The request as its sender signed it: with the host that they wrote to."""
    scheme = call.cloud.url.partition("://")[0]
    host = call.headers.get("host", "").lower().removesuffix(":443" if scheme == "https" else ":80")
    given = rules.given(call.headers.get("authorization", ""))
    return rules.Signed(call.method, f"{scheme}://{host}{call.path}", call.query, given)


def _form(row: OAuthToken, secret: str) -> Reply:
    values = {"oauth_token": row.id, "oauth_token_secret": secret, "oauth_expires_at": clock.iso(row.expires_at, micro=True)}
    return Reply(raw=urlencode(values, safe=":").encode(), content_type="application/x-www-form-urlencoded")


@routes.post("/OS-OAUTH1/request_token", None, anonymous=True, status=201)
def ask(call: Call) -> Reply:
    """The signature says who asks."""
    project_id = call.headers.get("requested-project-id")
    if not project_id:
        raise BadRequest("Expecting to find Requested-Project-Id in request.")
    return _form(*rules.ask(call.tx, signed(call), project_id))


def _request_token(call: Call) -> OAuthToken:
    row = call.tx.get(OAuthToken, call.values["request_token_id"])
    if row is None or row.access:
        raise targets.absent(call) or NotFound(f"Could not find request token: {call.values['request_token_id'][:64]}.")
    return row


@routes.put("/OS-OAUTH1/authorize/{request_token_id}", "identity:authorize_request_token", target=_request_token, body=Authorize)
def authorize(call: Call, row: OAuthToken, body: Authorize) -> dict[str, Any]:
    refuse_delegated(call.context, "Cannot authorize a request token with a token issued via delegation.")
    return {"token": {"oauth_verifier": rules.authorize(call.tx, call.context, row, body.roles)}}


@routes.post("/OS-OAUTH1/access_token", None, anonymous=True, status=201)
def exchange(call: Call) -> Reply:
    return _form(*rules.exchange(call.tx, signed(call)))


# -------------------------------------------------------------------- what a user has given

def _view(call: Call, row: OAuthToken) -> dict[str, Any]:
    path = ("users", str(row.user_id), "OS-OAUTH1", "access_tokens", row.id)
    return {"id": row.id, "consumer_id": row.consumer_id, "project_id": row.project_id, "authorizing_user_id": row.user_id,
            "expires_at": clock.iso(row.expires_at, micro=True),
            "links": {**link(call, *path), "roles": link(call, *path, "roles")["self"]}}


def _token(call: Call, user: User) -> OAuthToken:
    refuse_delegated(call.context, _REFUSED)
    return rules.of_user(call.tx, user.id, call.values["access_token_id"])


def _roles(call: Call, row: OAuthToken) -> list[Role]:
    return list(call.tx.execute(select(Role).where(Role.id.in_(row.role_ids)).order_by(Role.name)).scalars())


@routes.get(TOKENS, "identity:list_access_tokens", target=targets.user)
def index(call: Call, user: User) -> dict[str, Any]:
    refuse_delegated(call.context, _REFUSED)
    query = select(OAuthToken).where(OAuthToken.user_id == user.id, OAuthToken.access.is_(True)).order_by(OAuthToken.id)
    return collection(call, "access_tokens", [_view(call, row) for row in call.tx.execute(query).scalars()])


@routes.get(TOKENS + "/{access_token_id}", "identity:get_access_token", target=targets.user)
def show(call: Call, user: User) -> dict[str, Any]:
    return {"access_token": _view(call, _token(call, user))}


@routes.delete(TOKENS + "/{access_token_id}", "identity:delete_access_token", target=targets.user)
def delete(call: Call, user: User) -> None:
    """What was logged in with it is void: the row that its tokens name is gone."""
    call.tx.delete(_token(call, user))


@routes.get(TOKENS + "/{access_token_id}/roles", "identity:list_access_token_roles", target=targets.user)
def roles(call: Call, user: User) -> dict[str, Any]:
    return collection(call, "roles", [role_view(call, role) for role in _roles(call, _token(call, user))])


@routes.get(TOKENS + "/{access_token_id}/roles/{role_id}", "identity:get_access_token_role", target=targets.user)
def show_role(call: Call, user: User) -> dict[str, Any]:
    for role in _roles(call, _token(call, user)):
        if role.id == call.values["role_id"]:
            return {"role": role_view(call, role)}
    raise NotFound(f"Could not find role: {call.values['role_id'][:64]}.")
