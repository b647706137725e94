"""Who calls: what a valid token says, plus the identifiers of the request."""

from __future__ import annotations

from msgspec import Struct


class Context(Struct, kw_only=True):
    """The caller. Built from the token alone; never from a header, a body or a query string."""

    user_id: str | None = None
    user_name: str | None = None
    user_domain_id: str | None = None
    project_id: str | None = None
    project_name: str | None = None
    project_domain_id: str | None = None
    domain_id: str | None = None  # of a domain-scoped token
    domain_name: str | None = None
    system_scope: str | None = None  # "all" with a system-scoped token
    roles: frozenset[str] = frozenset()  # names, implied ones included
    role_ids: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    audit_ids: tuple[str, ...] = ()
    issued_at: float = 0.0
    expires_at: float = 0.0
    application_credential_id: str | None = None
    restricted: bool = False  # an application credential that may not mint others
    access_rules: tuple[tuple[str, str, str], ...] | None = None  # (service, method, path) of a credential limited to these
    trust_id: str | None = None  # of a token that speaks for a trustor
    oauth_token_id: str | None = None  # of a token that an OAuth 1 access token gave
    token: str | None = None
    request_id: str = ""

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles

    @property
    def is_service(self) -> bool:
        return "service" in self.roles


ANONYMOUS = Context()


def system(request_id: str = "") -> Context:
    """The cloud itself, for tasks and reconcilers: may do everything, belongs to no project."""
    return Context(roles=frozenset({"admin", "manager", "member", "reader", "service"}), request_id=request_id)
