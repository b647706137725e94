"""Limits: a project's own, else the default class's, else the configured ones; of a volume type, else none.

What a project has is counted from the tables, in the transaction that adds to it. `gigabytes` are volumes and snapshots.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from haneul.kernel import quota
from haneul.kernel.database import Transaction
from haneul.kernel.quota import QuotaLimit
from haneul.volume.model import BackupRow, GroupRow, SnapshotRow, VolumeRow, VolumeTypeRow
from haneul.volume.problems import OverVolumeQuota

SERVICE = "volume"
CLASS = "class:default"  # the "project" whose limits hold for all that have none of their own
RESOURCES = ("volumes", "per_volume_gigabytes", "snapshots", "gigabytes", "backups", "backup_gigabytes", "groups")
OF_TYPE = ("volumes", "gigabytes", "snapshots")

_L: Any = QuotaLimit.__table__
_V: Any = VolumeRow.__table__
_S: Any = SnapshotRow.__table__
_B: Any = BackupRow.__table__
_G: Any = GroupRow.__table__
_T: Any = VolumeTypeRow.__table__
_LIMITS = select(_L.c.project_id, _L.c.resource, _L.c.limit).where(
    _L.c.service == SERVICE, _L.c.project_id.in_((bindparam("project"), bindparam("class"))))


def _held(table: Any, size: Any, type_id: Any) -> Any:
    """Number and size of a project's rows by type."""
    return select(type_id, func.count(), func.coalesce(func.sum(size), 0)).where(
        table.c.project_id == bindparam("project")).group_by(type_id)


_VOLUMES = _held(_V, _V.c.size, _V.c.type_id)
_SNAPSHOTS = _held(_S, _S.c.volume_size, _S.c.volume_type_id)
_BACKUPS = select(func.count(), func.coalesce(func.sum(_B.c.size), 0)).where(_B.c.project_id == bindparam("project"))
_GROUPS = select(func.count()).where(_G.c.project_id == bindparam("project"))
_TYPE_ID = select(_T.c.id).where(_T.c.name == bindparam("name"))
_TYPES = select(_T.c.id, _T.c.name)


def names(tx: Transaction) -> list[str]:
    """Every resource there is: the fixed ones and three of each volume type."""
    return [*RESOURCES, *(f"{resource}_{name}" for _, name in tx.core(_TYPES) for resource in OF_TYPE)]


def default(tx: Transaction, resource: str) -> int:
    """What nobody has changed."""
    return quota.default(tx, resource) if resource in RESOURCES else -1


def limits(tx: Transaction, project_id: str, resources: Iterable[str]) -> dict[str, int]:
    found: dict[tuple[str, str], int] = {(owner, resource): value for owner, resource, value in tx.core(
        _LIMITS, project=project_id, **{"class": CLASS})}
    return {resource: found.get((project_id, resource), found.get((CLASS, resource), default(tx, resource)))
            for resource in resources}


def limits_of_class(tx: Transaction, name: str, resources: Iterable[str]) -> dict[str, int]:
    """Classes other than `default` are kept and shown, and mean nothing to anybody."""
    return limits(tx, f"class:{name}", resources)


def set_limits(tx: Transaction, project_id: str, wanted: dict[str, int]) -> None:
    for resource, value in wanted.items():
        quota.set_limit(tx, SERVICE, project_id, resource, value)


def rename_type(tx: Transaction, old: str, new: str) -> None:
    """Limits go by the type's name."""
    for resource in OF_TYPE:
        tx.execute(update(QuotaLimit).where(QuotaLimit.service == SERVICE, QuotaLimit.resource == f"{resource}_{old}")
                   .values(resource=f"{resource}_{new}"))


def forget_type(tx: Transaction, name: str) -> None:
    """Another type of the name begins without limits."""
    tx.execute(delete(QuotaLimit).where(
        QuotaLimit.service == SERVICE, QuotaLimit.resource.in_([f"{resource}_{name}" for resource in OF_TYPE])))


def used(tx: Transaction, project_id: str) -> dict[str, int]:
    """Of everything: five statements, however many types there are."""
    tx.flush()
    have = dict.fromkeys(RESOURCES, 0)
    by_id: dict[str, str] = {id: name for id, name in tx.core(_TYPES)}
    for name in by_id.values():
        have.update({f"{resource}_{name}": 0 for resource in OF_TYPE})
    for resource, statement in (("volumes", _VOLUMES), ("snapshots", _SNAPSHOTS)):
        for type_id, count, size in tx.core(statement, project=project_id):
            for key, more in ((resource, count), ("gigabytes", size)):
                have[key] += int(more)
                if type_id in by_id:
                    have[f"{key}_{by_id[type_id]}"] += int(more)
    have["backups"], have["backup_gigabytes"] = (int(value) for value in tx.core(_BACKUPS, project=project_id).one())
    have["groups"] = int(tx.core(_GROUPS, project=project_id).scalar_one())
    return have


# ---------------------------------------------------------------- before something is added


def check(tx: Transaction, project_id: str, type_name: str | None, *, volumes: int = 0, gigabytes: int = 0, snapshots: int = 0,
          backups: int = 0, backup_gigabytes: int = 0, groups: int = 0) -> None:
    """OverVolumeQuota unless all of it fits, under the project's lock until the end of the transaction that adds it."""
    tx.lock("quota", SERVICE, project_id)
    wanted = {"gigabytes": gigabytes, "volumes": volumes, "snapshots": snapshots, "backup_gigabytes": backup_gigabytes,
              "backups": backups, "groups": groups}
    asked = {name: more for name, more in wanted.items() if more > 0}
    if type_name is not None:
        asked.update({f"{name}_{type_name}": wanted[name] for name in OF_TYPE if wanted[name] > 0})
    _fit(tx, project_id, type_name, asked)


def check_retype(tx: Transaction, project_id: str, type_name: str, gigabytes: int) -> None:
    """A volume that is there already becomes one of the type."""
    tx.lock("quota", SERVICE, project_id)
    _fit(tx, project_id, type_name, {f"volumes_{type_name}": 1, f"gigabytes_{type_name}": gigabytes})


def _fit(tx: Transaction, project_id: str, type_name: str | None, asked: dict[str, int]) -> None:
    most_of = {name: most for name, most in limits(tx, project_id, asked).items() if most >= 0}
    have = _counted(tx, project_id, type_name, set(most_of))
    for name, most in most_of.items():
        if have[name] + asked[name] > most:
            raise OverVolumeQuota(_over_text(name, asked[name], have[name], most))


def check_size(tx: Transaction, project_id: str, size: int) -> None:
    """That of one volume."""
    most = limits(tx, project_id, ("per_volume_gigabytes",))["per_volume_gigabytes"]
    if 0 <= most < size:
        raise OverVolumeQuota(f"Requested volume size {size} is larger than maximum allowed limit {most}.")


def _counted(tx: Transaction, project_id: str, type_name: str | None, resources: set[str]) -> dict[str, int]:
    """Of what has a limit; nothing else is asked for, since creating a volume has to be quick."""
    tx.flush()
    have = dict.fromkeys(resources, 0)
    typed = resources - set(RESOURCES)
    type_id = tx.core(_TYPE_ID, name=type_name).scalar() if typed else None
    bases = {name.removesuffix(f"_{type_name}") if name in typed else name for name in resources}
    for resource, statement in (("volumes", _VOLUMES), ("snapshots", _SNAPSHOTS)):
        if not bases & {resource, "gigabytes"}:
            continue
        for of_type, count, size in tx.core(statement, project=project_id):
            for name, more in ((resource, int(count)), ("gigabytes", int(size))):
                if name in have:
                    have[name] += more
                if of_type == type_id and f"{name}_{type_name}" in typed:
                    have[f"{name}_{type_name}"] += more
    if bases & {"backups", "backup_gigabytes"}:
        count, size = tx.core(_BACKUPS, project=project_id).one()
        have.update({name: int(value) for name, value in (("backups", count), ("backup_gigabytes", size)) if name in have})
    if "groups" in bases:
        have["groups"] = int(tx.core(_GROUPS, project=project_id).scalar_one())
    return have


def _over_text(name: str, wanted: int, have: int, most: int) -> str:
    if name == "backup_gigabytes":
        return f"Requested backup exceeds allowed Backup gigabytes quota. Requested {wanted}G, quota is {most}G and {have}G " \
               "has been consumed."
    if name.startswith("gigabytes"):
        return f"Requested volume or snapshot exceeds allowed {name} quota. Requested {wanted}G, quota is {most}G and {have}G " \
               "has been consumed."
    if name.startswith("volumes"):
        return f"Maximum number of volumes allowed ({most}) exceeded for quota '{name}'."
    return f"Maximum number of {name.partition('_')[0]} allowed ({most}) exceeded"
