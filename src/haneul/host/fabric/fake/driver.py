"""A fabric of which only the memory is real: what is, is what was applied.

It refuses what the real one refuses, so that a control plane tested with it meets the same answers. Failures on
demand are the agent's (`haneul.host.faults`). A test may break things with `spoil` and `litter`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from haneul.host.contract import (
    Fabric,
    FabricIds,
    FabricInventory,
    FabricState,
    HostError,
    NetworkSpec,
    PortSpec,
    Refused,
    RouterSpec,
    SecurityGroupSpec,
)
from haneul.host.fabric.names import UUID
from haneul.host.journal import Journal


class FakeFabric(Fabric):
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(path)
        self._lock = threading.RLock()
        self._networks: dict[str, NetworkSpec] = self._journal.load("network", NetworkSpec)
        self._groups: dict[str, SecurityGroupSpec] = self._journal.load("security_group", SecurityGroupSpec)
        self._ports: dict[str, PortSpec] = self._journal.load("port", PortSpec)
        self._routers: dict[str, RouterSpec] = self._journal.load("router", RouterSpec)
        self._unhealthy: dict[str, bool] = self._journal.load("unhealthy", bool)
        self._strays: dict[str, bool] = self._journal.load("stray", bool)

    def apply(self, state: FabricState) -> None:
        with self._lock:
            self._check(state)
            for kind, memory, items in (("network", self._networks, state.networks),
                                        ("security_group", self._groups, state.security_groups),
                                        ("port", self._ports, state.ports), ("router", self._routers, state.routers)):
                for item in items:
                    self._put(kind, memory, item)

    def _put(self, kind: str, memory: dict[str, Any], item: Any) -> None:
        if memory.get(item.id) != item:
            memory[item.id] = item
            self._journal.put(kind, item.id, item)
        if self._unhealthy.pop(item.id, False):
            self._journal.put("unhealthy", item.id, None)

    def _check(self, state: FabricState) -> None:
        for id in (item.id for items in (state.networks, state.security_groups, state.ports, state.routers)
                   for item in items):
            if not UUID.match(id):
                raise Refused(f"{id!r} is no id")
        known = self._networks.keys() | {network.id for network in state.networks}
        for port in state.ports:
            if port.network_id not in known:
                raise HostError(f"port {port.id} is on network {port.network_id}, which this host does not know")
        for router in state.routers:
            for interface in (*router.interfaces, *([router.gateway] if router.gateway else [])):
                if interface.network_id not in known:
                    raise HostError(f"router {router.id} joins network {interface.network_id}, which this host does "
                                    "not know")

    def remove(self, ids: FabricIds) -> None:
        with self._lock:
            gone = set(ids.networks)
            ports = [*ids.ports, *(port.id for port in self._ports.values() if port.network_id in gone)]
            for kind, memory, names in (("router", self._routers, ids.routers), ("port", self._ports, ports),
                                        ("network", self._networks, ids.networks),
                                        ("security_group", self._groups, ids.security_groups)):
                self._drop(kind, memory, names)

    def _drop(self, kind: str, memory: dict[str, Any], ids: Iterable[str]) -> None:
        for id in ids:
            if memory.pop(id, None) is not None:
                self._journal.put(kind, id, None)
            if self._unhealthy.pop(id, False):
                self._journal.put("unhealthy", id, None)

    def inventory(self) -> FabricInventory:
        with self._lock:
            return FabricInventory(networks=sorted(self._networks), security_groups=sorted(self._groups),
                                   ports=sorted(self._ports), routers=sorted(self._routers),
                                   unhealthy=sorted(self._unhealthy), strays=sorted(self._strays))

    def remove_strays(self) -> list[str]:
        with self._lock:
            removed = sorted(self._strays)
            for name in removed:
                self._journal.put("stray", name, None)
            self._strays.clear()
            return removed

    def purge(self) -> None:
        with self._lock:
            self.remove(FabricIds(networks=list(self._networks), security_groups=list(self._groups),
                                  ports=list(self._ports), routers=list(self._routers)))
            self.remove_strays()

    # ------------------------------------------------------------ for tests

    def spoil(self, id: str) -> None:
        """Something of this object is broken until the next apply of it."""
        with self._lock:
            self._unhealthy[id] = True
            self._journal.put("unhealthy", id, True)

    def litter(self, name: str) -> None:
        """Something that belongs to nothing is there."""
        with self._lock:
            self._strays[name] = True
            self._journal.put("stray", name, True)
