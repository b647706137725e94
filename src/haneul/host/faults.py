"""Failures on demand, for tests: only an agent that plays fake hosts has them."""

from __future__ import annotations

import threading

from msgspec import Struct

from haneul.host import contract
from haneul.host.contract import HostError

ERRORS: dict[str, type[HostError]] = {
    kind.code: kind
    for kind in (HostError, contract.NotThere, contract.Conflict, contract.NoRoom, contract.Refused)
}


class Fault(Struct, kw_only=True, forbid_unknown_fields=True):
    """What shall go wrong: an error as the answer, the connection cut instead of one (`lost`), or a long wait. `after` lets
    the work be done first."""

    verb: str = "*"  # "hypervisor/create", "disks/images" (the stream), or "*" for each
    host: str | None = None  # None: every host
    times: int = 1  # below 0: for ever
    error: str = ""  # a code of ERRORS; empty: no error
    message: str = "a fault that was asked for"
    stall_seconds: float = 0.0
    after: bool = False
    lost: bool = False

    def failure(self) -> HostError | None:
        return ERRORS.get(self.error, HostError)(self.message) if self.error else None


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[Fault] = []

    def plan(self, fault: Fault) -> None:
        if fault.error and fault.error not in ERRORS:
            raise contract.Refused(f"no such error: {fault.error}; there are {', '.join(ERRORS)}")
        with self._lock:
            self._planned.append(fault)

    def planned(self) -> list[Fault]:
        with self._lock:
            return list(self._planned)

    def clear(self) -> None:
        with self._lock:
            self._planned.clear()

    def take(self, verb: str, host: str) -> Fault | None:
        """The first fault that fits, used up by one."""
        if not self._planned:
            return None
        with self._lock:
            for fault in self._planned:
                if fault.verb in ("*", verb) and fault.host in (None, host):
                    if fault.times > 0:
                        fault.times -= 1
                    if fault.times == 0:
                        self._planned.remove(fault)
                    return fault
        return None
