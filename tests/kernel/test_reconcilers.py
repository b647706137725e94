"""A reconciler that fails is told, until it has worked again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from haneul.kernel import reconcilers


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_failing_is_known_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [True]

    def mend(cloud: Any) -> int:
        if broken:
            raise ValueError("no such thing")
        return 0

    monkeypatch.setattr(reconcilers, "_registry", {"a.b": (0.01, mend)})
    monkeypatch.setattr(reconcilers, "_leased_as", {"a.b": "a.b"})
    cloud: Any = SimpleNamespace(database=SimpleNamespace(sqlite=True))
    engine = reconcilers.Reconcilers(cloud)
    thread = threading.Thread(target=engine._loop, args=("a.b",))
    thread.start()
    try:
        until(lambda: engine.failing)
        assert engine.failing["a.b"][1] == "ValueError: no such thing"
        broken.clear()
        until(lambda: not engine.failing)
    finally:
        engine.stop()
        thread.join(10)
