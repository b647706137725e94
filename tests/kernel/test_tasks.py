"""Durable tasks: order, undo, waits, crashes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from sqlalchemy.exc import OperationalError

from haneul.kernel.cloud import Cloud
from haneul.kernel.config import Config, Paths
from haneul.kernel.database import Base, Database
from haneul.kernel.tasks import Again, Crash, Fault, Runner, Task, TaskRow, Transient, Work


class Words(Struct):
    text: str = ""


events: list[str] = []
behave: dict[str, Any] = {}

good: Task[Words] = Task("test.good", Words)
picky: Task[Words] = Task("test.picky", Words)


@good.step()
def first(work: Work[Words]) -> None:
    events.append(f"first {work.arguments.text}")
    with work.commit():
        work.result = {"answer": 42}


@good.step(deadline=3.0)
def second(work: Work[Words]) -> None:
    assert work.results["first"] == {"answer": 42}
    if behave.get("wait", 0) > 0:
        behave["wait"] -= 1
        raise Again("a friend", 0.01)
    events.append(f"second {work.arguments.text}")


@picky.step()
def make(work: Work[Words]) -> None:
    events.append("make")


@make.undo
def unmake(work: Work[Words]) -> None:
    if behave.get("undo_fails", 0) > 0:
        behave["undo_fails"] -= 1
        raise RuntimeError("not yet")
    events.append("unmake")


@picky.step(deadline=0.5)
def use(work: Work[Words]) -> None:
    events.append("use")
    if behave.get("transient", 0) > 0:
        behave["transient"] -= 1
        raise Transient("host silent")
    if behave.get("forever"):
        raise Again("godot", 0.05)
    if behave.get("fault"):
        raise Fault("No valid host was found.", "details", 404)


@use.undo
def disuse(work: Work[Words]) -> None:
    events.append("disuse")


@picky.failed
def tell(work: Work[Words], tx: Any, fault: Fault) -> None:
    events.append(f"failed {type(fault).__name__} {fault.message}")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    events.clear()
    behave.clear()
    made = Cloud(Config(), Paths(tmp_path))
    made.database = Database.at(tmp_path / "tasks.db")
    made.database.cloud = made
    Base.metadata.create_all(made.database.engine)
    made.runner = Runner(made, threads=3, lease_seconds=0.6, poll_seconds=0.05)
    made.runner.start()
    yield made
    made.runner.stop()
    made.database.close()


def run(cloud: Cloud, task: Task[Words], *texts: str, **options: Any) -> list[TaskRow]:
    with cloud.database.write() as tx:
        for text in texts or ("",):
            task.submit(tx, Words(text), **options)
    return settle(cloud)


def settle(cloud: Cloud, seconds: float = 8.0) -> list[TaskRow]:
    until(lambda: all(row.finished for row in rows(cloud)), seconds)
    return rows(cloud)


def rows(cloud: Cloud) -> list[TaskRow]:
    with cloud.database.read() as tx:
        return list(tx.query(TaskRow).order_by(TaskRow.seq))


def until(condition: Callable[[], bool], seconds: float = 8.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.01)


def test_steps_run_in_order_and_leave_their_record(cloud: Cloud) -> None:
    (row,) = run(cloud, good, "a")
    assert row.state == "done"
    assert [(entry["step"], entry["outcome"]) for entry in row.record] == [("first", "done"), ("second", "done")]
    assert all(entry["seconds"] >= 0 for entry in row.record)


def test_a_rolled_back_request_leaves_no_task(cloud: Cloud) -> None:
    with pytest.raises(RuntimeError), cloud.database.write() as tx:
        good.submit(tx, Words("never"))
        raise RuntimeError
    time.sleep(0.15)
    assert rows(cloud) == [] and events == []


def test_tasks_of_one_resource_run_one_after_the_other(cloud: Cloud) -> None:
    behave["wait"] = 3
    run(cloud, good, "1", "2", "3", resource="server:x")
    assert events == ["first 1", "second 1", "first 2", "second 2", "first 3", "second 3"]


def test_a_failure_undoes_backwards_and_tells(cloud: Cloud) -> None:
    behave.update(fault=True, undo_fails=2)
    (row,) = run(cloud, picky)
    assert row.state == "failed" and row.fault["message"] == "No valid host was found."
    assert events == ["make", "use", "disuse", "unmake", "failed Fault No valid host was found."]


def test_a_transient_failure_is_tried_again(cloud: Cloud) -> None:
    behave["transient"] = 1
    (row,) = run(cloud, picky)
    assert row.state == "done" and row.record[-1]["attempts"] == 2


def test_a_wait_ends_at_the_deadline_with_its_name(cloud: Cloud) -> None:
    behave["forever"] = True
    (row,) = run(cloud, picky)
    assert row.state == "failed" and "godot" in row.fault["message"] and row.fault["class"] == "DeadlineExceeded"


def test_cancelling_undoes_what_was_done(cloud: Cloud) -> None:
    behave["wait"] = 10_000
    with cloud.database.write() as tx:
        good.submit(tx, Words("slow"), resource="server:y")
    until(lambda: bool(events))
    with cloud.database.write() as tx:
        picky.submit(tx, Words(), resource="server:y", cancel_others=True)
    first_row, second_row = settle(cloud)
    assert (first_row.state, first_row.fault["class"], second_row.state) == ("failed", "Cancelled", "done")


@pytest.mark.parametrize("point", ["before_step", "before_commit", "after_commit"])
@pytest.mark.parametrize("step", ["make", "use"])
def test_a_crash_costs_a_lease_not_the_task(cloud: Cloud, point: str, step: str) -> None:
    crashes = [1]

    def hook(at: str, row: TaskRow, name: str) -> None:
        if at == point and name == step and crashes:
            crashes.pop()
            raise Crash

    cloud.runner.hook = hook
    (row,) = run(cloud, picky)
    assert row.state == "done" and not crashes
    assert [entry["step"] for entry in row.record] == ["make", "use"]


def test_another_process_takes_over_a_dead_ones_tasks(cloud: Cloud) -> None:
    with cloud.database.write() as tx:
        task_id = good.submit(tx, Words("orphan"), after=0.2)
        row = tx.query(TaskRow).filter_by(id=task_id).one()
        row.lease_owner, row.lease_until = "somebody-dead", time.time() + 3600
    time.sleep(0.4)
    assert events == []
    cloud.runner.release_dead({cloud.runner.owner})
    (done,) = settle(cloud)
    assert done.state == "done"


def test_a_process_that_stood_still_does_not_run_its_task_twice(cloud: Cloud) -> None:
    """Its lease ran out while the step was under way, and it is the one that finds the task free."""
    release = threading.Event()
    running: list[int] = []
    most: list[int] = []

    def hook(at: str, row: TaskRow, name: str) -> None:
        if at == "before_step" and name == "first":
            running.append(1)
            most.append(len(running))
            release.wait(3)
            running.pop()

    cloud.runner.hook = hook
    with cloud.database.write() as tx:
        good.submit(tx, Words("slow"))
    until(lambda: bool(running))
    for _ in range(3):
        with cloud.database.write() as tx:
            tx.query(TaskRow).update({"lease_until": 0.0})
        time.sleep(0.15)
    release.set()
    (row,) = settle(cloud)
    assert row.state == "done" and most == [1] and events == ["first slow", "second slow"]


def test_a_database_that_is_away_for_a_moment_fails_no_step(cloud: Cloud) -> None:
    failures = [1]

    def hook(at: str, row: TaskRow, name: str) -> None:
        if at == "before_commit" and name == "use" and failures:
            failures.pop()
            raise OperationalError("UPDATE tasks", {}, Exception("database is locked"))

    cloud.runner.hook = hook
    (row,) = run(cloud, picky)
    assert row.state == "done" and row.record[-1]["attempts"] == 2


def test_a_cancel_need_not_wait_for_the_end_of_a_wait(cloud: Cloud) -> None:
    """It came while the step ran that then asked for a long wait."""
    def hook(at: str, row: TaskRow, name: str) -> None:
        if at == "before_step" and name == "second":
            with cloud.database.write() as tx:
                tx.query(TaskRow).filter_by(id=row.id).update({"cancel": True})
            raise Again("a friend who is far away", 60.0)

    cloud.runner.hook = hook
    (row,) = run(cloud, good, "a")
    assert row.fault["class"] == "Cancelled"


def test_waiting_behind_another_task_is_not_held_against_the_deadline(cloud: Cloud) -> None:
    with cloud.database.write() as tx:
        good.submit(tx, Words("late"), after=0.1)
        tx.query(TaskRow).update({"deadline": time.time() - 1})
    (row,) = settle(cloud)
    assert row.state == "done"


def test_what_follows_a_commit_cannot_undo_it(cloud: Cloud) -> None:
    def fail() -> None:
        raise RuntimeError("a signal that nobody takes")

    with cloud.database.write() as tx:
        tx.after_commit(fail)
        good.submit(tx, Words("a"))
    assert settle(cloud)[0].state == "done"


@pytest.mark.parametrize("change", [{"arguments": {"text": 5}}, {"kind": "test.gone"}, {"step": 9}])
def test_a_task_that_this_release_cannot_read_ends(cloud: Cloud, change: dict[str, Any]) -> None:
    with cloud.database.write() as tx:
        task_id = good.submit(tx, Words("old"), resource="server:z", after=0.1)
        for name, value in change.items():
            setattr(tx.query(TaskRow).filter_by(id=task_id).one(), name, value)
    run(cloud, good, "new", resource="server:z")
    old, new = rows(cloud)
    assert (old.state, new.state) == ("failed", "done") and "release" in old.fault["message"]
