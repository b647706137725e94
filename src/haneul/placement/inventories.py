"""What providers have."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct
from sqlalchemy import delete, select

from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, NotFound
from haneul.placement import errors, providers, traits
from haneul.placement.model import Inventory, Provider

MOST = 2147483647
Positive = Annotated[int, Meta(ge=1, le=MOST)]


class Record(Struct, forbid_unknown_fields=True):
    """An inventory as it is written."""

    total: Positive
    reserved: Annotated[int, Meta(ge=0, le=MOST)] = 0
    min_unit: Positive = 1
    max_unit: Positive = MOST
    step_size: Positive = 1
    allocation_ratio: Annotated[float, Meta(gt=0, le=3.40282e38)] = 1.0


def view(row: Inventory) -> dict[str, Any]:
    return {"total": row.total, "reserved": row.reserved, "min_unit": row.min_unit, "max_unit": row.max_unit,
            "step_size": row.step_size, "allocation_ratio": row.allocation_ratio}


def of(tx: Transaction, provider: Provider) -> dict[str, Inventory]:
    return {row.resource_class: row for row in tx.execute(
        select(Inventory).where(Inventory.provider_id == provider.id).order_by(Inventory.resource_class)).scalars()}


def get(tx: Transaction, provider: Provider, name: str) -> Inventory:
    row = tx.get(Inventory, (name, provider.id))
    if row is None:
        raise NotFound(f"No inventory of class {name[:255]} for {provider.uuid}")
    return row


def _check(name: str, record: Record, *, full: bool) -> None:
    """`full`: since 1.26 all of an inventory may be reserved."""
    room = record.total * record.allocation_ratio - record.reserved
    if record.reserved > record.total or (record.reserved == record.total and not full) or room < 0:
        raise BadRequest(f"Unable to update inventory: Invalid inventory for '{name}'. The reserved value is greater than "
                         f"{'' if full else 'or equal to '}total.")


def replace(tx: Transaction, provider: Provider, wanted: dict[str, Record], generation: int | None, *, full: bool) -> None:
    """`wanted` is all that the provider has afterwards. What is used cannot go."""
    traits.require_classes(tx, wanted)
    for name, record in wanted.items():
        _check(name, record, full=full)
    providers.advance(tx, provider, generation)
    have = of(tx, provider)
    if used := sorted(name for name in have.keys() - wanted.keys() if have[name].used):
        raise Conflict(f"Inventory for '{', '.join(used)}' on resource provider '{provider.uuid}' in use.", code=errors.IN_USE)
    for name in have.keys() - wanted.keys():
        tx.delete(have[name])
    for name, record in wanted.items():
        _put(tx, provider, have.get(name), name, record)
    tx.flush()


def _put(tx: Transaction, provider: Provider, row: Inventory | None, name: str, record: Record) -> Inventory:
    if row is None:
        row = Inventory(provider_id=provider.id, resource_class=name, used=0)
        tx.add(row)
    row.total, row.reserved, row.min_unit = record.total, record.reserved, record.min_unit
    row.max_unit, row.step_size, row.allocation_ratio = record.max_unit, record.step_size, record.allocation_ratio
    return row


def add(tx: Transaction, provider: Provider, name: str, record: Record, *, full: bool) -> Inventory:
    traits.require_classes(tx, [name])
    _check(name, record, full=full)
    if tx.get(Inventory, (name, provider.id)) is not None:
        raise Conflict(f"Update conflict: An inventory of class {name} exists for {provider.uuid}", code=errors.CONCURRENT)
    providers.advance(tx, provider, None)
    row = _put(tx, provider, None, name, record)
    tx.flush()
    return row


def change(tx: Transaction, provider: Provider, name: str, record: Record, generation: int, *, full: bool) -> Inventory:
    """Fewer than are used is allowed, as in Placement: nothing more can be had until enough is given back."""
    traits.require_classes(tx, [name])
    _check(name, record, full=full)
    row = tx.get(Inventory, (name, provider.id))
    if row is None:
        raise BadRequest(f"Unable to update inventory: No inventory of class {name} found for {provider.uuid}.")
    providers.advance(tx, provider, generation)
    _put(tx, provider, row, name, record)
    tx.flush()
    return row


def remove(tx: Transaction, provider: Provider, name: str) -> None:
    row = get(tx, provider, name)
    if row.used:
        raise Conflict(f"Unable to delete inventory of class {name} because inventory is in use.", code=errors.IN_USE)
    tx.delete(row)
    providers.advance(tx, provider, None)


def remove_all(tx: Transaction, provider: Provider) -> None:
    if used := sorted(row.resource_class for row in of(tx, provider).values() if row.used):
        raise Conflict(f"Unable to delete inventory for resource provider {provider.uuid} because the inventory of "
                       f"{', '.join(used)} is in use.", code=errors.IN_USE)
    tx.execute(delete(Inventory).where(Inventory.provider_id == provider.id))
    providers.advance(tx, provider, None)
