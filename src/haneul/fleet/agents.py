"""The client of the host agents: verbs of `haneul.host.contract` over HTTP, with a deadline and a bound on calls at once."""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Collection, Iterator
from typing import Any, TypeVar, get_type_hints

import httpx
import msgspec
from sqlalchemy import select

from haneul.fleet.model import HostRow
from haneul.host import contract
from haneul.kernel.cloud import Cloud
from haneul.kernel.tasks import Again, Transient

_ERRORS = {kind.code: kind for kind in (contract.NotThere, contract.Conflict, contract.NoRoom, contract.Refused)}
D = TypeVar("D")


class Unreachable(Transient):
    """The agent did not answer in time, or not at all; the verb may or may not have been carried out."""


class HostReport(msgspec.Struct, frozen=True):
    """What `GET /v1/hosts` says of each host that an agent serves."""

    name: str
    facts: contract.HostFacts
    servers: list[contract.ServerState] = []


def _verbs(driver: type) -> dict[str, tuple[list[str], Any]]:
    found = {}
    for name in driver.__abstractmethods__:  # type: ignore[attr-defined]
        hints = get_type_hints(getattr(driver, name))
        found[name] = ([p for p in inspect.signature(getattr(driver, name)).parameters if p != "self"], hints["return"])
    return found


class _Driver:
    """Gives each verb of a contract class as a method that calls the host."""

    def __init__(self, agent: Agent, kind: str, contract_class: type) -> None:
        self._agent = agent
        for verb, (names, answer) in _verbs(contract_class).items():
            decoder = msgspec.json.Decoder(answer) if answer is not type(None) else None
            setattr(self, verb, self._method(kind, verb, names, decoder))

    def _method(self, kind: str, verb: str, names: list[str], decoder: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            raw = self._agent.call(f"{kind}/{verb}", dict(zip(names, args, strict=False)) | kwargs)
            return decoder.decode(raw) if decoder is not None else None

        return call


class Agent:
    """One host, through its agent. Verbs raise the contract's HostErrors, `Unreachable`, or `Again` when the host has as
    many calls under way as it may."""

    hypervisor: contract.Hypervisor
    disks: contract.Disks
    fabric: contract.Fabric

    def __init__(self, host: str, endpoint: str, timeout: float, calls_at_once: int) -> None:
        self.host = host
        self.endpoint = endpoint
        self.sick = False  # it let a call run out of time: until it answers again, one call at a time finds out
        self._probing = threading.Lock()
        self._slots = threading.BoundedSemaphore(calls_at_once)
        self._prefix = f"/v1/hosts/{host}/" if host else "/v1/"
        if endpoint.startswith("unix:"):
            transport: httpx.HTTPTransport = _unix(endpoint.removeprefix("unix:"))
            self._http = httpx.Client(transport=transport, base_url="http://agent", timeout=timeout)
        else:
            self._http = httpx.Client(base_url=endpoint, timeout=timeout)
        self.hypervisor = _Driver(self, "hypervisor", contract.Hypervisor)  # type: ignore[assignment]
        self.disks = _Driver(self, "disks", contract.Disks)  # type: ignore[assignment]
        self.fabric = _Driver(self, "fabric", contract.Fabric)  # type: ignore[assignment]

    def call(self, verb: str, arguments: dict[str, Any], timeout: float | None = None) -> bytes:
        """One verb by its path ("hypervisor/create"); the answer's JSON."""
        return self._request("POST", verb, content=msgspec.json.encode(arguments), timeout=timeout)

    def reports(self) -> list[HostReport]:
        """What the agent process says of all the hosts that it serves."""
        try:
            answer = self._http.get("/v1/hosts", timeout=5.0)
            answer.raise_for_status()
            return msgspec.json.decode(answer.content, type=list[HostReport])
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise Unreachable(f"agent {self.endpoint}: {type(error).__name__}") from error

    def send_image(self, image_id: str, format: str, sha512: str, chunks: Iterator[bytes]) -> None:
        """Streams an image into the host's cache."""
        self._request("PUT", f"disks/images/{image_id}", content=chunks, params={"format": format, "sha512": sha512},
                      timeout=600.0)

    def read_snapshot(self, snapshot_id: str) -> Iterator[bytes]:
        """A finished snapshot's bytes."""
        with self._slot(), self._http.stream("GET", self._prefix + f"disks/snapshots/{snapshot_id}", timeout=600.0) as answer:
            if answer.status_code != 200:
                answer.read()
                raise _error(answer)
            yield from answer.iter_raw(1 << 20)

    def _request(self, method: str, path: str, **options: Any) -> bytes:
        if options.get("timeout") is None:
            options.pop("timeout", None)
        with self._slot(), self._patience():
            try:
                answer = self._http.request(method, self._prefix + path, **options)
            except httpx.HTTPError as error:
                self.sick = self.sick or isinstance(error, (httpx.ConnectTimeout, httpx.ReadTimeout))
                raise Unreachable(f"host {self.host} did not answer {path}: {type(error).__name__}") from error
            self.sick = False
        if answer.status_code >= 400:
            raise _error(answer)
        return answer.content

    @contextlib.contextmanager
    def _patience(self) -> Iterator[None]:
        """Threads are not to wait in a row for a host that lets every call run out of time."""
        if not self.sick:
            yield
        elif self._probing.acquire(blocking=False):
            try:
                yield
            finally:
                self._probing.release()
        else:
            raise Unreachable(f"host {self.host} does not answer at present")

    def _slot(self) -> _Slot:
        return _Slot(self._slots)

    def close(self) -> None:
        self._http.close()


def _unix(path: str) -> httpx.HTTPTransport:
    return httpx.HTTPTransport(uds=path, limits=httpx.Limits(max_connections=64, max_keepalive_connections=16))


def _error(answer: httpx.Response) -> contract.HostError:
    try:
        body = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        body = {}
    return _ERRORS.get(str(body.get("code")), contract.HostError)(str(body.get("message") or f"HTTP {answer.status_code}"))


class _Slot:
    def __init__(self, slots: threading.BoundedSemaphore) -> None:
        self._slots = slots

    def __enter__(self) -> None:
        if not self._slots.acquire(timeout=0.5):
            raise Again("a free call to its host", 0.2)

    def __exit__(self, *_: object) -> None:
        self._slots.release()


class Agents:
    """The agents by host name, kept open. `cloud.get(Agents)`."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._lock = threading.Lock()
        self._agents: dict[tuple[str, str], Agent] = {}

    def of(self, host: str) -> Agent:
        """The agent of a host; Unreachable for a host that is not enrolled."""
        with self._lock:
            for (name, _), agent in self._agents.items():
                if name == host:
                    return agent
        with self.cloud.database.read() as tx:
            endpoint = tx.execute(select(HostRow.endpoint).where(HostRow.name == host)).scalar()
        if endpoint is None:
            raise Unreachable(f"host {host} is not enrolled")
        return self.at(endpoint, host)

    def at(self, endpoint: str, host: str = "") -> Agent:
        """The agent behind an endpoint (without a host: for its reports)."""
        settings = self.cloud.config.host
        most = max(1, min(settings.calls_at_once, self.cloud.config.tasks.runners * 2 // 3))  # a third is for other hosts
        with self._lock:
            if (host, endpoint) not in self._agents:
                for key in [key for key in self._agents if host and key[0] == host]:
                    self._agents.pop(key).close()
                self._agents[host, endpoint] = Agent(host, endpoint, settings.timeout_seconds, most)
            return self._agents[host, endpoint]

    def heard(self, endpoint: str, hosts: Collection[str]) -> None:
        """These hosts answer behind the endpoint. Agents of theirs elsewhere are forgotten: the host has moved."""
        with self._lock:
            for (host, place), agent in list(self._agents.items()):
                if host in hosts and place != endpoint:
                    del self._agents[host, place]  # not closed: calls may be under way
                elif place == endpoint:
                    agent.sick = False

    def silent(self, endpoint: str) -> None:
        """Nobody answers there, at present."""
        with self._lock:
            for (_, place), agent in self._agents.items():
                agent.sick = agent.sick or place == endpoint

    def close(self) -> None:
        with self._lock:
            for agent in self._agents.values():
                agent.close()
            self._agents.clear()
