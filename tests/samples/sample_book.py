"""Compares answers with the API samples that OpenStack publishes: keys, types and status codes.

A `Case` says how an answer (or an accepted request) comes about; it is tried at every version that has a sample of it, and at
the newest one that the service offers. `Book` is the file that extract.py wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest

Version = tuple[int, int]
DROP = object()  # in `put`: the key is not sent


@dataclass(frozen=True)
class Case:
    """`answer` and `send` are names of samples, without a version. In `request` and the texts of `put` {names} are the world's.

    `put` changes what is sent, by path, where the sample has that path (or always, if the path begins with +). `extra`, `missing`
    and `other` name what differs on purpose: the end of a dotted path (keys of ours only, of the sample only, with another type)
    and why. `empty`: lists that may have no items here. `maps`: objects with keys of the user's. `needs`: what of the world must
    be there first. `without`: versions whose samples show something else. `plain`: since when they are not an administrator's.
    """

    request: str
    status: int | tuple[tuple[Version, int], ...] = 200
    answer: str = ""
    send: str = ""
    since: Version | None = None
    until: Version | None = None
    put: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    other: Mapping[str, str] = field(default_factory=dict)
    empty: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    without: tuple[Version, ...] = ()
    plain: Version | None = None
    maps: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.answer or self.send or self.request


@dataclass(frozen=True)
class Absent:
    """What is not there: the samples (a pattern), a request of theirs, and the honest answer."""

    samples: str
    request: str
    why: str
    status: int = 404
    body: Any = None
    version: str = ""


@dataclass(frozen=True)
class Rules:
    """What holds for all answers of a service: `nullable` keys may be null though the sample has a value."""

    nullable: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    other: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> Version:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


class Book:
    def __init__(self, service: str, first: Version = (0, 0)) -> None:
        self.first = first
        found = json.loads((Path(__file__).parent / f"{service}.json").read_text())
        self.source: str = found["source"]
        self.answers: dict[str, Any] = found["answers"]
        self.requests: dict[str, Any] = found["requests"]
        self._versions: dict[str, dict[Version, str]] = {}
        for full in (*self.answers, *self.requests):
            plain, version = self.split(full)
            self._versions.setdefault(plain, {})[version] = full

    def split(self, full: str) -> tuple[str, Version]:
        """A sample's name without its version, and that version."""
        match = re.search(r"(?:^|/)v(\d+\.\d+)(?=/)|-(1\.\d+)$", full)  # the second is placement's way
        if match is None:
            return full, self.first
        return (full[:match.start()] + full[match.end():]).lstrip("/"), parse(match[1] or match[2])

    def newest(self, case: Case, name: str, version: Version) -> str:
        """The full name of the newest sample of that name that is not newer than the version."""
        there = self._versions[name]
        return there[max(since for since in there if since <= version and since not in case.without)]

    def versions(self, case: Case) -> list[Version | None]:
        """At which versions to try a case: of every sample that differs from the one before, and None for the newest there is."""
        found: list[Version | None] = []
        before = None
        for version in self._published(case):
            now = [self.answers.get(name) or self.requests.get(name) for name in self.used(case, version)]
            if now != before or not found:
                found.append(version)
            before = now
        return found if self.first == (0, 0) else [*found, None]

    def _published(self, case: Case) -> list[Version]:
        names = [name for name in (case.answer, case.send) if name]
        found = sorted({version for name in names for version in self._versions[name]} - {*case.without} or {self.first})
        since = max([case.since or self.first, *(min(self._versions[name]) for name in names)])
        within = [version for version in found if version > since and (case.until is None or version <= case.until)]
        return [since, *within]

    def used(self, case: Case, version: Version) -> list[str]:
        return [self.newest(case, name, version) for name in (case.answer, case.send) if name]

    def split_by(self, cases: list[Case], absent: list[Absent], newest: Version) -> tuple[set[str], set[str], set[str]]:
        """The samples that are compared, those listed as absent, and the forgotten ones."""
        compared = {name for case in cases for version in self._published(case) if version <= newest
                    for name in self.used(case, version)}
        rest = {*self.answers, *self.requests} - compared
        lacking = {name for name in rest
                   if any(fnmatchcase(each, entry.samples) for entry in absent for each in (name, self.split(name)[0]))}
        return compared, lacking, rest - lacking


def parameters(book: Book, cases: list[Case]) -> list[Any]:
    """Of a test that takes `case` and `version`; a version None is the newest."""
    def text(version: Version | None) -> str:
        return "" if book.first == (0, 0) else "@newest" if version is None else f"@{version[0]}.{version[1]}"

    return [pytest.param(case, version, id=case.name + text(version)) for case in cases for version in book.versions(case)]


class World:
    """What requests are about, made when a name is first asked for; methods `each_…` are asked every time."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._broken: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        if name.startswith("each_"):
            return getattr(self, name)()
        if name in self._broken:
            raise AssertionError(f"{name} could not be made, as another case says")
        if name not in self._made:
            self._broken.add(name)
            self._made[name] = getattr(self, name)()
            self._broken.discard(name)
        return self._made[name]

    def fill(self, value: Any) -> Any:
        """The value with {names} in texts replaced; a text that is nothing but a name becomes the thing itself."""
        if isinstance(value, str):
            alone = re.fullmatch(r"\{(\w+)\}", value)
            return self[alone[1]] if alone else re.sub(r"\{(\w+)\}", lambda match: str(self[match[1]]), value)
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        return value


def body(book: Book, case: Case, version: Version, world: World) -> Any:
    if not case.send:
        return world.fill(case.body)
    found = json.loads(json.dumps(book.requests[book.newest(case, case.send, version)]))
    for path, value in case.put.items():
        where: Any = found
        *parents, last = world.fill(path.removeprefix("+")).split("/")
        for key in parents:
            where = where[int(key)] if isinstance(where, list) else where.get(key, {}) if isinstance(where, dict) else {}
        key = int(last) if isinstance(where, list) and last.isdigit() else last
        there = key in where if isinstance(where, dict) else isinstance(where, list) and isinstance(key, int) and key < len(where)
        if there or path.startswith("+"):
            if value is DROP:
                where.pop(key, None)
            else:
                where[key] = world.fill(value(world) if callable(value) else value)
    return found


def check(book: Book, case: Case, version: Version, world: World, rules: Rules,
          ask: Callable[..., httpx.Response]) -> None:
    """Sends the request and compares the answer; AssertionError says every difference."""
    for name in case.needs:
        _ = world[name]
    method, _, path = case.request.partition(" ")
    path = world.fill(path)  # before the body: what it makes, the body may name
    sent = body(book, case, version, world)
    plain = case.plain is not None and case.plain <= version
    answer = ask(method, path, sent, dict(case.headers), plain)
    wanted = case.status if isinstance(case.status, int) else [status for since, status in case.status if since <= version][-1]
    assert answer.status_code == wanted, (
        f"{answer.status_code} instead of {wanted}: {answer.text[:600]}\nsent {json.dumps(sent)[:900]}")
    if not case.answer:
        return
    shape = book.answers[book.newest(case, case.answer, version)]
    found = list(differences(shape, answer.json(), case, rules))
    assert not found, "\n" + "\n".join(found)


def _listed(at: str, *where: Mapping[str, str] | tuple[str, ...]) -> bool:
    """By the end of the path; a name that ends in .* means all keys of an object."""
    above = at.rpartition(".")[0]
    return any(at == name or at.endswith("." + name) or (name.endswith(".*") and above.endswith("." + name.removesuffix(".*")))
               for names in where for name in names)


def differences(shape: Any, value: Any, case: Case, rules: Rules, at: str = "") -> Iterator[str]:
    if isinstance(shape, dict) and isinstance(value, dict):
        yield from _of_objects(shape, value, case, rules, at)
    elif isinstance(shape, list) and isinstance(value, list):
        if shape and not value and not _listed(at, case.empty, rules.empty):
            yield f"{at}: an empty list compares nothing"
        for item in value if shape else ():
            yield from differences(shape[0], item, case, rules, f"{at}.*")
    elif not _compatible(shape, value, at, rules) and not _listed(at, case.other, rules.other):
        yield f"{at}: {json.dumps(value)[:80]}, the sample has {json.dumps(shape)[:80]}"


def _of_objects(shape: dict[str, Any], value: dict[str, Any], case: Case, rules: Rules, at: str) -> Iterator[str]:
    if _listed(at, case.maps, rules.maps):
        kinds = list(shape.values())
        for key, item in value.items():
            tries = [list(differences(kind, item, case, rules, f"{at}.{key}")) for kind in kinds]
            yield from min(tries, key=len) if tries else []
        return
    required = {key for key in shape if not key.endswith("?")}
    known = {key.removesuffix("?"): item for key, item in shape.items()}
    for key in sorted(required - set(value)):  # whether there is a next page, the sample does not say
        if not key.endswith("_links") and not _listed(f"{at}.{key}", case.missing, rules.missing):
            yield f"{at}.{key}: missing"
    for key, item in value.items():
        if key not in known:
            if not key.endswith("_links") and not _listed(f"{at}.{key}", case.extra, rules.extra):
                yield f"{at}.{key}: not in the sample ({json.dumps(item)[:80]})"
        else:
            yield from differences(known[key], item, case, rules, f"{at}.{key}")


def _compatible(shape: Any, value: Any, at: str, rules: Rules) -> bool:
    kinds = set(shape.split("|")) if isinstance(shape, str) else {"object" if isinstance(shape, dict) else "list"}
    if kinds == {"null"}:
        return True
    if value is None:
        return "null" in kinds or _listed(at, rules.nullable)
    kind = {str: "text", bool: "bool", int: "int", float: "float", dict: "object", list: "list"}[type(value)]
    return kind in kinds or (kind == "int" and "float" in kinds)


class Tally:
    """How much of a service's samples is compared, for the test that nothing is forgotten."""

    def __init__(self, book: Book, cases: list[Case], absent: list[Absent], newest: Version) -> None:
        self.compared, self.absent, self.forgotten = book.split_by(cases, absent, newest)

    @cached_property
    def line(self) -> str:
        return f"{len(self.compared)} samples compared, {len(self.absent)} absent, {len(self.forgotten)} forgotten"
