"""What the kernel has of this cloud's filters, read from the names of chains."""

from __future__ import annotations

import re

import msgspec

from haneul.host.fabric import names

from . import nft
from .namespaces import exists, inside

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
NETWORK_CHAIN = re.compile(rf"chain z-({UUID})-(\d+)\b")
PORT_CHAIN = re.compile(rf"chain ([aegi])-({UUID})\b")
GROUP_CHAIN = re.compile(rf"chain (sgi|sge)-({UUID})\b")


class Filters(msgspec.Struct):
    """Ids that have all their chains. `partial` have some only."""

    zones: dict[str, int] = msgspec.field(default_factory=dict)  # by network id
    ports: set[str] = msgspec.field(default_factory=set)
    groups: set[str] = msgspec.field(default_factory=set)
    partial: set[str] = msgspec.field(default_factory=set)
    base: bool = False


def _complete(pairs: list[tuple[str, str]], parts: int, partial: set[str]) -> set[str]:
    count: dict[str, int] = {}
    for _part, id in pairs:
        count[id] = count.get(id, 0) + 1
    partial |= {id for id, number in count.items() if number < parts}
    return set(count)


def read(cloud_id: str) -> Filters:
    """Reads the fabric namespace; nothing is found when there is none."""
    namespace, found = names.fabric_namespace(cloud_id), Filters()
    if not exists(namespace):
        return found
    with inside(namespace):
        tracking, filtering = nft.listing("list chains inet"), nft.listing("list chains bridge")
    found.base = "chain state" in tracking and "chain forwarded" in filtering and "chain last" in filtering
    found.zones = {id: int(zone) for id, zone in NETWORK_CHAIN.findall(tracking)}
    found.ports = _complete(PORT_CHAIN.findall(filtering), 4, found.partial)
    found.groups = _complete(GROUP_CHAIN.findall(filtering), 2, found.partial)
    return found
