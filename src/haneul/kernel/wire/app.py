"""The front door: an ASGI application that leads each request through the same way.

Find the route, negotiate the microversion, read the body (bounded), and then in one thread and one transaction:
authenticate, load the target, ask the policy, run the handler, encode the answer. An answer other than success rolls back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import structlog

from haneul.kernel import ids
from haneul.kernel.cloud import Cloud
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction, out_of_range, passing
from haneul.kernel.errors import (
    BadRequest,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from haneul.kernel.telemetry import REQUESTS
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.errors import glance
from haneul.kernel.wire.routes import Found, Route, Service, Table

log = structlog.get_logger("wire")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Authenticate = Callable[[Cloud, str], Context | None]

_encode = msgspec.json.Encoder().encode
_NO_SERVICE = Service(type="", name="none", prefix="", error_body=glance, routes=[])


class Application:
    """`authenticate(cloud, token)` answers the context of a valid token, else None. `plain` are unversioned pages by exact
    path (discovery, metrics), and `sockets` WebSocket handlers by prefix."""

    def __init__(self, cloud: Cloud, services: list[Service], authenticate: Authenticate, *,
                 plain: Mapping[str, Callable[[Cloud, Scope], Reply]] | None = None,
                 sockets: Mapping[str, Callable[[Cloud, Scope, Receive, Send], Awaitable[None]]] | None = None) -> None:
        self.cloud = cloud
        self.table = Table(services)
        self._authenticate = authenticate
        self._plain = dict(plain or {})
        self._sockets = dict(sockets or {})
        threads = cloud.config.api.threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="request")
        # Passwords cost a quarter of a second each: a flood of log-ins, which needs no account, must not stop all else.
        self._anonymous = ThreadPoolExecutor(max(1, threads // 4), thread_name_prefix="anonymous")
        self._limit = cloud.config.api.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            for prefix, handler in self._sockets.items():
                if scope["path"].startswith(prefix):
                    await handler(self.cloud, scope, receive, send)
                    return
            await send({"type": "websocket.close", "code": 4404})
        elif scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return

    # ---------------------------------------------------------------- http

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request_id = ids.request()
        plain = self._plain.get(scope["path"].rstrip("/") or "/")
        if plain is not None and scope["method"] in ("GET", "HEAD"):
            reply = plain(self.cloud, scope)
            await _send(send, reply.status or 200, reply, [(b"x-openstack-request-id", request_id.encode())], scope["method"])
            return
        service, call, route_path, status = _NO_SERVICE, None, "none", 500
        try:
            found = self.table.find(scope["path"])
            if found is None or "\0" in scope["path"]:  # no name has it, and PostgreSQL's texts cannot
                service = self._service_of(scope["path"])
                raise NotFound()
            service, route_path = found.service, found.path
            call = Call(self.cloud, found, scope, request_id)
            call.receive, call.send = receive, send
            if service.microversions is not None:
                call.version = service.microversions.minimum
                call.version = service.microversions.negotiate(call.headers)
            routes = self._routes_for(found, call)
            reply = await self._answer(call, routes)
        except Problem as problem:
            reply = self._problem(service, problem, request_id)
        except Exception as error:
            log.exception("unexpected", request_id=request_id, path=scope["path"])
            reply = self._problem(service, _unforeseen(error), request_id)
        if reply is not None:
            status = reply.status or 200
            headers = [(name.encode(), request_id.encode()) for name in service.request_id_headers]
            if call is not None:
                if service.microversions is not None:
                    headers += service.microversions.headers(call.version)
                headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in call.reply_headers.items()]
            await _send(send, status, reply, headers, scope["method"])
        elif call is not None and call.started is not None:
            status = call.started
        elapsed = time.perf_counter() - started
        REQUESTS.labels(service.name, scope["method"], route_path, str(status)).observe(elapsed)
        if scope["method"] not in ("GET", "HEAD") or status >= 400:
            log.info("request", request_id=request_id, method=scope["method"], path=scope["path"], status=status,
                     ms=round(elapsed * 1e3, 1), user=call.context.user_id if call else None)

    def _service_of(self, path: str) -> Service:
        for service in self.table.services:
            if path.startswith((service.prefix, *(alias + "/" for alias in service.aliases))):
                return service
        return _NO_SERVICE

    @staticmethod
    def _routes_for(found: Found, call: Call) -> list[Route]:
        method = call.method
        routes = found.methods.get(method)
        if routes is None and method == "HEAD":
            routes = found.methods.get("GET")
        if routes is None:
            if call.path.endswith("/"):
                raise NotFound()  # an object with an empty name, not the collection
            raise MethodNotAllowed(f"The method {method} is not allowed for this resource.")
        if found.service.microversions is not None:
            routes = [route for route in routes if route.covers(call.version)]
            if not routes:
                raise NotFound()
        return routes

    async def _answer(self, call: Call, routes: list[Route]) -> Reply | None:
        route = routes[0]
        loop = asyncio.get_running_loop()
        if route.stream:
            call.route = route
            target = await loop.run_in_executor(self._pool, self._admit, call)
            answer = await (route.handler(call, target) if route.target else route.handler(call))
            return None if answer is None else self._reply(call, answer)
        if route.body is not None or route.action is not None or call.method in ("POST", "PUT", "PATCH"):
            call.content = b"".join([chunk async for chunk in _bounded(call, self._limit)])
        if route.inline and self.cloud.database.sqlite:  # beyond, reading the identity revision is a round trip
            return self._handle(call, routes)
        pool = self._anonymous if route.anonymous and call.method == "POST" else self._pool
        return await loop.run_in_executor(pool, self._handle, call, routes)

    def _admit(self, call: Call) -> Any:
        """Authentication and policy for a stream, in a transaction of their own; the loaded target."""
        with self.cloud.database.read() as tx:
            call._tx = tx
            try:
                self._identify(call)
                return self._authorize(call)
            finally:
                call._tx = None

    def _handle(self, call: Call, routes: list[Route]) -> Reply:
        self._identify(call)
        call.route = route = _pick_action(call, routes) if routes[0].action is not None else routes[0]
        if route.inline:
            return self._reply(call, route.handler(call))
        if route.bare:
            assert route.anonymous and route.rule is None, route.path  # nothing here would check it
            return self._reply(call, route.handler(call, *([] if route.body is None else [_body(call, route)])))
        if not route.writes:
            with self.cloud.database.read() as tx:
                return self._in_transaction(call, tx)
        return self.cloud.database.transact(lambda tx: self._in_transaction(call, tx))

    def _in_transaction(self, call: Call, tx: Transaction) -> Reply:
        call._tx = tx
        route = call.route
        arguments: list[Any] = [call]
        target = self._authorize(call)
        if route.target is not None:
            arguments.append(target)
        if route.body is not None:
            arguments.append(_body(call, route))
        return self._reply(call, route.handler(*arguments))

    def _identify(self, call: Call) -> None:
        token = call.headers.get("x-auth-token")
        if token:
            context = self._authenticate(self.cloud, token)
            if context is not None and (context.access_rules is None or permitted(context.access_rules, call)):
                if call.found.project_id not in (None, context.project_id):
                    raise BadRequest("Malformed request url")
                call.context = msgspec.structs.replace(context, request_id=call.request_id)
                return
        anonymous = call.found.methods.get(call.method) or call.found.methods["GET"]
        if not all(route.anonymous for route in anonymous):
            raise Unauthorized()

    def _authorize(self, call: Call) -> Any:
        route = call.route
        target = None
        if route.target is None:
            values: Any = {"project_id": call.context.project_id, "user_id": call.context.user_id,
                           "domain_id": call.context.domain_id}
        else:
            target = route.target(call)
            values = target if isinstance(target, Mapping) else getattr(target, "policy_target", None) or Attributes(target)
        if route.rule is not None and not self.cloud.policy.allows(route.rule, call.context, values):
            raise Forbidden(call.found.service.denied.format(rule=route.rule))
        return target

    @staticmethod
    def _reply(call: Call, answer: Any) -> Reply:
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        if reply.status is None:
            reply.status = call.route.status
        if reply.raw is None and reply.body is not None:
            reply.raw = _encode(reply.body)
        return reply

    @staticmethod
    def _problem(service: Service, problem: Problem, request_id: str) -> Reply:
        headers = dict(problem.headers)
        if problem.status == 401 and service.unauthenticated_header:
            headers["www-authenticate"] = service.unauthenticated_header
        return Reply(status=problem.status, raw=_encode(service.error_body(problem, request_id)), headers=headers)


def _unforeseen(error: Exception) -> Problem:
    """What a caller may be told: never what the exception says."""
    if passing(error):
        return Unavailable("The database cannot do this now. Nothing was changed; try again later.")
    if out_of_range(error):
        return BadRequest("Invalid input: a value is larger than what can be kept.")
    return Problem("An unexpected error prevented the server from fulfilling your request.")


class Attributes(Mapping[str, Any]):
    """An object's attributes as a policy target; `target.role.name` style keys walk."""

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __getitem__(self, name: str) -> Any:
        thing: Any = self._thing
        for part in name.removeprefix("target.").split("."):
            if not hasattr(thing, part):
                raise KeyError(name)
            thing = getattr(thing, part)
        return thing

    def __contains__(self, name: object) -> bool:
        try:
            self[str(name)]
        except KeyError:
            return False
        return True

    def __iter__(self) -> Any:
        return iter(vars(self._thing))

    def __len__(self) -> int:
        return len(vars(self._thing))


def permitted(rules: tuple[tuple[str, str, str], ...], call: Call) -> bool:
    """Whether one of an application credential's access rules covers the request: `*` is a segment, `**` any rest, `{name}` a
    segment too. Paths are the service's own, as in /v2.1/servers. As in keystonemiddleware, no rule covers identity itself
    unless it names it."""
    service = call.found.service
    root = "/" + service.prefix.strip("/").split("/")[0]
    path = call.path.removeprefix(root) or "/"
    return any(kind in (service.type, service.name) and method == call.method and _covers(pattern, path)
               for kind, method, pattern in rules)


def _covers(pattern: str, path: str) -> bool:
    wanted, given = pattern.strip("/").split("/"), path.strip("/").split("/")
    for position, segment in enumerate(wanted):
        if segment == "**":
            return True
        if position >= len(given) or not (segment in ("*", given[position]) or (segment[:1] == "{" and segment[-1:] == "}")):
            return False
    return len(wanted) == len(given)


def _pick_action(call: Call, routes: list[Route]) -> Route:
    """The route of an action body {"name": …}; its body becomes the call's."""
    body = call.decode(dict[str, msgspec.Raw])
    if len(body) != 1:
        raise BadRequest("The request body must name exactly one action.")
    name, value = next(iter(body.items()))
    for route in routes:
        if route.action == name:
            call.content = bytes(value)
            return route
    raise BadRequest(f"There is no such action: {name[:64]}")


def _body(call: Call, route: Route) -> Any:
    kind = route.body
    if isinstance(kind, list):
        kind = [choice for since, choice in kind if call.version >= since][-1]
    content_type = call.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if not call.content:
        raise BadRequest("Missing request body.")
    if content_type not in ("application/json", "text/plain", "application/x-www-form-urlencoded", "") \
            and not content_type.endswith("+json") and not content_type.startswith("application/openstack-images"):
        from haneul.kernel.errors import UnsupportedMedia
        raise UnsupportedMedia(f"Unsupported Content-Type: {content_type[:64]}")
    return call.decode(kind)


async def _bounded(call: Call, limit: int) -> Any:
    length = call.headers.get("content-length", "0")
    if not length.isdigit():
        raise BadRequest("The Content-Length header is not a number.")
    if int(length) > limit:
        raise TooLarge("The request body is larger than allowed.")
    try:
        async for chunk in call.chunks(limit):
            yield chunk
    except ConnectionError as error:
        raise BadRequest("The request body broke off.") from error


async def _send(send: Send, status: int, reply: Reply, headers: list[tuple[bytes, bytes]], method: str) -> None:
    raw = reply.raw if reply.raw is not None else (_encode(reply.body) if reply.body is not None else b"")
    head = [*headers, *((name.lower().encode(), value.encode("latin-1")) for name, value in reply.headers.items())]
    if raw:
        head.append((b"content-type", reply.content_type.encode()))
    if status not in (204, 304):
        head.append((b"content-length", str(len(raw)).encode()))
    else:
        raw = b""
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else raw})
