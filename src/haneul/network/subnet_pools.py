"""Subnet pools: prefixes from which subnets are cut, and the address scopes that keep pools apart."""

from __future__ import annotations

import ipaddress
from typing import Any

from sqlalchemy import select

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict
from haneul.network import access, quota
from haneul.network.errors import AddressScopeNotFound, BadAttribute, InvalidInput, SubnetPoolNotFound
from haneul.network.model import AddressScopeRow, SubnetPoolRow, SubnetRow


class SubnetAllocationError(Conflict):
    def __init__(self, reason: str) -> None:
        super().__init__(f"Failed to allocate subnet: {reason}.")


class SubnetPoolInUse(Conflict):
    def __init__(self, id: str) -> None:
        super().__init__(
            f"Unable to complete operation on subnet pool {id}. Subnet pool has existing allocations.",
            type="SubnetPoolDeleteError",
        )


class IllegalSubnetPoolPrefixUpdate(BadRequest):
    """Prefixes that subnets were cut from cannot go."""


class IllegalSubnetPoolPrefixBounds(BadRequest):
    """Default, minimum and maximum length that do not fit each other."""


class AddressScopeInUse(Conflict):
    def __init__(self, id: str) -> None:
        super().__init__(
            f"Unable to complete operation on address scope {id}. There are one or more subnet pools in use on the "
            "address scope"
        )


class SubnetPoolQuotaExceeded(Conflict):
    def __init__(self) -> None:
        super().__init__("Per-tenant subnet pool prefix quota exceeded.")


def get(tx: Transaction, context: Context, id: str) -> SubnetPoolRow:
    row = tx.execute(
        select(SubnetPoolRow).where(SubnetPoolRow.id == id, access.shareable(SubnetPoolRow, context))
    ).scalar()
    if row is None:
        raise SubnetPoolNotFound(id)
    return row


def default(tx: Transaction, version: int) -> SubnetPoolRow:
    row = tx.execute(
        select(SubnetPoolRow).where(SubnetPoolRow.is_default, SubnetPoolRow.ip_version == version)
    ).scalar()
    if row is None:
        raise BadAttribute("use_default_subnetpool", f"No default subnetpool found for IPv{version}")
    return row


def create(
    tx: Transaction, context: Context, *, project_id: str, prefixes: list[str], values: dict[str, Any]
) -> SubnetPoolRow:
    quota.check(tx, project_id, subnetpool=1)
    found = compact(prefixes)
    version = ipaddress.ip_network(found[0]).version
    most = 32 if version == 4 else 128
    least = values.pop("min_prefixlen", None) or (8 if version == 4 else 64)
    longest = values.pop("max_prefixlen", None) or most
    usual = values.pop("default_prefixlen", None) or least
    check_bounds(least, usual, longest, most)
    row = SubnetPoolRow(
        project_id=project_id,
        ip_version=version,
        prefixes=found,
        min_prefixlen=least,
        max_prefixlen=longest,
        default_prefixlen=usual,
        **values,
    )
    _check_scope(tx, context, row)
    _check_default(tx, row)
    tx.add(row)
    tx.flush()
    return row


def update(tx: Transaction, context: Context, row: SubnetPoolRow, values: dict[str, Any]) -> SubnetPoolRow:
    if "prefixes" in values and row.address_scope_id is not None and not context.is_admin:
        scope = tx.get_one(AddressScopeRow, row.address_scope_id)
        if scope.project_id != context.project_id:
            raise BadRequest(
                f"Illegal subnetpool update : subnetpool {row.id} cannot be updated because it is associated with address "
                f"scope {scope.id}, which is not the caller's.",
                type="IllegalSubnetPoolUpdate",
            )
    if "prefixes" in values:
        values["prefixes"] = (
            compact([*values["prefixes"], *row.prefixes])
            if not _covers(values["prefixes"], row.prefixes)
            else compact(values["prefixes"])
        )
    for key, value in values.items():
        setattr(row, key, value)
    check_bounds(row.min_prefixlen, row.default_prefixlen, row.max_prefixlen, 32 if row.ip_version == 4 else 128)
    _check_scope(tx, context, row)
    _check_default(tx, row)
    row.touch()
    tx.flush()
    return row


def _covers(wanted: list[str], present: list[str]) -> bool:
    nets: list[Any] = [ipaddress.ip_network(text, strict=False) for text in wanted]
    if not all(
        any(
            ipaddress.ip_network(old).subnet_of(net) for net in nets if net.version == ipaddress.ip_network(old).version
        )
        for old in present
    ):
        raise IllegalSubnetPoolPrefixUpdate(
            "Illegal update to prefixes: existing prefixes must be a subset of the new ones."
        )
    return True


def delete(tx: Transaction, row: SubnetPoolRow) -> None:
    if tx.execute(select(SubnetRow.id).where(SubnetRow.subnetpool_id == row.id).limit(1)).first():
        raise SubnetPoolInUse(row.id)
    access.forget(tx, row.id)
    tx.delete(row)
    tx.flush()


def add_prefixes(tx: Transaction, row: SubnetPoolRow, prefixes: list[str]) -> list[str]:
    row.prefixes = compact([*row.prefixes, *prefixes])
    row.touch()
    return list(row.prefixes)


def remove_prefixes(tx: Transaction, row: SubnetPoolRow, prefixes: list[str]) -> list[str]:
    gone: list[Any] = [ipaddress.ip_network(text) for text in compact(prefixes)]
    kept: list[Any] = [ipaddress.ip_network(text) for text in row.prefixes]
    for prefix in gone:
        rest: list[Any] = []
        for net in kept:
            if prefix.subnet_of(net):
                rest.extend(net.address_exclude(prefix))
            elif not net.subnet_of(prefix):
                rest.append(net)
        kept = rest
    for cidr in tx.execute(select(SubnetRow.cidr).where(SubnetRow.subnetpool_id == row.id)).scalars():
        if any(ipaddress.ip_network(cidr).overlaps(prefix) for prefix in gone):
            raise IllegalSubnetPoolPrefixUpdate(f"Illegal update to prefixes: {cidr} is allocated from them.")
    row.prefixes = [str(net) for net in ipaddress.collapse_addresses(kept)]
    row.touch()
    return list(row.prefixes)


def compact(prefixes: list[str]) -> list[str]:
    """Of one IP version, neighbours joined."""
    nets: list[Any] = []
    for text in prefixes:
        try:
            nets.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise BadAttribute("prefixes", f"'{text}' is not a valid IP subnet") from None
    if not nets:
        raise BadAttribute("prefixes", "at least one prefix is needed")
    if len({net.version for net in nets}) > 1:
        raise BadRequest("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", type="PrefixVersionMismatch")
    return [str(net) for net in ipaddress.collapse_addresses(nets)]


def check_bounds(least: int, usual: int, longest: int, most: int) -> None:
    for first, second, words in (
        (least, longest, "min_prefixlen"),
        (least, usual, "default_prefixlen"),
        (usual, longest, "default_prefixlen"),
    ):
        if first > second:
            raise IllegalSubnetPoolPrefixBounds(f"Illegal prefix bounds: {words}={first}, {second}.")
    if longest > most:
        raise IllegalSubnetPoolPrefixBounds(
            f"Illegal prefix bounds: max_prefixlen={longest}, ip_version maximum={most}."
        )


def _check_scope(tx: Transaction, context: Context, row: SubnetPoolRow) -> None:
    if row.address_scope_id is None:
        return
    scope = get_scope(tx, context, row.address_scope_id)
    if scope.ip_version != row.ip_version:
        raise BadRequest(
            f"Illegal subnetpool association: subnetpool {row.id} cannot associate with address scope {scope.id} "
            f"because subnetpool ip_version is not {scope.ip_version}.",
            type="IllegalSubnetPoolIpVersionAssociationToAddressScope",
        )
    others = tx.execute(
        select(SubnetPoolRow).where(SubnetPoolRow.address_scope_id == scope.id, SubnetPoolRow.id != row.id)
    ).scalars()
    for other in others:
        if any(
            ipaddress.ip_network(one).overlaps(ipaddress.ip_network(two))
            for one in row.prefixes
            for two in other.prefixes
        ):
            raise Conflict(
                f"Address scope {scope.id} already has prefixes that overlap.", type="AddressScopePrefixConflict"
            )


def _check_default(tx: Transaction, row: SubnetPoolRow) -> None:
    if row.is_default:
        other = tx.execute(
            select(SubnetPoolRow.id).where(
                SubnetPoolRow.is_default, SubnetPoolRow.ip_version == row.ip_version, SubnetPoolRow.id != row.id
            )
        ).first()
        if other:
            raise InvalidInput(
                f"A default subnetpool for IPv{row.ip_version} has already been set. Only one default may exist per IP "
                "family"
            )


# ---------------------------------------------------------------- cutting


def allocate(
    tx: Transaction,
    pool: SubnetPoolRow,
    project_id: str,
    *,
    version: int | None = None,
    cidr: str | None = None,
    prefixlen: int | None = None,
) -> str:
    """A prefix of the pool that no subnet has: the one asked for, else the first free one of the length."""
    if version is not None and version != pool.ip_version:
        raise BadRequest(
            f"Cannot allocate IPv{version} subnet from IPv{pool.ip_version} subnet pool.", type="BadRequest"
        )
    tx.lock("subnetpool", pool.id)
    taken: list[Any] = [
        ipaddress.ip_network(text)
        for text in tx.execute(select(SubnetRow.cidr).where(SubnetRow.subnetpool_id == pool.id)).scalars()
    ]
    wanted: Any = ipaddress.ip_network(cidr, strict=False) if cidr else None
    length = wanted.prefixlen if wanted is not None else prefixlen if prefixlen is not None else pool.default_prefixlen
    if length < pool.min_prefixlen:
        raise BadRequest(
            f"Unable to allocate subnet with prefix length {length}, minimum allowed prefix is {pool.min_prefixlen}.",
            type="MinPrefixSubnetAllocationError",
        )
    if length > pool.max_prefixlen:
        raise BadRequest(
            f"Unable to allocate subnet with prefix length {length}, maximum allowed prefix is {pool.max_prefixlen}.",
            type="MaxPrefixSubnetAllocationError",
        )
    _check_quota(tx, pool, project_id, length)
    nets: list[Any] = [ipaddress.ip_network(text) for text in pool.prefixes]
    if wanted is not None:
        if not any(wanted.subnet_of(net) for net in nets) or any(wanted.overlaps(other) for other in taken):
            raise SubnetAllocationError("Cannot allocate requested subnet from the available set of prefixes")
        return str(wanted)
    for net in nets:
        if net.prefixlen <= length:
            found = _first_free(net, length, [other for other in taken if other.overlaps(net)])
            if found is not None:
                return found
    raise SubnetAllocationError(f"Insufficient prefix space to allocate subnet size /{length}")


def _first_free(net: Any, length: int, taken: list[Any]) -> str | None:
    """Steps over what is taken, however large the prefix."""
    size = 1 << (net.max_prefixlen - length)
    position, end = int(net.network_address), int(net.broadcast_address)
    for other in sorted(taken, key=lambda entry: int(entry.network_address)):
        if position + size <= int(other.network_address):
            break
        position = max(position, -(-(int(other.broadcast_address) + 1) // size) * size)
    if position + size - 1 > end:
        return None
    return f"{type(net.network_address)(position)}/{length}"


def _check_quota(tx: Transaction, pool: SubnetPoolRow, project_id: str, length: int) -> None:
    """default_quota counts addresses in IPv4 and /64s in IPv6."""
    if pool.default_quota is None:
        return
    unit = 32 if pool.ip_version == 4 else 64
    used = sum(
        2 ** max(0, unit - ipaddress.ip_network(text).prefixlen)
        for text in tx.execute(
            select(SubnetRow.cidr).where(SubnetRow.subnetpool_id == pool.id, SubnetRow.project_id == project_id)
        ).scalars()
    )
    if used + 2 ** max(0, unit - length) > pool.default_quota:
        raise SubnetPoolQuotaExceeded()


# ---------------------------------------------------------------- address scopes


def get_scope(tx: Transaction, context: Context, id: str) -> AddressScopeRow:
    row = tx.execute(
        select(AddressScopeRow).where(AddressScopeRow.id == id, access.shareable(AddressScopeRow, context))
    ).scalar()
    if row is None:
        raise AddressScopeNotFound(id)
    return row


def delete_scope(tx: Transaction, row: AddressScopeRow) -> None:
    if tx.execute(select(SubnetPoolRow.id).where(SubnetPoolRow.address_scope_id == row.id).limit(1)).first():
        raise AddressScopeInUse(row.id)
    access.forget(tx, row.id)
    tx.delete(row)
    tx.flush()
