"""The table of durable tasks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Float, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from haneul.kernel.database import Base

READY, UNDOING, DONE, FAILED = "ready", "undoing", "done", "failed"
ACTIVE = (READY, UNDOING)


class TaskRow(Base):
    """A task from its submission to its end. Times are seconds since the epoch.

    `record` lists the steps as users see them: {step, started, finished, seconds, attempts, outcome, result, error}, in
    the order of their running; outcome is done, failed, undone or left (an undo that could not be, for the reconcilers).
    """

    __tablename__ = "tasks"
    __table_args__ = (Index("ix_tasks_active", "state", "run_at"), Index("ix_tasks_resource", "resource", "seq"))

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    kind: Mapped[str] = mapped_column(String(64))
    resource: Mapped[str | None] = mapped_column(String(128))
    project_id: Mapped[str | None] = mapped_column(String(64))
    user_id: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(64), default="")
    arguments: Mapped[Any] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16), default=READY)
    step: Mapped[int] = mapped_column(Integer, default=0)
    record: Mapped[Any] = mapped_column(JSON, default=list)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    waiting_for: Mapped[str | None] = mapped_column(String(255))
    step_started: Mapped[float | None] = mapped_column(Float)
    run_at: Mapped[float] = mapped_column(Float)
    deadline: Mapped[float] = mapped_column(Float)
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[float] = mapped_column(Float, default=0.0)
    cancel: Mapped[bool] = mapped_column(default=False)
    fault: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    created: Mapped[float] = mapped_column(Float)
    finished: Mapped[float | None] = mapped_column(Float)
