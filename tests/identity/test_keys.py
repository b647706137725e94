"""The keys that seal tokens, and what is sealed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from haneul.identity import passwords
from haneul.identity.keys import Keys
from haneul.identity.standing import Scope
from haneul.identity.tokens import Claims, _pack, _unpack, audit_id


def test_keys_are_for_the_owner_alone(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys", 3)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.folder.iterdir()} == {0o600}


def test_rotation_keeps_what_was_sealed_until_its_key_goes(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys", 3)
    token = keys.seal(b"payload")
    for _ in range(2):
        assert keys.open(token) == b"payload"
        keys.rotate()
    assert keys.open(token) is None
    assert sorted(os.listdir(keys.folder)) == ["0", "2", "3"]


def test_another_process_opens_what_the_rotated_key_sealed(tmp_path: Path) -> None:
    one, two = Keys(tmp_path / "keys", 3), Keys(tmp_path / "keys", 3)
    one.rotate()
    assert two.open(one.seal(b"payload")) == b"payload"
    one.rotate()
    one.rotate()
    two._looked = 0.0
    assert two.open(one.seal(b"payload")) == b"payload"


def test_nothing_but_our_tokens_opens(tmp_path: Path) -> None:
    keys, stranger = Keys(tmp_path / "a", 3), Keys(tmp_path / "b", 3)
    for text in ("", "x", "é", "gAAAAA", stranger.seal(b"payload"), keys.seal(b"payload")[:-3] + "AAA"):
        assert keys.open(text) is None


@pytest.mark.parametrize("scope", [Scope(), Scope("project", "0" * 32), Scope("domain", "default"), Scope("system", ""),
                                   Scope("project", "fifteen-letters"), Scope("project", "sixteen--letters")])
def test_claims_survive_the_payload(scope: Scope) -> None:
    claims = Claims("f" * 32, ("password", "token"), scope, 1.25, 99.0, (audit_id(), audit_id()), "a" * 32)
    assert _unpack(_pack(claims)) == claims
    assert _unpack(b"garbage") is None


def test_a_token_is_short(tmp_path: Path) -> None:
    claims = Claims("f" * 32, ("password", "token"), Scope("project", "0" * 32), 1.25, 99.0, (audit_id(), audit_id()))
    assert len(Keys(tmp_path / "keys", 3).seal(_pack(claims))) <= 255


def test_passwords_beyond_bcrypts_72_bytes_count() -> None:
    stored = passwords.hashed("x" * 80 + "a", 4)
    assert passwords.matches("x" * 80 + "a", stored) and not passwords.matches("x" * 80 + "b", stored)
    zero = passwords.hashed("a\0b", 4)
    assert passwords.matches("a\0b", zero) and not passwords.matches("a\0c", zero)
    assert not passwords.matches("anything", passwords.dummy(4))
