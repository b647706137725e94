"""One cloud for all faults: what a case leaves behind, the next would notice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults.scenarios import Stage
from running import RunningCloud


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    running = RunningCloud(tmp_path_factory.mktemp("faults"), {
        "tasks": {"poll_seconds": 0.05, "lease_seconds": 5}, "log": {"level": "error"},
        "host": {"timeout_seconds": 1.0}, "quota": {"instances": 100, "cores": 100}}).start()
    yield Stage(running)
    running.stop()


@pytest.fixture(autouse=True)
def swept(request: pytest.FixtureRequest) -> Iterator[None]:
    """One case that goes wrong does not spoil the next."""
    yield
    if "stage" in request.fixturenames:
        request.getfixturevalue("stage").clean()
