"""The screen's WebSocket: from a browser through the control plane to the host agent's, and the page that shows it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import structlog
from sqlalchemy import select
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from haneul.compute import consoles
from haneul.fleet.model import HostRow
from haneul.kernel.cloud import Cloud
from haneul.kernel.wire.call import Reply

log = structlog.get_logger("vnc")
PATH = "/compute/vnc"
_PAGE = Path(__file__).with_name("screen.html").read_bytes()


def _hash(tag: str) -> str:
    """What the page's own script and style are known by: nothing else runs in it."""
    found = re.search(f"<{tag}>(.*?)</{tag}>".encode(), _PAGE, re.DOTALL)
    assert found is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1]).digest()).decode()}'"


_POLICY = f"default-src 'none'; script-src {_hash('script')}; style-src {_hash('style')}; connect-src 'self'"


def page(cloud: Cloud, scope: Any) -> Reply:
    return Reply(raw=_PAGE, content_type="text/html; charset=utf-8", headers={
        "Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store", "X-Frame-Options": "DENY"})


async def socket(cloud: Cloud, scope: Any, receive: Any, send: Any) -> None:
    await receive()  # websocket.connect
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if not _same_origin(cloud, headers):
        await send({"type": "websocket.close", "code": 4403, "reason": "another origin"})
        return
    token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
    place = await asyncio.to_thread(_redeem, cloud, token)
    if place is None:
        await send({"type": "websocket.close", "code": 4401, "reason": "the token is not valid"})
        return
    endpoint, host, server_id = place
    try:
        async with _agent(endpoint, f"/v1/hosts/{host}/servers/{server_id}/vnc") as upstream:
            await send({"type": "websocket.accept",
                        "subprotocol": "binary" if "binary" in (scope.get("subprotocols") or []) else None})
            await _relay(upstream, receive, send)
    except (OSError, WebSocketException) as error:
        log.info("screen", server=server_id, error=str(error))
        await send({"type": "websocket.close", "code": 1011, "reason": "the screen cannot be reached"})


def _same_origin(cloud: Cloud, headers: dict[str, str]) -> bool:
    """A browser names the page's origin: ours, or nothing. A page of somebody else must not use a token that it saw."""
    origin = headers.get("origin")
    if origin is None:
        return True
    return urlsplit(origin).netloc in (headers.get("host", ""), urlsplit(cloud.url).netloc)


def _redeem(cloud: Cloud, token: str) -> tuple[str, str, str] | None:
    if not token or len(token) > 128:
        return None
    with cloud.database.write() as tx:
        found = consoles.redeem(tx, token)
        if found is None:
            return None
        endpoint = tx.execute(select(HostRow.endpoint).where(HostRow.name == found[0])).scalar()
    return (endpoint, *found) if endpoint is not None else None


def _agent(endpoint: str, path: str) -> Any:
    options: dict[str, Any] = {"subprotocols": ["binary"], "compression": None, "max_size": None, "open_timeout": 10}
    if endpoint.startswith("unix:"):
        return unix_connect(endpoint.removeprefix("unix:"), uri=f"ws://agent{path}", **options)
    return connect(endpoint.replace("http", "ws", 1).rstrip("/") + path, **options)


async def _relay(upstream: ClientConnection, receive: Any, send: Any) -> None:
    """Until either side ends."""

    async def down() -> None:
        async for data in _messages(upstream):
            await send({"type": "websocket.send", "bytes": data})

    async def up() -> None:
        while (message := await receive())["type"] == "websocket.receive":
            await upstream.send(message.get("bytes") or (message.get("text") or "").encode())

    sides = [asyncio.create_task(down()), asyncio.create_task(up())]
    await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
    client_left = sides[1].done()
    for side in sides:
        side.cancel()
    await asyncio.gather(*sides, return_exceptions=True)
    if not client_left:
        await send({"type": "websocket.close", "code": 1000, "reason": "the screen was closed"})


async def _messages(upstream: ClientConnection) -> AsyncIterator[bytes]:
    try:
        async for data in upstream:
            yield data if isinstance(data, bytes) else data.encode()
    except ConnectionClosed:
        return
