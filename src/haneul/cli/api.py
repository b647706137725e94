"""A small client of the cloud's own public API; the standard library's, because the CLI must start fast."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from haneul.cli import state
from haneul.kernel.config import Config, Paths


class ApiError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def answers(config: Config) -> bool:
    """Whether the control plane says that it is ready."""
    connection = http.client.HTTPConnection(config.api.bind, config.api.port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def agent_answers(paths: Paths) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(paths.agent_socket))
        except OSError:
            return False
    return True


class Api:
    """Calls as the administrator in the project `admin`; one connection, kept open."""

    def __init__(self, config: Config, password: str, timeout: float = 60) -> None:
        self._connection = http.client.HTTPConnection(config.api.bind, config.api.port, timeout=timeout)
        self._headers: dict[str, str] = {}
        default = {"id": "default"}
        headers, answer = self._call("POST", "/identity/v3/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {
                "user": {"name": "admin", "domain": default, "password": password}}},
            "scope": {"project": {"name": "admin", "domain": default}}}})
        self._headers = {"X-Auth-Token": headers["X-Subject-Token"] or "", "X-OpenStack-Nova-API-Version": "2.90"}
        self.project_id: str = answer["token"]["project"]["id"]
        self.user_id: str = answer["token"]["user"]["id"]

    @classmethod
    def of(cls, paths: Paths, config: Config, timeout: float = 60) -> Api:
        return cls(config, state.admin_password(paths), timeout)

    def _call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[Any, Any]:
        content = body if body is None or hasattr(body, "read") else msgspec.json.encode(body)
        kind = {"Content-Type": "application/json"} if isinstance(content, bytes) else {}
        self._connection.request(method, path, content, self._headers | kind | (headers or {}))
        response = self._connection.getresponse()
        data = response.read()
        if response.status >= 400:
            raise ApiError(response.status, f"{method} {path}: {response.status} {data.decode(errors='replace')[:500]}")
        is_json = "json" in (response.headers["Content-Type"] or "")
        return response.headers, msgspec.json.decode(data) if data and is_json else None

    def get(self, path: str, **query: Any) -> Any:
        return self._call("GET", f"{path}?{urlencode(query)}" if query else path)[1]

    def post(self, path: str, body: Any) -> Any:
        return self._call("POST", path, body)[1]

    def put(self, path: str, body: Any = None) -> Any:
        return self._call("PUT", path, body)[1]

    def delete(self, path: str) -> None:
        self._call("DELETE", path)

    def upload(self, path: str, file: Path) -> None:
        with file.open("rb") as content:
            self._call("PUT", path, content, {"Content-Type": "application/octet-stream",
                                              "Content-Length": str(file.stat().st_size)})

    def one(self, path: str, plural: str, **query: Any) -> Any:
        """The only object that the query finds, or None."""
        found = self.get(path, **query)[plural]
        return found[0] if found else None

    def ensure(self, path: str, singular: str, values: dict[str, Any], plural: str = "", **query: Any) -> Any:
        """The object that the query (or its name) finds, made with `values` if there is none."""
        query = query or {"name": values["name"]}
        found = self.one(path, plural or singular + "s", **query)
        return found or self.post(path, {singular: values})[singular]


def wait(what: str, ready: Callable[[], Any], seconds: float, pause: float = 0.02) -> Any:
    """The first true answer of `ready`; Stop when none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := ready():
            return answer
        if time.monotonic() > deadline:
            raise state.Stop(f"{what} did not happen within {seconds:g} s.")
        time.sleep(pause)
