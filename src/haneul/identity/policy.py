"""Keystone's rules: names and defaults of secure RBAC, with the domain manager."""

from __future__ import annotations

from haneul.kernel.policy import ALL_SCOPES, Rule

ADMIN = "role:admin"
SYSTEM_READER = f"{ADMIN} or (role:reader and system_scope:all)"


def _rule(name: str, check: str) -> Rule:
    return Rule(f"identity:{name}", check, scopes=ALL_SCOPES)


RULES = [
    _rule("get_auth_catalog", "@"), _rule("get_auth_projects", "@"), _rule("get_auth_domains", "@"),
    _rule("get_auth_system", "@"),
    _rule("check_token", f"{SYSTEM_READER} or user_id:%(target.token.user_id)s"),
    _rule("validate_token", f"{SYSTEM_READER} or role:service or user_id:%(target.token.user_id)s"),
    _rule("revoke_token", f"{ADMIN} or user_id:%(target.token.user_id)s"),
]
