"""Clouds with real servers."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import free_port

HANEUL = Path(__file__).parents[2] / "haneul"


@pytest.fixture(scope="session")
def real_cloud() -> Iterator[Path]:
    """The state directory of a cloud as `up` leaves it, its demo included; purged at the end."""
    state = Path(f"/tmp/haneul-real-{secrets.token_hex(4)}")
    state.mkdir()
    (state / "config.toml").write_text("[identity]\nbcrypt_rounds = 4\n")  # Tempest makes hundreds of users
    try:
        subprocess.run([HANEUL, "up", "--detach", "--state", state, "--port", str(free_port())], check=True)
        yield state
    finally:
        if state.exists():
            subprocess.run([HANEUL, "down", "--purge", "--state", state], check=True)
