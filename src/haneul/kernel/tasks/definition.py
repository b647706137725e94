"""What a task is: its steps, their undos, and how it is submitted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from sqlalchemy import bindparam, insert, update

from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.tasks.model import ACTIVE, READY, TaskRow

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud

A = TypeVar("A")
_registry: dict[str, Task[Any]] = {}


def registered() -> dict[str, Task[Any]]:
    """Every kind of task that imported rooms define, by name."""
    return dict(_registry)


class Again(Exception):
    """Raised by a step that must wait: it runs again after `seconds`, until its deadline. `what` names the wait."""

    def __init__(self, what: str, seconds: float = 0.5) -> None:
        super().__init__(what)
        self.what = what
        self.seconds = seconds


class Transient(Exception):
    """A failure worth trying again with back-off until the step's deadline (a host that does not answer)."""


class Fault(Exception):
    """A failure for good. `str()` is what the user reads; `details` is for the operator."""

    def __init__(self, message: str, details: str = "", code: int = 500) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.code = code


class DeadlineExceeded(Fault):
    """A step or a task took longer than it may."""


class Cancelled(Fault):
    """A later request (a delete) took the task's place."""


class Work(Generic[A]):
    """One run of one step. `results` holds what earlier steps left in `result`; `attempt` counts from 1."""

    def __init__(self, cloud: Cloud, row: TaskRow, arguments: A, commit: Callable[[Work[A]], Any]) -> None:
        self.cloud = cloud
        self.task_id = row.id
        self.request_id = row.request_id
        self.resource = row.resource
        self.arguments = arguments
        self.attempt = row.attempts + 1
        self.results: dict[str, Any] = {entry["step"]: entry.get("result") for entry in row.record
                                        if entry["outcome"] in ("done", "undone")}
        self.result: Any = None
        self.committed = False
        self._commit = commit

    @contextlib.contextmanager
    def commit(self) -> Iterator[Transaction]:
        """The step's one transaction: the block's changes, `result` and the step's end are kept together or not at all."""
        with self._commit(self) as tx:
            yield tx


StepFunction = Callable[[Work[Any]], None]
FailedFunction = Callable[[Work[Any], Transaction, Fault], None]


class Step:
    def __init__(self, name: str, do: StepFunction, deadline: float) -> None:
        self.name = name
        self.do = do
        self.deadline = deadline
        self.undo_function: StepFunction | None = None

    def undo(self, function: StepFunction) -> StepFunction:
        """Decorator. Runs when this step or a later one failed for good; also when the step itself only half ran."""
        self.undo_function = function
        return function


class Task(Generic[A]):
    """A kind of task. `deadline` is seconds for the whole of it."""

    def __init__(self, kind: str, arguments: type[A], *, deadline: float = 900.0) -> None:
        assert kind not in _registry, kind
        self.kind = kind
        self.arguments = arguments
        self.deadline = deadline
        self.steps: list[Step] = []
        self.on_failed: FailedFunction | None = None
        _registry[kind] = self

    def step(self, *, deadline: float = 120.0) -> Callable[[StepFunction], Step]:
        """Decorator: the next step. Its function's name is the step's name, as users see it."""

        def add(function: StepFunction) -> Step:
            step = Step(function.__name__, function, deadline)
            self.steps.append(step)
            return step

        return add

    def failed(self, function: FailedFunction) -> FailedFunction:
        """Decorator: leaves the object in a state that the API knows, in the transaction that ends a failed task."""
        self.on_failed = function
        return function

    def submit(self, tx: Transaction, arguments: A, *, resource: str | None = None, context: Context | None = None,
               cancel_others: bool = False, after: float = 0.0) -> str:
        """Adds a task to the transaction and answers its id; it starts once that is committed.

        `cancel_others` ends unfinished tasks of the same resource at their next step, with their undos; `after` delays
        the start by so many seconds.
        """
        now = clock.seconds()
        if resource is not None and not tx.cloud.database.sqlite:  # else two could find nothing before them, and run at once
            tx.lock("tasks", resource)
        if cancel_others and resource is not None:
            tx.core(_CANCEL, b_resource=resource, cancel=True, run_at=now)
        lease_owner, lease_until = tx.cloud.runner.announce(tx, task_id := ids.new(), resource, now + after)
        tx.core(_INSERT, id=task_id, kind=self.kind, resource=resource, arguments=msgspec.to_builtins(arguments),
                project_id=context.project_id if context else None, user_id=context.user_id if context else None,
                request_id=context.request_id if context else "", state=READY, step=0, record=[], attempts=0, cancel=False,
                run_at=now + after, deadline=now + after + self.deadline, created=now, lease_owner=lease_owner,
                lease_until=lease_until)
        return task_id


_TASKS: Any = TaskRow.__table__
_INSERT = insert(_TASKS)
_CANCEL = update(_TASKS).where(_TASKS.c.resource == bindparam("b_resource"), _TASKS.c.state.in_(ACTIVE))
