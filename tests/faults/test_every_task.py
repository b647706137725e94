"""Every kind of task, at every step, in every way that it may go wrong."""

from __future__ import annotations

import pytest

import haneul.rooms  # noqa: F401 - defines every task
from faults import (
    attached_scenarios,
    backed_scenarios,
    backup_scenarios,
    group_scenarios,
    held_scenarios,
    image_scenarios,
    scenarios,
    volume_scenarios,
)
from faults.harness import Case, assert_sound, cases, injected
from faults.scenarios import Scenario, Stage
from haneul.kernel.tasks import registered
from running import wait_until

pytestmark = pytest.mark.faults
SCENARIOS = {**scenarios.SCENARIOS, **volume_scenarios.SCENARIOS, **group_scenarios.SCENARIOS, **backed_scenarios.SCENARIOS,
             **attached_scenarios.SCENARIOS, **backup_scenarios.SCENARIOS, **image_scenarios.SCENARIOS}


def ours(kind: str) -> bool:
    return not kind.startswith("test.")


def test_every_kind_of_task_has_a_scenario() -> None:
    assert set(filter(ours, registered())) == set(SCENARIOS)


@pytest.mark.parametrize("case", cases(ours), ids=str)
def test_nothing_is_stuck_leaked_or_double(stage: Stage, case: Case) -> None:
    _carry_out(stage, case, SCENARIOS[case.kind])


@pytest.mark.parametrize("case", cases(backed_scenarios.BACKED.__contains__), ids=str)
def test_nor_is_it_with_servers_on_volumes(stage: Stage, case: Case) -> None:
    _carry_out(stage, case, backed_scenarios.BACKED[case.kind])


@pytest.mark.parametrize("case", cases(held_scenarios.HELD.__contains__), ids=str)
def test_nor_is_it_while_a_server_has_the_volume(stage: Stage, case: Case) -> None:
    _carry_out(stage, case, held_scenarios.HELD[case.kind])


@pytest.mark.parametrize("of", held_scenarios.COPIES)
@pytest.mark.parametrize("case", cases("volume.create".__eq__), ids=str)
def test_nor_is_it_of_copies(stage: Stage, case: Case, of: str) -> None:
    _carry_out(stage, case, held_scenarios.COPIES[of])


@pytest.mark.parametrize("case", cases("image.import".__eq__), ids=str)
def test_nor_is_it_of_images_copied_to_stores(stage: Stage, case: Case) -> None:
    _carry_out(stage, case, image_scenarios.COPIED)


def _carry_out(stage: Stage, case: Case, scenario: Scenario) -> None:
    scenario.before(stage)
    stage.cloud.settle()
    before = scenario.look(stage)
    with injected(stage.cloud, case) as done:
        scenario.act(stage)
        stage.cloud.settle(60)
        wait_until(lambda: done, 5, "the step")  # what comes after the last commit comes after the task's end
    assert_sound(stage.cloud)
    after = scenario.look(stage)
    if case.mode in ("crash_before", "crash_after"):
        assert after == scenario.status, "a crash must not change the outcome"
    else:
        failed = after == before or (after or "").lower().startswith("error")
        assert failed or scenario.loose, f"{before} became {after}"
    stage.clean()
    assert_sound(stage.cloud)
