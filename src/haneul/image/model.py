"""The tables of images."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Float, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from haneul.kernel.database import Base

QUEUED, SAVING, UPLOADING, IMPORTING, ACTIVE, DEACTIVATED = (
    "queued", "saving", "uploading", "importing", "active", "deactivated")


class ImageRow(Base):
    """An image. `properties` are the caller's own keys, shown beside the fixed ones.

    `writing` is the owner of a transfer under way (saving, uploading) and `written_at` its last sign of life: a transfer
    whose process died is noticed by that. `locations` are where its data is: `store`, and for data elsewhere `url`; in the
    order of the caller, with his `metadata`.
    """

    __tablename__ = "images"
    __table_args__ = (Index("ix_images_listed", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(30), default=QUEUED)
    visibility: Mapped[str] = mapped_column(String(16), default="shared")
    owner: Mapped[str | None] = mapped_column(String(64), index=True)
    disk_format: Mapped[str | None] = mapped_column(String(20))
    container_format: Mapped[str | None] = mapped_column(String(20))
    size: Mapped[int | None] = mapped_column(BigInteger)
    virtual_size: Mapped[int | None] = mapped_column(BigInteger)
    checksum: Mapped[str | None] = mapped_column(String(32))
    os_hash_algo: Mapped[str | None] = mapped_column(String(16))
    os_hash_value: Mapped[str | None] = mapped_column(String(128))
    min_disk: Mapped[int] = mapped_column(Integer, default=0)
    min_ram: Mapped[int] = mapped_column(Integer, default=0)
    protected: Mapped[bool] = mapped_column(default=False)
    os_hidden: Mapped[bool] = mapped_column(default=False)
    properties: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    locations: Mapped[list[Any]] = mapped_column(JSON, default=list, server_default="[]")
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime] = mapped_column(DateTime)
    writing: Mapped[str | None] = mapped_column(String(64))
    written_at: Mapped[float] = mapped_column(Float, default=0.0)

    @property
    def policy_target(self) -> Mapping[str, Any]:
        return {"project_id": self.owner, "owner": self.owner, "visibility": self.visibility, "image_id": self.id}


class ImageTag(Base):
    __tablename__ = "image_tags"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True)
    value: Mapped[str] = mapped_column(String(255), primary_key=True)


class ImageMember(Base):
    """A project that an image is shared with; `status` is that project's own word."""

    __tablename__ = "image_members"

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True)
    member: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    status: Mapped[str] = mapped_column(String(16), default="pending")
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime] = mapped_column(DateTime)


class MetadefNamespace(Base):
    """A set of definitions: what keys images, flavors and volumes may usefully have."""

    __tablename__ = "metadef_namespaces"
    __table_args__ = (Index("ix_metadef_namespaces_listed", "created_at", "namespace"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    namespace: Mapped[str] = mapped_column(String(80), unique=True)
    display_name: Mapped[str | None] = mapped_column(String(80))
    description: Mapped[str | None] = mapped_column(String(500))
    visibility: Mapped[str] = mapped_column(String(16), default="private")
    protected: Mapped[bool] = mapped_column(default=False)
    owner: Mapped[str | None] = mapped_column(String(255), index=True)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime] = mapped_column(DateTime)

    @property
    def policy_target(self) -> Mapping[str, Any]:
        return {"project_id": self.owner, "owner": self.owner, "visibility": self.visibility}


class MetadefItem(Base):
    """An object, a property or a tag of a namespace; `body` is what its caller said of it beside the name."""

    __tablename__ = "metadef_items"

    namespace_id: Mapped[str] = mapped_column(ForeignKey("metadef_namespaces.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime] = mapped_column(DateTime)


class MetadefResourceType(Base):
    """A kind of resource that definitions are for."""

    __tablename__ = "metadef_resource_types"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime] = mapped_column(DateTime)


class MetadefAssociation(Base):
    """A namespace is for a kind of resource, whose keys have `prefix`."""

    __tablename__ = "metadef_associations"

    namespace_id: Mapped[str] = mapped_column(ForeignKey("metadef_namespaces.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(ForeignKey("metadef_resource_types.name"), primary_key=True)
    prefix: Mapped[str | None] = mapped_column(String(80))
    properties_target: Mapped[str | None] = mapped_column(String(80))
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime] = mapped_column(DateTime)


class CachedImage(Base):
    """An image that is in the cache or waits to be fetched into it (`size` is null)."""

    __tablename__ = "image_cache"

    image_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    size: Mapped[int | None] = mapped_column(BigInteger)
    sha512: Mapped[str | None] = mapped_column(String(128))
    hits: Mapped[int] = mapped_column(Integer, default=0)
    queued_at: Mapped[float] = mapped_column(Float)
    cached_at: Mapped[float | None] = mapped_column(Float)
    accessed_at: Mapped[float | None] = mapped_column(Float)
