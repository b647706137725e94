"""The metadata address of every network, answered by this process.

Listening sockets are made inside the DHCP and router namespaces, each bound to one link, and served here by one thread
with an event loop. Who asks is known by where the connection came in: the network of the link, and on it the port that
owns the peer's address (which anti-spoofing lets nobody else use). What the guest says of itself is thrown away; the
request goes on to the control plane with headers of ours, signed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hmac
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from urllib.parse import unquote

import h11

from .filters import METADATA_V4, METADATA_V6
from .namespaces import FabricError, inside
from .upstream import UpstreamError, ask

log = logging.getLogger(__name__)

REQUEST_SECONDS = 10.0
IDLE_SECONDS = 30.0
BIND_SECONDS = 3.0
MAX_HEADER_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024
CONNECTIONS = 512  # at once, all networks together
CONNECTIONS_OF_PEER = 16
PASSED_ON = frozenset({b"accept", b"content-type", b"user-agent", b"x-aws-ec2-metadata-token",
                       b"x-aws-ec2-metadata-token-ttl-seconds"})
PASSED_BACK = frozenset({b"content-type", b"etag", b"last-modified", b"location"})

FindPort = Callable[[str, str], str | None]  # network id, address -> port id
Key = tuple[str, str, str]  # namespace, link, network id


def sign(secret: bytes, port_id: str, timestamp: str) -> str:
    return hmac.new(secret, f"{port_id}\n{timestamp}".encode(), sha256).hexdigest()


class MetadataProxy:
    """Listeners come and go by `serve`; the thread starts with the first one."""

    def __init__(self, control_url: str, secret: bytes, find_port: FindPort) -> None:
        self._url = control_url.rstrip("/")
        self._secret = secret
        self._find_port = find_port
        self._listeners: dict[Key, list[asyncio.Server]] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._peers: dict[tuple[str, str], int] = {}

    def listening(self) -> set[Key]:
        with self._lock:
            return set(self._listeners)

    def serve(self, namespace: str, link: str, network_id: str, ipv6: bool) -> None:
        """Requests that come in by the link are answered when this returns. `ipv6`: the link has that address too."""
        key = (namespace, link, network_id)
        with self._lock:
            if key in self._listeners:
                return
            with inside(namespace):
                sockets = [self._socket(socket.AF_INET, METADATA_V4, link)]
                if ipv6:
                    sockets.append(self._socket(socket.AF_INET6, METADATA_V6, link))
            loop = self._running_loop()
            self._listeners[key] = asyncio.run_coroutine_threadsafe(self._listen(sockets, network_id), loop).result()

    def stop(self, keys: Iterable[Key]) -> None:
        with self._lock:
            for key in keys:
                servers = self._listeners.pop(key, [])
                if servers and self._loop is not None:
                    asyncio.run_coroutine_threadsafe(self._unlisten(servers), self._loop).result()

    def close(self) -> None:
        self.stop(self.listening())
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    @staticmethod
    def _socket(family: socket.AddressFamily, address: str, link: str) -> socket.socket:
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
            scope = (address, 80, 0, socket.if_nametoindex(link)) if family == socket.AF_INET6 else (address, 80)
            MetadataProxy._bind(made, scope)
            made.listen(128)
            made.setblocking(False)
        except OSError:
            made.close()
            raise
        return made

    @staticmethod
    def _bind(made: socket.socket, address: tuple[str, int] | tuple[str, int, int, int]) -> None:
        """An agent that was killed may leave a child for a moment that still holds its sockets."""
        deadline = time.monotonic() + BIND_SECONDS
        while True:
            try:
                made.bind(address)
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                    raise FabricError(f"the metadata address cannot be served: {error.strerror}") from error
                time.sleep(0.02)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = asyncio.new_event_loop()
            threading.Thread(target=self._run, args=(loop,), name="metadata", daemon=True).start()
            self._loop = loop
        return self._loop

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    async def _listen(self, sockets: list[socket.socket], network_id: str) -> list[asyncio.Server]:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._converse(reader, writer, network_id)

        return [await asyncio.start_server(connected, sock=sock, limit=MAX_HEADER_BYTES) for sock in sockets]

    @staticmethod
    async def _unlisten(servers: list[asyncio.Server]) -> None:
        for server in servers:
            server.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, network_id: str) -> None:
        """One connection, to its end; nothing that a guest does may reach further than it."""
        peer = writer.get_extra_info("peername")
        address = str(peer[0]).partition("%")[0] if peer else ""
        key = (network_id, address)
        count = self._peers.get(key, 0)
        if not address or count >= CONNECTIONS_OF_PEER or sum(self._peers.values()) >= CONNECTIONS:
            writer.close()
            return
        self._peers[key] = count + 1
        conversation = Conversation(reader, writer)
        try:
            while (asked := await conversation.request()) is not None:
                status, headers, body = await self._answer(asked, network_id, address)
                if not await conversation.respond(status, headers, body):
                    break
        except (h11.RemoteProtocolError, h11.LocalProtocolError, TimeoutError, ConnectionError, OSError) as error:
            log.debug("metadata: %s of network %s: %r", address, network_id, error)
        finally:
            self._peers[key] -= 1
            if not self._peers[key]:
                del self._peers[key]
            writer.close()

    async def _answer(self, asked: tuple[h11.Request, bytes], network_id: str,
                      address: str) -> tuple[int, list[tuple[str, str]], bytes]:
        request, body = asked
        if request.method not in (b"GET", b"HEAD", b"POST", b"PUT"):
            return 405, [("content-type", "text/plain")], b"405 Method Not Allowed\n"
        target = request.target.decode("ascii", "replace")
        port_id = self._find_port(network_id, address)
        if port_id is None or not _plain(target):
            return 404, [("content-type", "text/plain")], b"404 Not Found\n"
        stamp = str(int(time.time()))
        headers = [(name, value) for name, value in request.headers if name in PASSED_ON]
        headers += [(name.encode(), value.encode()) for name, value in (
            ("x-haneul-port-id", port_id), ("x-haneul-network-id", network_id), ("x-forwarded-for", address),
            ("x-haneul-timestamp", stamp), ("x-haneul-signature", sign(self._secret, port_id, stamp)))]
        try:
            status, back, text = await ask(self._url, request.method, f"/metadata-proxy{target}", headers, body)
        except (UpstreamError, h11.LocalProtocolError) as error:
            log.warning("metadata: the control plane did not answer for port %s: %s", port_id, error)
            return 503, [("content-type", "text/plain"), ("retry-after", "2")], b"503 Service Unavailable\n"
        return status, [(name.decode(), value.decode("latin-1")) for name, value in back if name in PASSED_BACK], text


def _plain(target: str) -> bool:
    """A path below ours: one that climbs ("/..") could reach the control plane's other doors with our signature."""
    path = unquote(target.partition("?")[0]).replace("\\", "/")
    return target.startswith("/") and ".." not in path.split("/")


class Conversation:
    """HTTP/1.1 with one guest, by h11, with a limit on every size and every wait."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._state = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)
        self._method = b""

    async def request(self) -> tuple[h11.Request, bytes] | None:
        """The next request with its body; None when the guest has gone."""
        async with asyncio.timeout(IDLE_SECONDS):
            event = await self._next()
        if not isinstance(event, h11.Request):
            return None
        self._method = event.method
        body = bytearray()
        async with asyncio.timeout(REQUEST_SECONDS):
            while isinstance(part := await self._next(), h11.Data):
                body += part.data
                if len(body) > MAX_BODY_BYTES:
                    await self.respond(413, [("content-type", "text/plain")], b"413 Content Too Large\n", last=True)
                    await self._let_it_read()
                    return None
        return (event, bytes(body)) if isinstance(part, h11.EndOfMessage) else None

    async def _let_it_read(self) -> None:
        """A connection closed over unread bytes is reset, and the guest would never see the answer."""
        self._writer.write_eof()
        rest = 16 * MAX_BODY_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while rest > 0 and (part := await self._reader.read(65536)):
                    rest -= len(part)

    async def _next(self) -> object:
        while True:
            event = self._state.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._state.they_are_waiting_for_100_continue:
                go_on = self._state.send(h11.InformationalResponse(status_code=100, headers=[]))
                self._writer.write(go_on or b"")
            self._state.receive_data(await self._reader.read(16 * 1024))

    async def respond(self, status: int, headers: list[tuple[str, str]], body: bytes, last: bool = False) -> bool:
        """Sends an answer; True when the connection may carry another request."""
        head = h11.Response(status_code=status, headers=[
            *headers, ("content-length", str(len(body))), *([("connection", "close")] if last else [])])
        data = self._state.send(head) or b""
        if self._method != b"HEAD":
            data += self._state.send(h11.Data(data=body)) or b""
        data += self._state.send(h11.EndOfMessage()) or b""
        self._writer.write(data)
        async with asyncio.timeout(REQUEST_SECONDS):
            await self._writer.drain()
        if last or self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
            return False
        self._state.start_next_cycle()
        return True
