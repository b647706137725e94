"""Every kind of task, at every step, in every way that it may go wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import haneul.rooms  # noqa: F401 - defines every task
from faults.harness import Case, assert_sound, cases, injected
from faults.scenarios import SCENARIOS, Stage
from haneul.kernel.tasks import registered
from running import RunningCloud

pytestmark = pytest.mark.faults


def ours(kind: str) -> bool:
    return not kind.startswith("test.")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    running = RunningCloud(tmp_path_factory.mktemp("faults"), {
        "tasks": {"poll_seconds": 0.05, "lease_seconds": 5}, "log": {"level": "error"}}).start()
    yield Stage(running)
    running.stop()


@pytest.fixture(autouse=True)
def swept(request: pytest.FixtureRequest) -> Iterator[None]:
    """One case that goes wrong does not spoil the next."""
    yield
    if "stage" in request.fixturenames:
        request.getfixturevalue("stage").clean()


def test_every_kind_of_task_has_a_scenario() -> None:
    assert set(filter(ours, registered())) == set(SCENARIOS)


@pytest.mark.parametrize("case", cases(ours), ids=str)
def test_nothing_is_stuck_leaked_or_double(stage: Stage, case: Case) -> None:
    scenario = SCENARIOS[case.kind]
    scenario.before(stage)
    stage.cloud.settle()
    before = stage.status()
    with injected(stage.cloud, case) as done:
        scenario.act(stage)
        stage.cloud.settle(60)
    assert done, "the step was never reached"
    assert_sound(stage.cloud)
    after = stage.status()
    if case.mode in ("crash_before", "crash_after"):
        assert after == scenario.status, "a crash must not change the outcome"
    else:
        assert after in {before, "ERROR"} or case.kind in ("network.wire",), f"{before} became {after}"
    stage.clean()
    assert_sound(stage.cloud)
