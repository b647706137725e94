"""The rule language, against oslo.policy's own answers."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from oslo_config import cfg
from oslo_policy import policy as oslo

from haneul.kernel.config import ConfigError
from haneul.kernel.context import Context
from haneul.kernel.policy import ADMIN, ANYONE, PROJECT_MANAGER, PROJECT_MEMBER, PROJECT_READER, SERVICE, Policy, Rule

TEXTS = [ADMIN, ANYONE, PROJECT_MANAGER, PROJECT_MEMBER, PROJECT_READER, SERVICE, "!", "", "rule:admin_required",
         "not role:reader", "role:reader and not project_id:%(project_id)s", "user_id:%(user_id)s",
         "(role:admin and system_scope:all) or user_id:%(user_id)s", "'shared':%(visibility)s", "True:%(shared)s"]


@pytest.mark.parametrize("text", TEXTS)
def test_decides_as_oslo_policy_does(text: str) -> None:
    base = Rule("admin_required", ADMIN, scopes=("project", "system"))
    ours = Policy([base, Rule("r", text, scopes=("project", "system"))])
    config = cfg.ConfigOpts()
    config([], project="test")
    theirs = oslo.Enforcer(config, use_conf=False)
    theirs.set_rules(oslo.Rules.from_dict({"admin_required": ADMIN, "r": text}))
    for roles, mine, target_project, system, visibility in product(
            ([], ["reader"], ["member", "reader"], ["admin"], ["service"]), ("p1", None), ("p1", "p2"), (None, "all"),
            ("shared", "private")):
        context = Context(user_id="u", project_id=mine, roles=frozenset(roles), system_scope=system)
        target = {"project_id": target_project, "user_id": "u", "visibility": visibility, "shared": visibility == "shared"}
        credentials = {"roles": roles, "project_id": mine, "user_id": "u", "system_scope": system}
        assert ours.allows("r", context, target) == bool(theirs.enforce("r", target, credentials)), (roles, mine, target)


def test_a_system_token_may_not_use_a_project_rule() -> None:
    policy = Policy([Rule("r", ADMIN)])
    assert not policy.allows("r", Context(roles=frozenset({"admin"}), system_scope="all"), {})


def test_the_operators_file_wins_and_unknown_names_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('"r": "role:reader"\n')
    assert Policy([Rule("r", ADMIN)], file).allows("r", Context(roles=frozenset({"reader"})), {})
    file.write_text('"other": "@"\n')
    with pytest.raises(ConfigError, match="other"):
        Policy([Rule("r", ADMIN)], file)


def test_an_unknown_rule_is_never_a_grant() -> None:
    with pytest.raises(KeyError):
        Policy([]).allows("missing", Context(roles=frozenset({"admin"})), {})
