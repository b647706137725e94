"""Which of Tempest's tests a word on the command line means. Tests are known by full ids: `name[id-…,smoke,…]`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from haneul.cli.state import Stop

INTEROP = Path(__file__).with_name("interop.txt")
PLACES = {  # words for parts of the suite
    "identity": "tempest.api.identity", "image": "tempest.api.image", "compute": "tempest.api.compute",
    "network": "tempest.api.network", "volume": "tempest.api.volume", "object-storage": "tempest.api.object_storage",
    "scenario": "tempest.scenario", "serial": "tempest.serial_tests"}
SERVICES = {"identity": "identity", "image": "image", "compute": "compute", "network": "network",
            "volume": "block-storage", "object_storage": "object-store"}  # of tempest.api: the catalog's type


def name(test: str) -> str:
    return test.partition("[")[0]


def choose(word: str, tests: list[str], offered: Iterable[str]) -> tuple[list[str], list[str]]:
    """The chosen ids, and remarks for the reader.

    `interop`, `smoke`, a service, or an expression. An expression of letters, digits, dots and underscores is a name, of a
    test, class, module or package, and is matched whole: `…test_list` is not `…test_list_all`. Any other is searched for in
    the full ids. Raises Stop when nothing is meant by it.
    """
    remarks: list[str] = []
    if word == "interop":
        chosen, remarks = _interop(tests, set(offered))
    elif word == "smoke":
        chosen = [test for test in tests if "smoke" in test.partition("[")[2].rstrip("]").split(",")]
    else:
        chosen = _matching(PLACES.get(word, word), tests)
    if not chosen:
        raise Stop(f"no test of Tempest is meant by {word!r}. It is interop, smoke, {', '.join(PLACES)}, a name or an "
                   "expression.")
    return chosen, remarks


def _interop(tests: list[str], offered: set[str]) -> tuple[list[str], list[str]]:
    by_name = {name(test): test for test in tests}
    wanted = [line for line in INTEROP.read_text().split("\n") if line and not line.startswith("#")]
    if unknown := [each for each in wanted if each not in by_name]:
        raise Stop(f"this Tempest lacks {len(unknown)} tests of the interop lists: {', '.join(unknown)}")
    absent = [each for each in wanted if SERVICES[each.split(".")[2]] not in offered]
    services = sorted({each.split(".")[2] for each in absent})
    remarks = [f"{len(absent)} of the {len(wanted)} tests are of services that the catalog does not list: {', '.join(services)}"]
    return [by_name[each] for each in wanted if each not in set(absent)], remarks if absent else []


def _matching(expression: str, tests: list[str]) -> list[str]:
    if re.fullmatch(r"[\w.]+", expression):
        expression = rf"^{re.escape(expression)}(\.|\[|$)"
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise Stop(f"{expression!r} is not a regular expression: {error}.") from error
    return [test for test in tests if pattern.search(test)]
