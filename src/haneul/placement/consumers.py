"""Allocations as API users set them: consumers with generations, several in one transaction."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import func, select

from haneul.kernel import clock, ids
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, NotFound
from haneul.placement import allocations, errors, traits
from haneul.placement.model import Allocation, Consumer, Inventory, Provider

UNSAID = -1  # versions before 1.28 do not say a generation


class Claim(Struct, kw_only=True):
    """What one consumer shall hold: {provider uuid: {class: amount}}. `generation` None: it must be new."""

    consumer: str
    resources: dict[str, dict[str, int]]
    project_id: str
    user_id: str
    generation: int | None = UNSAID
    consumer_type: str | None = None


class Held(Struct, kw_only=True):
    """What a consumer holds: (provider uuid, the provider's generation, class, amount) rows."""

    consumer: Consumer | None
    rows: list[tuple[str, int, str, int]]


def held(tx: Transaction, consumer_id: str) -> Held:
    rows = tx.execute(select(Provider.uuid, Provider.generation, Allocation.resource_class, Allocation.used)
                      .join(Provider, Provider.id == Allocation.provider_id)
                      .where(Allocation.consumer_id == consumer_id).order_by(Provider.id)).all()
    return Held(consumer=tx.get(Consumer, consumer_id), rows=[tuple(row) for row in rows])  # type: ignore[misc]


def of_provider(tx: Transaction, provider: Provider) -> dict[str, tuple[int, dict[str, int]]]:
    """{consumer: (its generation, {class: amount})}."""
    found: dict[str, tuple[int, dict[str, int]]] = {}
    for consumer, generation, name, used in tx.execute(
            select(Allocation.consumer_id, Consumer.generation, Allocation.resource_class, Allocation.used)
            .join(Consumer, Consumer.id == Allocation.consumer_id).where(Allocation.provider_id == provider.id)):
        found.setdefault(consumer, (generation, {}))[1][name] = used
    return found


def set_all(tx: Transaction, claims: list[Claim]) -> None:
    """All of them or none. What is given back counts before what is taken, so that room can change hands."""
    tx.lock("placement.allocations")
    known = traits.known_classes(tx)
    names = {uuid for claim in claims for uuid in claim.resources}
    rows = {uuid: number for uuid, number in tx.execute(select(Provider.uuid, Provider.id).where(Provider.uuid.in_(names)))}
    for claim in claims:
        _check(claim, rows, known)
    for claim in sorted(claims, key=lambda claim: bool(claim.resources)):
        _set(tx, claim, rows)


def _check(claim: Claim, rows: dict[str, int], known: set[str]) -> None:
    if not ids.is_uuid(claim.consumer):
        raise BadRequest(f"Malformed consumer uuid {claim.consumer[:64]}.")
    for uuid, resources in claim.resources.items():
        if uuid not in rows:
            raise BadRequest(f"Allocation for resource provider '{uuid[:64]}' that does not exist.")
        if not resources:
            raise BadRequest("JSON does not validate: resources must not be empty.")
        for name, amount in resources.items():
            if name not in known:
                raise BadRequest(f"Allocation for resource provider '{uuid}': No such resource class {name[:255]}.")
            if not 1 <= amount <= 2147483647:
                raise BadRequest("JSON does not validate: amounts are integers from 1.")


def _set(tx: Transaction, claim: Claim, rows: dict[str, int]) -> None:
    consumer = _consumer(tx, claim)
    wanted = {rows[uuid]: resources for uuid, resources in claim.resources.items()}
    refused = allocations.write(tx, claim.consumer, wanted)
    if refused is not None:
        provider, name = refused
        uuid = next(uuid for uuid, number in rows.items() if number == provider)
        if tx.get(Inventory, (name, provider)) is None:
            raise Conflict(f"Unable to allocate inventory: No inventory of class '{name}' on resource provider '{uuid}'.")
        raise errors.NoRoom(name, uuid)
    if not claim.resources:
        tx.delete(consumer)
    tx.flush()


def _consumer(tx: Transaction, claim: Claim) -> Consumer:
    row = tx.get(Consumer, claim.consumer)
    now = clock.now()
    if row is None:
        if claim.generation not in (None, UNSAID):
            raise errors.ConcurrentUpdate(f"consumer generation conflict - expected null but got {claim.generation}")
        row = Consumer(id=claim.consumer, project_id=claim.project_id, user_id=claim.user_id, generation=1,
                       consumer_type=claim.consumer_type, by_cloud=False, created_at=now, updated_at=now)
        tx.add(row)
        tx.flush()
        return row
    if claim.generation != UNSAID and claim.generation != row.generation:
        raise errors.ConcurrentUpdate(f"consumer generation conflict - expected {row.generation} but got {claim.generation}")
    row.project_id, row.user_id, row.generation, row.updated_at = claim.project_id, claim.user_id, row.generation + 1, now
    if claim.consumer_type is not None:
        row.consumer_type = claim.consumer_type
    return row


def remove(tx: Transaction, consumer_id: str) -> None:
    if not held(tx, consumer_id).rows:
        raise NotFound(f"No allocations for consumer '{consumer_id[:64]}'")
    allocations.release(tx, consumer_id)


def usages(tx: Transaction, project_id: str, user_id: str | None) -> dict[str, int]:
    query = select(Allocation.resource_class, func.sum(Allocation.used)).join(
        Consumer, Consumer.id == Allocation.consumer_id).where(Consumer.project_id == project_id)
    if user_id is not None:
        query = query.where(Consumer.user_id == user_id)
    return {name: int(used) for name, used in tx.execute(query.group_by(Allocation.resource_class))}


def usages_by_type(tx: Transaction, project_id: str, user_id: str | None) -> dict[str, dict[str, int]]:
    """{consumer type: {consumer_count, class: amount}}; consumers without a type are of type `unknown`."""
    conditions: list[Any] = [Consumer.project_id == project_id]
    if user_id is not None:
        conditions.append(Consumer.user_id == user_id)
    kind = func.coalesce(Consumer.consumer_type, "unknown")
    found: dict[str, dict[str, int]] = {}
    for name, count in tx.execute(select(kind, func.count()).where(*conditions).group_by(kind)):
        found[name] = {"consumer_count": count}
    for name, resource_class, used in tx.execute(
            select(kind, Allocation.resource_class, func.sum(Allocation.used))
            .join(Consumer, Consumer.id == Allocation.consumer_id).where(*conditions).group_by(kind, Allocation.resource_class)):
        found[name][resource_class] = int(used)
    return found
