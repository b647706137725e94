"""The stores of volumes that an agent serves, by the name of their back end. All hosts of the agent share them."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec

from haneul.host.contract import NotThere, Refused
from haneul.host.segments import segment
from haneul.host.storage import VolumeSource
from haneul.host.volumes.store import Setting, Store
from haneul.host.volumes.transfers import TransferFiles
from haneul.host.volumes.users import Users
from haneul.kernel.config import ConfigError

OURS = ("file", "ceph")
GROUP = "haneul.volumes"  # entry points of third parties' drivers
COMMON = ("driver", "host", "volume_backend_name", "availability_zone")  # keys that the control plane reads


class Backends:
    """`names` are those of the agent's hosts: back ends of other hosts are not served, but a networked one is reached. Callers
    wait `call_seconds` for an answer."""

    def __init__(self, tables: dict[str, dict[str, Any]], names: Collection[str], folder: Path,
                 transfers: TransferFiles, call_seconds: float = 60.0) -> None:
        self.transfers = transfers
        self.users: list[Users] = []
        self._served: dict[str, Store] = {}
        self._reached: dict[str, Store] = {}
        for name, table in tables.items():
            setting = Setting(name=_checked(name), folder=folder / name, transfers=transfers, users=self.users,
                              patience=call_seconds + 15.0)
            kind, options = _driver(name, table)
            if not table.get("host") or table["host"] in names:
                self._served[name] = kind(setting, options)
            elif kind.networked:
                self._reached[name] = kind(setting, options)

    def named(self, backend: str) -> Store:
        """A back end that this agent serves."""
        found = self._served.get(backend)
        if found is None:
            raise NotThere(f"no back end named {backend} is served here")
        return found

    def reached(self, backend: str) -> Store:
        """A back end whose volumes guests of this machine can open."""
        return self._reached.get(backend) or self.named(backend)

    def node(self, source: VolumeSource) -> dict[str, Any]:
        """`Store.node` of the back end that the source names."""
        return self.reached(source.backend).node(source)

    def secrets(self, source: VolumeSource) -> dict[str, str]:
        return self.reached(source.backend).secrets()

    def networked(self, source: VolumeSource | None = None) -> bool:
        """The volume's store, or any that guests of this machine can be given volumes of."""
        stores = [*self._served.values(), *self._reached.values()] if source is None else [self.reached(source.backend)]
        return any(store.networked for store in stores)


def _checked(name: str) -> str:
    try:
        return segment(name)
    except Refused as error:
        raise ConfigError(f"[volume.backends.{name}]: {error}") from error


def _driver(name: str, table: dict[str, Any]) -> tuple[type[Store], Any]:
    """The driver's class and its options; ConfigError says what is wrong with either."""
    where, wanted = f"[volume.backends.{name}]", table.get("driver")
    if not isinstance(wanted, str) or not wanted:
        raise ConfigError(f"{where} names no driver")
    kind = _load(where, wanted)
    if not (isinstance(kind, type) and issubclass(kind, Store)):
        raise ConfigError(f"{where}: driver {wanted} is no class below haneul.host.volumes.store.Store")
    if missing := sorted(getattr(kind, "__abstractmethods__", ())):
        raise ConfigError(f"{where}: driver {wanted} lacks {', '.join(missing)}")
    try:
        options = msgspec.convert({key: value for key, value in table.items() if key not in COMMON}, kind.Options)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error
    return kind, options


def _load(where: str, wanted: str) -> Any:
    try:
        if wanted in OURS:
            return importlib.import_module(f"haneul.host.volumes.{wanted}").Driver
        for entry in entry_points(group=GROUP, name=wanted):
            return entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{where}: driver {wanted} cannot be loaded: {error}") from error
    raise ConfigError(f"{where}: there is no driver {wanted}")
