"""What a driver of volumes is: the verbs of `haneul.host.storage.Volumes`, and what hypervisors of the same agent ask it.

A driver is a class named `Driver` in a module `haneul.host.volumes.<name>`, or one that an entry point of the group
`haneul.volumes` names. It is made once for each back end, must not fail for a store that is out of reach (`state` says so,
every other verb raises), and finds its store when that is back.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from msgspec import Struct

from haneul.host.contract import Conflict, HostError
from haneul.host.storage import StoredVolume, Volumes, VolumeSource
from haneul.host.volumes.transfers import TransferFiles
from haneul.host.volumes.users import Users


class Setting(Struct, frozen=True, kw_only=True):
    """What a driver is opened with. `folder` is its own below the state directory, and not made yet; `users` are the hypervisors
    of the agent, filled in after the drivers are open."""

    name: str
    folder: Path
    transfers: TransferFiles
    users: list[Users]
    patience: float = 75.0  # seconds after which nobody waits for an answer any more


class NoOptions(Struct, forbid_unknown_fields=True):
    pass


class Store(Volumes):
    """`Options` are the back end's own keys in the configuration; unknown ones are refused when the agent starts. A `networked`
    store is also opened, for `node` alone, by agents that do not serve it."""

    Options: ClassVar[type[Struct]] = NoOptions
    networked: ClassVar[bool] = False

    def __init__(self, setting: Setting, options: Any) -> None:
        self.setting = setting
        self._guard = threading.Lock()
        self._locks: WeakValueDictionary[str, Any] = WeakValueDictionary()  # as long as somebody holds or awaits one

    @abstractmethod
    def node(self, source: VolumeSource) -> dict[str, Any]:
        """The block device node of QEMU (blockdev-add, without node-name) that gives the volume's bytes, every layer with its
        driver named. `luks` of an encrypted volume is put above it by the hypervisor. NotThere; Refused when the volume is not
        of the format, or not encrypted as the source says."""

    @abstractmethod
    def grow(self, name: str, size_bytes: int, key: str | None = None) -> StoredVolume:
        """`extend`, whoever has it open: for a hypervisor whose guest's process does not do it itself."""

    def secrets(self) -> dict[str, str]:
        """The secrets that `node` names by `key-secret`: base64, by an id that begins with `key-`. QEMU has them while it opens a
        volume and not afterwards."""
        return {}

    # ------------------------------------------------------------ for drivers

    def must_be_free(self, name: str) -> None:
        if any(user.uses(self.setting.name, name) for user in self.setting.users):
            raise Conflict(f"a server has volume {name} open")

    def writer(self, name: str) -> Users | None:
        """The hypervisor whose guest's process has the volume open."""
        return next((user for user in self.setting.users if user.writes(self.setting.name, name)), None)

    @contextmanager
    def locked(self, *names: str) -> Iterator[None]:
        """Volumes that nobody else in this agent changes during the block. Sorted, so that two who want the same two never wait
        for each other. A verb that is asked again while it runs waits here for the first, as long as somebody waits for it:
        threads are not to pile up behind a copy that takes an hour."""
        with ExitStack() as held:
            for name in sorted(set(names)):
                with self._guard:
                    lock = self._locks.setdefault(name, threading.RLock())
                if not lock.acquire(timeout=self.setting.patience):
                    raise HostError(f"volume {name} is still being worked on")
                held.callback(lock.release)
            yield
