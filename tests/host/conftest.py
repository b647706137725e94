"""One machine for a test, with fake or real drivers, in a state directory that QEMU's user can reach."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from guests import Machine


@pytest.fixture
def state() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="hn-host-", dir="/tmp"))  # pytest's own are closed to other users
    path.chmod(0o755)
    (path / "cloud-id").write_text(hashlib.sha256(str(path).encode()).hexdigest()[:8])
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(params=["fake", pytest.param("qemu", marks=pytest.mark.real)])
def machine(request: pytest.FixtureRequest, state: Path) -> Iterator[Machine]:
    made = Machine(state, request.param)
    yield made
    made.end()


@pytest.fixture
def qemu(state: Path) -> Iterator[Machine]:
    made = Machine(state, "qemu")
    yield made
    made.end()
