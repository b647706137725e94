"""Placement as servers need it: what a server asks for, a host claimed in the caller's transaction, and given back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from haneul.compute import groups
from haneul.compute.guests import Guest
from haneul.compute.model import AggregateRow, ServerGroupRow, ServerRow
from haneul.kernel.database import Transaction
from haneul.network import bandwidth
from haneul.placement import allocations, scheduler
from haneul.placement.scheduler import Ask, NoValidHost, Within

_AGGREGATE = "aggregate_instance_extra_specs:"


def claim(tx: Transaction, guest: Guest, flavor: dict[str, Any], *, zone: str | None = None, host: str | None = None,
          force: bool = False, hints: dict[str, list[str]] | None = None, avoid: dict[str, str] | None = None,
          within: list[Within] | None = None, ports: Iterable[str] = ()) -> str:
    """The host that now holds the flavor's room for the server. `force`: an administrator's host, past all filters but room
    and `within`, without which the server could not be there at all. `ports`: those it was given, which may ask for bandwidth;
    the ones that it has already count by themselves."""
    ask = Ask(consumer_id=guest.id, project_id=guest.project_id, user_id=guest.user_id,
              resources=resources(flavor, on_volume=guest.on_volume),
              availability_zone=None if force else zone, host=host, avoid=dict(avoid or {}),
              within=list(within or []))
    if not force:
        _traits(ask, flavor["extra_specs"], guest.image["properties"])
        _aggregates(tx, ask, flavor["extra_specs"])
        _group(tx, ask, guest)
        _hinted(tx, ask, hints or {})
    asked = bandwidth.of_server(tx, guest.id, ports)
    ask.bandwidth = bandwidth.summed(asked)
    chosen = scheduler.claim(tx, ask)
    bandwidth.granted(tx, asked, chosen.host_id)
    return chosen.host


def resources(flavor: dict[str, Any], *, on_volume: bool = False) -> dict[str, int]:
    """A root disk that is a volume takes no room on the host."""
    found = {"VCPU": flavor["vcpus"], "MEMORY_MB": flavor["ram"],
             "DISK_GB": (0 if on_volume else flavor["disk"]) + flavor["ephemeral"] + -(-flavor["swap"] // 1024)}
    for key, value in flavor["extra_specs"].items():
        if key.startswith("resources:") and str(value).isdigit():
            found[key.removeprefix("resources:")] = int(value)
    return found


def _traits(ask: Ask, specs: dict[str, str], properties: dict[str, str]) -> None:
    wished = {**{key: value for key, value in properties.items() if key.startswith("trait:")},
              **{key: value for key, value in specs.items() if key.startswith("trait:")}}
    ask.required_traits |= {key.removeprefix("trait:") for key, value in wished.items() if value == "required"}
    ask.forbidden_traits |= {key.removeprefix("trait:") for key, value in wished.items() if value == "forbidden"}


def _aggregates(tx: Transaction, ask: Ask, specs: dict[str, str]) -> None:
    """Only hosts of aggregates whose metadata says what the flavor asks for."""
    wanted = {key.removeprefix(_AGGREGATE): value for key, value in specs.items() if key.startswith(_AGGREGATE)}
    if not wanted:
        return
    fitting: set[str] = set()
    for hosts, meta in tx.execute(select(AggregateRow.hosts, AggregateRow.meta)):
        if all(meta.get(key) == value for key, value in wanted.items()):
            fitting.update(hosts)
    ask.within.append(Within(frozenset(fitting), "in no aggregate that the flavor asks for"))


def _group(tx: Transaction, ask: Ask, guest: Guest) -> None:
    if guest.group_id is None:
        return
    tx.lock("server-group", guest.group_id)
    found = tx.execute(select(ServerGroupRow.policy, ServerGroupRow.rules).where(ServerGroupRow.id == guest.group_id)).first()
    if found is None:
        return
    policy, rules = found
    others = groups.hosts_of(tx, guest.group_id, guest.id)
    if policy == "affinity" and others:
        ask.within.append(Within(frozenset(others), "the server's group is on another host (affinity)"))
    elif policy == "anti-affinity":
        most = int((rules or {}).get("max_server_per_host", 1))
        ask.avoid.update({host: "a server of its group is there (anti-affinity)"
                          for host, count in others.items() if count >= most})
    elif others:
        _soft(tx, ask, policy, others)


def _soft(tx: Transaction, ask: Ask, policy: str, others: dict[str, int]) -> None:
    """A wish only: tried first in a savepoint of its own, and dropped when it leaves no host."""
    wished = Ask(consumer_id=ask.consumer_id, project_id=ask.project_id, user_id=ask.user_id, resources=dict(ask.resources),
                 required_traits=ask.required_traits, forbidden_traits=ask.forbidden_traits,
                 availability_zone=ask.availability_zone, host=ask.host, within=list(ask.within), avoid=dict(ask.avoid),
                 bandwidth=ask.bandwidth)
    if policy == "soft-affinity":
        wished.within.append(Within(frozenset(others), "the server's group is elsewhere"))
    else:
        wished.avoid.update(dict.fromkeys(others, "a server of its group is there"))
    try:
        with tx.begin_nested():
            chosen = scheduler.claim(tx, wished)
    except NoValidHost:
        return
    ask.within.append(Within(frozenset({chosen.host}), "the server's group prefers another host"))


def _hinted(tx: Transaction, ask: Ask, hints: dict[str, list[str]]) -> None:
    for name, ids in hints.items():
        hosts = {host for host in tx.execute(select(ServerRow.host).where(
            ServerRow.id.in_(ids), ServerRow.deleted.is_(False))).scalars() if host}
        if name == "same_host":
            ask.within.append(Within(frozenset(hosts), "not the host of the servers that were named (same_host)"))
        elif name == "different_host":
            ask.avoid.update(dict.fromkeys(hosts, "a server that was named is there (different_host)"))


def release(tx: Transaction, consumer_id: str) -> None:
    """The room is free again; fine when none was held."""
    allocations.release(tx, consumer_id)


def lend(tx: Transaction, consumer_id: str, to: str) -> None:
    """A migration keeps the server's present room while the server claims anew."""
    allocations.move(tx, consumer_id, to)
