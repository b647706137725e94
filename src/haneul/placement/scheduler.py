"""Chooses a host for a server and claims its room, in one transaction.

One statement walks the hosts from the one with most free memory on, filters, and stops at the best few; the claim is a
guarded update of the first that still has the room. Only a decision that fails looks at the hosts one by one, to say of
each why not.
"""

from __future__ import annotations

import functools
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from msgspec import Struct, field
from sqlalchemy import Integer, Table, and_, bindparam, exists, literal, or_, select
from sqlalchemy.orm import aliased

from haneul.fleet.model import HostRow
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Fault
from haneul.placement import allocations, bandwidth
from haneul.placement.model import Consumer, Inventory, Provider, ProviderTrait
from haneul.placement.traits import physnet_trait

DEFAULT_ZONE = "nova"  # of hosts that have none of their own
_FEW = 16  # candidates of one look; the next are asked for only if other processes took all of these meanwhile

_consumer = cast(Table, Consumer.__table__)
_CONSUMER = select(_consumer.c.id).where(_consumer.c.id == bindparam("consumer"))


class Within(Struct, frozen=True):
    """Only these hosts; `reason` is what the others are told (an aggregate's metadata, a group's affinity)."""

    hosts: frozenset[str]
    reason: str


class Ask(Struct, kw_only=True):
    """What a server wants. Sets of hosts come from compute, which knows groups, aggregates and hints."""

    consumer_id: str
    project_id: str
    user_id: str
    resources: dict[str, int]
    required_traits: frozenset[str] = frozenset()
    forbidden_traits: frozenset[str] = frozenset()
    availability_zone: str | None = None
    host: str | None = None  # only this one; an administrator's choice, so a disabled one will do
    within: list[Within] = field(default_factory=list)
    avoid: dict[str, str] = field(default_factory=dict)  # host: why not (anti-affinity, different_host, tried before)
    physnets: frozenset[str] = frozenset()
    bandwidth: dict[str, dict[str, int]] = field(default_factory=dict)  # by physical network, from the providers below a host's
    consumer_type: str = "INSTANCE"


class Chosen(Struct, frozen=True):
    host: str
    host_id: str


class NoValidHost(Fault):
    """`reasons` is {host: why not}. The message counts them without naming hosts; the details, for operators, name them."""

    def __init__(self, reasons: dict[str, str]) -> None:
        self.reasons = reasons
        counts = Counter(reason for reason in reasons.values())
        told = "; ".join(f"{reason} ({number} of {len(reasons)})" for reason, number in counts.most_common(5))
        super().__init__("No valid host was found. " + (told + "." if told else "There are no hosts."),
                         "\n".join(f"{host}: {reason}" for host, reason in sorted(reasons.items())[:200]), 500)


def claim(tx: Transaction, ask: Ask) -> Chosen:
    """The host that now holds `ask.resources` for `ask.consumer_id` (whatever that held before is released). NoValidHost.

    Claims go one after another: each then sees what the last one left, and spreads; the guard of each take is for the API's
    own allocations, which ask nobody.
    """
    tx.lock("placement.claim")
    ask.resources = {name: amount for name, amount in ask.resources.items() if amount}
    if tx.execute(_CONSUMER, {"consumer": ask.consumer_id}).first() is not None:
        allocations.release(tx, ask.consumer_id)
    now = clock.now()
    tx.execute(_consumer.insert(), {
        "id": ask.consumer_id, "project_id": ask.project_id, "user_id": ask.user_id, "generation": 1,
        "consumer_type": ask.consumer_type, "by_cloud": True, "created_at": now, "updated_at": now})
    tried: list[int] = []
    while found := tx.execute(*_candidates(ask, tried)).all():
        for provider, host, host_id, _ in _by_chance(found):
            below = bandwidth.below(tx, provider, ask.bandwidth)
            if below is not None and allocations.first(tx, ask.consumer_id, {provider: ask.resources, **below}) is None:
                return Chosen(host, host_id)
            tried.append(provider)
    raise NoValidHost(_reasons(tx, ask))


def _by_chance(found: Sequence[Any]) -> list[Any]:
    """Most free memory first, chance among equals."""
    return sorted(found, key=lambda row: (-(row[3] or 0), random.random()))


def _required(ask: Ask) -> frozenset[str]:
    return ask.required_traits | {physnet_trait(name) for name in ask.physnets}


def _candidates(ask: Ask, tried: list[int]) -> tuple[Any, dict[str, Any]]:
    """The statement that finds the best few hosts, and its values. Building a statement costs ten times its running, so one
    is built for each shape of question and the values are bound."""
    classes = tuple(sorted(ask.resources))
    traits = sorted(_required(ask))
    values: dict[str, Any] = {f"amount{index}": ask.resources[name] for index, name in enumerate(classes)}
    values |= {f"trait{index}": trait for index, trait in enumerate(traits)}
    values |= {f"within{index}": sorted(within.hosts) for index, within in enumerate(ask.within)}
    for name, value in (("host", ask.host), ("zone", ask.availability_zone), ("forbidden", sorted(ask.forbidden_traits)),
                        ("avoid", sorted(ask.avoid)), ("tried", tried)):
        if value:
            values[name] = value
    zone = "" if not ask.availability_zone else "default" if ask.availability_zone == DEFAULT_ZONE else "named"
    return _statement(classes, len(traits), len(ask.within), bool(ask.host), zone, bool(ask.forbidden_traits),
                      bool(ask.avoid), bool(tried)), values


@functools.lru_cache(maxsize=256)
def _statement(classes: tuple[str, ...], traits: int, within: int, host: bool, zone: str, forbidden: bool, avoid: bool,
               tried: bool) -> Any:
    inventories = {name: aliased(Inventory) for name in classes}
    memory = inventories.get("MEMORY_MB") or aliased(Inventory)
    free = memory.total - memory.reserved - memory.used
    query: Any = select(Provider.id, HostRow.name, HostRow.id, free).select_from(memory)
    query = query.join(Provider, Provider.id == memory.provider_id).join(HostRow, HostRow.name == Provider.name)
    query = query.where(memory.resource_class == literal("MEMORY_MB"))
    for index, (name, inventory) in enumerate(inventories.items()):
        amount: Any = bindparam(f"amount{index}", type_=Integer)
        if inventory is not memory:
            query = query.join(inventory, and_(inventory.provider_id == memory.provider_id,
                                               inventory.resource_class == literal(name)))
        query = query.where(allocations.fits(inventory, amount, amount))
    query = query.where(HostRow.state == literal("up"), HostRow.forced_down.is_(False))
    query = query.where(HostRow.name == bindparam("host") if host else HostRow.disabled.is_(False))
    if zone:
        named = HostRow.availability_zone == bindparam("zone")
        query = query.where(or_(HostRow.availability_zone.is_(None), named) if zone == "default" else named)
    for index in range(traits):
        query = query.where(exists().where(ProviderTrait.trait == bindparam(f"trait{index}"),
                                           ProviderTrait.provider_id == Provider.id))
    if forbidden:
        query = query.where(~exists().where(ProviderTrait.trait.in_(bindparam("forbidden", expanding=True)),
                                            ProviderTrait.provider_id == Provider.id))
    for index in range(within):
        query = query.where(HostRow.name.in_(bindparam(f"within{index}", expanding=True)))
    if avoid:
        query = query.where(HostRow.name.not_in(bindparam("avoid", expanding=True)))
    if tried:
        query = query.where(Provider.id.not_in(bindparam("tried", expanding=True)))
    return query.order_by(free.desc()).limit(_FEW)


# ---------------------------------------------------------------- why not


def _reasons(tx: Transaction, ask: Ask) -> dict[str, str]:
    """Of every host the first thing that speaks against it."""
    hosts = tx.execute(select(HostRow.name, HostRow.state, HostRow.disabled, HostRow.forced_down, HostRow.availability_zone,
                              Provider.id).outerjoin(Provider, Provider.name == HostRow.name)).all()
    room: dict[int, dict[str, Any]] = {}
    for row in tx.execute(select(Inventory.provider_id, Inventory.resource_class, Inventory.total, Inventory.reserved,
                                 Inventory.allocation_ratio, Inventory.used, Inventory.min_unit, Inventory.max_unit,
                                 Inventory.step_size).where(Inventory.resource_class.in_(list(ask.resources)))):
        room.setdefault(row.provider_id, {})[row.resource_class] = row
    required = _required(ask)
    traits: dict[int, set[str]] = {}
    for trait, provider in tx.execute(select(ProviderTrait.trait, ProviderTrait.provider_id).where(
            ProviderTrait.trait.in_(sorted(required | ask.forbidden_traits)))):
        traits.setdefault(provider, set()).add(trait)
    return {host.name: _reason(ask, required, host, room.get(host.id, {}), traits.get(host.id, set())) for host in hosts}


def _reason(ask: Ask, required: frozenset[str], host: Any, room: dict[str, Any], traits: set[str]) -> str:
    if ask.host is not None and host.name != ask.host:
        return "another host was asked for"
    if host.state != "up" or host.forced_down:
        return "the host is down"
    if host.disabled and ask.host is None:
        return "the host is disabled"
    if ask.availability_zone is not None and (host.availability_zone or DEFAULT_ZONE) != ask.availability_zone:
        return f"not in availability zone {ask.availability_zone}"
    for within in ask.within:
        if host.name not in within.hosts:
            return within.reason
    if host.name in ask.avoid:
        return ask.avoid[host.name]
    if missing := required - traits:
        return f"lacks {', '.join(sorted(missing))}"
    if unwanted := ask.forbidden_traits & traits:
        return f"has {', '.join(sorted(unwanted))}"
    for name, amount in sorted(ask.resources.items()):
        if reason := _no_room(name, amount, room.get(name)):
            return reason
    if ask.bandwidth:
        return f"not enough bandwidth of {', '.join(sorted(ask.bandwidth))}"
    return "taken by another request at the same moment"


def _no_room(name: str, amount: int, row: Any) -> str | None:
    if row is None:
        return f"has no {name}"
    if not row.min_unit <= amount <= row.max_unit or amount % row.step_size:
        return f"does not give {amount} {name} at once"
    if row.used + amount > (row.total - row.reserved) * row.allocation_ratio:
        return f"not enough {name}"
    return None
