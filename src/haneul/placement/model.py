"""The tables of placement."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, Float, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from haneul.kernel.database import Base


class Provider(Base):
    """A resource provider. A host's has the host's id and name. `root_id` is its own id at the top of a tree."""

    __tablename__ = "resource_providers"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    generation: Mapped[int] = mapped_column(Integer, default=0)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("resource_providers.id"), index=True)
    root_id: Mapped[int | None] = mapped_column(ForeignKey("resource_providers.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime] = mapped_column(DateTime)


class Inventory(Base):
    """What a provider has of a class. `used` is the sum of its allocations, kept by `allocations.write` alone: the scheduler
    reads a thousand hosts' room without touching ten thousand servers' rows."""

    __tablename__ = "inventories"
    __table_args__ = {"sqlite_with_rowid": False}  # the rows lie in the order of their key: by class, then provider; and
    # ix_inventories_free below lists a class's providers by what is free, so that the scheduler stops after the best few

    resource_class: Mapped[str] = mapped_column(String(255), primary_key=True)
    provider_id: Mapped[int] = mapped_column(ForeignKey("resource_providers.id"), primary_key=True, index=True)
    total: Mapped[int] = mapped_column(Integer)
    reserved: Mapped[int] = mapped_column(Integer, default=0)
    min_unit: Mapped[int] = mapped_column(Integer, default=1)
    max_unit: Mapped[int] = mapped_column(Integer)
    step_size: Mapped[int] = mapped_column(Integer, default=1)
    allocation_ratio: Mapped[float] = mapped_column(Float, default=1.0)
    used: Mapped[int] = mapped_column(Integer, default=0)


FREE = Inventory.total - Inventory.reserved - Inventory.used
Index("ix_inventories_free", Inventory.resource_class, FREE)


class ProviderTrait(Base):
    __tablename__ = "resource_provider_traits"

    trait: Mapped[str] = mapped_column(String(255), primary_key=True)
    provider_id: Mapped[int] = mapped_column(ForeignKey("resource_providers.id"), primary_key=True, index=True)


class ProviderAggregate(Base):
    __tablename__ = "resource_provider_aggregates"

    aggregate: Mapped[str] = mapped_column(String(36), primary_key=True)
    provider_id: Mapped[int] = mapped_column(ForeignKey("resource_providers.id"), primary_key=True, index=True)


class CustomTrait(Base):
    """Names that users made (CUSTOM_…); the standard ones are os-traits'."""

    __tablename__ = "custom_traits"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime)


class CustomClass(Base):
    """Resource classes that users made; the standard ones are os-resource-classes'."""

    __tablename__ = "custom_resource_classes"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime)


class Consumer(Base):
    """Who holds allocations. `by_cloud`: made by the scheduler for a server or a migration, so that one whose object is gone
    is a leak; others are an API user's own business."""

    __tablename__ = "consumers"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(255))
    user_id: Mapped[str] = mapped_column(String(255))
    generation: Mapped[int] = mapped_column(Integer, default=1)
    consumer_type: Mapped[str | None] = mapped_column(String(255))
    by_cloud: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(DateTime)
    updated_at: Mapped[datetime] = mapped_column(DateTime)


class Allocation(Base):
    __tablename__ = "allocations"
    __table_args__ = {"sqlite_with_rowid": False}

    consumer_id: Mapped[str] = mapped_column(ForeignKey("consumers.id"), primary_key=True)
    provider_id: Mapped[int] = mapped_column(ForeignKey("resource_providers.id"), primary_key=True, index=True)
    resource_class: Mapped[str] = mapped_column(String(255), primary_key=True)
    used: Mapped[int] = mapped_column(Integer)
