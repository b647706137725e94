"""QEMU's control socket, spoken from ordinary threads: one private asyncio thread has the connections of all servers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as FutureTimeout
from functools import cache
from typing import Any, TypeVar

from qemu.qmp import QMPClient
from qemu.qmp.error import QMPError

from haneul.host.contract import HostError

T = TypeVar("T")
ANSWER_SECONDS = 30.0


class MonitorError(HostError):
    """QEMU refused a command, or its control socket does not answer."""


_starting = threading.Lock()


def _loop() -> asyncio.AbstractEventLoop:
    with _starting:  # the first to ask may be many at once, when servers are adopted
        return _the_loop()


@cache
def _the_loop() -> asyncio.AbstractEventLoop:
    """A selector loop by name: passing descriptors needs the plain socket, which uvloop does not show."""
    loop = asyncio.SelectorEventLoop()
    threading.Thread(target=loop.run_forever, name="qmp", daemon=True).start()
    return loop


def _wait(work: Coroutine[Any, Any, T], seconds: float) -> T:
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return future.result(seconds)
    except FutureTimeout:
        future.cancel()
        raise MonitorError(f"QEMU did not answer within {seconds:.0f} s") from None
    except (QMPError, OSError, asyncio.CancelledError) as error:
        raise MonitorError(f"QEMU: {error}") from error


class Monitor:
    """The connection to one QEMU. `status` follows its events, so that asking for it costs nothing."""

    STATUS = {"STOP": "paused", "RESUME": "running", "SHUTDOWN": "shutdown"}

    def __init__(self, path: str, on_event: Callable[[str, dict[str, Any]], None], seconds: float) -> None:
        """Connects. `on_event` runs on the private thread and must not block; the connection's end is the event GONE."""
        self._client = QMPClient()
        self._client.logger.disabled = True  # every lost connection would be an error there; here it is an event
        self._on_event = on_event
        self.status = "unknown"
        self.gone = False
        _wait(self._connect(path), seconds)

    async def _connect(self, path: str) -> None:
        await self._client.connect(path)
        answer: Any = await self._client.execute("query-status")
        self.status = answer["status"]
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._follow()), loop.create_task(self._see_end())]

    async def _follow(self) -> None:
        async for event in self._client.events:
            name = str(event["event"])
            data: Any = event.get("data", {})
            if name == "STOP" and self.status == "shutdown":
                continue  # the pause that follows a shutdown
            self.status = self.STATUS.get(name, self.status)
            self._on_event(name, data)

    async def _see_end(self) -> None:
        await self._client.runstate_changed()
        try:
            await self._client.disconnect()
        except (QMPError, OSError, EOFError):
            pass  # how it ended does not matter: the process tells
        self.gone = True
        self._tasks[0].cancel()
        self._on_event("GONE", {})

    def close(self) -> None:
        """QEMU's control socket is free for somebody else afterwards."""

        async def leave() -> None:
            for task in self._tasks:
                task.cancel()
            await self._client.disconnect()

        self.gone = True
        _wait(leave(), ANSWER_SECONDS)

    def execute(self, command: str, arguments: dict[str, Any] | None = None, *, seconds: float = ANSWER_SECONDS) -> Any:
        return _wait(self._client.execute(command, arguments), seconds)

    def give(self, fd: int, name: str) -> None:
        """A copy of the descriptor is QEMU's under this name afterwards."""

        async def pass_on() -> None:
            self._client.send_fd_scm(fd)
            await self._client.execute("getfd", {"fdname": name})

        _wait(pass_on(), ANSWER_SECONDS)

    def refresh(self) -> str:
        self.status = self.execute("query-status")["status"]
        return self.status

    def devices(self) -> set[str]:
        """Ids of the devices that exist now."""
        found = self.execute("qom-list", {"path": "/machine/peripheral"})
        return {entry["name"] for entry in found if entry["type"].startswith("child<")}
