"""More tables of the network room: address groups, port forwarding, flavors, and what an administrator decides of agents."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Float, ForeignKey, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from haneul.kernel import clock, ids
from haneul.kernel.database import Base
from haneul.network.model import Id, Standard

L3_AGENT, DHCP_AGENT, FABRIC_AGENT = "L3 agent", "DHCP agent", "Linux bridge agent"


class AddressGroupRow(Standard, Base):
    """`addresses` are CIDRs, each once. Hosts have them as the members of a group without rules."""

    __tablename__ = "address_groups"

    addresses: Mapped[Any] = mapped_column(JSON, default=list)
    shared: Mapped[bool] = mapped_column(default=False)


class PortForwardingRow(Base):
    """Ports of a floating IP that lead to ports of a fixed address; of one size, or all to one. Never overlapping."""

    __tablename__ = "port_forwardings"
    __table_args__ = (
        UniqueConstraint("floatingip_id", "protocol", "external_first"),
        UniqueConstraint(
            "internal_port_id",
            "internal_ip_address",
            "protocol",
            "internal_first",
            name="uq_port_forwardings_internal",
        ),
    )
    policy_target: Any = None
    __allow_unmapped__ = True

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=ids.new)
    floatingip_id: Mapped[str] = mapped_column(ForeignKey("floating_ips.id"), index=True)
    internal_port_id: Mapped[str] = mapped_column(ForeignKey("ports.id"), index=True)
    internal_ip_address: Mapped[str] = mapped_column(String(64))
    protocol: Mapped[str] = mapped_column(String(16))
    external_first: Mapped[int] = mapped_column(Integer)
    external_last: Mapped[int] = mapped_column(Integer)
    internal_first: Mapped[int] = mapped_column(Integer)
    internal_last: Mapped[int] = mapped_column(Integer)
    description: Mapped[str] = mapped_column(String(255), default="")
    created_at: Mapped[datetime] = mapped_column(DateTime, default=clock.now)


class FlavorRow(Base):
    __tablename__ = "network_flavors"

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=ids.new)
    name: Mapped[str] = mapped_column(String(255), default="")
    description: Mapped[str | None] = mapped_column(String(1024), default="")
    service_type: Mapped[str] = mapped_column(String(36))
    enabled: Mapped[bool] = mapped_column(default=True)


class ServiceProfileRow(Base):
    __tablename__ = "network_service_profiles"

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=ids.new)
    description: Mapped[str | None] = mapped_column(String(1024), default="")
    driver: Mapped[str] = mapped_column(String(1024), default="")
    metainfo: Mapped[str] = mapped_column(Text, default="")
    enabled: Mapped[bool] = mapped_column(default=True)


class FlavorProfileRow(Base):
    """Which profiles a flavor offers."""

    __tablename__ = "network_flavor_profiles"

    flavor_id: Mapped[str] = mapped_column(ForeignKey("network_flavors.id", ondelete="CASCADE"), primary_key=True)
    profile_id: Mapped[str] = mapped_column(
        ForeignKey("network_service_profiles.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class TopologyRow(Base):
    """The network that a project was given when it asked for one, and its router."""

    __tablename__ = "auto_allocated_topologies"

    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id", ondelete="CASCADE"), index=True)
    router_id: Mapped[str | None] = mapped_column(ForeignKey("routers.id", ondelete="SET NULL"), index=True)


class AgentRow(Base):
    """What an administrator changed of an agent. `deleted` is the host's heartbeat then: with the next one it is back."""

    __tablename__ = "network_agents"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    host: Mapped[str] = mapped_column(String(255), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    description: Mapped[str | None] = mapped_column(String(255))
    deleted: Mapped[float | None] = mapped_column(Float)


class DhcpServiceRow(Base):
    """Whether a host serves a network's DHCP, where an administrator said so; else each does that has DHCP to serve."""

    __tablename__ = "network_dhcp_services"

    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id", ondelete="CASCADE"), primary_key=True)
    host: Mapped[str] = mapped_column(String(255), primary_key=True)
    served: Mapped[bool] = mapped_column()


class SegmentRow(Standard, Base):
    """The one segment of a network; what it is made of is the network's."""

    __tablename__ = "network_segments"

    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id", ondelete="CASCADE"), unique=True)
