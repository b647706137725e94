"""The agent's HTTP: an ASGI application whose dispatch is one dict.

    GET  /v1/hosts                                   every host: facts and servers (heartbeat and inventory in one call)
    POST /v1/<driver>/<verb>                         a verb of the contract, its arguments as a JSON object
    PUT  /v1/disks/images/<id>?format=&sha512=       an image's bytes into the cache
    GET  /v1/disks/snapshots/<id>                    a snapshot's bytes
    PUT  /v1/transfers/<id>?format=&sha512=          an image's bytes, for a volume
    PUT  /v1/transfers/<id>?offset=                  a range of a transfer that was begun
    GET  /v1/transfers/<id>?offset=&length=          a transfer's bytes, or a range of them
    GET  /v1/servers/<id>/vnc                        WebSocket to the server's screen
    GET, POST, DELETE /v1/faults                     fake hosts only
    POST /v1/fake/power                              fake hosts only: a guest that crashed or turned itself off

All but the first and the last two also below /v1/hosts/<name>/; without it the first host is meant.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import msgspec

from haneul.host.console import relay
from haneul.host.contract import HostError, NoRoom, NotThere, Power, Refused
from haneul.host.disks.intake import Upload
from haneul.host.faults import Fault, Faults
from haneul.host.hosts import Host
from haneul.host.verbs import BadArguments, Verb, every_verb

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Handler = Callable[["Call"], Awaitable[None]]

MAX_BODY = 64 << 20  # of a JSON body: the fabric of a large network, a config drive
CHUNK = 1 << 20  # of streams, between socket and thread

log = logging.getLogger(__name__)


class FakePower(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    power: Power
    reason: str = ""


class NoSuchPath(HostError):
    code = "no_such_path"
    status = 404


class Call:
    """One request on its way."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, host: Host, rest: list[str]) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.host = host
        self.rest = rest  # of the path, after the key of the dispatch
        self.started = False

    async def body(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > MAX_BODY:
                raise BadArguments(f"a body of more than {MAX_BODY} bytes")
            parts.append(chunk)
        return b"".join(parts)

    async def chunks(self) -> Any:
        """The body as it comes; raises ConnectionResetError when the client goes away in the middle."""
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client went away")
            if message.get("body"):
                yield message["body"]
            more = message.get("more_body", False)

    def query(self, name: str) -> str | None:
        values = parse_qs(self.scope["query_string"].decode("latin-1")).get(name)
        return values[0] if values else None

    def number(self, name: str) -> int | None:
        text = self.query(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise BadArguments(f"{name} must be a number")
        return int(text)

    async def start(self, status: int, kind: bytes, length: int) -> None:
        self.started = True
        await self.send({"type": "http.response.start", "status": status, "headers": [
            (b"content-type", kind), (b"content-length", str(length).encode())]})

    async def answer(self, value: Any, status: int = 200) -> None:
        content = msgspec.json.encode(value)
        await self.start(status, b"application/json", len(content))
        await self.send({"type": "http.response.body", "body": content})


class App:
    """`hosts` is not empty; `faults` only where they are fake."""

    def __init__(self, hosts: list[Host], faults: Faults | None = None, threads: int = 32) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._first = hosts[0]
        self._faults = faults
        self._pool = ThreadPoolExecutor(threads, "verb")
        self._pulse = ThreadPoolExecutor(1, "pulse")  # verbs that hang must not make all of the host seem to be down
        self._dispatch: dict[tuple[str, str], Handler] = {
            ("GET", "hosts"): self._list_hosts,
            ("PUT", "disks/images"): self._put_image,
            ("GET", "disks/snapshots"): self._get_snapshot,
        }
        self._by_id: dict[tuple[str, str], Handler] = {  # the path's second part is an id
            ("PUT", "transfers"): self._put_transfer,
            ("GET", "transfers"): self._get_transfer,
        }
        for path, verb in every_verb().items():
            self._dispatch["POST", path] = self._run_verb(path, verb)
        if faults is not None:
            self._dispatch["GET", "faults"] = self._get_faults
            self._dispatch["POST", "faults"] = self._post_faults
            self._dispatch["DELETE", "faults"] = self._delete_faults
            self._dispatch["POST", "fake/power"] = self._fake_power

    # ------------------------------------------------------------ ways in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    def _find_host(self, path: str) -> tuple[Host, list[str]]:
        parts = path.strip("/").split("/")
        if parts[0] != "v1":
            raise NoSuchPath(f"no such path: {path}")
        if parts[1:2] == ["hosts"] and len(parts) > 2:
            host = self._hosts.get(parts[2])
            if host is None:
                raise NotThere(f"no host named {parts[2]} here")
            return host, parts[3:]
        return self._first, parts[1:]

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope, receive, send, self._first, [])
        try:
            call.host, parts = self._find_host(scope["path"])
            handler = self._dispatch.get((scope["method"], "/".join(parts[:2])))
            call.rest = parts[2:]
            if handler is None and len(parts) == 2:
                handler, call.rest = self._by_id.get((scope["method"], parts[0])), parts[1:]
            if handler is None:
                raise NoSuchPath(f"nothing answers {scope['method']} {scope['path']}")
            await handler(call)
        except HostError as error:
            await self._fail(call, error)
        except ConnectionResetError:
            log.info("%s %s: the client went away", scope["method"], scope["path"])
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                log.exception("%s %s", scope["method"], scope["path"])
            await self._fail(call, NoRoom("no space left on the host's disk") if error.errno
                             in (errno.ENOSPC, errno.EDQUOT) else HostError(f"{type(error).__name__}: {error}"))
        except Exception as error:  # a defect of a driver must not end the agent, and the caller must hear of it
            log.exception("%s %s", scope["method"], scope["path"])
            await self._fail(call, HostError(f"{type(error).__name__}: {error}"))

    async def _fail(self, call: Call, error: HostError) -> None:
        if call.started:
            raise error  # too late for a status: the connection is cut, and the reader sees a short body
        await call.answer({"code": error.code, "message": str(error)}, error.status)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        try:
            host, parts = self._find_host(scope["path"])
            if len(parts) != 3 or parts[0] != "servers" or parts[2] != "vnc":
                raise NoSuchPath(f"no such path: {scope['path']}")
            path = await self._threaded(host.hypervisor.vnc_socket, parts[1])
        except HostError as error:
            log.info("%s: %s", scope["path"], error)
            await send({"type": "websocket.close", "code": 4000 + error.status % 1000, "reason": str(error)[:100]})
            return
        await relay(path, scope, receive, send)

    async def _threaded(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    # ------------------------------------------------------------ verbs

    def _run_verb(self, path: str, verb: Verb) -> Handler:
        async def handler(call: Call) -> None:
            if call.rest:
                raise NoSuchPath(f"nothing answers POST {call.scope['path']}")
            body = await call.body()
            driver = call.host.driver(verb.driver)
            fault = self._faults.take(path, call.host.name) if self._faults else None
            if fault is not None:
                await self._before(call, fault)
            result = await self._threaded(verb.call, driver, body)
            if fault is not None:
                await self._go_wrong(call, fault)
            await call.answer(result)

        return handler

    async def _before(self, call: Call, fault: Fault) -> None:
        if fault.stall_seconds:
            await asyncio.sleep(fault.stall_seconds)
        if not fault.after:
            await self._go_wrong(call, fault)

    @staticmethod
    async def _go_wrong(call: Call, fault: Fault) -> None:
        if fault.lost:
            await call.start(200, b"application/json", 1)  # the server cuts what ends short of its length
            raise ConnectionResetError("as was asked for")
        if failure := fault.failure():
            raise failure

    async def _list_hosts(self, call: Call) -> None:
        if call.rest:
            raise NoSuchPath(f"nothing answers GET {call.scope['path']}")
        await call.answer(await asyncio.get_running_loop().run_in_executor(self._pulse, self._inventory))

    def _inventory(self) -> list[dict[str, Any]]:
        return [{"name": host.name, "facts": host.hypervisor.facts(), "servers": host.hypervisor.servers()}
                for host in self._hosts.values()]

    # ------------------------------------------------------------ streams

    async def _put_image(self, call: Call) -> None:
        if len(call.rest) != 1:
            raise NoSuchPath("PUT /v1/disks/images/<id>")
        declared, digest = call.query("format"), call.query("sha512")
        if not declared or not digest:
            raise BadArguments("format and sha512 must be given")
        fault = self._faults.take("disks/images", call.host.name) if self._faults else None
        if fault is not None:
            await self._before(call, fault)
        upload = await self._threaded(call.host.disks.take_image, call.rest[0], declared, digest)  # type: ignore[attr-defined]
        state = await self._take(call, upload)
        if fault is not None:
            await self._go_wrong(call, fault)
        await call.answer(state)

    async def _take(self, call: Call, upload: Upload) -> Any:
        """The body into an upload, hashed and written while the next piece arrives."""
        try:
            await self._pour(call, upload.write)
            return await self._threaded(upload.finish)
        except BaseException:
            upload.abort()
            raise

    async def _pour(self, call: Call, write: Callable[[bytearray], None]) -> None:
        """In order, one at a time; none is under way any more when this ends."""
        buffer, writing = bytearray(), asyncio.ensure_future(asyncio.sleep(0))
        try:
            async for chunk in call.chunks():
                buffer += chunk
                if len(buffer) >= CHUNK:
                    await writing
                    writing = asyncio.ensure_future(self._threaded(write, buffer))
                    buffer = bytearray()
            await writing
            await self._threaded(write, buffer)
        except BaseException:
            await asyncio.wait([writing])
            raise

    async def _get_snapshot(self, call: Call) -> None:
        if len(call.rest) != 1:
            raise NoSuchPath("GET /v1/disks/snapshots/<id>")
        fault = self._faults.take("disks/snapshots", call.host.name) if self._faults else None
        if fault is not None:
            await self._before(call, fault)
        file, size = await self._threaded(call.host.disks.open_snapshot, call.rest[0])  # type: ignore[attr-defined]
        with file:
            await self._give(call, lambda _, length: file.read(length), 0, size)

    async def _give(self, call: Call, read: Callable[[int, int], bytes], offset: int, length: int) -> None:
        """`read` is asked for pieces in order, by offset and length."""
        await call.start(200, b"application/octet-stream", length)
        end = offset + length
        while offset < end:
            chunk = await self._threaded(read, offset, min(CHUNK, end - offset))
            if not chunk:
                raise HostError("the file became shorter while it was read")
            offset += len(chunk)
            await call.send({"type": "http.response.body", "body": chunk, "more_body": True})
        await call.send({"type": "http.response.body", "body": b""})

    async def _put_transfer(self, call: Call) -> None:
        fault = self._faults.take("transfers", call.host.name) if self._faults else None
        if fault is not None:
            await self._before(call, fault)
        transfers, id, at = call.host.transfers, call.rest[0], call.number("offset")
        if at is None:
            declared, digest = call.query("format"), call.query("sha512")
            if not declared or not digest:
                raise BadArguments("offset, or format and sha512 must be given")
            state = await self._take(call, await self._threaded(transfers.take, id, declared, digest))
        else:
            def write(data: bytearray) -> None:
                nonlocal at
                transfers.write(id, at, data)
                at += len(data)

            await self._pour(call, write)
            state = await self._threaded(transfers.transfer, id)
        if fault is not None:
            await self._go_wrong(call, fault)
        await call.answer(state)

    async def _get_transfer(self, call: Call) -> None:
        fault = self._faults.take("transfers", call.host.name) if self._faults else None
        if fault is not None:
            await self._before(call, fault)
        file = await self._threaded(call.host.transfers.read, call.rest[0])
        try:
            size, offset = os.fstat(file).st_size, call.number("offset") or 0
            length = call.number("length")
            length = size - offset if length is None else length
            if length < 0 or offset + length > size:
                raise Refused(f"bytes {offset} to {offset + length} are not within transfer {call.rest[0]}: it has {size}")
            await self._give(call, lambda at, size: os.pread(file, size, at), offset, length)
        finally:
            os.close(file)

    # ------------------------------------------------------------ fakes

    async def _get_faults(self, call: Call) -> None:
        assert self._faults is not None
        await call.answer(self._faults.planned())

    async def _post_faults(self, call: Call) -> None:
        assert self._faults is not None
        try:
            fault = msgspec.json.decode(await call.body(), type=Fault)
        except msgspec.DecodeError as error:
            raise BadArguments(f"faults: {error}") from error
        self._faults.plan(fault)
        await call.answer(self._faults.planned())

    async def _delete_faults(self, call: Call) -> None:
        assert self._faults is not None
        self._faults.clear()
        await call.answer([])

    async def _fake_power(self, call: Call) -> None:
        try:
            wish = msgspec.json.decode(await call.body(), type=FakePower)
        except msgspec.DecodeError as error:
            raise BadArguments(f"fake/power: {error}") from error
        change = call.host.hypervisor.set_power  # type: ignore[attr-defined]
        await call.answer(await self._threaded(change, wish.id, wish.power, wish.reason))
