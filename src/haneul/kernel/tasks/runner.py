"""Carries tasks out: leases one, runs its steps, commits each with its result and duration, undoes on failure."""

from __future__ import annotations

import contextlib
import heapq
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from sqlalchemy import and_, bindparam, case, exists, or_, select, update

from haneul.kernel import clock, ids
from haneul.kernel.database import Transaction, passing
from haneul.kernel.tasks.definition import (
    Again,
    Cancelled,
    DeadlineExceeded,
    Fault,
    Step,
    Task,
    Transient,
    Work,
    registered,
)
from haneul.kernel.tasks.model import ACTIVE, DONE, FAILED, READY, UNDOING, TaskRow
from haneul.kernel.telemetry import TASK_STEPS

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud

log = structlog.get_logger("tasks")

UNDO_SECONDS = 120.0  # after which an undo is left to the reconcilers
MAX_BACKOFF = 15.0
MOST_HELD = 1000  # tasks that one process leases at their submission; what comes on top is anybody's


class Crash(BaseException):
    """Raised by the fault harness in a runner: the process is gone as far as this task is concerned."""


class LeaseLost(Exception):
    """Another runner has the task; whatever this one was about to commit is rolled back."""


Hook = Callable[[str, TaskRow, str], None]

_T: Any = TaskRow.__table__
_EARLIER = _T.alias("earlier")
_BY_ID = select(_T).where(_T.c.id == bindparam("b_id"))
_BEFORE = select(_T.c.seq).where(_T.c.resource == bindparam("b_resource"), _T.c.state.in_(ACTIVE)).limit(1)
_UPDATE = (update(_T).where(_T.c.seq == bindparam("b_seq"), _T.c.lease_owner == bindparam("b_owner"))
           .returning(_T.c.cancel))
_ASIDE = (update(_T).where(_T.c.seq == bindparam("b_seq"), _T.c.lease_owner == bindparam("b_owner"))
          .values(run_at=case((and_(_T.c.cancel, _T.c.state == READY), bindparam("b_now")), else_=bindparam("b_moment")),
                  lease_until=0.0, lease_owner=None)
          .returning(_T.c.run_at))
_DUE = (select(_T.c.seq).where(
    _T.c.state.in_(ACTIVE), _T.c.run_at <= bindparam("b_now"), _T.c.lease_until < bindparam("b_now"),
    or_(_T.c.resource.is_(None), ~exists().where(and_(
        _EARLIER.c.resource == _T.c.resource, _EARLIER.c.seq < _T.c.seq, _EARLIER.c.state.in_(ACTIVE)))))
    .order_by(_T.c.run_at).limit(bindparam("b_room")).with_for_update(skip_locked=True, of=_T))


class Runner:
    """A pool of threads that run leased tasks. Any number of processes may share a database.

    `hook(point, task, step)` is called at before_step, before_commit and after_commit; the fault harness raises there.
    """

    def __init__(self, cloud: Cloud, *, threads: int = 12, lease_seconds: float = 15.0, poll_seconds: float = 1.0) -> None:
        self.cloud = cloud
        self.owner = ids.new_hex()
        self.hook: Hook | None = None
        self._threads = threads
        self._lease = lease_seconds
        self._poll = poll_seconds
        self._wake = threading.Condition()
        self._queue: list[tuple[str, object]] = []  # leased by this process, waiting for a thread
        # Ids leased by this process, queued or running: renewed, and never run twice at once. Each hold has an object of its
        # own, so that the end of a run does not end a later hold of the same task.
        self._held: dict[str, object] = {}
        self._poll_due = [0.0]  # a heap of moments at which a look at the table is worth while
        self._stopping = False
        self._workers: list[threading.Thread] = []

    # ---------------------------------------------------------------- life

    def start(self) -> None:
        for number in range(self._threads):
            self._workers.append(threading.Thread(target=self._work, name=f"task-{number}", daemon=True))
        self._workers.append(threading.Thread(target=self._lease_loop, name="task-leases", daemon=True))
        for thread in self._workers:
            thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Steps under way are finished if they take no longer than `timeout`; the rest is another runner's."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        end = time.monotonic() + timeout
        for thread in self._workers:
            thread.join(max(0.0, end - time.monotonic()))
        with self.cloud.database.write() as tx:
            tx.execute(update(TaskRow).where(TaskRow.lease_owner == self.owner).values(lease_owner=None, lease_until=0.0))

    def announce(self, tx: Transaction, task_id: str, resource: str | None, run_at: float) -> tuple[str | None, float]:
        """A task is being submitted in `tx`: its lease (owner, until). Ours at once if it is due and nothing of its resource
        is before it, and then it runs as soon as `tx` is committed."""
        if run_at > clock.seconds() or not self._workers or self._stopping:
            tx.after_commit(lambda: self._look_at(run_at))
            return None, 0.0
        if len(self._held) >= MOST_HELD or (resource is not None and tx.core(_BEFORE, b_resource=resource).first()):
            tx.after_commit(lambda: self._look_at(0.0))
            return None, 0.0
        tx.after_commit(lambda: self._enqueue([task_id]))
        return self.owner, clock.seconds() + self._lease

    def release_dead(self, owners_alive: set[str]) -> None:
        """Takes leases from owners that are known to be gone, instead of waiting for their time-out."""
        with self.cloud.database.write() as tx:
            tx.execute(update(TaskRow).where(TaskRow.state.in_(ACTIVE), TaskRow.lease_owner.is_not(None),
                                             TaskRow.lease_owner.not_in(owners_alive)).values(lease_until=0.0))
        self._look_at(0.0)

    def idle(self) -> bool:
        """Nothing is queued or running in this process."""
        with self._wake:
            return not self._held

    # ---------------------------------------------------------------- leases

    def _enqueue(self, task_ids: list[str]) -> None:
        """One that is held already had lost its lease, because this process stood still: its run goes on, and taking it was
        but a renewal."""
        with self._wake:
            fresh = {task_id: object() for task_id in task_ids if task_id not in self._held}
            self._queue.extend(fresh.items())
            self._held.update(fresh)
            self._wake.notify_all()

    def _let_go(self, task_id: str, hold: object) -> None:
        with self._wake:
            if self._held.get(task_id) is hold:
                del self._held[task_id]

    def _look_at(self, moment: float) -> None:
        with self._wake:
            heapq.heappush(self._poll_due, moment)
            self._wake.notify_all()

    def _lease_loop(self) -> None:
        renewed = time.monotonic()
        while True:
            with self._wake:
                if self._stopping:
                    return
                due = self._poll_due[0] if self._poll_due else clock.seconds() + self._poll
                delay = min(self._poll, max(0.0, due - clock.seconds()))
                if delay > 0:
                    self._wake.wait(delay)
                if self._stopping:
                    return
                present = clock.seconds()
                while self._poll_due and self._poll_due[0] <= present:
                    heapq.heappop(self._poll_due)
                room = 4 * self._threads - len(self._held)
            try:
                if time.monotonic() - renewed > self._lease / 3:
                    self._renew()
                    renewed = time.monotonic()
                if room > 0:
                    self._enqueue(self._take(room))
            except Exception:
                log.exception("leases")  # the database is away: the next round tries again
                time.sleep(self._poll)

    def _renew(self) -> None:
        with self._wake:
            held = list(self._held)
        if held:
            with self.cloud.database.write() as tx:
                tx.execute(update(TaskRow).where(TaskRow.id.in_(held), TaskRow.lease_owner == self.owner)
                           .values(lease_until=clock.seconds() + self._lease))

    def _take(self, room: int) -> list[str]:
        """Leases up to `room` tasks that are due, free, and first of their resource."""
        now = clock.seconds()
        with self.cloud.database.read() as tx:  # most polls find nothing: do not take the writer's place for that
            if self.cloud.database.sqlite and tx.core(_DUE, b_now=now, b_room=1).first() is None:
                return []
        with self.cloud.database.write() as tx:
            found = [seq for (seq,) in tx.core(_DUE, b_now=now, b_room=room)]
            if not found:
                return []
            rows = tx.execute(update(TaskRow).where(TaskRow.seq.in_(found))
                              .values(lease_owner=self.owner, lease_until=now + self._lease).returning(TaskRow.id))
            return [task_id for (task_id,) in rows]

    # ---------------------------------------------------------------- running

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._stopping:
                    self._wake.wait()
                if self._stopping:
                    return
                task_id, hold = self._queue.pop(0)
            try:
                self._run(task_id)
            except LeaseLost:
                log.warning("lease lost", task=task_id)
            except Crash:
                log.warning("crashed on request", task=task_id)
            except Exception:
                log.exception("runner", task=task_id)  # the lease runs out and the task is tried again
            finally:
                self._let_go(task_id, hold)

    def _run(self, task_id: str) -> None:
        with self.cloud.database.read() as tx:
            found = tx.core(_BY_ID, b_id=task_id).mappings().first()
        row = TaskRow(**found) if found else None
        if row is None or row.lease_owner != self.owner or row.state not in ACTIVE:
            return
        structlog.contextvars.bind_contextvars(request_id=row.request_id, task=row.id, kind=row.kind)
        try:
            task = registered().get(row.kind)
            if task is None or not _understood(task, row):
                self._give_up(row)
                return
            while row.state in ACTIVE and not self._stopping:
                if not (self._forward(task, row) if row.state == READY else self._backward(task, row)):
                    return
            self._look_at(0.0)  # the next of its resource may go
        finally:
            structlog.contextvars.clear_contextvars()

    def _forward(self, task: Task[Any], row: TaskRow) -> bool:
        """Runs the next step; False when the task has been put aside for later."""
        step = task.steps[row.step]
        now = clock.seconds()
        row.step_started = row.step_started or now
        work = self._make_work(task, row, step)
        try:
            if row.cancel:
                raise Cancelled("Another request took the place of this one.")
            _check_deadlines(task, step, row, now)
            self._call_hook("before_step", row, step.name)
            step.do(work)
            if not work.committed:
                with work.commit():
                    pass
            return True
        except Again as again:
            return self._put_aside(row, again.seconds, waiting_for=again.what)
        except (LeaseLost, Crash):
            raise
        except Exception as error:
            if isinstance(error, Transient) or passing(error):
                told = str(error)[:255] if isinstance(error, Transient) else "the database"
                log.info("step will be tried again", step=step.name, error=str(error), attempt=row.attempts + 1)
                return self._put_aside(row, _backoff(row.attempts), waiting_for=told, tried=True)
            fault = error if isinstance(error, Fault) else Fault(_sentence(error), traceback.format_exc(limit=-8))
            self._turn_back(row, step, fault)
            return True

    def _backward(self, task: Task[Any], row: TaskRow) -> bool:
        """Undoes the step that `row.step` points at, or ends the task when none is left."""
        if row.step < 0:
            self._end_failed(task, row)
            return True
        step = task.steps[row.step]
        row.step_started = row.step_started or clock.seconds()
        work = self._make_work(task, row, step)
        outcome, error_text = "undone", None
        if step.undo_function is not None:
            try:
                self._call_hook("before_step", row, f"undo {step.name}")
                step.undo_function(work)
            except (LeaseLost, Crash):
                raise
            except Exception as error:  # whatever it was, the undo must not be given up lightly
                overdue = clock.seconds() > row.step_started + UNDO_SECONDS
                seconds = error.seconds if isinstance(error, Again) else _backoff(row.attempts)
                log.warning("undo failed", step=step.name, error=str(error), left=overdue, exc_info=not isinstance(error, Again))
                if not overdue:
                    return self._put_aside(row, seconds, waiting_for=str(error)[:255], tried=True)
                outcome, error_text = "left", _sentence(error)
            if not work.committed:
                with self._committing(work, row, step, outcome=outcome, error=error_text):
                    pass
        else:
            row.step -= 1
            row.step_started = None
        return True

    def _make_work(self, task: Task[Any], row: TaskRow, step: Step) -> Work[Any]:
        arguments = msgspec.convert(row.arguments, task.arguments)
        outcome = "done" if row.state == READY else "undone"
        return Work(self.cloud, row, arguments, lambda work: self._committing(work, row, step, outcome=outcome))

    @contextlib.contextmanager
    def _committing(self, work: Work[Any], row: TaskRow, step: Step, *, outcome: str,
                    error: str | None = None) -> Iterator[Transaction]:
        with self.cloud.database.write() as tx:
            yield tx
            now = clock.seconds()
            entry = _entry(row, step.name if outcome == "done" else f"undo {step.name}", now, outcome, work.result, error)
            following = row.step + (1 if row.state == READY else -1)
            last = row.state == READY and following == len(registered()[row.kind].steps)
            values: dict[str, Any] = {
                "record": [*row.record, entry], "step": following, "attempts": 0, "step_started": None, "waiting_for": None,
                "lease_until": now + self._lease, "state": DONE if last else row.state, "finished": now if last else None}
            self._update(tx, row, values)
            self._call_hook("before_commit", row, entry["step"])
        work.committed = True
        TASK_STEPS.labels(row.kind, step.name, outcome).observe(entry["seconds"])
        self._apply(row, values)
        self._call_hook("after_commit", row, entry["step"])

    def _turn_back(self, row: TaskRow, step: Step, fault: Fault) -> None:
        log.warning("step failed", step=step.name, error=fault.message, details=fault.details)
        now = clock.seconds()
        entry = _entry(row, step.name, now, "failed", None, fault.message)
        values = {"record": [*row.record, entry], "state": UNDOING, "attempts": 0, "step_started": None, "waiting_for": None,
                  "fault": {"message": fault.message, "details": fault.details, "code": fault.code,
                            "class": type(fault).__name__}}
        with self.cloud.database.write() as tx:
            self._update(tx, row, values)
        TASK_STEPS.labels(row.kind, step.name, "failed").observe(entry["seconds"])
        self._apply(row, values)

    def _give_up(self, row: TaskRow) -> None:
        """Ends a task that this release cannot read, left by another one; the reconcilers see to its object."""
        log.error("a task of another release cannot be read")
        fault = {"message": "The task was left by another release.", "details": "", "code": 500, "class": "Fault"}
        with self.cloud.database.write() as tx:
            self._update(tx, row, {"state": FAILED, "finished": clock.seconds(), "fault": fault})
        self._look_at(0.0)

    def _end_failed(self, task: Task[Any], row: TaskRow) -> None:
        told = row.fault or {"message": "", "details": "", "code": 500, "class": "Fault"}
        kind = {"Cancelled": Cancelled, "DeadlineExceeded": DeadlineExceeded}.get(told["class"], Fault)
        work: Work[Any] = Work(self.cloud, row, msgspec.convert(row.arguments, task.arguments), _no_commit)
        values = {"state": FAILED, "finished": clock.seconds()}
        with self.cloud.database.write() as tx:
            if task.on_failed is not None:
                task.on_failed(work, tx, kind(told["message"], told["details"], told["code"]))
            self._update(tx, row, values)
            self._call_hook("before_commit", row, "failed")
        self._apply(row, values)
        self._call_hook("after_commit", row, "failed")

    def _put_aside(self, row: TaskRow, seconds: float, *, waiting_for: str, tried: bool = False) -> bool:
        """Until `seconds` have passed, or at once for one that is to be cancelled. Let go of before anybody can take it."""
        now = clock.seconds()
        with self._wake:
            self._held.pop(row.id, None)
        with self.cloud.database.write() as tx:
            found = tx.core(_ASIDE, b_seq=row.seq, b_owner=self.owner, b_now=now, b_moment=now + seconds,
                            waiting_for=waiting_for, step_started=row.step_started,
                            attempts=row.attempts + (1 if tried else 0), step=row.step).first()
            if found is None:
                raise LeaseLost(row.id)
        self._look_at(found[0])
        return False

    def _update(self, tx: Transaction, row: TaskRow, values: dict[str, Any]) -> None:
        """Writes `values`, and learns whether a cancel came in meanwhile; LeaseLost when the task is not ours any more."""
        found = tx.core(_UPDATE, b_seq=row.seq, b_owner=self.owner, **values).first()
        if found is None:
            raise LeaseLost(row.id)
        row.cancel = found[0]

    @staticmethod
    def _apply(row: TaskRow, values: dict[str, Any]) -> None:
        for key, value in values.items():
            setattr(row, key, value)

    def _call_hook(self, point: str, row: TaskRow, step: str) -> None:
        if self.hook is not None:
            self.hook(point, row, step)


def _check_deadlines(task: Task[Any], step: Step, row: TaskRow, now: float) -> None:
    """The time that a task waited behind others of its resource is theirs, not its own. What a user may read names no host:
    whatever was tried again is for the operator."""
    assert row.step_started is not None
    first = row.record[0]["started"] if row.record else row.step_started
    if now > row.step_started + step.deadline:
        told = f"Step {step.name} took longer than {step.deadline:g} s"
    elif now > max(row.deadline, first + task.deadline):
        told = f"The whole took longer than {task.deadline:g} s, in step {step.name}"
    else:
        return
    wait = f" while waiting for {row.waiting_for}" if row.waiting_for and not row.attempts else ""
    raise DeadlineExceeded(f"{told}{wait}.", row.waiting_for or "")


def _understood(task: Task[Any], row: TaskRow) -> bool:
    try:
        msgspec.convert(row.arguments, task.arguments)
    except msgspec.ValidationError:
        return False
    return row.step < len(task.steps)


def _no_commit(work: Work[Any]) -> Any:
    raise AssertionError("a failed task's last word has its transaction already")


def _entry(row: TaskRow, name: str, now: float, outcome: str, result: Any, error: str | None) -> dict[str, Any]:
    started = row.step_started or now
    return {"step": name, "started": started, "finished": now, "seconds": round(now - started, 6),
            "attempts": row.attempts + 1, "outcome": outcome, "result": msgspec.to_builtins(result), "error": error}


def _backoff(attempts: int) -> float:
    return float(min(MAX_BACKOFF, 0.2 * 2 ** min(attempts, 10)) * random.uniform(0.7, 1.3))


def _sentence(error: BaseException) -> str:
    """A fault that nobody foresaw: the user learns its class, the operator's details hold the rest."""
    return f"Unexpected failure ({type(error).__name__})."
