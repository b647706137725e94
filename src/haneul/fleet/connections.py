"""HTTP/1.1 to one agent process, over its Unix socket or TCP: connections kept open, one call at a time on each.

The standard library's client: a boot makes five calls, and each costs a third of what a general client takes.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from msgspec import Struct

KEPT = 16  # idle connections
CHUNK = 1 << 20


class Answer(Struct, frozen=True):
    status: int
    content: bytes


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("agent", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Connections:
    """Of one endpoint, shared by all the hosts behind it. Errors are OSError and http.client.HTTPException."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def request(self, method: str, path: str, *, body: bytes | Iterable[bytes] = b"", timeout: float) -> Answer:
        """`body` as one piece, or sent piece by piece as it comes."""
        with self._connection(timeout) as connection:
            connection.request(method, path, body, {"Content-Type": "application/json"},
                               encode_chunked=not isinstance(body, bytes))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())

    @contextlib.contextmanager
    def stream(self, method: str, path: str, *, timeout: float) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Status and body of an answer that may be large."""
        with self._connection(timeout) as connection:
            connection.request(method, path)
            answer = connection.getresponse()
            yield answer.status, iter(lambda: answer.read(CHUNK), b"")
            if not answer.isclosed():  # not read to its end: whoever comes next must not find the rest
                connection.close()

    @contextlib.contextmanager
    def _connection(self, timeout: float) -> Iterator[http.client.HTTPConnection]:
        """An open connection, or a new one; kept for the next call unless this one went wrong."""
        connection = self._take() or self._open(timeout)
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if connection.sock is None:
            return
        with self._lock:
            if len(self._idle) < KEPT:
                self._idle.append(connection)
                return
        connection.close()

    def _take(self) -> http.client.HTTPConnection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if connection.sock is not None and not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()  # something to read on an idle connection: the agent has ended it

    def _open(self, timeout: float) -> http.client.HTTPConnection:
        if self.endpoint.startswith("unix:"):
            return _Unix(self.endpoint.removeprefix("unix:"), timeout)
        url = urlsplit(self.endpoint)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        return kind(url.hostname or "", url.port, timeout=timeout)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
