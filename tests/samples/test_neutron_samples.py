"""The network service answers as Neutron's own API samples do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from neutron_cases import ABSENT, CASES, RULES
from neutron_world import NeutronWorld
from sample_book import Absent, Book, Case, Tally, Version, check, parameters

from running import RunningCloud

BOOK = Book("neutron")


@pytest.fixture(scope="module")
def world(cloud: RunningCloud) -> NeutronWorld:
    return NeutronWorld(cloud)


def _ask(world: NeutronWorld) -> Any:
    def ask(method: str, path: str, body: Any, headers: dict[str, str], plain: bool) -> httpx.Response:
        return world.http.request(method, "/network/" if path == "../" else "/network/v2.0" + path, json=body, headers=headers)
    return ask


@pytest.mark.parametrize("case, version", parameters(BOOK, CASES))
def test_answer_is_as_in_the_sample(world: NeutronWorld, case: Case, version: Version) -> None:
    check(BOOK, case, version, world, RULES, _ask(world))


@pytest.mark.parametrize("entry", ABSENT, ids=lambda entry: entry.samples)
def test_what_is_listed_as_absent_is_absent(world: NeutronWorld, entry: Absent) -> None:
    method, _, path = entry.request.partition(" ")
    answer = world.http.request(method, "/network/v2.0" + world.fill(path), json=world.fill(entry.body))
    assert answer.status_code == entry.status, answer.text


def test_no_sample_is_forgotten() -> None:
    tally = Tally(BOOK, CASES, ABSENT, (0, 0))
    print(f"neutron: {tally.line}")
    assert not tally.forgotten, "\n".join(sorted(tally.forgotten))
