"""Provider attributes: what a network is made of on the wire between machines, and the numbers that tell them apart."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from sqlalchemy import bindparam, select

from haneul.kernel.database import Transaction
from haneul.network.errors import (
    FlatNetworkInUse,
    InvalidInput,
    NetworkMTUSubnetConflict,
    NoNetworkAvailable,
    TunnelIdInUse,
    VlanIdInUse,
)
from haneul.network.model import NetworkRow

TYPES = ("vxlan", "flat", "vlan", "local")
TUNNEL_OVERHEAD = 50
LEAST_MTU = {4: 68, 6: 1280}

_network: Any = NetworkRow.__table__
_USED = select(_network.c.segmentation_id).where(
    _network.c.type == "vxlan", _network.c.segmentation_id.in_(bindparam("numbers", expanding=True))
)


class Wanted(Struct):
    """provider:network_type, provider:physical_network and provider:segmentation_id as asked for; None: chosen here."""

    type: str | None = None
    physical_network: str | None = None
    segmentation_id: int | None = None


class Segment(Struct):
    type: str
    physical_network: str | None = None
    segmentation_id: int | None = None


def allocate(tx: Transaction, wanted: Wanted) -> Segment:
    """Projects' networks are VXLAN with a number of its own."""
    kind = wanted.type
    if kind is None:
        if wanted.physical_network is not None or wanted.segmentation_id is not None:
            raise InvalidInput("network_type required")
        kind = "vxlan"
    if kind not in TYPES:
        raise InvalidInput(f"network_type value '{kind}' not supported")
    tx.lock("network-segments")
    if kind == "vxlan":
        return Segment(kind, None, _vni(tx, wanted))
    if kind == "vlan":
        return _vlan(tx, wanted)
    if wanted.segmentation_id is not None:
        raise InvalidInput(f"segmentation_id is prohibited for {kind} provider network")
    if kind == "local":
        if wanted.physical_network is not None:
            raise InvalidInput("provider:physical_network specified for local network")
        return Segment(kind)
    return _flat(tx, wanted)


def mtu(tx: Transaction, kind: str, wanted: int | None) -> int:
    most = tx.cloud.config.network.mtu - (TUNNEL_OVERHEAD if kind == "vxlan" else 0)
    if not wanted:
        return most
    if wanted > most:
        raise InvalidInput(f"Requested MTU is too big, maximum is {most}")
    return wanted


def check_mtu(network_id: str, mtu: int, versions: Iterable[int]) -> None:
    """The kernel, and the standards, have no IP on links that carry less."""
    for version in sorted(set(versions)):
        if mtu < LEAST_MTU[version]:
            raise NetworkMTUSubnetConflict(network_id, LEAST_MTU[version], version)


def _taken(tx: Transaction, kind: str, physical: str | None, number: int) -> bool:
    return (
        tx.execute(
            select(NetworkRow.id).where(
                NetworkRow.type == kind,
                NetworkRow.segmentation_id == number,
                NetworkRow.physical_network.is_(None) if physical is None else NetworkRow.physical_network == physical,
            )
        ).first()
        is not None
    )


def _vni(tx: Transaction, wanted: Wanted) -> int:
    if wanted.physical_network is not None:
        raise InvalidInput("provider:physical_network specified for vxlan network")
    settings = tx.cloud.config.network
    if wanted.segmentation_id is not None:
        if not 1 <= wanted.segmentation_id < 1 << 24:
            raise InvalidInput(f"segmentation_id out of range (1 through {(1 << 24) - 1})")
        if _taken(tx, "vxlan", None, wanted.segmentation_id):
            raise TunnelIdInUse(wanted.segmentation_id)
        return wanted.segmentation_id
    tries = {random.randint(settings.vni_min, settings.vni_max) for _ in range(8)}
    tx.flush()
    used = set(tx.core(_USED, numbers=list(tries)).scalars())
    if tries - used:
        return min(tries - used)
    used = set(tx.execute(select(NetworkRow.segmentation_id).where(NetworkRow.type == "vxlan")).scalars())
    for number in range(settings.vni_min, settings.vni_max + 1):
        if number not in used:
            return number
    raise NoNetworkAvailable()


def _vlan(tx: Transaction, wanted: Wanted) -> Segment:
    ranges = tx.cloud.config.network.vlan_ranges
    physical = wanted.physical_network
    if physical is None:
        raise InvalidInput(
            "physical_network required for vlan provider network"
            if wanted.segmentation_id is not None or not ranges
            else "physical_network required for VLAN provider network"
        )
    if physical not in ranges:
        raise InvalidInput(f"physical_network '{physical}' unknown for VLAN provider network")
    if wanted.segmentation_id is not None:
        if not 1 <= wanted.segmentation_id <= 4094:
            raise InvalidInput("segmentation_id out of range (1 through 4094)")
        if _taken(tx, "vlan", physical, wanted.segmentation_id):
            raise VlanIdInUse(wanted.segmentation_id, physical)
        return Segment("vlan", physical, wanted.segmentation_id)
    used = set(
        tx.execute(
            select(NetworkRow.segmentation_id).where(NetworkRow.type == "vlan", NetworkRow.physical_network == physical)
        ).scalars()
    )
    first, last = ranges[physical]
    for number in range(first, last + 1):
        if number not in used:
            return Segment("vlan", physical, number)
    raise NoNetworkAvailable()


def _flat(tx: Transaction, wanted: Wanted) -> Segment:
    physical = wanted.physical_network
    if physical is None:
        raise InvalidInput("physical_network required for flat provider network")
    if physical not in tx.cloud.config.network.flat_networks:
        raise InvalidInput(f"physical_network '{physical}' unknown for flat provider network")
    if tx.execute(
        select(NetworkRow.id).where(NetworkRow.type == "flat", NetworkRow.physical_network == physical)
    ).first():
        raise FlatNetworkInUse(physical)
    return Segment("flat", physical)
