"""One request as a handler sees it, and the answers a handler may give."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from haneul.kernel.cloud import Cloud
from haneul.kernel.context import ANONYMOUS, Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, TooLarge
from haneul.kernel.wire.routes import Found, Route
from haneul.kernel.wire.versions import Version

T = TypeVar("T")


_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def refuse_nul(content: bytes) -> None:
    """No text that we keep may have the character NUL: PostgreSQL cannot store it, and C ends there."""
    if b"\\u0000" in content and _NUL.search(content):
        raise BadRequest("Invalid input: the character NUL (\\u0000) is not allowed.")


class Reply(msgspec.Struct):
    """An answer with more than a JSON body at the route's status. `raw` is sent as it is, with `content_type`."""

    body: Any = None
    status: int | None = None
    headers: dict[str, str] = {}
    raw: bytes | None = None
    content_type: str = "application/json"


class Call:
    """A request. `headers` have lower-case names; `values` are the path's variables."""

    def __init__(self, cloud: Cloud, found: Found, scope: Mapping[str, Any], request_id: str) -> None:
        self.cloud = cloud
        self.found = found
        self.values = found.values
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query_string: bytes = scope["query_string"]
        self.headers: dict[str, str] = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.client: str = (scope.get("client") or ("", 0))[0]
        self.request_id = request_id
        self.version: Version = (0, 0)
        self.context: Context = ANONYMOUS
        self.route: Route
        self.content: bytes = b""
        self.reply_headers: dict[str, str] = {}
        self.started: int | None = None  # the status of an answer that a stream began by itself
        self._tx: Transaction | None = None
        self._query: list[tuple[str, str]] | None = None
        self.receive: Callable[[], Awaitable[Any]]
        self.send: Callable[[Any], Awaitable[None]]

    @property
    def tx(self) -> Transaction:
        """The request's one transaction."""
        assert self._tx is not None, "a streaming handler opens its own transactions"
        return self._tx

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query string in order, repeated keys included."""
        if self._query is None:
            try:
                if b"%00" in self.query_string:
                    raise ValueError("NUL")
                self._query = parse_qsl(self.query_string.decode("ascii"), keep_blank_values=True, max_num_fields=200,
                                        errors="strict")
            except (UnicodeError, ValueError) as error:
                raise BadRequest("The query string is malformed.") from error
        return self._query

    def argument(self, name: str, default: str | None = None) -> str | None:
        """The last value of a query key."""
        for key, value in reversed(self.query):
            if key == name:
                return value
        return default

    def arguments(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name]

    def allows(self, rule: str, target: Mapping[str, Any] | None = None) -> bool:
        """Whether the caller may do something more than the route's own rule says."""
        own = {"project_id": self.context.project_id, "user_id": self.context.user_id}
        return self.cloud.policy.allows(rule, self.context, own if target is None else target)

    def decode(self, kind: type[T]) -> T:
        """The JSON body as `kind`. BadRequest says what is wrong and where."""
        refuse_nul(self.content)
        try:
            return msgspec.json.decode(self.content, type=kind)
        except msgspec.ValidationError as error:
            raise BadRequest(f"Invalid input: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest("Malformed request body: it is not JSON.") from error

    @property
    def base_url(self) -> str:
        """The service's versioned prefix as clients reach it."""
        return self.cloud.url + self.found.service.prefix

    # ---------------------------------------------------------------- streams (async handlers only)

    async def chunks(self, limit: int | None = None) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises TooLarge beyond `limit` bytes, ConnectionError when the client breaks off."""
        taken = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the client went away before the end of the body")
            chunk = message.get("body", b"")
            taken += len(chunk)
            if limit is not None and taken > limit:
                raise TooLarge("The request body is larger than allowed.")
            if chunk:
                yield chunk
            if not message.get("more_body", False):
                return

    async def start(self, status: int, headers: dict[str, str]) -> None:
        """Begins an answer that is streamed with `write`."""
        self.started = status
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        raw += [(name.encode(), self.request_id.encode()) for name in self.found.service.request_id_headers]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, chunk: bytes, more: bool = True) -> None:
        await self.send({"type": "http.response.body", "body": chunk, "more_body": more})
