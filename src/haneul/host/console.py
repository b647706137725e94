"""A WebSocket's bytes to and from a Unix socket: the screen of a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def relay(path: str, scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]],
                send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Ends when either side does."""
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        await send({"type": "websocket.close", "code": 1011, "reason": f"screen: {error.strerror}"})
        return
    offered = scope.get("subprotocols") or []
    await send({"type": "websocket.accept", "subprotocol": "binary" if "binary" in offered else None})

    async def from_guest() -> None:
        while data := await reader.read(65536):
            await send({"type": "websocket.send", "bytes": data})

    async def to_guest() -> None:
        while (message := await receive())["type"] == "websocket.receive":
            writer.write(message.get("bytes") or (message.get("text") or "").encode())
            await writer.drain()

    sides = [asyncio.create_task(from_guest()), asyncio.create_task(to_guest())]
    try:
        await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
    finally:
        client_left = sides[1].done()
        for side in sides:
            side.cancel()
        await asyncio.gather(*sides, return_exceptions=True)
        writer.close()
    if not client_left:
        await send({"type": "websocket.close", "code": 1000, "reason": "the screen was closed"})
