"""One HTTP request to the control plane, by h11: a client library would cost the agent ten megabytes for this alone."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

import h11

MAX_ANSWER_BYTES = 8 * 1024 * 1024
SECONDS = 30.0


class UpstreamError(Exception):
    """The control plane could not be asked."""


async def ask(base: str, method: bytes, target: str, headers: list[tuple[bytes, bytes]],
              body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of the answer. A connection of its own; bounded in size and time."""
    url = urlsplit(base)
    context = ssl.create_default_context() if url.scheme == "https" else None
    port = url.port or (443 if context else 80)
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(url.hostname, port, ssl=context)
            try:
                head = [(b"host", url.netloc.encode()), (b"connection", b"close"),
                        (b"content-length", str(len(body)).encode()), *headers]
                state = h11.Connection(h11.CLIENT)
                request = h11.Request(method=method, target=(url.path.rstrip("/") + target).encode(), headers=head)
                writer.write((state.send(request) or b"") + (state.send(h11.Data(data=body)) or b"")
                             + (state.send(h11.EndOfMessage()) or b""))
                await writer.drain()
                return await _answer(reader, state)
            finally:
                writer.close()
    except (OSError, TimeoutError, h11.ProtocolError) as error:
        raise UpstreamError(repr(error)) from error


async def _answer(reader: asyncio.StreamReader,
                  state: h11.Connection) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    status, headers, body = 0, [], bytearray()
    while True:
        event = state.next_event()
        if event is h11.NEED_DATA:
            state.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, list(event.headers)
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_ANSWER_BYTES:
                raise UpstreamError("the answer is too long")
        elif isinstance(event, h11.EndOfMessage):
            return status, headers, bytes(body)
        elif not isinstance(event, h11.InformationalResponse):
            raise UpstreamError(f"the answer ended early: {event!r}")
