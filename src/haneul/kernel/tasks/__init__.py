"""Durable tasks: one user's request carried out in named steps, each idempotent, each with its undo.

    create = Task("compute.server.create", CreateArguments, deadline=900)

    @create.step(deadline=60)
    def schedule(work: Work[CreateArguments]) -> None:
        with work.commit() as tx:            # what the step changes and that it is done land together
            work.result = {"host": choose(tx, ...)}

    @schedule.undo
    def release(work): ...

    @create.failed
    def mark_error(work, tx, fault): ...     # in the transaction that ends the task

A rule submits in the transaction of its own change: `create.submit(tx, CreateArguments(...), resource="server:<id>")`.
Tasks of one resource run in the order of submission, one at a time. See `definition` and `runner`.
"""

from haneul.kernel.tasks import upkeep  # noqa: F401 - registers its reconciler
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
from haneul.kernel.tasks.model import TaskRow
from haneul.kernel.tasks.runner import Crash, LeaseLost, Runner

__all__ = ["Again", "Cancelled", "Crash", "DeadlineExceeded", "Fault", "LeaseLost", "Runner", "Step", "Task", "TaskRow",
           "Transient", "Work", "registered"]
