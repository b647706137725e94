"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ceph_cluster import Cluster
    from running import RunningCloud


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """One cloud for the whole run. Tests share it: they make what they need under names of their own."""
    from running import RunningCloud  # imports every room: only for tests that want a cloud

    running = RunningCloud(tmp_path_factory.mktemp("cloud")).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def ceph_cluster() -> Iterator[Cluster]:
    """One cluster for the whole run, with one pool. Who pauses it wants it to himself, as all of a process's tests do."""
    import ceph_cluster

    if why := ceph_cluster.missing():
        pytest.skip(why)
    cluster = ceph_cluster.Cluster().start()
    yield cluster
    cluster.stop()
