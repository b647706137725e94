"""Addresses: picking free ones, and what addresses a device has."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from msgspec import Struct
from sqlalchemy import Table, bindparam, select

from haneul.kernel.database import Transaction
from haneul.network.errors import (
    InvalidInput,
    InvalidIpForNetwork,
    InvalidIpForSubnet,
    IpAddressAlreadyAllocated,
    IpAddressGenerationFailure,
)
from haneul.network.model import AllocationRow, FloatingIpRow, NetworkRow, PortRow, SubnetRow

AUTOMATIC = ("slaac", "dhcpv6-stateless")
MOST_A_PORT = 5
_SMALL = 128  # addresses up to which a subnet's allocations are simply read
_TRIES = 12
_TAKEN = select(AllocationRow.ip_address).where(
    AllocationRow.subnet_id == bindparam("subnet"), AllocationRow.ip_address.in_(bindparam("ips", expanding=True))
)

_ALL_TAKEN = select(AllocationRow.ip_address).where(AllocationRow.subnet_id == bindparam("subnet"))
_port, _network, _allocation, _floating = (
    cast(Table, model.__table__) for model in (PortRow, NetworkRow, AllocationRow, FloatingIpRow)
)
_DEVICES: Any = bindparam("devices", expanding=True)
_FIXED = (
    select(
        _port.c.device_id, _port.c.id, _port.c.mac_address, _network.c.id, _network.c.name, _allocation.c.ip_address
    )
    .join(_network, _network.c.id == _port.c.network_id)
    .join(_allocation, _allocation.c.port_id == _port.c.id)
    .where(_port.c.device_id.in_(_DEVICES))
    .order_by(_port.c.created_at, _port.c.id, _allocation.c.number)
)
_FLOATING = (
    select(_floating.c.port_id, _floating.c.fixed_ip_address, _floating.c.floating_ip_address)
    .join(_port, _port.c.id == _floating.c.port_id)
    .where(_port.c.device_id.in_(_DEVICES))
)


class Address(Struct, frozen=True, kw_only=True):
    """An address of a device; `kind` is fixed or floating."""

    port_id: str
    mac: str
    network_id: str
    network_name: str
    ip: str
    version: int
    kind: str


def of_devices(tx: Transaction, device_ids: Iterable[str]) -> dict[str, list[Address]]:
    """The addresses of each device (server), ports in the order of their making, floating ones after their fixed one.

    Two statements, however many devices. Ports without addresses are not in it.
    """
    found: dict[str, list[Address]] = {id: [] for id in device_ids}
    if not found:
        return found
    tx.flush()
    rows = tx.core(_FIXED, devices=list(found)).all()
    floating: dict[tuple[str, str], str] = {}
    if rows:
        floating = {
            (port or "", fixed or ""): ip for port, fixed, ip in tx.core(_FLOATING, devices=list(found))
        }
    for device, port, mac, network, name, ip in rows:
        found[device].append(
            Address(
                port_id=port,
                mac=mac,
                network_id=network,
                network_name=name,
                ip=ip,
                version=6 if ":" in ip else 4,
                kind="fixed",
            )
        )
        if (port, ip) in floating:
            found[device].append(
                Address(
                    port_id=port,
                    mac=mac,
                    network_id=network,
                    network_name=name,
                    ip=floating[port, ip],
                    version=4,
                    kind="floating",
                )
            )
    return found


# ---------------------------------------------------------------- choosing


class Wish(Struct, frozen=True):
    """One entry of fixed_ips: a subnet, an address, or both."""

    subnet_id: str | None = None
    ip_address: str | None = None


class Chooser:
    """Chooses addresses for ports of one network in one transaction; remembers what it gave out, so that many ports cost
    few statements. `subnets` are all of the network's."""

    def __init__(self, tx: Transaction, network_id: str, subnets: Sequence[SubnetRow]) -> None:
        self._tx = tx
        self._network_id = network_id
        self._subnets = {row.id: row for row in subnets}
        self._given: dict[str, set[str]] = {id: set() for id in self._subnets}
        self._free: dict[str, Iterator[str]] = {}

    def choose(
        self,
        mac: str,
        wishes: Sequence[Wish] | None,
        *,
        owner: str = "",
        lowest: bool = False,
        kept: Sequence[AllocationRow] = (),
    ) -> list[tuple[str, str]]:
        """(subnet, address) pairs. No wishes at all: one address an IP version. SLAAC addresses come on top, but not for
        routers. `kept` addresses are the port's own already."""
        router = owner.startswith("network:router")
        own = {(row.subnet_id, row.ip_address) for row in kept}
        chosen = self._automatic(owner, lowest) if wishes is None else self._wished(mac, wishes, owner, lowest, own)
        if not router:
            named = {subnet for subnet, _ in chosen}
            for subnet in self._subnets.values():
                if subnet.id not in named and is_automatic(subnet):
                    chosen.append((subnet.id, self._take(subnet, eui64(subnet.cidr, mac), own)))
        return chosen

    def _automatic(self, owner: str, lowest: bool) -> list[tuple[str, str]]:
        chosen = []
        for version in (4, 6):
            candidates = [row for row in self._subnets.values() if row.ip_version == version and not is_automatic(row)]
            fitting = [row for row in candidates if not row.service_types or owner in row.service_types]
            for subnet in fitting:
                ip = self._next(subnet, lowest)
                if ip is not None:
                    chosen.append((subnet.id, ip))
                    break
            else:
                if fitting:
                    raise IpAddressGenerationFailure(self._network_id)
        return chosen

    def _wished(
        self, mac: str, wishes: Sequence[Wish], owner: str, lowest: bool, own: set[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        if len(wishes) > MOST_A_PORT and not owner.startswith("network:"):
            raise InvalidInput("Exceeded maximum amount of fixed ips per port")
        system = owner.startswith(("network:router", "network:dhcp"))
        chosen: list[tuple[str, str]] = []
        for wish in sorted(
            wishes, key=lambda wish: wish.ip_address is None
        ):  # named addresses first: nobody else takes them
            subnet = self._subnet_of(wish)
            if wish.ip_address is not None:
                ip = canonical(wish.ip_address)
                if is_automatic(subnet) and not system and (subnet.id, ip) not in own and ip != eui64(subnet.cidr, mac):
                    raise InvalidInput(
                        f"IPv6 address {ip} can not be directly assigned to a port on subnet {subnet.id} since "
                        "the subnet is configured for automatic addresses"
                    )
                chosen.append((subnet.id, self._take(subnet, ip, own)))
            elif is_automatic(subnet) and not owner.startswith("network:router"):
                chosen.append((subnet.id, self._take(subnet, eui64(subnet.cidr, mac), own)))
            else:
                free = self._next(subnet, lowest)
                if free is None:
                    raise IpAddressGenerationFailure(self._network_id)
                chosen.append((subnet.id, free))
        return chosen

    def _subnet_of(self, wish: Wish) -> SubnetRow:
        if wish.subnet_id is not None:
            subnet = self._subnets.get(wish.subnet_id)
            if subnet is None:
                raise InvalidInput(
                    f"Failed to create port on network {self._network_id}, because fixed_ips included invalid "
                    f"subnet {wish.subnet_id}"
                )
            if wish.ip_address is not None and not usable(subnet.cidr, wish.ip_address):
                raise InvalidIpForSubnet(wish.ip_address)
            return subnet
        if wish.ip_address is None:
            raise InvalidInput("IP allocation requires subnet_id or ip_address")
        for subnet in self._subnets.values():
            if usable(subnet.cidr, wish.ip_address):
                return subnet
        raise InvalidIpForNetwork(wish.ip_address)

    def _take(self, subnet: SubnetRow, ip: str, own: set[tuple[str, str]]) -> str:
        if (subnet.id, ip) in own:
            return ip
        self._tx.lock("subnet", subnet.id)
        if (
            ip in self._given[subnet.id]
            or self._tx.execute(
                select(AllocationRow.port_id).where(
                    AllocationRow.subnet_id == subnet.id, AllocationRow.ip_address == ip
                )
            ).first()
        ):
            raise IpAddressAlreadyAllocated(ip, subnet.id)
        self._given[subnet.id].add(ip)
        return ip

    def _next(self, subnet: SubnetRow, lowest: bool) -> str | None:
        if subnet.id not in self._free:
            self._tx.lock("subnet", subnet.id)
            self._free[subnet.id] = free(self._tx, subnet, lowest=lowest)
        for ip in self._free[subnet.id]:
            if ip not in self._given[subnet.id]:
                self._given[subnet.id].add(ip)
                return ip
        return None


def free(tx: Transaction, subnet: SubnetRow, *, lowest: bool = False) -> Iterator[str]:
    """Free addresses of the allocation pools: a few random ones are tried first, so that a large subnet is not read."""
    kind = ipaddress.IPv4Address if subnet.ip_version == 4 else ipaddress.IPv6Address
    ranges = [(int(kind(pool["start"])), int(kind(pool["end"]))) for pool in subnet.allocation_pools]
    size = sum(end - start + 1 for start, end in ranges)
    if size > _SMALL and not lowest:
        tries = list({str(kind(_nth(ranges, random.randrange(size)))) for _ in range(_TRIES)})
        taken = {ip for (ip,) in tx.execute(_TAKEN, {"subnet": subnet.id, "ips": tries})}
        yield from (ip for ip in tries if ip not in taken)
    taken = {ip for (ip,) in tx.execute(_ALL_TAKEN, {"subnet": subnet.id})}
    for start, end in ranges:
        for number in range(start, end + 1):
            ip = str(kind(number))
            if ip not in taken:
                yield ip


def _nth(ranges: list[tuple[int, int]], position: int) -> int:
    for start, end in ranges:
        if position <= end - start:
            return start + position
        position -= end - start + 1
    raise AssertionError("beyond the pools")


# ---------------------------------------------------------------- facts about addresses


def is_automatic(subnet: SubnetRow) -> bool:
    """Guests make their own address from the router's advertisements and their MAC."""
    return subnet.ipv6_address_mode in AUTOMATIC or subnet.ipv6_ra_mode in AUTOMATIC


def canonical(ip: str) -> str:
    """The one spelling that is kept. Raises InvalidInput."""
    try:
        return str(ipaddress.ip_address(ip))
    except ValueError:
        raise InvalidInput(f"'{ip}' is not a valid IP address") from None


def eui64(cidr: str, mac: str) -> str:
    """The SLAAC address of a MAC in a prefix."""
    octets = bytearray(bytes.fromhex(mac.replace(":", "")))
    octets[0] ^= 2
    number = int.from_bytes(octets[:3] + b"\xff\xfe" + octets[3:], "big")
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Network(cidr).network_address) + number))


def usable(cidr: str, ip: str) -> bool:
    """Whether a port may have the address: inside, and neither the network's nor (IPv4) the broadcast's."""
    network: Any = ipaddress.ip_network(cidr)
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        raise InvalidInput(f"'{ip}' is not a valid IP address") from None
    if address.version != network.version or address not in network:
        return False
    if network.prefixlen >= network.max_prefixlen - 1:
        return True
    return bool(address != network.network_address and (network.version == 6 or address != network.broadcast_address))
