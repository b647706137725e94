from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from haneul.host.fabric.linux import LinuxFabric, check, links, namespaces
from haneul.kernel.config import Paths

MakeFabric = Callable[..., LinuxFabric]


@pytest.fixture
def cloud_id() -> str:
    return secrets.token_hex(4)


@pytest.fixture
def machine(cloud_id: str) -> Iterator[str]:
    """The test runs in a network namespace that plays the whole machine: what the fabric makes in "root" is made there."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if problems := check():
        pytest.skip(problems[0])
    name = f"hntest-{cloud_id}-machine"
    namespaces.add(name)
    try:
        with namespaces.inside(name):
            links.batch([["link", "set", "lo", "up"]])
            yield name
    finally:
        namespaces.delete(name)


@pytest.fixture
def linux(cloud_id: str, machine: str, tmp_path: Path) -> Iterator[LinuxFabric]:
    """A fabric of a cloud of its own."""
    fabric = LinuxFabric(cloud_id, Paths(tmp_path), "http://127.0.0.1:9", b"secret", "127.0.0.1")
    try:
        yield fabric
    finally:
        fabric.purge()
