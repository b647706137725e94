"""The tables of the network room."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from haneul.kernel import clock, ids
from haneul.kernel.database import Base

Id = String(36)


class Standard:
    """What every Neutron resource has. `policy_target`, set by a route's loader, is what the policy sees of it."""

    __allow_unmapped__ = True
    policy_target: Any = None

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=ids.new)
    project_id: Mapped[str] = mapped_column(String(64), default="", index=True)
    name: Mapped[str] = mapped_column(String(255), default="")
    description: Mapped[str] = mapped_column(String(255), default="")
    tags: Mapped[Any] = mapped_column(JSON, default=list)
    revision_number: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(DateTime, default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(DateTime, default=clock.now)

    def touch(self) -> None:
        """Every change that a user can see raises the revision."""
        self.revision_number += 1
        self.updated_at = clock.now()


class NetworkRow(Standard, Base):
    """`shared` and `external` follow from the RBAC rows for everybody ("*"); they are kept here because every read asks."""

    __tablename__ = "networks"
    __table_args__ = (Index("ix_networks_segment", "type", "segmentation_id"),)

    admin_state_up: Mapped[bool] = mapped_column(default=True)
    shared: Mapped[bool] = mapped_column(default=False)
    external: Mapped[bool] = mapped_column(default=False)
    is_default: Mapped[bool] = mapped_column(default=False)
    port_security_enabled: Mapped[bool] = mapped_column(default=True)
    mtu: Mapped[int] = mapped_column(Integer)
    type: Mapped[str] = mapped_column(String(16))
    physical_network: Mapped[str | None] = mapped_column(String(64))
    segmentation_id: Mapped[int | None] = mapped_column(Integer)
    dns_domain: Mapped[str] = mapped_column(String(255), default="")
    availability_zone_hints: Mapped[Any] = mapped_column(JSON, default=list)
    vlan_transparent: Mapped[bool | None] = mapped_column()
    qos_policy_id: Mapped[str | None] = mapped_column(Id, index=True)


class RbacRow(Base):
    """Who besides the owner may use an object. `target_project` "*" is everybody."""

    __tablename__ = "network_rbac"
    __table_args__ = (UniqueConstraint("object_id", "action", "target_project"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=ids.new)
    project_id: Mapped[str] = mapped_column(String(64), index=True)
    object_type: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str] = mapped_column(Id, index=True)
    action: Mapped[str] = mapped_column(String(32))
    target_project: Mapped[str] = mapped_column(String(64), index=True)


class AddressScopeRow(Standard, Base):
    __tablename__ = "address_scopes"

    ip_version: Mapped[int] = mapped_column(Integer)
    shared: Mapped[bool] = mapped_column(default=False)


class SubnetPoolRow(Standard, Base):
    __tablename__ = "subnet_pools"

    ip_version: Mapped[int] = mapped_column(Integer)
    prefixes: Mapped[Any] = mapped_column(JSON, default=list)
    default_prefixlen: Mapped[int] = mapped_column(Integer)
    min_prefixlen: Mapped[int] = mapped_column(Integer)
    max_prefixlen: Mapped[int] = mapped_column(Integer)
    default_quota: Mapped[int | None] = mapped_column(Integer)
    address_scope_id: Mapped[str | None] = mapped_column(ForeignKey("address_scopes.id"))
    shared: Mapped[bool] = mapped_column(default=False)
    is_default: Mapped[bool] = mapped_column(default=False)


class SubnetRow(Standard, Base):
    """`allocation_pools` are [{"start": …, "end": …}], in order."""

    __tablename__ = "subnets"

    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id", ondelete="CASCADE"), index=True)
    subnetpool_id: Mapped[str | None] = mapped_column(ForeignKey("subnet_pools.id"), index=True)
    ip_version: Mapped[int] = mapped_column(Integer)
    cidr: Mapped[str] = mapped_column(String(64))
    gateway_ip: Mapped[str | None] = mapped_column(String(64))
    enable_dhcp: Mapped[bool] = mapped_column(default=True)
    ipv6_ra_mode: Mapped[str | None] = mapped_column(String(16))
    ipv6_address_mode: Mapped[str | None] = mapped_column(String(16))
    allocation_pools: Mapped[Any] = mapped_column(JSON, default=list)
    dns_nameservers: Mapped[Any] = mapped_column(JSON, default=list)
    host_routes: Mapped[Any] = mapped_column(JSON, default=list)
    service_types: Mapped[Any] = mapped_column(JSON, default=list)
    dns_publish_fixed_ip: Mapped[bool] = mapped_column(default=False)
    segment_id: Mapped[str | None] = mapped_column(String(36))


class PortRow(Standard, Base):
    """`host` is binding:host_id, "" while unbound. A trunk of JSON where nothing is ever searched."""

    __tablename__ = "ports"
    __table_args__ = (
        UniqueConstraint("network_id", "mac_address"),
        Index("ix_ports_device", "device_id"),
        Index("ix_ports_host", "host", "network_id"),
    )

    network_id: Mapped[str] = mapped_column(ForeignKey("networks.id"))
    mac_address: Mapped[str] = mapped_column(String(32))
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    status: Mapped[str] = mapped_column(String(16), default="DOWN")
    device_id: Mapped[str] = mapped_column(String(255), default="")
    device_owner: Mapped[str] = mapped_column(String(255), default="")
    host: Mapped[str] = mapped_column(String(255), default="")
    vnic_type: Mapped[str] = mapped_column(String(32), default="normal")
    profile: Mapped[Any] = mapped_column(JSON, default=dict)
    port_security_enabled: Mapped[bool] = mapped_column(default=True)
    allowed_address_pairs: Mapped[Any] = mapped_column(JSON, default=list)
    extra_dhcp_opts: Mapped[Any] = mapped_column(JSON, default=list)
    dns_name: Mapped[str] = mapped_column(String(255), default="")
    qos_policy_id: Mapped[str | None] = mapped_column(Id, index=True)

    allocations: Mapped[list[AllocationRow]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", passive_deletes=True, order_by="AllocationRow.number"
    )
    memberships: Mapped[list[MembershipRow]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", passive_deletes=True
    )

    @property
    def fixed_ips(self) -> list[dict[str, str]]:
        return [{"subnet_id": row.subnet_id, "ip_address": row.ip_address} for row in self.allocations]

    @property
    def security_groups(self) -> list[str]:
        return [row.security_group_id for row in self.memberships]


class AllocationRow(Base):
    """An address in use. The primary key is what makes two ports never share one; `number` keeps a port's order."""

    __tablename__ = "ip_allocations"

    subnet_id: Mapped[str] = mapped_column(ForeignKey("subnets.id"), primary_key=True)
    ip_address: Mapped[str] = mapped_column(String(64), primary_key=True)
    port_id: Mapped[str] = mapped_column(ForeignKey("ports.id", ondelete="CASCADE"), index=True)
    network_id: Mapped[str] = mapped_column(Id, index=True)
    number: Mapped[int] = mapped_column(Integer, default=0)


class SecurityGroupRow(Standard, Base):
    """`is_default`: made by itself, one a project."""

    __tablename__ = "security_groups"
    __table_args__ = (
        Index(
            "uq_security_groups_default",
            "project_id",
            unique=True,
            sqlite_where=text("is_default"),
            postgresql_where=text("is_default"),
        ),
    )

    stateful: Mapped[bool] = mapped_column(default=True)
    is_default: Mapped[bool] = mapped_column(default=False)
    shared: Mapped[bool] = mapped_column(default=False)


class SecurityRuleRow(Standard, Base):
    __tablename__ = "security_group_rules"

    security_group_id: Mapped[str] = mapped_column(ForeignKey("security_groups.id", ondelete="CASCADE"), index=True)
    remote_group_id: Mapped[str | None] = mapped_column(
        ForeignKey("security_groups.id", ondelete="CASCADE"), index=True
    )
    direction: Mapped[str] = mapped_column(String(16))
    ethertype: Mapped[str] = mapped_column(String(8))
    protocol: Mapped[str | None] = mapped_column(String(32))
    port_range_min: Mapped[int | None] = mapped_column(Integer)
    port_range_max: Mapped[int | None] = mapped_column(Integer)
    remote_ip_prefix: Mapped[str | None] = mapped_column(String(64))
    remote_address_group_id: Mapped[str | None] = mapped_column(ForeignKey("address_groups.id"), index=True)


class DefaultRuleRow(Standard, Base):
    """A template: what a project's new groups start with. `remote_group_id` "PARENT" is the group itself."""

    __tablename__ = "security_group_default_rules"

    direction: Mapped[str] = mapped_column(String(16))
    ethertype: Mapped[str] = mapped_column(String(8))
    protocol: Mapped[str | None] = mapped_column(String(32))
    port_range_min: Mapped[int | None] = mapped_column(Integer)
    port_range_max: Mapped[int | None] = mapped_column(Integer)
    remote_ip_prefix: Mapped[str | None] = mapped_column(String(64))
    remote_group_id: Mapped[str | None] = mapped_column(String(36))
    used_in_default_sg: Mapped[bool] = mapped_column(default=False)
    used_in_non_default_sg: Mapped[bool] = mapped_column(default=True)


class MembershipRow(Base):
    """A port's security groups."""

    __tablename__ = "port_security_groups"

    port_id: Mapped[str] = mapped_column(ForeignKey("ports.id", ondelete="CASCADE"), primary_key=True)
    security_group_id: Mapped[str] = mapped_column(ForeignKey("security_groups.id"), primary_key=True, index=True)


class RouterRow(Standard, Base):
    """`host` is the machine that routes; None until there is something to route, or no machine to do it; "" when an
    administrator took it off its machine."""

    __tablename__ = "routers"

    admin_state_up: Mapped[bool] = mapped_column(default=True)
    host: Mapped[str | None] = mapped_column(String(255), index=True)
    gateway_port_id: Mapped[str | None] = mapped_column(ForeignKey("ports.id", ondelete="SET NULL"), index=True)
    gateway_network_id: Mapped[str | None] = mapped_column(ForeignKey("networks.id"), index=True)
    enable_snat: Mapped[bool] = mapped_column(default=True)
    routes: Mapped[Any] = mapped_column(JSON, default=list)
    availability_zone_hints: Mapped[Any] = mapped_column(JSON, default=list)
    gateway_qos_policy_id: Mapped[str | None] = mapped_column(Id, index=True)
    flavor_id: Mapped[str | None] = mapped_column(String(36), index=True)


class FloatingIpRow(Standard, Base):
    __tablename__ = "floating_ips"
    __table_args__ = (
        UniqueConstraint("floating_network_id", "floating_ip_address"),
        UniqueConstraint("port_id", "fixed_ip_address"),
    )

    floating_network_id: Mapped[str] = mapped_column(ForeignKey("networks.id"), index=True)
    floating_ip_address: Mapped[str] = mapped_column(String(64))
    floating_port_id: Mapped[str] = mapped_column(ForeignKey("ports.id"), index=True)
    port_id: Mapped[str | None] = mapped_column(ForeignKey("ports.id"))
    fixed_ip_address: Mapped[str | None] = mapped_column(String(64))
    router_id: Mapped[str | None] = mapped_column(ForeignKey("routers.id"), index=True)
    status: Mapped[str] = mapped_column(String(16), default="DOWN")
    dns_name: Mapped[str] = mapped_column(String(255), default="")
    dns_domain: Mapped[str] = mapped_column(String(255), default="")
    qos_policy_id: Mapped[str | None] = mapped_column(Id, index=True)


class ChangeRow(Base):
    """An object that a host has to look at again. Written with the change itself, removed once the host has it."""

    __tablename__ = "fabric_changes"

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    host: Mapped[str] = mapped_column(String(255), index=True)
    kind: Mapped[str] = mapped_column(String(16))  # networks, security_groups, ports, routers
    object_id: Mapped[str] = mapped_column(Id)
