"""What a word means among Tempest's tests, and what its lines say."""

from __future__ import annotations

import pytest

from haneul.cli.state import Stop
from haneul.cli.tempest import selection
from haneul.cli.tempest.results import Outcome, Results

LISTS = "tempest.api.volume.test_lists.ListsTest"
TESTS = [f"{LISTS}.test_list[id-1,smoke]", f"{LISTS}.test_list_all[id-2,smokeless]", f"{LISTS}Admin.test_list[id-3]",
         "tempest.api.compute.test_x.X.test_volume[id-4,volume]"]
EVERY = {"identity", "image", "compute", "network", "block-storage", "object-store"}


def chosen(word: str) -> list[str]:
    return selection.choose(word, TESTS, EVERY)[0]


def test_a_name_is_matched_whole() -> None:
    assert chosen(f"{LISTS}.test_list") == TESTS[:1]
    assert chosen(LISTS) == TESTS[:2]
    assert chosen("volume") == TESTS[:3] and chosen("smoke") == TESTS[:1]
    assert chosen(r"\.test_list\[") == [TESTS[0], TESTS[2]]
    for nothing in ("ListsTest", "identity", "["):
        with pytest.raises(Stop):
            chosen(nothing)


def test_the_interop_lists_are_taken_whole() -> None:
    names = [line for line in selection.INTEROP.read_text().splitlines() if not line.startswith("#")]
    tests = [f"{name}[id-{number}]" for number, name in enumerate(names)] + TESTS
    everything, remarks = selection.choose("interop", tests, EVERY)
    assert len(everything) == 338 and remarks == []
    without, remarks = selection.choose("interop", tests, EVERY - {"object-store"})
    assert len(without) == 282 and "56 of the 338" in remarks[0]
    with pytest.raises(Stop, match="lacks 1 "):
        selection.choose("interop", tests[1:], EVERY)


def test_every_chosen_test_has_one_outcome() -> None:
    told: list[Outcome] = []
    results = Results([f"a.B.{name}[id-{name}]" for name in ("good", "bad", "off", "lost")] + ["a.C.x[id-5]", "a.D.y[id-6]"],
                      told.append)
    for line in """{0} a.B.good [0.5s] ... ok
{1} a.B.bad [1.25s] ... FAILED

Captured traceback:
~~~~~~~~~~~~~~~~~~~
    Traceback (most recent call last):

      File "x.py", line 1, in y
    raise self
    tempest.lib.exceptions.NotFound: Object not found
Captured pythonlogging:
    something.Else: not this
{0} a.B.off ... SKIPPED: no such thing
{0} setUpClass (a.C) ... SKIPPED: no such class
{0} setUpClass (a.D) [1.0s] ... FAILED
{0} tearDownClass (a.B) [0.0s] ... FAILED
Failed 1 tests - output below:""".splitlines():
        results.read(line)
    results.close()
    assert {each.name: (each.outcome, each.why) for each in told} == {
        "a.B.good": ("passed", ""), "a.B.bad": ("failed", "tempest.lib.exceptions.NotFound: Object not found"),
        "a.B.off": ("skipped", "no such thing"), "a.C.x": ("skipped", "no such class"),
        "a.D.y": ("failed", "setUpClass (a.D)"), "tearDownClass (a.B)": ("failed", ""), "a.B.lost": ("failed", "it did not run")}
    assert [results.count(word) for word in ("passed", "failed", "skipped")] == [1, 4, 2]
    assert results.reasons() == [("no such thing", 1), ("no such class", 1)]
