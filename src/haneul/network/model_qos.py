"""Tables of quality of service and of trunks."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from haneul.kernel import clock, ids
from haneul.kernel.database import Base
from haneul.network.model import Id, Standard


class QosPolicyRow(Standard, Base):
    """`is_default`: what new networks of the project start with; one a project. `shared` is kept as a network's is."""

    __tablename__ = "qos_policies"
    __table_args__ = (
        Index(
            "uq_qos_policies_default",
            "project_id",
            unique=True,
            sqlite_where=text("is_default"),
            postgresql_where=text("is_default"),
        ),
    )

    shared: Mapped[bool] = mapped_column(default=False)
    is_default: Mapped[bool] = mapped_column(default=False)


class QosRuleRow(Base):
    """Which columns count says the type: `qos.KINDS`. The others are null."""

    __tablename__ = "qos_rules"

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=ids.new)
    qos_policy_id: Mapped[str] = mapped_column(ForeignKey("qos_policies.id", ondelete="CASCADE"), index=True)
    type: Mapped[str] = mapped_column(String(32))
    direction: Mapped[str | None] = mapped_column(String(16))
    max_kbps: Mapped[int | None] = mapped_column(Integer)
    max_burst_kbps: Mapped[int | None] = mapped_column(Integer)
    min_kbps: Mapped[int | None] = mapped_column(Integer)
    max_kpps: Mapped[int | None] = mapped_column(Integer)
    max_burst_kpps: Mapped[int | None] = mapped_column(Integer)
    min_kpps: Mapped[int | None] = mapped_column(Integer)
    dscp_mark: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime, default=clock.now)


class TrunkRow(Standard, Base):
    """A port that carries other ports, its subports, behind VLAN tags."""

    __tablename__ = "trunks"

    port_id: Mapped[str] = mapped_column(ForeignKey("ports.id"), unique=True)
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    status: Mapped[str] = mapped_column(String(16), default="DOWN")


class SubportRow(Base):
    __tablename__ = "trunk_subports"
    __table_args__ = (UniqueConstraint("trunk_id", "segmentation_type", "segmentation_id"),)

    port_id: Mapped[str] = mapped_column(ForeignKey("ports.id"), primary_key=True)
    trunk_id: Mapped[str] = mapped_column(ForeignKey("trunks.id", ondelete="CASCADE"))
    segmentation_type: Mapped[str] = mapped_column(String(16))
    segmentation_id: Mapped[int] = mapped_column(Integer)
