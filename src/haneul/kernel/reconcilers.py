"""Reconcilers: compare what should be with what is, on a signal and on a timer, and mend the difference.

    @reconciler("network.ports", every=30.0)
    def mend(cloud: Cloud) -> int:  # how many differences were mended
        ...

One control process at a time runs each (a lease row); a signal from another process is taken at the next tick.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Float, String, or_, update
from sqlalchemy.orm import Mapped, mapped_column

from haneul.kernel import clock
from haneul.kernel.database import Base
from haneul.kernel.telemetry import MENDED, RECONCILED

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud

log = structlog.get_logger("reconcilers")
Mend = Callable[["Cloud"], int]
_registry: dict[str, tuple[float, Mend]] = {}
_leased_as: dict[str, str] = {}


def reconciler(name: str, *, every: float, beside: str | None = None) -> Callable[[Mend], Mend]:
    """Decorator: registers `mend` to run every so many seconds and whenever it is signalled. `beside` names another one whose
    process must run this one too, for what they share is in memory."""

    def add(mend: Mend) -> Mend:
        assert name not in _registry, name
        _registry[name] = (every, mend)
        _leased_as[name] = beside or name
        return mend

    return add


class ReconcilerLease(Base):
    __tablename__ = "reconciler_leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), default="")
    until: Mapped[float] = mapped_column(Float, default=0.0)


class Reconcilers:
    """A thread for each reconciler of this process."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._signals = {name: threading.Event() for name in _registry}
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self.failing: dict[str, tuple[float, str]] = {}  # of this process: since when, and what the last round said

    def start(self) -> None:
        with self.cloud.database.write() as tx:
            known = {row.name for row in tx.query(ReconcilerLease)}
            tx.add_all(ReconcilerLease(name=name) for name in _registry if name not in known)
        for name in _registry:
            thread = threading.Thread(target=self._loop, args=(name,), name=f"reconciler-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout: float = 3.0) -> None:
        self._stopping = True
        for signal in self._signals.values():
            signal.set()
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def signal(self, name: str) -> None:
        """Asks for a run soon. Use `tx.after_commit(lambda: cloud.reconcilers.signal(...))` from a rule."""
        self._signals[name].set()

    def run_once(self, name: str) -> int:
        """Runs it here and now, lease or not: tests and `haneul` commands."""
        return _registry[name][1](self.cloud)

    def _loop(self, name: str) -> None:
        every, mend = _registry[name]
        while not self._stopping:
            started = time.monotonic()
            try:
                if self._lease(_leased_as[name], every):
                    mended = mend(self.cloud)
                    RECONCILED.labels(name, "done").inc()
                    self.failing.pop(name, None)
                    if mended:
                        MENDED.labels(name).inc(mended)
                        log.info("mended", reconciler=name, count=mended)
            except Exception as error:
                RECONCILED.labels(name, "failed").inc()
                since = self.failing.get(name, (clock.seconds(),))[0]
                self.failing[name] = since, f"{type(error).__name__}: {error}".splitlines()[0][:200]
                log.exception("reconciler", reconciler=name)  # the next round tries again
            self._signals[name].wait(max(0.05, every - (time.monotonic() - started)))
            self._signals[name].clear()

    def _lease(self, name: str, every: float) -> bool:
        if self.cloud.database.sqlite:
            return True
        now, owner = clock.seconds(), self.cloud.runner.owner
        with self.cloud.database.write() as tx:
            taken = tx.execute(update(ReconcilerLease).where(
                ReconcilerLease.name == name, or_(ReconcilerLease.owner == owner, ReconcilerLease.until < now))
                .values(owner=owner, until=now + max(30.0, 3 * every)).returning(ReconcilerLease.name)).first()
        return taken is not None
