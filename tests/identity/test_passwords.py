"""What the operator asks of passwords and log-ins: strength, age, expiry, first use, activity; and who is exempt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from haneul.kernel import clock

Set = Callable[..., None]


@pytest.fixture
def rules(world: Any, monkeypatch: pytest.MonkeyPatch) -> Set:
    """Sets what the configuration says."""

    def put(**values: Any) -> None:
        for name, value in values.items():
            monkeypatch.setattr(world.cloud.cloud.config.identity, name, value)

    return put


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Moves the clock on by days."""
    real = clock.seconds
    return lambda days: monkeypatch.setattr(clock, "seconds", lambda: real() + days * 86400)


def _status(world: Any, user: dict[str, Any], password: str = "pw") -> int:
    return int(world.log_in({"id": user["id"], "password": password}).status_code)


def _choose(world: Any, user: dict[str, Any], old: str, new: str) -> Any:
    return world.plain.post(f"/users/{user['id']}/password", json={"user": {"password": new, "original_password": old}})


def _options(world: Any, user: dict[str, Any], **options: Any) -> None:
    world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"options": options}})


def test_a_password_has_the_form_that_is_asked(world: Any, rules: Set) -> None:
    user = world.user()
    rules(password_regex=r"^(?=.*\d).{7,}$", password_regex_description="seven characters and a digit")
    answer = world.admin.post("/users", json={"user": {"name": world.name(), "password": "short"}})
    assert answer.status_code == 400 and "seven characters and a digit" in answer.json()["error"]["message"]
    assert _choose(world, user, "pw", "letters only").status_code == 400
    world.call("PATCH", f"/users/{user['id']}", 400, {"user": {"password": "short"}})
    assert _choose(world, user, "pw", "letters and 1").status_code == 204
    known = world.get("/domains/default/config/security_compliance")["config"]["security_compliance"]
    assert known["password_regex_description"] == "seven characters and a digit"


def test_passwords_expire(world: Any, rules: Set, later: Callable[[int], None]) -> None:
    old = world.user()
    rules(password_expires_days=10)
    user, exempt = world.user(), world.user()
    _options(world, exempt, ignore_password_expiry=True)
    assert old["password_expires_at"] is None and user["password_expires_at"].endswith("Z")
    shown = world.log_in({"id": user["id"], "password": "pw"}).json()["token"]
    assert shown["user"]["password_expires_at"] == user["password_expires_at"]
    later(11)
    assert [_status(world, each) for each in (old, user, exempt)] == [201, 401, 201]
    assert _choose(world, user, "pw", "new").status_code == 204 and _status(world, user, "new") == 201
    later(22)
    assert _status(world, user, "new") == 401


def test_a_password_that_another_chose_is_changed_first(world: Any, rules: Set) -> None:
    rules(change_password_upon_first_use=True)
    user = world.user()
    exempt = world.user(options={"ignore_change_password_upon_first_use": True})
    assert [_status(world, each) for each in (user, exempt)] == [401, 201]
    assert _choose(world, user, "pw", "mine").status_code == 204 and _status(world, user, "mine") == 201
    world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"password": "reset"}})
    assert _status(world, user, "reset") == 401


def test_a_chosen_password_is_kept_for_a_while(world: Any, rules: Set, later: Callable[[int], None]) -> None:
    rules(minimum_password_age=2)
    user = world.user()
    assert _choose(world, user, "pw", "one").status_code == 204  # the administrator's may go at once
    answer = _choose(world, user, "one", "two")
    assert answer.status_code == 400 and "minimum password age" in answer.json()["error"]["message"]
    later(3)
    assert _choose(world, user, "one", "two").status_code == 204


def test_accounts_that_nobody_uses_are_closed(world: Any, rules: Set, later: Callable[[int], None]) -> None:
    rules(disable_user_account_days_inactive=30)
    used, unused, exempt = world.user(), world.user(), world.user()
    _options(world, exempt, ignore_user_inactivity=True)
    assert [_status(world, each) for each in (used, unused, exempt)] == [201] * 3
    later(20)
    assert _status(world, used) == 201
    later(40)
    assert [_status(world, each) for each in (used, unused, exempt)] == [201, 401, 201]
    later(0)  # the administrator's token holds again
    for enabled in (False, True):
        world.call("PATCH", f"/users/{unused['id']}", 200, {"user": {"enabled": enabled}})
    later(20)
    assert _status(world, unused) == 201


def test_a_user_who_mistypes_is_locked_out_for_a_time(world: Any, rules: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    rules(lockout_failures=2, lockout_seconds=5)
    user, exempt = world.user(), world.user()
    _options(world, exempt, ignore_lockout_failure_attempts=True)
    for each in (user, exempt):
        assert [_status(world, each, "wrong") for _ in range(2)] == [401, 401]
    assert [_status(world, each) for each in (user, exempt)] == [401, 201]
    real = clock.seconds
    monkeypatch.setattr(clock, "seconds", lambda: real() + timedelta(seconds=6).total_seconds())
    assert _status(world, user) == 201


def test_the_last_passwords_are_not_used_again(world: Any, rules: Set) -> None:
    rules(unique_last_passwords=2)
    user = world.user()
    assert _choose(world, user, "pw", "one").status_code == 204
    assert [_choose(world, user, "one", again).status_code for again in ("one", "pw")] == [400, 400]
    assert _choose(world, user, "one", "two").status_code == 204
    assert _choose(world, user, "two", "pw").status_code == 204


@pytest.mark.parametrize("options", [{"multi_factor_auth_rules": [[]]}, {"multi_factor_auth_rules": [["password", "password"]]},
                                     {"multi_factor_auth_rules": [["password"], ["password"]]}, {"lock_password": "yes"}])
def test_options_that_mean_nothing_are_refused(world: Any, options: dict[str, Any]) -> None:
    world.call("POST", "/users", 400, {"user": {"name": world.name(), "options": options}})
