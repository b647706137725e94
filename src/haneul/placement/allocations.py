"""Who holds what of which provider. Everything that changes an allocation goes through `write`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, Integer, Table, and_, bindparam, func, select, update

from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.reconcilers import reconciler
from haneul.placement.model import Allocation, Consumer, Inventory, Provider

Resources = Mapping[str, int]

# Built once: the scheduler's decision is a handful of statements, and building one costs more than running it.
_inventory, _provider, _allocation, _consumer = (
    cast(Table, kind.__table__) for kind in (Inventory, Provider, Allocation, Consumer))
_HELD = select(_allocation.c.provider_id, _allocation.c.resource_class, _allocation.c.used).where(
    _allocation.c.consumer_id == bindparam("consumer"))
_CHANGE = _inventory.update().where(
    _inventory.c.provider_id == bindparam("provider"), _inventory.c.resource_class == bindparam("name")).values(
    used=_inventory.c.used + bindparam("more", type_=Integer))
_DROP = _allocation.delete().where(_allocation.c.consumer_id == bindparam("consumer"))
_TOUCH = _provider.update().where(_provider.c.id == bindparam("provider")).values(generation=_provider.c.generation + 1)
_FORGET = _consumer.delete().where(_consumer.c.id == bindparam("consumer"))


def fits(inventory: Any, amount: Any, more: Any) -> ColumnElement[bool]:
    """SQL: an inventory row gives `amount` at once and has room for `more` than is used."""
    return and_(inventory.used + more <= (inventory.total - inventory.reserved) * inventory.allocation_ratio,
                inventory.min_unit <= amount, inventory.max_unit >= amount, amount % inventory.step_size == 0)


_TAKE = _CHANGE.where(fits(_inventory.c, bindparam("amount", type_=Integer), bindparam("more", type_=Integer)))


def write(tx: Transaction, consumer_id: str, wanted: Mapping[int, Resources]) -> tuple[int, str] | None:
    """Makes `wanted` (provider id: {class: amount}) the whole of what a consumer holds, and keeps the inventories' `used`.

    Answers the first (provider, class) that has no room for it, and has then changed nothing. Each take is one guarded UPDATE,
    so that two control processes cannot take the same room; they go in one order, so that nobody waits in a circle.
    """
    tx.flush()
    held = {(provider, name): used for provider, name, used in tx.execute(_HELD, {"consumer": consumer_id})}
    return _replace(tx, consumer_id, held, wanted)


def first(tx: Transaction, consumer_id: str, wanted: Mapping[int, Resources]) -> tuple[int, str] | None:
    """`write` for a consumer that is known to hold nothing."""
    return _replace(tx, consumer_id, {}, wanted)


def _replace(tx: Transaction, consumer_id: str, held: dict[tuple[int, str], int],
             wanted: Mapping[int, Resources]) -> tuple[int, str] | None:
    goal = {(provider, name): amount for provider, resources in wanted.items() for name, amount in resources.items() if amount}
    taken: list[dict[str, Any]] = []
    for pair in sorted(held.keys() | goal.keys()):
        more = goal.get(pair, 0) - held.get(pair, 0)
        change: dict[str, Any] = {"provider": pair[0], "name": pair[1], "more": more}
        if more > 0:
            if tx.execute(_TAKE, {**change, "amount": goal[pair]}).rowcount != 1:  # type: ignore[attr-defined]
                for done in taken:
                    tx.execute(_CHANGE, {**done, "more": -done["more"]})
                return pair
        elif more < 0:
            tx.execute(_CHANGE, change)
        taken.append(change)
    if held:
        tx.execute(_DROP, {"consumer": consumer_id})
    if goal:
        tx.execute(_allocation.insert(), [
            {"consumer_id": consumer_id, "provider_id": provider, "resource_class": name, "used": amount}
            for (provider, name), amount in goal.items()])
    for provider in sorted({provider for provider, _ in held.keys() | goal.keys()}):
        tx.execute(_TOUCH, {"provider": provider})
    return None


# ---------------------------------------------------------------- the doors for other rooms


def release(tx: Transaction, consumer_id: str) -> None:
    """The consumer holds nothing any more; fine when it held nothing."""
    write(tx, consumer_id, {})
    tx.execute(_FORGET, {"consumer": consumer_id})


def move(tx: Transaction, consumer_id: str, to: str) -> None:
    """What the consumer holds is `to`'s from now on (a migration keeps the source's room while a server claims elsewhere).
    Done already, or nothing held, is fine; what `to` held before is released."""
    before = tx.execute(select(_consumer).where(_consumer.c.id == consumer_id)).first()
    if before is None:
        return
    release(tx, to)
    now = clock.now()
    tx.execute(_consumer.insert(), {**before._mapping, "id": to, "generation": 1, "created_at": now, "updated_at": now})
    tx.execute(_allocation.update().where(_allocation.c.consumer_id == consumer_id).values(consumer_id=to))
    tx.execute(_FORGET, {"consumer": consumer_id})


def of(tx: Transaction, consumer_id: str) -> dict[str, dict[str, int]]:
    """{provider name: {class: amount}}; a host's provider has the host's name."""
    found: dict[str, dict[str, int]] = {}
    for name, resource_class, used in tx.execute(
            select(Provider.name, Allocation.resource_class, Allocation.used)
            .join(Provider, Provider.id == Allocation.provider_id).where(Allocation.consumer_id == consumer_id)):
        found.setdefault(name, {})[resource_class] = used
    return found


def unknown(tx: Transaction, known: Collection[str], older_than: float = 60.0) -> list[str]:
    """Consumers that the cloud itself made, that are not among `known` and not newer than so many seconds: leaks, to be
    ended with `release`."""
    limit = clock.now() - timedelta(seconds=older_than)
    known = set(known)
    return [consumer for consumer in tx.execute(select(Consumer.id).where(
        Consumer.by_cloud.is_(True), Consumer.created_at <= limit)).scalars() if consumer not in known]


def used_of(tx: Transaction, host: str) -> dict[str, tuple[int, int]]:
    """{class: (used, total)} of a host's provider."""
    return {name: (used, total) for name, used, total in tx.execute(
        select(Inventory.resource_class, Inventory.used, Inventory.total)
        .join(Provider, Provider.id == Inventory.provider_id).where(Provider.name == host))}


@reconciler("placement.used", every=300.0)
def recount(cloud: Cloud) -> int:
    """`used` of every inventory is the sum of its allocations. Nothing but a hand in the database makes them differ."""
    taken = (select(func.coalesce(func.sum(Allocation.used), 0)).where(
        Allocation.provider_id == Inventory.provider_id, Allocation.resource_class == Inventory.resource_class)
        .scalar_subquery())
    with cloud.database.read() as tx:
        wrong = tx.execute(select(Inventory.provider_id).where(Inventory.used != taken).limit(1)).first()
    if wrong is None:
        return 0
    with cloud.database.write() as tx:
        return int(tx.execute(update(Inventory).where(Inventory.used != taken).values(used=taken)
                              .execution_options(synchronize_session=False)).rowcount)  # type: ignore[attr-defined]
