"""Quota by counting: what a project has is counted in the transaction that adds to it, under a lock. No counters.

A room's resources register how they are counted; limits are a project's own row, else the configured default. -1: no limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Integer, String, bindparam, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from haneul.kernel.database import Base, Transaction
from haneul.kernel.errors import Problem

Count = Callable[[Transaction, str], int]
_counts: dict[tuple[str, str], Count] = {}


class QuotaLimit(Base):
    """A limit that differs from the default."""

    __tablename__ = "quota_limits"

    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    service: Mapped[str] = mapped_column(String(16), primary_key=True)
    resource: Mapped[str] = mapped_column(String(64), primary_key=True)
    limit: Mapped[int] = mapped_column(Integer)


_LIMITS: Any = QuotaLimit.__table__
_OWN = select(_LIMITS.c.resource, _LIMITS.c.limit).where(
    _LIMITS.c.project_id == bindparam("project"), _LIMITS.c.service == bindparam("service"))


def counted(service: str, resource: str) -> Callable[[Count], Count]:
    """Decorator: how many of `resource` a project has now."""

    def add(count: Count) -> Count:
        _counts[service, resource] = count
        return count

    return add


def default(tx: Transaction, resource: str) -> int:
    return int(getattr(tx.cloud.config.quota, resource))


def limit(tx: Transaction, service: str, project_id: str, resource: str) -> int:
    return limits(tx, service, project_id, [resource])[resource]


def limits(tx: Transaction, service: str, project_id: str, resources: Iterable[str]) -> dict[str, int]:
    own: dict[str, int] = {resource: value for resource, value in tx.core(_OWN, project=project_id, service=service)}
    return {resource: own[resource] if resource in own else default(tx, resource) for resource in resources}


def used(tx: Transaction, service: str, project_id: str, resource: str) -> int:
    return _counts[service, resource](tx, project_id)


def set_limit(tx: Transaction, service: str, project_id: str, resource: str, value: int) -> None:
    tx.merge(QuotaLimit(project_id=project_id, service=service, resource=resource, limit=value))
    tx.flush()


def reset(tx: Transaction, service: str, project_id: str) -> None:
    """Back to the defaults."""
    tx.execute(delete(QuotaLimit).where(QuotaLimit.project_id == project_id, QuotaLimit.service == service))


def check(tx: Transaction, service: str, project_id: str, wanted: dict[str, int],
          problem: Callable[[list[str], dict[str, Any]], Problem]) -> None:
    """Raises `problem(names over, {name: {limit, used, wanted}})` unless all of `wanted` fits. Call before creating, in the
    transaction that creates; the lock it takes ends with that."""
    tx.lock("quota", service, project_id)
    over: dict[str, Any] = {}
    most_of = limits(tx, service, project_id, wanted)
    for resource, more in wanted.items():
        most = most_of[resource]
        if most < 0:
            continue
        have = used(tx, service, project_id, resource)
        if have + more > most:
            over[resource] = {"limit": most, "used": have, "wanted": more}
    if over:
        raise problem(sorted(over), over)
