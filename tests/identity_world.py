"""Users, projects, roles and tokens for tests, made through the identity API under names nobody else has."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from running import RunningCloud

_numbers = itertools.count(1)


class World:
    """Makes what a test needs under names nobody else has."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud
        self.base = f"{cloud.url}/identity/v3"
        # verify=False: there is no TLS here, and loading certificates takes longer than a request
        self.plain = httpx.Client(base_url=self.base, timeout=60, verify=False)
        self.admin = httpx.Client(base_url=self.base, timeout=60, verify=False)
        who = cloud.credentials("admin")
        answer = self.log_in({"name": who["username"], "domain": {"id": "default"}, "password": who["password"]},
                             {"project": {"name": "admin", "domain": {"id": "default"}}})
        assert answer.status_code == 201, answer.text
        self.admin_token = answer.headers["X-Subject-Token"]
        self.me: dict[str, Any] = answer.json()["token"]
        self.admin.headers["X-Auth-Token"] = self.admin_token
        self.roles = {role["name"]: role["id"] for role in self.get("/roles")["roles"]}

    # ---- requests as the administrator

    def get(self, path: str, status: int = 200) -> Any:
        return self.call("GET", path, status)

    def call(self, method: str, path: str, status: int, body: Any = None) -> Any:
        answer = self.admin.request(method, path, json=body) if body is not None else self.admin.request(method, path)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    # ---- things

    def name(self, word: str = "thing") -> str:
        return f"{word}-{next(_numbers)}"

    def domain(self, **more: Any) -> dict[str, Any]:
        return dict(self.call("POST", "/domains", 201, {"domain": {"name": self.name("domain"), **more}})["domain"])

    def project(self, **more: Any) -> dict[str, Any]:
        return dict(self.call("POST", "/projects", 201, {"project": {"name": self.name("project"), **more}})["project"])

    def user(self, **more: Any) -> dict[str, Any]:
        return dict(self.call("POST", "/users", 201, {"user": {"name": self.name("user"), "password": "pw", **more}})["user"])

    def group(self, **more: Any) -> dict[str, Any]:
        return dict(self.call("POST", "/groups", 201, {"group": {"name": self.name("group"), **more}})["group"])

    def role(self, **more: Any) -> dict[str, Any]:
        return dict(self.call("POST", "/roles", 201, {"role": {"name": self.name("role"), **more}})["role"])

    def grant(self, user: dict[str, Any], place: str, role: str = "member", status: int = 204) -> None:
        """`place`: "projects/<id>", "domains/<id>" or "system"."""
        self.call("PUT", f"/{place}/users/{user['id']}/roles/{self.roles.get(role, role)}", status)

    def somebody(self, role: str = "member", **more: Any) -> tuple[dict[str, Any], dict[str, Any], str]:
        """A user with a role in a project, and a token for it."""
        user, project = self.user(**more), self.project()
        self.grant(user, f"projects/{project['id']}", role)
        return user, project, self.token(user, {"project": {"id": project["id"]}})

    # ---- log-in

    def log_in(self, user: dict[str, Any], scope: Any = None) -> httpx.Response:
        auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
        return self.authenticate(auth, scope)

    def by_token(self, token: str, scope: Any = None) -> httpx.Response:
        return self.authenticate({"identity": {"methods": ["token"], "token": {"id": token}}}, scope)

    def by_credential(self, credential: dict[str, Any], scope: Any = None) -> httpx.Response:
        wanted = {"id": credential["id"], "secret": credential["secret"]}
        return self.authenticate({"identity": {"methods": ["application_credential"], "application_credential": wanted}}, scope)

    def authenticate(self, auth: dict[str, Any], scope: Any = None) -> httpx.Response:
        if scope is not None:
            auth["scope"] = scope
        return self.plain.post("/auth/tokens", json={"auth": auth})

    def token(self, user: dict[str, Any], scope: Any = None, password: str = "pw") -> str:
        answer = self.log_in({"id": user["id"], "password": password}, scope)
        assert answer.status_code == 201, answer.text
        return answer.headers["X-Subject-Token"]

    def client(self, token: str) -> httpx.Client:
        return httpx.Client(base_url=self.base, headers={"X-Auth-Token": token}, timeout=60, verify=False)

    def holds(self, token: str) -> bool:
        """Whether a token still opens the door, and whether its validation by another agrees."""
        opens = self.plain.get("/auth/projects", headers={"X-Auth-Token": token}).status_code
        seen = self.admin.get("/auth/tokens", headers={"X-Subject-Token": token}).status_code
        assert (opens, seen) in ((200, 200), (401, 404)), (opens, seen)
        return opens == 200
