"""What apply was told, kept as one JSON file an object: for finding differences, and for mending after a restart.

The kernel is the truth: what it does not have is forgotten when the agent starts.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from haneul.host.contract import NetworkSpec, PortSpec, RouterSpec, SecurityGroupSpec

T = TypeVar("T", NetworkSpec, PortSpec, RouterSpec, SecurityGroupSpec)


class Shelf(Generic[T]):
    """The objects of one kind."""

    def __init__(self, directory: Path, kind: type[T]) -> None:
        self._directory = directory
        self.items: dict[str, T] = {}
        directory.mkdir(parents=True, exist_ok=True)
        for path in directory.glob("*.json"):
            try:
                item = msgspec.json.decode(path.read_bytes(), type=kind)
            except msgspec.MsgspecError:
                path.unlink()  # written by another version: it is told anew
                continue
            self.items[item.id] = item

    def put(self, item: T) -> None:
        if self.items.get(item.id) == item:
            return
        self._directory.mkdir(parents=True, exist_ok=True)  # a purge takes it away
        path = self._directory / f"{item.id}.json"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(item))
        fresh.rename(path)
        self.items[item.id] = item

    def drop(self, id: str) -> T | None:
        (self._directory / f"{id}.json").unlink(missing_ok=True)
        return self.items.pop(id, None)

    def keep_only(self, ids: set[str]) -> None:
        for id in set(self.items) - ids:
            self.drop(id)


class Memory:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.networks = Shelf(directory / "networks", NetworkSpec)
        self.groups = Shelf(directory / "security_groups", SecurityGroupSpec)
        self.ports = Shelf(directory / "ports", PortSpec)
        self.routers = Shelf(directory / "routers", RouterSpec)

    def forget(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        for shelf in (self.networks, self.groups, self.ports, self.routers):
            shelf.items.clear()
