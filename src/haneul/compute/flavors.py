"""Sizes: what may be done with them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, delete, or_, select
from sqlalchemy.exc import IntegrityError

from haneul.compute.model import FlavorAccessRow, FlavorRow
from haneul.compute.problems import FlavorNotFound
from haneul.identity import projects
from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, NotFound

DEFAULTS = (("1", "m1.tiny", 512, 1, 1), ("2", "m1.small", 2048, 1, 20), ("3", "m1.medium", 4096, 2, 40),
            ("4", "m1.large", 8192, 4, 80), ("42", "m1.nano", 128, 1, 1), ("84", "m1.micro", 192, 1, 1))


def visible(context: Context) -> Select[Any]:
    """Flavors that the caller may use: public ones and those given to the caller's project."""
    query = select(FlavorRow)
    if not context.is_admin:
        query = query.where(FlavorRow.disabled.is_(False), or_(
            FlavorRow.is_public.is_(True),
            FlavorRow.id.in_(select(FlavorAccessRow.flavor_id).where(FlavorAccessRow.project_id == context.project_id))))
    return query


def get(tx: Transaction, context: Context, flavor_id: str) -> FlavorRow:
    row = tx.execute(visible(context).where(FlavorRow.id == flavor_id)).scalar_one_or_none()
    if row is None:
        raise FlavorNotFound(flavor_id[:255])
    return row


def snapshot(row: FlavorRow) -> dict[str, Any]:
    """What a server keeps of its flavor."""
    return {"id": row.id, "name": row.name, "vcpus": row.vcpus, "ram": row.ram, "disk": row.disk, "ephemeral": row.ephemeral,
            "swap": row.swap, "rxtx_factor": row.rxtx_factor, "extra_specs": dict(row.extra_specs), "number": row.seq}


def create(tx: Transaction, *, id: str | None, name: str, ram: int, vcpus: int, disk: int, ephemeral: int = 0, swap: int = 0,
           rxtx_factor: float = 1.0, is_public: bool = True, description: str | None = None) -> FlavorRow:
    """A flavor that is not public is nobody's until access is given, not even its maker's project's."""
    flavor_id = id if id is not None and id != "auto" else ids.new()
    if tx.execute(select(FlavorRow.seq).where(FlavorRow.name == name)).first():
        raise Conflict(f"Flavor with name {name} already exists.")
    if tx.execute(select(FlavorRow.seq).where(FlavorRow.id == flavor_id)).first():
        raise Conflict(f"Flavor with ID {flavor_id} already exists.")
    row = FlavorRow(id=flavor_id, name=name, ram=ram, vcpus=vcpus, disk=disk, ephemeral=ephemeral, swap=swap,
                    rxtx_factor=rxtx_factor, is_public=is_public, disabled=False, description=description, extra_specs={},
                    created_at=clock.now())
    tx.add(row)
    try:
        tx.flush()
    except IntegrityError:
        raise Conflict(f"Flavor with name {name} already exists.")
    return row


def remove(tx: Transaction, row: FlavorRow) -> None:
    tx.execute(delete(FlavorAccessRow).where(FlavorAccessRow.flavor_id == row.id))
    tx.delete(row)


def set_specs(tx: Transaction, row: FlavorRow, specs: dict[str, str]) -> None:
    row.extra_specs = {**row.extra_specs, **specs}
    row.updated_at = clock.now()


def remove_spec(tx: Transaction, row: FlavorRow, key: str) -> None:
    if key not in row.extra_specs:
        raise NotFound(f"Flavor {row.id} has no extra specs with key {key[:255]}.")
    row.extra_specs = {name: value for name, value in row.extra_specs.items() if name != key}


def accesses(tx: Transaction, row: FlavorRow) -> list[dict[str, str]]:
    return [{"flavor_id": row.id, "tenant_id": project} for project in tx.execute(
        select(FlavorAccessRow.project_id).where(FlavorAccessRow.flavor_id == row.id)).scalars()]


def add_access(tx: Transaction, row: FlavorRow, project_id: str) -> None:
    try:
        projects.require(tx, project_id)
    except NotFound:
        raise BadRequest(f"Project ID {project_id[:64]} is not a valid project.")
    if tx.get(FlavorAccessRow, (row.id, project_id)) is not None:
        raise Conflict(f"Flavor access already exists for flavor {row.id} and project {project_id} combination.")
    tx.add(FlavorAccessRow(flavor_id=row.id, project_id=project_id))
    tx.flush()


def remove_access(tx: Transaction, row: FlavorRow, project_id: str) -> None:
    found = tx.get(FlavorAccessRow, (row.id, project_id))
    if found is None:
        raise NotFound(f"Flavor access not found for {row.id} / {project_id[:64]} combination.")
    tx.delete(found)
    tx.flush()


def bootstrap(tx: Transaction) -> None:
    """The usual sizes, once: an operator who deletes one does not get it back."""
    if tx.execute(select(FlavorRow.seq).limit(1)).first() is None:
        for id, name, ram, vcpus, disk in DEFAULTS:
            create(tx, id=id, name=name, ram=ram, vcpus=vcpus, disk=disk)
