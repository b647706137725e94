"""A plain client of compute for tests, with waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from running import RunningCloud, wait_until

Boot = Callable[..., dict[str, Any]]


class Nova:
    """A plain client of compute at one microversion, as a persona."""

    def __init__(self, cloud: RunningCloud, persona: str = "admin", version: str = "2.96") -> None:
        self.cloud = cloud
        self.http: httpx.Client = cloud.http(persona)
        self.http.headers["OpenStack-API-Version"] = f"compute {version}"

    def call(self, method: str, path: str, body: Any = None, *, version: str | None = None, status: int | None = None) -> Any:
        headers = {"OpenStack-API-Version": f"compute {version}"} if version else {}
        answer = self.http.request(method, "/compute/v2.1" + path, json=body, headers=headers)
        if status is not None:
            assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
            return answer.json() if answer.content else None
        assert answer.status_code < 400, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else answer

    def get(self, path: str, **options: Any) -> Any:
        return self.call("GET", path, **options)

    def server(self, id: str, **options: Any) -> dict[str, Any]:
        return self.get(f"/servers/{id}", **options)["server"]

    def action(self, id: str, name: str, body: Any = None, **options: Any) -> Any:
        return self.call("POST", f"/servers/{id}/action", {name: body}, **options)

    def wait(self, id: str, status: str, seconds: float = 20.0) -> dict[str, Any]:
        """The server once it has the status and no task."""

        def there() -> dict[str, Any] | None:
            found = self.server(id)
            assert status == "ERROR" or found["status"] != "ERROR", found.get("fault")
            return found if found["status"] == status and found["OS-EXT-STS:task_state"] is None else None

        return wait_until(there, seconds, f"{status} of server {id}")

    def wait_gone(self, id: str, seconds: float = 20.0) -> None:
        wait_until(lambda: self.http.get(f"/compute/v2.1/servers/{id}").status_code == 404, seconds, f"the end of server {id}")
