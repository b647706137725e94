"""Who may: OpenStack's rule names in oslo.policy's language, parsed once and evaluated as plain functions.

A room's `policy.py` lists its defaults as `Rule`s; the operator's `policy.yaml` overrides them by name. A target is a
mapping loaded from the database (or the caller's own project for lists and creations): never a request's body or query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct
from oslo_policy import _checks as checks
from oslo_policy import policy as oslo

from haneul.kernel.config import ConfigError
from haneul.kernel.context import Context

Check = Callable[[Context, Mapping[str, Any]], bool]
PROJECT = ("project",)
ALL_SCOPES = ("system", "domain", "project")

ADMIN = "role:admin"
PROJECT_MANAGER = "role:admin or (role:manager and project_id:%(project_id)s)"
PROJECT_MEMBER = "role:admin or (role:member and project_id:%(project_id)s)"
PROJECT_READER = "role:admin or (role:reader and project_id:%(project_id)s)"
SERVICE = "role:service"
ANYONE = "@"


class Rule(Struct, frozen=True):
    """A default. `scopes` are the token scopes that may use it at all."""

    name: str
    check: str
    description: str = ""
    scopes: tuple[str, ...] = PROJECT


class Policy:
    """The rules in force."""

    def __init__(self, rules: list[Rule], overrides: Path | None = None) -> None:
        self.rules = {rule.name: rule for rule in rules}
        assert len(self.rules) == len(rules), "a rule is defined twice"
        texts = {rule.name: rule.check for rule in rules}
        texts.update(_overrides(overrides, self.rules) if overrides and overrides.exists() else {})
        self.texts = texts
        parsed = {name: oslo.RuleDefault(name, text).check for name, text in texts.items()}
        self._checks = {name: _compile(check, parsed, ()) for name, check in parsed.items()}

    def allows(self, name: str, context: Context, target: Mapping[str, Any]) -> bool:
        """Raises KeyError for a rule that does not exist: a programming error, never a grant."""
        rule = self.rules[name]
        if context.system_scope is not None and "system" not in rule.scopes:
            return False
        if context.domain_id is not None and context.project_id is None and "domain" not in rule.scopes:
            return False
        return self._checks[name](context, target)


def _overrides(path: Path, known: Mapping[str, Rule]) -> dict[str, str]:
    try:
        texts = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    unknown = sorted(set(texts) - set(known))
    if unknown:
        raise ConfigError(f"{path}: no such rule: {', '.join(unknown)}")
    return {name: str(text) for name, text in texts.items()}


def _compile(check: Any, rules: Mapping[str, Any], within: tuple[str, ...]) -> Check:
    """A function for a tree of oslo.policy's checks; what it does not know is refused at start."""
    if isinstance(check, checks.TrueCheck):
        return lambda context, target: True
    if isinstance(check, checks.FalseCheck):
        return lambda context, target: False
    if isinstance(check, checks.NotCheck):
        inner = _compile(check.rule, rules, within)
        return lambda context, target: not inner(context, target)
    if isinstance(check, checks.AndCheck):
        parts = [_compile(rule, rules, within) for rule in check.rules]
        return lambda context, target: all(part(context, target) for part in parts)
    if isinstance(check, checks.OrCheck):
        parts = [_compile(rule, rules, within) for rule in check.rules]
        return lambda context, target: any(part(context, target) for part in parts)
    if isinstance(check, checks.RoleCheck):
        role = check.match.lower()
        return lambda context, target: role in context.roles
    if isinstance(check, checks.RuleCheck):
        if check.match in within or check.match not in rules:
            raise ConfigError(f"policy rule {check.match}: " + ("refers to itself" if check.match in within else "unknown"))
        return _compile(rules[check.match], rules, (*within, check.match))
    if isinstance(check, checks.GenericCheck):
        return _generic(check.kind, check.match)
    raise ConfigError(f"policy: {check} is a kind of check that is not supported")


def _generic(kind: str, match: str) -> Check:
    """`kind:match`, as in project_id:%(project_id)s or system_scope:all or True:%(is_public)s; an absent value never matches."""
    literal = kind[1:-1] if kind[:1] in "'\"" else {"True": "True", "False": "False", "None": "None"}.get(kind)
    name = match[2:-2] if match.startswith("%(") and match.endswith(")s") else None

    def evaluate(context: Context, target: Mapping[str, Any]) -> bool:
        mine = literal if literal is not None else getattr(context, kind, None)
        if name is None:
            return mine is not None and str(mine) == match
        if name not in target:
            return False
        theirs = target[name]
        if literal == "None":
            return theirs is None
        return mine is not None and theirs is not None and str(mine) == str(theirs)

    return evaluate
