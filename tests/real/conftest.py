"""Clouds with real servers."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ground import Ground, Tenant

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


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """A cloud without the demo, that the tests with guests share."""
    from haneul.cli import guest
    from haneul.cli.up import Steps
    image = guest.ensure(Steps())
    made = Ground()
    try:
        made.up()
        made.furnish(image)
        yield made
    finally:
        made.purge()
        shutil.rmtree(made.state.with_name(made.state.name + "-keys"), ignore_errors=True)


@pytest.fixture(scope="session")
def blue(ground: Ground) -> Tenant:
    return ground.tenant("blue", "10.31.0.0/24")


@pytest.fixture(scope="session")
def red(ground: Ground) -> Tenant:
    """The same addresses as blue's, as tenants do."""
    return ground.tenant("red", "10.31.0.0/24")
