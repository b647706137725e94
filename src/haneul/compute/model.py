"""The tables of compute."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Float, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from haneul.kernel.database import Base


class FlavorRow(Base):
    """A size. Servers embed a snapshot of it, so one may be deleted while servers of it live."""

    __tablename__ = "flavors"

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(255), unique=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    ram: Mapped[int] = mapped_column(Integer)
    vcpus: Mapped[int] = mapped_column(Integer)
    disk: Mapped[int] = mapped_column(Integer)
    ephemeral: Mapped[int] = mapped_column(Integer, default=0)
    swap: Mapped[int] = mapped_column(Integer, default=0)
    rxtx_factor: Mapped[float] = mapped_column(Float, default=1.0)
    is_public: Mapped[bool] = mapped_column(default=True)
    disabled: Mapped[bool] = mapped_column(default=False)
    description: Mapped[str | None] = mapped_column(Text)
    extra_specs: Mapped[Any] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)


class FlavorAccessRow(Base):
    """A project that may use a flavor that is not public."""

    __tablename__ = "flavor_access"

    flavor_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)


class KeypairRow(Base):
    """A public key. A private one is given away once and never kept."""

    __tablename__ = "keypairs"
    __table_args__ = (Index("uq_keypairs_user_id_name", "user_id", "name", unique=True),)

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    user_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(255))
    type: Mapped[str] = mapped_column(String(8), default="ssh")
    fingerprint: Mapped[str] = mapped_column(String(255))
    public_key: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime)


class ServerRow(Base):
    """A server. Deleted ones stay as rows with `deleted`, for changes-since and for administrators.

    `flavor` is the snapshot {id, name, vcpus, ram, disk, ephemeral, swap, rxtx_factor, extra_specs}. `system` holds what
    the cloud itself must remember: `image` (its format and properties), the old flavor of a resize, ids of images under
    way. `fault` is {code, message, details, created}.
    """

    __tablename__ = "servers"
    __table_args__ = (Index("ix_servers_project_deleted", "project_id", "deleted", "created_at", "id"),
                      Index("ix_servers_host_deleted", "host", "deleted"),
                      Index("ix_servers_deleted_created", "deleted", "created_at", "id"))

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    hostname: Mapped[str] = mapped_column(String(255), default="")
    description: Mapped[str | None] = mapped_column(String(255))
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64))
    image_id: Mapped[str | None] = mapped_column(String(36))
    flavor_id: Mapped[str] = mapped_column(String(255))
    flavor: Mapped[Any] = mapped_column(JSON)
    vcpus: Mapped[int] = mapped_column(Integer)
    ram: Mapped[int] = mapped_column(Integer)
    host: Mapped[str | None] = mapped_column(String(255))
    availability_zone: Mapped[str | None] = mapped_column(String(255))
    pinned_zone: Mapped[str | None] = mapped_column(String(255))
    vm_state: Mapped[str] = mapped_column(String(32), default="building")
    task_state: Mapped[str | None] = mapped_column(String(32))
    power_state: Mapped[int] = mapped_column(Integer, default=0)
    progress: Mapped[int] = mapped_column(Integer, default=0)
    meta: Mapped[Any] = mapped_column("metadata", JSON, default=dict)
    system: Mapped[Any] = mapped_column(JSON, default=dict)
    fault: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    locked_by: Mapped[str | None] = mapped_column(String(8))
    locked_reason: Mapped[str | None] = mapped_column(String(255))
    config_drive: Mapped[bool] = mapped_column(default=False)
    key_name: Mapped[str | None] = mapped_column(String(255))
    key_data: Mapped[str | None] = mapped_column(Text)
    user_data: Mapped[str | None] = mapped_column(Text)
    root_device_name: Mapped[str | None] = mapped_column(String(32))
    access_ip_v4: Mapped[str | None] = mapped_column(String(39))
    access_ip_v6: Mapped[str | None] = mapped_column(String(39))
    auto_disk_config: Mapped[bool] = mapped_column(default=False)
    reservation_id: Mapped[str] = mapped_column(String(36), default="")
    launch_index: Mapped[int] = mapped_column(Integer, default=0)
    group_id: Mapped[str | None] = mapped_column(String(36), index=True)
    deleted: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime] = mapped_column(DateTime)
    launched_at: Mapped[datetime | None] = mapped_column(DateTime)
    terminated_at: Mapped[datetime | None] = mapped_column(DateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime)


class ServerFilesRow(Base):
    """What is written into the guest at its first boot: [[path, content in base64]]. Apart from the server, whose row every list
    reads."""

    __tablename__ = "server_files"

    server_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    files: Mapped[Any] = mapped_column(JSON)


class ServerTagRow(Base):
    __tablename__ = "server_tags"

    server_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    tag: Mapped[str] = mapped_column(String(60), primary_key=True)


class ServerNicRow(Base):
    """The order of a server's cards; the ports themselves are the network's. `ours` ports end with the server."""

    __tablename__ = "server_nics"

    port_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    server_id: Mapped[str] = mapped_column(String(36), index=True)
    position: Mapped[int] = mapped_column(Integer)
    ours: Mapped[bool] = mapped_column(default=True)
    tag: Mapped[str | None] = mapped_column(String(60))


class ServerGroupRow(Base):
    __tablename__ = "server_groups"

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    project_id: Mapped[str] = mapped_column(String(64), index=True)
    user_id: Mapped[str] = mapped_column(String(64))
    policy: Mapped[str] = mapped_column(String(32))
    rules: Mapped[Any] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(DateTime)


class AggregateRow(Base):
    """A set of hosts with metadata; `availability_zone` in it names the hosts' zone."""

    __tablename__ = "aggregates"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    hosts: Mapped[Any] = mapped_column(JSON, default=list)
    meta: Mapped[Any] = mapped_column("metadata", JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)


class MigrationRow(Base):
    """A resize, migration or evacuation, for os-migrations."""

    __tablename__ = "migrations"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    server_id: Mapped[str] = mapped_column(String(36), index=True)
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64))
    type: Mapped[str] = mapped_column(String(16), default="resize")
    status: Mapped[str] = mapped_column(String(32))
    source: Mapped[str | None] = mapped_column(String(255))
    target: Mapped[str | None] = mapped_column(String(255))
    old_flavor: Mapped[int | None] = mapped_column(Integer)
    new_flavor: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)


class ConsoleTokenRow(Base):
    """A one-shot token of a screen; only its SHA-256 is kept."""

    __tablename__ = "console_tokens"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    server_id: Mapped[str] = mapped_column(String(36), index=True)
    host: Mapped[str] = mapped_column(String(255))
    type: Mapped[str] = mapped_column(String(16))
    expires: Mapped[float] = mapped_column(Float)
