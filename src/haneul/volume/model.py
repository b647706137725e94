"""The tables of block storage. Sizes are in GiB unless a name says otherwise; what is deleted has no row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Float, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from haneul.kernel.database import Base


class Owned:
    """What a policy rule is asked about a row that a project has."""

    id: Any
    project_id: Any
    user_id: Any

    @property
    def policy_target(self) -> Mapping[str, Any]:
        return {"project_id": self.project_id, "user_id": self.user_id}


class VolumeRow(Owned, Base):
    """A volume. `host` is host@backend#pool, as Cinder shows it; `stored_as` its name there (volume-<id>, unless it was
    migrated) and `format` how it lies there. `key` is the LUKS passphrase of an encrypted one, sealed (`volume/secrets.py`).
    `image` is volume_image_metadata. What has it, and how, are the rows of `AttachmentRow`."""

    __tablename__ = "volumes"
    __table_args__ = (Index("ix_volumes_project_created", "project_id", "created_at", "id"),
                      Index("ix_volumes_created", "created_at", "id"))

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str | None] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(32), default="creating", index=True)
    previous_status: Mapped[str | None] = mapped_column(String(32))
    migration_status: Mapped[str | None] = mapped_column(String(32))
    type_id: Mapped[str] = mapped_column(String(36), index=True)
    host: Mapped[str | None] = mapped_column(String(255))
    stored_as: Mapped[str] = mapped_column(String(255), index=True)
    format: Mapped[str] = mapped_column(String(8), default="raw")
    availability_zone: Mapped[str] = mapped_column(String(255), default="nova")
    bootable: Mapped[bool] = mapped_column(default=False)
    readonly: Mapped[bool | None] = mapped_column()
    multiattach: Mapped[bool] = mapped_column(default=False)
    encrypted: Mapped[bool] = mapped_column(default=False)
    key: Mapped[str | None] = mapped_column(Text)
    key_id: Mapped[str | None] = mapped_column(String(36))
    meta: Mapped[Any] = mapped_column("metadata", JSON, default=dict)
    admin_meta: Mapped[Any] = mapped_column("admin_metadata", JSON, default=dict)
    image: Mapped[Any] = mapped_column(JSON, default=dict)
    source_volid: Mapped[str | None] = mapped_column(String(36))
    snapshot_id: Mapped[str | None] = mapped_column(String(36))
    backup_id: Mapped[str | None] = mapped_column(String(36))
    group_id: Mapped[str | None] = mapped_column(String(36), index=True)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)
    scheduled_at: Mapped[datetime | None] = mapped_column(DateTime)
    launched_at: Mapped[datetime | None] = mapped_column(DateTime)


class AttachmentRow(Owned, Base):
    """What has a volume: the one row that says so, for Cinder's attachments and Nova's block devices both.

    With a `server_id` it belongs to compute, and only compute ends it, once the host has shown that the guest let go
    (CVE-2023-2088); else to whoever reserved it. `status` is Cinder's attach_status: reserved, attaching, attached, detaching,
    error_attaching, error_detaching. A volume that is made for a booting server is written together with its row here. The
    keys from `boot_index` on are the server's only.
    """

    __tablename__ = "volume_attachments"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    volume_id: Mapped[str] = mapped_column(String(36), index=True)
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64))
    server_id: Mapped[str | None] = mapped_column(String(36), index=True)
    instance: Mapped[str | None] = mapped_column(String(36))  # instance_uuid of a caller that is not our compute
    status: Mapped[str] = mapped_column(String(32), default="reserved")
    mode: Mapped[str] = mapped_column(String(8), default="rw")
    host: Mapped[str | None] = mapped_column(String(255))
    mountpoint: Mapped[str | None] = mapped_column(String(255))
    connector: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    attached_at: Mapped[datetime | None] = mapped_column(DateTime)
    detached_at: Mapped[datetime | None] = mapped_column(DateTime)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    boot_index: Mapped[int | None] = mapped_column(Integer)
    delete_on_termination: Mapped[bool] = mapped_column(default=False)
    tag: Mapped[str | None] = mapped_column(String(255))
    disk_bus: Mapped[str | None] = mapped_column(String(16))
    device_type: Mapped[str | None] = mapped_column(String(16))
    guest_format: Mapped[str | None] = mapped_column(String(16))
    source_type: Mapped[str] = mapped_column(String(16), default="volume")  # volume, snapshot, image, blank: as it was asked for

    @property
    def disk_name(self) -> str:
        """On the host; the same for as long as the attachment lives, also when its volume is swapped."""
        return "vol-" + self.id.replace("-", "")[:20]


class SnapshotRow(Owned, Base):
    __tablename__ = "volume_snapshots"
    __table_args__ = (Index("ix_volume_snapshots_project_created", "project_id", "created_at", "id"),)

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    volume_id: Mapped[str] = mapped_column(String(36), index=True)
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str | None] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(String(255))
    volume_size: Mapped[int] = mapped_column(Integer)
    volume_type_id: Mapped[str] = mapped_column(String(36))
    status: Mapped[str] = mapped_column(String(32), default="creating")
    progress: Mapped[str] = mapped_column(String(8), default="0%")
    meta: Mapped[Any] = mapped_column("metadata", JSON, default=dict)
    stored_as: Mapped[str] = mapped_column(String(255))
    group_snapshot_id: Mapped[str | None] = mapped_column(String(36), index=True)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)


class VolumeTypeRow(Base):
    """`encryption` is {encryption_id, provider, cipher, key_size, control_location, created_at, updated_at} or null."""

    __tablename__ = "volume_types"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    description: Mapped[str | None] = mapped_column(String(255))
    is_public: Mapped[bool] = mapped_column(default=True)
    qos_specs_id: Mapped[str | None] = mapped_column(String(36), index=True)
    extra_specs: Mapped[Any] = mapped_column(JSON, default=dict)
    encryption: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)


class VolumeTypeAccessRow(Base):
    """A project that may use a type that is not public."""

    __tablename__ = "volume_type_access"

    type_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)


class DefaultTypeRow(Base):
    """A project's own default type."""

    __tablename__ = "volume_default_types"

    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    type_id: Mapped[str] = mapped_column(String(36))


class QosSpecsRow(Base):
    __tablename__ = "volume_qos_specs"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    consumer: Mapped[str] = mapped_column(String(16), default="back-end")
    specs: Mapped[Any] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)


class PoolRow(Base):
    """A back end as its agent reported it. `name` is host@backend#pool, `facts` what `StoreState` says, `at` when."""

    __tablename__ = "volume_pools"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))  # whose agent serves it
    backend: Mapped[str] = mapped_column(String(255))
    facts: Mapped[Any] = mapped_column(JSON, default=dict)
    at: Mapped[float] = mapped_column(Float)


class VolumeServiceRow(Base):
    """What an administrator said of a service (os-services): that it is disabled or frozen."""

    __tablename__ = "volume_services"

    binary: Mapped[str] = mapped_column(String(32), primary_key=True)
    host: Mapped[str] = mapped_column(String(255), primary_key=True)
    disabled: Mapped[bool] = mapped_column(default=False)
    disabled_reason: Mapped[str | None] = mapped_column(String(255))
    frozen: Mapped[bool] = mapped_column(default=False)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)


class TransferRow(Base):
    """A volume that waits for another project to take it. Of its key only a salted hash is kept."""

    __tablename__ = "volume_transfers"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    volume_id: Mapped[str] = mapped_column(String(36), index=True)
    project_id: Mapped[str] = mapped_column(String(64), index=True)
    destination_project_id: Mapped[str | None] = mapped_column(String(64))
    name: Mapped[str | None] = mapped_column(String(255))
    salt: Mapped[str] = mapped_column(String(32))
    hash: Mapped[str] = mapped_column(String(128))
    accepted: Mapped[bool] = mapped_column(default=False)
    no_snapshots: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(DateTime)


class GroupTypeRow(Base):
    __tablename__ = "volume_group_types"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    description: Mapped[str | None] = mapped_column(String(255))
    is_public: Mapped[bool] = mapped_column(default=True)
    group_specs: Mapped[Any] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)


class GroupRow(Owned, Base):
    """A generic volume group; `volume_types` are ids. Its volumes name it."""

    __tablename__ = "volume_groups"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64), index=True)
    user_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str | None] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(32), default="creating")
    group_type_id: Mapped[str] = mapped_column(String(36), index=True)
    volume_types: Mapped[Any] = mapped_column(JSON, default=list)
    host: Mapped[str | None] = mapped_column(String(255))
    availability_zone: Mapped[str] = mapped_column(String(255), default="nova")
    group_snapshot_id: Mapped[str | None] = mapped_column(String(36))
    source_group_id: Mapped[str | None] = mapped_column(String(36))
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)


class GroupSnapshotRow(Owned, Base):
    __tablename__ = "volume_group_snapshots"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    group_id: Mapped[str] = mapped_column(String(36), index=True)
    group_type_id: Mapped[str] = mapped_column(String(36))
    project_id: Mapped[str] = mapped_column(String(64), index=True)
    user_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str | None] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(32), default="creating")
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)


class BackupRow(Owned, Base):
    """A backup. Its data is `container`/<id>-…; what is needed to restore it elsewhere lies beside the data, not only here."""

    __tablename__ = "volume_backups"
    __table_args__ = (Index("ix_volume_backups_project_created", "project_id", "created_at", "id"),)

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str | None] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(String(255))
    volume_id: Mapped[str] = mapped_column(String(36), index=True)
    volume_name: Mapped[str | None] = mapped_column(String(255))
    snapshot_id: Mapped[str | None] = mapped_column(String(36))
    parent_id: Mapped[str | None] = mapped_column(String(36), index=True)
    status: Mapped[str] = mapped_column(String(32), default="creating")
    fail_reason: Mapped[str | None] = mapped_column(String(255))
    container: Mapped[str | None] = mapped_column(String(255))
    service: Mapped[str | None] = mapped_column(String(255))  # the driver that wrote it
    service_metadata: Mapped[str | None] = mapped_column(String(255))
    host: Mapped[str | None] = mapped_column(String(255))
    availability_zone: Mapped[str | None] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(Integer)
    object_count: Mapped[int] = mapped_column(Integer, default=0)
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    encrypted: Mapped[bool] = mapped_column(default=False)
    key: Mapped[str | None] = mapped_column(Text)
    key_id: Mapped[str | None] = mapped_column(String(36))
    meta: Mapped[Any] = mapped_column("metadata", JSON, default=dict)
    data_timestamp: Mapped[datetime | None] = mapped_column(DateTime)
    restore_volume_id: Mapped[str | None] = mapped_column(String(36))
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime)


class MessageRow(Base):
    """Why an asynchronous request failed, for its user: the words are `volume/messages.py`'s."""

    __tablename__ = "volume_messages"
    __table_args__ = (Index("ix_volume_messages_project_created", "project_id", "created_at", "id"),)

    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(36), unique=True)
    project_id: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(64), default="")
    resource_type: Mapped[str] = mapped_column(String(36))
    resource_uuid: Mapped[str | None] = mapped_column(String(36))
    action_id: Mapped[str] = mapped_column(String(10))
    detail_id: Mapped[str] = mapped_column(String(10))
    message_level: Mapped[str] = mapped_column(String(10), default="ERROR")
    created_at: Mapped[datetime] = mapped_column(DateTime)
    expires_at: Mapped[datetime] = mapped_column(DateTime)
