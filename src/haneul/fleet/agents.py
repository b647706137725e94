"""The client of the host agents: verbs of `haneul.host.contract` over HTTP, with a deadline and a bound on calls at once."""

from __future__ import annotations

import contextlib
import functools
import http.client
import inspect
import threading
from collections.abc import Collection, Iterable, Iterator
from typing import Any, TypeVar, get_type_hints
from urllib.parse import urlencode

import msgspec
from sqlalchemy import select

from haneul.fleet.connections import Answer, Connections
from haneul.fleet.model import HostRow
from haneul.host import contract, storage
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


_FAILURES = (OSError, http.client.HTTPException)
_REPORTS = msgspec.json.Decoder(list[HostReport])


@functools.cache
def _verbs(driver: type) -> dict[str, tuple[list[str], Any]]:
    """Of a contract class: each verb's parameters, and the decoder of its answer."""
    found = {}
    for name in driver.__abstractmethods__:  # type: ignore[attr-defined]
        answer = get_type_hints(getattr(driver, name))["return"]
        found[name] = ([p for p in inspect.signature(getattr(driver, name)).parameters if p != "self"],
                       msgspec.json.Decoder(answer) if answer is not type(None) else None)
    return found


class _Driver:
    """Gives each verb of a contract class as a method that calls the host."""

    def __init__(self, agent: Agent, kind: str, contract_class: type, **always: str) -> None:
        self._agent = agent
        self._always = always  # arguments of every verb: the back end of volumes
        for verb, (names, decoder) in _verbs(contract_class).items():
            setattr(self, verb, self._method(kind, verb, names, decoder))

    def _method(self, kind: str, verb: str, names: list[str], decoder: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            raw = self._agent.call(f"{kind}/{verb}", dict(zip(names, args, strict=False)) | kwargs | self._always)
            return decoder.decode(raw) if decoder is not None else None

        return call


class Agent:
    """One host, through its agent. Verbs raise the contract's HostErrors, `Unreachable`, or `Again` when the host has as
    many calls under way as it may."""

    hypervisor: contract.Hypervisor
    disks: contract.Disks
    fabric: contract.Fabric
    transfers: storage.Transfers

    def __init__(self, host: str, connections: Connections, timeout: float, calls_at_once: int) -> None:
        self.host = host
        self._connections = connections
        self._timeout = timeout
        self.sick = False  # it let a call run out of time: until it answers again, one call at a time finds out
        self._probing = threading.Lock()
        self._slots = threading.BoundedSemaphore(calls_at_once)
        self._prefix = f"/v1/hosts/{host}/" if host else "/v1/"
        self.hypervisor = _Driver(self, "hypervisor", contract.Hypervisor)  # type: ignore[assignment]
        self.disks = _Driver(self, "disks", contract.Disks)  # type: ignore[assignment]
        self.fabric = _Driver(self, "fabric", contract.Fabric)  # type: ignore[assignment]
        self.transfers = _Driver(self, "transfers", storage.Transfers)  # type: ignore[assignment]
        self._volumes: dict[str, storage.Volumes] = {}

    def volumes(self, backend: str) -> storage.Volumes:
        """One of the host's stores of volumes."""
        if backend not in self._volumes:
            self._volumes[backend] = _Driver(self, "volumes", storage.Volumes, backend=backend)  # type: ignore[assignment]
        return self._volumes[backend]

    @property
    def endpoint(self) -> str:
        return self._connections.endpoint

    def call(self, verb: str, arguments: dict[str, Any], timeout: float | None = None) -> bytes:
        """One verb by its path ("hypervisor/create"); the answer's JSON."""
        return self._request("POST", verb, msgspec.json.encode(arguments), timeout or self._timeout)

    def reports(self) -> list[HostReport]:
        """What the agent process says of all the hosts that it serves."""
        try:
            answer = self._connections.request("GET", "/v1/hosts", timeout=5.0)
            if answer.status != 200:
                raise Unreachable(f"agent {self.endpoint}: HTTP {answer.status}")
            return _REPORTS.decode(answer.content)
        except (*_FAILURES, msgspec.DecodeError) as error:
            raise Unreachable(f"agent {self.endpoint}: {type(error).__name__}") from error

    def send_image(self, image_id: str, format: str, sha512: str, chunks: Iterator[bytes]) -> None:
        """Streams an image into the host's cache."""
        query = urlencode({"format": format, "sha512": sha512})
        self._request("PUT", f"disks/images/{image_id}?{query}", chunks, 600.0)

    def send_transfer(self, id: str, format: str, sha512: str, chunks: Iterator[bytes]) -> None:
        """Streams an image to the host, where a volume is to have its data."""
        self._request("PUT", f"transfers/{id}?{urlencode({'format': format, 'sha512': sha512})}", chunks, 600.0)

    def write_transfer(self, id: str, offset: int, data: bytes) -> None:
        """A range of a transfer that was begun."""
        self._request("PUT", f"transfers/{id}?{urlencode({'offset': offset})}", data, 600.0)

    def read_transfer(self, id: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """A finished transfer's bytes, or a range of them."""
        part = {"offset": offset} | ({} if length is None else {"length": length})
        return self._stream(f"transfers/{id}?{urlencode(part)}")

    def read_snapshot(self, snapshot_id: str) -> Iterator[bytes]:
        """A finished snapshot's bytes."""
        return self._stream(f"disks/snapshots/{snapshot_id}")

    def _stream(self, path: str) -> Iterator[bytes]:
        try:
            with self._slot(), self._connections.stream("GET", self._prefix + path, timeout=600.0) as (status, pieces):
                if status != 200:
                    raise _error(Answer(status, b"".join(pieces)))
                yield from pieces
        except _FAILURES as error:
            raise self._unreachable(path, error) from error

    def _request(self, method: str, path: str, body: bytes | Iterable[bytes], timeout: float) -> bytes:
        with self._slot(), self._patience():
            try:
                answer = self._connections.request(method, self._prefix + path, body=body, timeout=timeout)
            except _FAILURES as error:
                self.sick = self.sick or isinstance(error, TimeoutError)
                raise self._unreachable(path, error) from error
            self.sick = False
        if answer.status >= 400:
            raise _error(answer)
        return answer.content

    def _unreachable(self, path: str, error: BaseException) -> Unreachable:
        return Unreachable(f"host {self.host} did not answer {path.partition('?')[0]}: {type(error).__name__}")

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


def _error(answer: Answer) -> contract.HostError:
    try:
        body = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        body = {}
    return _ERRORS.get(str(body.get("code")), contract.HostError)(str(body.get("message") or f"HTTP {answer.status}"))


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
        self._agents: dict[str, Agent] = {}  # by host name; by endpoint where no host is meant
        self._connections: dict[str, Connections] = {}  # by endpoint

    def of(self, host: str) -> Agent:
        """The agent of a host; Unreachable for a host that is not enrolled."""
        agent = self._agents.get(host)
        if agent is not None:
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
            agent = self._agents.get(host or endpoint)
            if agent is None or agent.endpoint != endpoint:
                connections = self._connections.setdefault(endpoint, Connections(endpoint))
                agent = self._agents[host or endpoint] = Agent(host, connections, settings.timeout_seconds, most)
            return agent

    def heard(self, endpoint: str, hosts: Collection[str]) -> None:
        """These hosts answer behind the endpoint. Agents of theirs elsewhere are forgotten: the host has moved."""
        with self._lock:
            for key, agent in list(self._agents.items()):
                if agent.host in hosts and agent.endpoint != endpoint:
                    del self._agents[key]
                elif agent.endpoint == endpoint:
                    agent.sick = False

    def silent(self, endpoint: str) -> None:
        """Nobody answers there, at present."""
        with self._lock:
            for agent in self._agents.values():
                agent.sick = agent.sick or agent.endpoint == endpoint

    def close(self) -> None:
        with self._lock:
            self._agents.clear()
            for connections in self._connections.values():
                connections.close()
            self._connections.clear()
