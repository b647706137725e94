"""A plain client of block storage for tests, with waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from running import RunningCloud, wait_until

Make = Callable[..., dict[str, Any]]


class Cinder:
    """A plain client of block storage at one microversion, as a persona."""

    def __init__(self, cloud: RunningCloud, persona: str = "admin", version: str = "3.71") -> None:
        self.cloud = cloud
        self.http: httpx.Client = cloud.http(persona)
        self.http.headers["OpenStack-API-Version"] = f"volume {version}"

    def call(self, method: str, path: str, body: Any = None, *, version: str | None = None, status: int | None = None) -> Any:
        headers = {"OpenStack-API-Version": f"volume {version}"} if version else {}
        answer = self.http.request(method, "/volume/v3" + path, json=body, headers=headers)
        if status is not None:
            assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
            return answer.json() if answer.content else None
        assert answer.status_code < 400, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else answer

    def get(self, path: str, **options: Any) -> Any:
        return self.call("GET", path, **options)

    def volume(self, id: str, **options: Any) -> dict[str, Any]:
        return self.get(f"/volumes/{id}", **options)["volume"]

    def action(self, id: str, name: str, body: Any = None, **options: Any) -> Any:
        return self.call("POST", f"/volumes/{id}/action", {name: body}, **options)

    def wait(self, id: str, status: str = "available", seconds: float = 20.0, kind: str = "volumes") -> dict[str, Any]:
        """The volume (or another kind of thing) once it has the status."""

        def there() -> dict[str, Any] | None:
            found = self.get(f"/{kind}/{id}")[kind.removesuffix("s")]
            assert status.startswith("error") or not found["status"].startswith("error"), found
            return found if found["status"] == status else None

        return wait_until(there, seconds, f"{status} of {kind} {id}")

    def wait_gone(self, id: str, seconds: float = 20.0, kind: str = "volumes") -> None:
        wait_until(lambda: self.http.get(f"/volume/v3/{kind}/{id}").status_code == 404, seconds, f"the end of {kind} {id}")
