"""Compute answers as Nova's own API samples do, at every version that has a sample and at the newest."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from nova_cases import ABSENT, CASES, RULES
from nova_world import NovaWorld
from sample_book import Absent, Book, Case, Tally, Version, check, parameters

from haneul.compute import room
from running import RunningCloud

BOOK = Book("nova", (2, 1))
NEWEST: Version = room.services[0].microversions.maximum  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def world(cloud: RunningCloud) -> NovaWorld:
    return NovaWorld(cloud)


def _asker(world: NovaWorld, version: Version) -> Any:
    def ask(method: str, path: str, body: Any, headers: dict[str, str], plain: bool) -> httpx.Response:
        prefix = "/compute" if path in ("/", "/v2", "/v2.1") else "/compute/v2.1"
        client = world.plain if plain else world.nova.http
        world.service_touched |= "/os-services/" in path
        return client.request(method, prefix + path, json=body, headers={
            "OpenStack-API-Version": f"compute {version[0]}.{version[1]}", **headers})
    return ask


@pytest.mark.parametrize("case, version", parameters(BOOK, CASES))
def test_answer_is_as_in_the_sample(world: NovaWorld, case: Case, version: Version | None) -> None:
    at = version or min(case.until or NEWEST, NEWEST)
    check(BOOK, case, at, world, RULES, _asker(world, at))


@pytest.mark.parametrize("entry", ABSENT, ids=lambda entry: entry.samples)
def test_what_is_listed_as_absent_is_absent(world: NovaWorld, entry: Absent) -> None:
    method, _, path = entry.request.partition(" ")
    answer = world.nova.http.request(method, "/compute/v2.1" + world.fill(path), json=world.fill(entry.body), headers={
        "OpenStack-API-Version": f"compute {entry.version or '2.1'}"})
    assert answer.status_code == entry.status, answer.text


def test_no_sample_is_forgotten() -> None:
    tally = Tally(BOOK, CASES, ABSENT, NEWEST)
    print(f"nova: {tally.line}")
    assert not tally.forgotten, "\n".join(sorted(tally.forgotten))
