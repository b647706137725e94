"""The route table: what each room offers, by whom, in which microversions; and finding a route by its path."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from haneul.kernel.wire.errors import ErrorBody
from haneul.kernel.wire.versions import Microversions, Version, text

_PROJECT_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Handler = Callable[..., Any]
Target = Callable[..., Any]


class Route(Struct, kw_only=True):
    """One method on one path for a range of microversions.

    `rule` names the policy rule; None only with `anonymous`. Without `target` the rule is checked against the caller's own
    project before anything else happens; with it, against what `target(call)` loads (which answers NotFound for what the
    caller may not know of), and the loaded object is the handler's second argument. `body` is the type that the JSON body
    is decoded to, the handler's last argument; a list of (from version, type) picks by microversion.
    """

    method: str
    path: str
    handler: Handler
    rule: str | None
    target: Target | None = None
    body: Any = None
    status: int = 200
    action: str | None = None  # Nova's and Cinder's POST …/action: the one key of the body
    minimum: Version | None = None
    maximum: Version | None = None
    anonymous: bool = False
    stream: bool = False  # an async handler that answers itself, outside of a transaction
    writes: bool = True  # a write transaction; GET and HEAD get a snapshot
    bare: bool = False  # anonymous, on a thread without a transaction: opens its own
    inline: bool = False  # runs on the event loop: only what takes microseconds

    def covers(self, version: Version | None) -> bool:
        return version is None or ((self.minimum is None or version >= self.minimum)
                                   and (self.maximum is None or version <= self.maximum))


class Routes:
    """A room's routes, one list a file; paths are relative to the service's prefix."""

    def __init__(self) -> None:
        self.items: list[Route] = []

    def add(self, method: str, path: str, rule: str | None, **options: Any) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            options.setdefault("writes", method not in ("GET", "HEAD"))
            self.items.append(Route(method=method, path=path, handler=handler, rule=rule, **options))
            return handler

        return register

    def get(self, path: str, rule: str | None, **options: Any) -> Callable[[Handler], Handler]:
        return self.add("GET", path, rule, **options)

    def head(self, path: str, rule: str | None, **options: Any) -> Callable[[Handler], Handler]:
        return self.add("HEAD", path, rule, **options)

    def post(self, path: str, rule: str | None, **options: Any) -> Callable[[Handler], Handler]:
        return self.add("POST", path, rule, **options)

    def put(self, path: str, rule: str | None, **options: Any) -> Callable[[Handler], Handler]:
        return self.add("PUT", path, rule, **options)

    def patch(self, path: str, rule: str | None, **options: Any) -> Callable[[Handler], Handler]:
        return self.add("PATCH", path, rule, **options)

    def delete(self, path: str, rule: str | None, **options: Any) -> Callable[[Handler], Handler]:
        options.setdefault("status", 204)
        return self.add("DELETE", path, rule, **options)

    def action(self, path: str, name: str, rule: str, **options: Any) -> Callable[[Handler], Handler]:
        """POST of {name: body} to an action path, as Nova and Cinder have it."""
        options.setdefault("status", 202)
        return self.add("POST", path, rule, action=name, **options)


class Service(Struct, kw_only=True):
    """One OpenStack service on the wire."""

    type: str  # catalog type
    name: str  # nova, neutron…: catalog name and metrics label
    prefix: str  # of the versioned API: /compute/v2.1
    error_body: ErrorBody
    routes: list[Routes]
    microversions: Microversions | None = None
    request_id_headers: tuple[str, ...] = ("x-openstack-request-id",)
    aliases: tuple[str, ...] = ()  # further prefixes that answer the same (/v3 for /identity/v3)
    unauthenticated_header: str | None = None  # of a 401: Keystone's WWW-Authenticate
    catalog: bool = True  # whether clients find it in the catalog
    catalog_types: tuple[str, ...] = ()  # further names of the same service there (volumev3 for block-storage)
    project_in_path: bool = False  # /v3/<project id>/… answers as /v3/… does, for a token of that project
    denied: str = "Policy doesn't allow {rule} to be performed."  # the text of a 403


class Found(Struct):
    """What a path leads to: the routes by method, and the values of the path's variables."""

    service: Service
    path: str
    methods: dict[str, list[Route]]
    values: dict[str, str]
    project_id: str | None = None  # that the path names, where a service has it there


class _Node:
    __slots__ = ("children", "variable", "names", "methods", "service", "path")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.variable: _Node | None = None
        self.names: list[str] = []
        self.methods: dict[str, list[Route]] | None = None
        self.service: Service | None = None
        self.path = ""


class Table:
    """All routes of a cloud. A tree of path segments: finding one costs its depth, however many there are.

    A fixed segment wins over a variable one; a variable matches one segment, `{name:path}` the rest of the path.
    """

    def __init__(self, services: list[Service]) -> None:
        self.services = services
        self._root = _Node()
        self._with_project = [service for service in services if service.project_in_path]
        for service in services:
            for routes in service.routes:
                for route in routes.items:
                    for prefix in (service.prefix, *service.aliases):
                        self._insert(service, prefix + route.path, route)

    def _insert(self, service: Service, path: str, route: Route) -> None:
        node, names = self._root, []
        for segment in path.strip("/").split("/"):
            if segment.startswith("{"):
                name = segment[1:-1]
                names.append(name)
                if name.endswith(":path"):
                    node = node.children.setdefault("*", _Node())
                else:
                    if node.variable is None:
                        node.variable = _Node()
                    node = node.variable
            else:
                node = node.children.setdefault(segment, _Node())
        if node.methods is None:
            node.methods, node.names, node.service, node.path = {}, names, service, path
        assert node.names == names, f"{path}: names differ from {node.path}"
        node.methods.setdefault(route.method, []).append(route)

    def find(self, path: str) -> Found | None:
        segments = path.strip("/").split("/")
        values: list[str] = []
        node = self._descend(self._root, segments, 0, values)
        if node is None or node.methods is None or node.service is None:
            return self._without_project(path, segments)
        names = [name.removesuffix(":path") for name in node.names]
        return Found(node.service, node.path, node.methods, dict(zip(names, values, strict=True)))

    def _without_project(self, path: str, segments: list[str]) -> Found | None:
        """Paths of services that allow a project's id behind the prefix. No route begins with a variable of theirs, so that
        a path is never both."""
        for service in self._with_project:
            depth = service.prefix.count("/")
            if len(segments) > depth and path.startswith(service.prefix + "/") and _PROJECT_ID.fullmatch(segments[depth]):
                found = self.find("/".join([*segments[:depth], *segments[depth + 1:]])) if len(segments) > depth + 1 else None
                if found is not None:
                    found.project_id = segments[depth]
                return found
        return None

    def _descend(self, node: _Node, segments: list[str], depth: int, values: list[str]) -> _Node | None:
        if depth == len(segments):
            return node if node.methods is not None else None
        child = node.children.get(segments[depth])
        if child is not None and segments[depth] != "*":
            found = self._descend(child, segments, depth + 1, values)
            if found is not None:
                return found
        if node.variable is not None and segments[depth]:
            values.append(segments[depth])
            found = self._descend(node.variable, segments, depth + 1, values)
            if found is not None:
                return found
            values.pop()
        rest = node.children.get("*")
        if rest is not None and rest.methods is not None:
            values.append("/".join(segments[depth:]))
            return rest
        return None

    def rows(self) -> list[Mapping[str, str]]:
        """The whole table for people: service, method, path, rule, versions."""
        return [{"service": service.type, "method": route.method,
                 "path": service.prefix + route.path + (f" [{route.action}]" if route.action else ""),
                 "rule": route.rule or "(anonymous)",
                 "versions": f"{text(route.minimum) if route.minimum else ''}-{text(route.maximum) if route.maximum else ''}"
                 if route.minimum or route.maximum else ""}
                for service in self.services for routes in service.routes for route in routes.items]
