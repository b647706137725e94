"""Subnets: what Neutron allows them to be, their pools, and the DHCP port that their network gets."""

from __future__ import annotations

import ipaddress
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import bindparam, select
from sqlalchemy import delete as delete_from

from haneul.fleet.model import HostRow
from haneul.kernel import context as contexts
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.network import access, changes, quota, segments
from haneul.network.addresses import Wish, is_automatic, usable
from haneul.network.errors import (
    BadAttribute,
    GatewayConflictWithAllocationPools,
    GatewayIpInUse,
    InvalidAllocationPool,
    InvalidInput,
    OutOfBoundsAllocationPool,
    OverlappingAllocationPools,
    SubnetInUse,
    SubnetNotFound,
)
from haneul.network.model import AllocationRow, NetworkRow, PortRow, SubnetRow

MODES = ("slaac", "dhcpv6-stateful", "dhcpv6-stateless")
AUTO_DELETED = ("network:dhcp",)

_OF_NETWORK = (
    select(SubnetRow)
    .where(SubnetRow.network_id == bindparam("network"))
    .order_by(SubnetRow.created_at, SubnetRow.id)
)
_DHCP_PORT = select(PortRow).where(PortRow.network_id == bindparam("network"), PortRow.device_owner == "network:dhcp")


class NewSubnet(Struct, kw_only=True):
    """A subnet to be. `gateway_ip` UNSET: the first address; None: none."""

    network_id: str
    project_id: str
    ip_version: int
    cidr: str
    name: str = ""
    description: str = ""
    gateway_ip: str | None | UnsetType = UNSET
    allocation_pools: list[dict[str, str]] | UnsetType = UNSET
    enable_dhcp: bool = True
    dns_nameservers: list[str] = []
    host_routes: list[dict[str, str]] = []
    ipv6_ra_mode: str | None = None
    ipv6_address_mode: str | None = None
    service_types: list[str] = []
    subnetpool_id: str | None = None
    dns_publish_fixed_ip: bool = False


def get(tx: Transaction, context: Context, id: str) -> SubnetRow:
    row = tx.execute(select(SubnetRow).where(SubnetRow.id == id, access.subnets(context))).scalar()
    if row is None:
        raise SubnetNotFound(id)
    return row


def create(tx: Transaction, context: Context, network: NetworkRow, new: NewSubnet) -> SubnetRow:
    quota.check(tx, new.project_id, subnet=1)
    cidr = _cidr(new.cidr, new.ip_version)
    segments.check_mtu(network.id, network.mtu, [new.ip_version])
    _check_modes(new, cidr)
    tx.lock("network", network.id)
    siblings = _of(tx, network.id)
    for other in siblings:
        if other.ip_version == new.ip_version and ipaddress.ip_network(other.cidr).overlaps(cidr):
            raise InvalidInput(
                f"Requested subnet with cidr: {cidr} for network: {network.id} overlaps with another subnet"
            )
    gateway = _gateway(new, cidr)
    if new.allocation_pools is UNSET:
        pools = default_pools(cidr, gateway)
    else:
        pools = check_pools(new.allocation_pools, cidr)
        conflict(gateway, pools)
    row = SubnetRow(
        network_id=network.id,
        project_id=new.project_id,
        name=new.name,
        description=new.description,
        ip_version=new.ip_version,
        cidr=str(cidr),
        gateway_ip=gateway,
        allocation_pools=pools,
        enable_dhcp=new.enable_dhcp,
        dns_nameservers=_nameservers(new.dns_nameservers),
        host_routes=_routes(new.host_routes, new.ip_version),
        ipv6_ra_mode=new.ipv6_ra_mode,
        ipv6_address_mode=new.ipv6_address_mode,
        service_types=new.service_types,
        subnetpool_id=new.subnetpool_id,
        dns_publish_fixed_ip=new.dns_publish_fixed_ip,
    )
    tx.add(row)
    tx.flush()
    network.touch()
    serve_dhcp(tx, network, [*siblings, row])
    if is_automatic(row):
        _add_automatic(tx, row)
    changes.of_networks(tx, [network.id])
    return row


def update(tx: Transaction, row: SubnetRow, values: dict[str, Any]) -> SubnetRow:
    cidr = ipaddress.ip_network(row.cidr)
    if row.ip_version == 6:
        for key in ("ipv6_ra_mode", "ipv6_address_mode"):
            values.pop(key, None)
    pools = row.allocation_pools
    if "allocation_pools" in values:
        pools = values["allocation_pools"] = check_pools(values["allocation_pools"], cidr)
    if "gateway_ip" in values and values["gateway_ip"] != row.gateway_ip:
        values["gateway_ip"] = _change_gateway(tx, row, cidr, values["gateway_ip"], pools)
    elif "allocation_pools" in values:
        conflict(row.gateway_ip, pools)
    if "dns_nameservers" in values:
        values["dns_nameservers"] = _nameservers(values["dns_nameservers"])
    if "host_routes" in values:
        values["host_routes"] = _routes(values["host_routes"], row.ip_version)
    if values.get("enable_dhcp") is False and (row.ipv6_ra_mode or row.ipv6_address_mode):
        raise InvalidInput("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
    dhcp_changes = values.get("enable_dhcp", row.enable_dhcp) != row.enable_dhcp
    for key, value in values.items():
        setattr(row, key, value)
    row.touch()
    tx.flush()
    if dhcp_changes:
        serve_dhcp(tx, tx.get_one(NetworkRow, row.network_id), _of(tx, row.network_id))
    changes.of_networks(tx, [row.network_id])
    changes.of_subnets(tx, [row.id])
    return row


def delete(tx: Transaction, row: SubnetRow) -> None:
    """Addresses of DHCP ports go by themselves; those that guests made themselves (SLAAC) too, unless a router has one."""
    automatic = is_automatic(row)
    users = tx.execute(
        select(PortRow.id, PortRow.device_owner)
        .join(AllocationRow, AllocationRow.port_id == PortRow.id)
        .where(AllocationRow.subnet_id == row.id)
    ).all()
    busy = [
        id for id, owner in users if owner not in AUTO_DELETED and (not automatic or owner.startswith("network:router"))
    ]
    if busy:
        raise SubnetInUse(row.id, "One or more ports have an IP allocation from this subnet")
    bound = list(
        tx.execute(select(PortRow.host, PortRow.id).where(PortRow.id.in_([id for id, _ in users]), PortRow.host != ""))
    )
    for port in tx.execute(select(PortRow).where(PortRow.id.in_([id for id, _ in users]))).scalars():
        tx.expire(port)
    network = tx.get_one(NetworkRow, row.network_id)
    tx.execute(
        delete_from(AllocationRow).where(AllocationRow.subnet_id == row.id).execution_options(synchronize_session=False)
    )
    tx.delete(row)
    network.touch()
    tx.flush()
    serve_dhcp(tx, network, _of(tx, network.id))
    changes.of_networks(tx, [network.id])
    changes.note(tx, [(host, "ports", id) for host, id in bound])


# ---------------------------------------------------------------- DHCP


def _of(tx: Transaction, network_id: str) -> list[SubnetRow]:
    return list(tx.execute(_OF_NETWORK, {"network": network_id}).scalars())


def serve_dhcp(tx: Transaction, network: NetworkRow, subnets: list[SubnetRow]) -> None:
    """One `network:dhcp` port a network, with an address of every subnet that is served; none, no port. `subnets` are all of
    the network's."""
    from haneul.network import ports

    served = [subnet for subnet in subnets if subnet.enable_dhcp]
    wanted = [subnet for subnet in served if not (is_automatic(subnet) and subnet.ipv6_ra_mode is None)]
    port = tx.execute(_DHCP_PORT, {"network": network.id}).scalar()
    if not wanted or network.external:
        if port is not None:
            tx.delete(port)
            tx.flush()
        return
    has = {entry.subnet_id for entry in port.allocations} if port is not None else set()
    missing = [subnet for subnet in wanted if subnet.id not in has]
    if port is not None and not missing and has == {subnet.id for subnet in wanted}:
        return
    system = contexts.system()
    if port is None:
        (port,) = ports.create_many(
            tx,
            system,
            [
                ports.NewPort(
                    network_id=network.id,
                    project_id=network.project_id,
                    device_owner="network:dhcp",
                    device_id=f"dhcp-{network.id}",
                    fixed_ips=[Wish(subnet.id) for subnet in wanted],
                )
            ],
            lowest=True,
        )
        if tx.execute(select(HostRow.name).where(HostRow.state == "up").limit(1)).first():
            port.status = "ACTIVE"  # any host serves it before a guest is plugged in there
            tx.flush()
    else:
        ports.change_addresses(tx, port, [Wish(subnet.id) for subnet in wanted], lowest=True)


def _add_automatic(tx: Transaction, row: SubnetRow) -> None:
    """Ports that are there get the address that their guests will make in a new SLAAC subnet."""
    from haneul.network.addresses import eui64

    notes = []
    for id, mac, owner, host in tx.execute(
        select(PortRow.id, PortRow.mac_address, PortRow.device_owner, PortRow.host).where(
            PortRow.network_id == row.network_id
        )
    ).all():
        if not owner.startswith("network:"):
            notes.append((host, "ports", id))
            tx.add(
                AllocationRow(
                    subnet_id=row.id, ip_address=eui64(row.cidr, mac), port_id=id, network_id=row.network_id, number=99
                )
            )
    tx.flush()
    changes.note(tx, notes)


# ---------------------------------------------------------------- what a subnet may be


def _cidr(text: str, version: int) -> Any:
    try:
        cidr = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadAttribute("cidr", f"'{text}' is not a valid IP subnet") from None
    if cidr.version != version:
        raise InvalidInput(f"cidr '{text}' does not match the ip_version '{version}'")
    if cidr.prefixlen == 0:
        raise InvalidInput("0 is not allowed as CIDR prefix length")
    if cidr.is_multicast:
        raise InvalidInput("Multicast IP subnet is not supported if enable_dhcp is True")
    return cidr


def _check_modes(new: NewSubnet, cidr: Any) -> None:
    ra, address = new.ipv6_ra_mode, new.ipv6_address_mode
    if new.ip_version == 4:
        if ra or address:
            raise InvalidInput("ipv6_ra_mode and ipv6_address_mode are not valid when ip_version is 4")
        return
    if not new.enable_dhcp and (ra or address):
        raise InvalidInput("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
    if ra and address and ra != address:
        raise InvalidInput(
            f"ipv6_ra_mode set to '{ra}' with ipv6_address_mode set to '{address}' is not valid. If both "
            "attributes are set, they must be the same value"
        )
    if {ra, address} & {"slaac", "dhcpv6-stateless"} and cidr.prefixlen != 64:
        raise InvalidInput(
            f"Invalid CIDR {cidr} for IPv6 address mode. OpenStack uses the EUI-64 address format, which requires "
            "the prefix to be /64"
        )


def _gateway(new: NewSubnet, cidr: Any) -> str | None:
    if new.gateway_ip is None:
        return None
    if new.gateway_ip is UNSET:
        if cidr.prefixlen >= cidr.max_prefixlen:
            return None
        return str(cidr.network_address + 1) if cidr.prefixlen < cidr.max_prefixlen - 1 else str(cidr.network_address)
    return check_gateway(new.gateway_ip, cidr)


def check_gateway(text: str, cidr: Any) -> str:
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        raise BadAttribute("gateway_ip", f"'{text}' is not a valid IP address") from None
    if ip.version != cidr.version:
        raise InvalidInput(f"gateway_ip '{text}' does not match the ip_version '{cidr.version}'")
    if not (usable(str(cidr), text) or ip.is_link_local and ip.version == 6):
        raise InvalidInput(f"Gateway IP {text} cannot be allocated: it is not a valid address of subnet {cidr}")
    return str(ip)


def default_pools(cidr: Any, gateway: str | None) -> list[dict[str, str]]:
    """Every usable address but the gateway's. In IPv6 the first address is the routers' anycast and stays free."""
    first, last = int(cidr.network_address), int(cidr.broadcast_address)
    if cidr.prefixlen < cidr.max_prefixlen - 1:
        first += 1
        last -= 1 if cidr.version == 4 else 0
    kind = ipaddress.IPv4Address if cidr.version == 4 else ipaddress.IPv6Address
    ranges = [(first, last)]
    if gateway is not None and first <= (middle := int(ipaddress.ip_address(gateway))) <= last:
        ranges = [(first, middle - 1), (middle + 1, last)]
    return [{"start": str(kind(start)), "end": str(kind(end))} for start, end in ranges if start <= end]


def check_pools(pools: list[dict[str, str]], cidr: Any) -> list[dict[str, str]]:
    found: list[tuple[int, int, dict[str, str]]] = []
    for pool in pools:
        text = f"{pool.get('start')}-{pool.get('end')}"
        try:
            start, end = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
        except (KeyError, ValueError):
            raise InvalidAllocationPool(text) from None
        if start.version != cidr.version or end.version != cidr.version or int(end) < int(start):
            raise InvalidAllocationPool(text)
        if not (usable(str(cidr), str(start)) and usable(str(cidr), str(end))):
            raise OutOfBoundsAllocationPool(text, str(cidr))
        found.append((int(start), int(end), {"start": str(start), "end": str(end)}))
    ordered = sorted(found, key=lambda entry: entry[:2])
    for first, second in zip(ordered, ordered[1:], strict=False):
        if second[0] <= first[1]:
            raise OverlappingAllocationPools(_text(first[2]), _text(second[2]), str(cidr))
    return [entry for _, _, entry in ordered]


def conflict(gateway: str | None, pools: list[dict[str, str]]) -> None:
    if gateway is None:
        return
    ip: Any = ipaddress.ip_address(gateway)
    for pool in pools:
        if int(ipaddress.ip_address(pool["start"])) <= int(ip) <= int(ipaddress.ip_address(pool["end"])):
            raise GatewayConflictWithAllocationPools(gateway, _text(pool))


def _text(pool: dict[str, str]) -> str:
    return f"{pool['start']}-{pool['end']}"


def _change_gateway(
    tx: Transaction, row: SubnetRow, cidr: Any, gateway: str | None, pools: list[dict[str, str]]
) -> str | None:
    user = tx.execute(
        select(PortRow.id)
        .join(AllocationRow, AllocationRow.port_id == PortRow.id)
        .where(
            AllocationRow.subnet_id == row.id,
            AllocationRow.ip_address == row.gateway_ip,
            PortRow.device_owner == "network:router_interface",
        )
    ).scalar()
    if user is not None and row.gateway_ip is not None:
        raise GatewayIpInUse(row.gateway_ip, user)
    if gateway is None:
        return None
    checked = check_gateway(gateway, cidr)
    conflict(checked, pools)
    return checked


def _nameservers(names: list[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        try:
            ip = str(ipaddress.ip_address(name))
        except ValueError:
            raise BadAttribute(
                "dns_nameservers", f"'{name}' is not a valid nameserver. '{name}' is not a valid IP address"
            ) from None
        if ip in found:
            raise BadAttribute("dns_nameservers", f"Duplicate nameserver '{name}'")
        found.append(ip)
    if len(found) > 5:
        raise InvalidInput("Unable to complete operation: the number of DNS nameservers exceeds the limit 5")
    return found


def _routes(routes: list[dict[str, str]], version: int | None) -> list[dict[str, str]]:
    return check_routes(routes, version, "host_routes")


def check_routes(routes: list[dict[str, str]], version: int | None, attribute: str) -> list[dict[str, str]]:
    """Destination and next hop, each pair once, of the one IP version if that is given."""
    found: list[dict[str, str]] = []
    for route in routes:
        if set(route) != {"destination", "nexthop"}:
            raise BadAttribute(attribute, f"Invalid data format for hostroute: '{route}'")
        try:
            destination: Any = ipaddress.ip_network(route["destination"], strict=attribute == "routes")
            hop: Any = ipaddress.ip_address(route["nexthop"])
        except (ValueError, TypeError):
            raise BadAttribute(
                attribute, f"'{route['destination']}' via '{route['nexthop']}' is not a valid route"
            ) from None
        if destination.version != hop.version or (version is not None and hop.version != version):
            raise BadAttribute(attribute, f"'{destination}' and '{hop}' are not of the right IP version")
        entry = {"destination": str(destination), "nexthop": str(hop)}
        if entry in found:
            raise BadAttribute(attribute, f"Duplicate hostroute '{route}'")
        found.append(entry)
    return found
