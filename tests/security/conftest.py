"""What the security checks stand on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from identity_world import World

if TYPE_CHECKING:
    from running import RunningCloud


@pytest.fixture
def world(cloud: RunningCloud) -> Iterator[World]:
    made = World(cloud)
    yield made
    made.admin.close()
    made.plain.close()
