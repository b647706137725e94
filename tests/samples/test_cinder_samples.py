"""Block storage answers as Cinder's own API samples do, at every version that has a sample and at the newest."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from cinder_cases import ABSENT, CASES, RULES
from cinder_world import CinderWorld
from sample_book import Absent, Book, Case, Tally, Version, check, parameters

from haneul.volume import service
from running import RunningCloud

BOOK = Book("cinder", (3, 0))
NEWEST: Version = service.microversions.maximum  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def world(cloud: RunningCloud) -> CinderWorld:
    return CinderWorld(cloud)


def _asker(world: CinderWorld, version: Version) -> Any:
    def ask(method: str, path: str, body: Any, headers: dict[str, str], plain: bool) -> httpx.Response:
        client = world.plain if plain else world.http
        prefix = "/volume" if path in ("/", "/v3/") else "/volume/v3"
        return client.request(method, prefix + path, json=body, headers={
            "OpenStack-API-Version": f"volume {version[0]}.{version[1]}", **headers})
    return ask


@pytest.mark.parametrize("case, version", parameters(BOOK, CASES))
def test_answer_is_as_in_the_sample(world: CinderWorld, case: Case, version: Version | None) -> None:
    at = version or min(case.until or NEWEST, NEWEST)
    check(BOOK, case, at, world, RULES, _asker(world, at))


@pytest.mark.parametrize("entry", ABSENT, ids=lambda entry: entry.samples)
def test_what_is_listed_as_absent_is_absent(world: CinderWorld, entry: Absent) -> None:
    method, _, path = entry.request.partition(" ")
    answer = world.http.request(method, "/volume/v3" + world.fill(path), json=world.fill(entry.body), headers={
        "OpenStack-API-Version": f"volume {entry.version or '3.0'}"})
    assert answer.status_code == entry.status, answer.text


def test_no_sample_is_forgotten() -> None:
    tally = Tally(BOOK, CASES, ABSENT, NEWEST)
    print(f"cinder: {tally.line}")
    assert not tally.forgotten, "\n".join(sorted(tally.forgotten))
