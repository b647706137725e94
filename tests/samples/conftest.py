"""A cloud of its own: lists are compared too, and other tests leave odd things in theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from running import RunningCloud


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    running = RunningCloud(tmp_path_factory.mktemp("samples")).start()
    yield running
    running.stop()
