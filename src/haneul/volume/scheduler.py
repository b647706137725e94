"""Which back end a volume goes to: filters and a weigher over the pools that `volume.pools` keeps. No host is asked."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from msgspec import Struct
from sqlalchemy import and_, bindparam, func, select

from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Problem
from haneul.volume import pools
from haneul.volume.model import PoolRow, VolumeRow, VolumeServiceRow

log = structlog.get_logger("scheduler")
GIB = 1 << 30


class NoBackend(Problem):
    """Nothing fits; `reasons` by pool are for the operator."""

    status = 400

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("No valid backend was found. No weighed backends available")
        self.reasons = dict(reasons)


class Ask(Struct, frozen=True, kw_only=True):
    """What is wanted. `only` is the back end that has the source; `not_on` one to leave; hosts are as hints resolve them."""

    size: int
    specs: Mapping[str, str]
    format: str = "raw"
    zone: str | None = None
    only: str | None = None
    not_on: str | None = None
    same_as: frozenset[str] = frozenset()
    other_than: frozenset[str] = frozenset()


_pools: Any = PoolRow.__table__
_services: Any = VolumeServiceRow.__table__
_volumes: Any = VolumeRow.__table__
_POOLS = select(_pools.c.name, _pools.c.host, _pools.c.backend, _pools.c.facts, _pools.c.at, _services.c.disabled).select_from(
    _pools.outerjoin(_services, and_(_services.c.binary == "cinder-volume",
                                     _services.c.host == _pools.c.host + "@" + _pools.c.backend)))
_SINCE = select(_volumes.c.host, func.sum(_volumes.c.size)).where(
    _volumes.c.created_at > bindparam("at")).group_by(_volumes.c.host)


class Chosen(Struct, frozen=True):
    pool: str
    zone: str


def choose(tx: Transaction, ask: Ask) -> Chosen:
    """NoBackend when nothing fits."""
    rows = list(tx.core(_POOLS))
    since = _since(tx, rows)
    now, reasons, fitting = clock.seconds(), {}, []
    for row in rows:
        taken = row.facts.get("allocated_gib", 0) + since.get(row.name, 0)
        why = _unfit(tx, row, ask, taken, now)
        if why is None:
            fitting.append((-_room(tx, row.facts, taken), taken, row.name))
        else:
            reasons[row.name] = why
    if not fitting:
        log.info("no back end fits", **reasons)
        raise NoBackend(reasons)
    name = min(fitting)[2]
    return Chosen(name, next(row.facts["availability_zone"] for row in rows if row.name == name))


def fits(tx: Transaction, pool: str, ask: Ask) -> bool:
    """Whether a volume that is on a pool may stay there as what is asked for; its room it has."""
    for row in tx.core(_POOLS):
        if row.name == pool:
            return _mismatch(row, ask) is None
    return False


def _since(tx: Transaction, rows: list[Any]) -> dict[str, int]:
    """What was promised after the back ends were last counted."""
    at = min((row.at for row in rows if row.at), default=0.0)
    moment = datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
    return {host: int(size) for host, size in tx.core(_SINCE, at=moment) if host is not None}


def _unfit(tx: Transaction, row: Any, ask: Ask, taken: int, now: float) -> str | None:
    facts = row.facts
    if not pools.is_alive(row, now):
        return facts.get("problem") or "it has not answered for a while"
    if row.disabled:
        return "it is disabled"
    if (ask.only is not None and row.name != ask.only) or row.name == ask.not_on:
        return "the volume cannot be there"
    if (ask.same_as and row.name not in ask.same_as) or row.name in ask.other_than:
        return "the hints exclude it"
    if ask.zone is not None and ask.zone != facts.get("availability_zone"):
        return f"it is not in availability zone {ask.zone}"
    return _mismatch(row, ask) or _full(tx, facts, ask, taken)


def _mismatch(row: Any, ask: Ask) -> str | None:
    if ask.format not in row.facts.get("formats", ()):
        return f"it has no volumes of format {ask.format}"
    have = capabilities(row.facts)
    for key, wanted in ask.specs.items():
        if key == "RESKEY:availability_zones":
            if have["availability_zone"] not in [zone.strip() for zone in wanted.split(",")]:
                return "it is in none of the type's availability zones"
            continue
        scope, _, name = key.rpartition(":")
        if scope and scope != "capabilities":
            continue
        if name not in have or not satisfies(have[name], wanted):
            return f"its {name} is not {wanted}"
    return None


def _ratio(tx: Transaction, facts: Mapping[str, Any]) -> float:
    return tx.cloud.config.volume.max_over_subscription_ratio if facts.get("thin") else 1.0


def _room(tx: Transaction, facts: Mapping[str, Any], taken: int) -> int:
    """The weigher: what could still be promised, in GiB. Of two that share a disk the one with less on it is better."""
    ratio = _ratio(tx, facts)
    return int(min(facts["free_bytes"] // GIB * ratio, facts["total_bytes"] // GIB * ratio - taken))


def _full(tx: Transaction, facts: Mapping[str, Any], ask: Ask, taken: int) -> str | None:
    total, free = facts["total_bytes"] / GIB, facts["free_bytes"] / GIB
    ratio = _ratio(tx, facts)
    if taken + ask.size > total * ratio:
        return f"{taken} GiB of its {total:.1f} (times {ratio:g}) are promised already"
    if ask.size > free * ratio:
        return f"only {free:.1f} GiB of it are free"
    return None


def capabilities(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What extra specs are compared with, and pools show."""
    thin = bool(facts.get("thin"))
    return {"volume_backend_name": facts.get("volume_backend_name"), "vendor_name": "Open Source", "driver_version": "1.0",
            "storage_protocol": facts.get("storage_protocol"), "multiattach": bool(facts.get("multiattach")),
            "thin_provisioning_support": thin, "thick_provisioning_support": not thin, "QoS_support": False,
            "availability_zone": facts.get("availability_zone", pools.DEFAULT_ZONE)}


# ---------------------------------------------------------------- Cinder's operators

_NUMERIC: dict[str, Callable[[float, float], bool]] = {
    "=": operator.ge, "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le}
_TEXT: dict[str, Callable[[str, str], bool]] = {
    "s==": operator.eq, "s!=": operator.ne, "s<": operator.lt, "s<=": operator.le, "s>": operator.gt, "s>=": operator.ge}


def satisfies(have: Any, wanted: str) -> bool:
    """Whether a capability is what a spec asks for: `<is> True`, `<in> text`, `<or> a <or> b`, `>= 5`, `s== text`, text."""
    words = wanted.split()
    if not words:
        return str(have) == wanted
    sign, rest = words[0], words[1:]
    if sign in _NUMERIC and rest:
        try:
            return _NUMERIC[sign](float(have), float(rest[0]))
        except (TypeError, ValueError):
            return False
    if sign in _TEXT and rest:
        return _TEXT[sign](str(have), rest[0])
    if sign == "<is>" and rest:
        return _truth(have) == _truth(rest[0])
    if sign == "<in>" and rest:
        return rest[0] in str(have)
    if sign == "<or>":
        return str(have) in [word for word in rest if word != "<or>"]
    return str(have).lower() == wanted.lower() if isinstance(have, bool) else str(have) == wanted


def _truth(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).lower() in ("true", "1", "t", "yes", "y", "on")
