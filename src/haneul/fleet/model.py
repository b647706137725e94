"""The table of hosts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Float, String
from sqlalchemy.orm import Mapped, mapped_column

from haneul.kernel.database import Base


class HostRow(Base):
    """A machine, or one of many fake ones that an agent plays. `facts` is `haneul.host.contract.HostFacts`.

    `state` is what the control plane knows: up, down (its agent has not answered for host.down_seconds), or unknown (an agent
    answers, but not for this host).
    """

    __tablename__ = "hosts"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    endpoint: Mapped[str] = mapped_column(String(255))  # unix:<path> or https://host:port
    state: Mapped[str] = mapped_column(String(16), default="up")
    facts: Mapped[Any] = mapped_column(JSON)
    availability_zone: Mapped[str | None] = mapped_column(String(255))
    disabled: Mapped[bool] = mapped_column(default=False)
    disabled_reason: Mapped[str | None] = mapped_column(String(255))
    forced_down: Mapped[bool] = mapped_column(default=False)
    heartbeat: Mapped[float] = mapped_column(Float, default=0.0)  # seconds since the epoch
    number: Mapped[int] = mapped_column(unique=True)  # compute API 2.1 shows integers for hypervisors and services
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime] = mapped_column(DateTime)
