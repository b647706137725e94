"""Ports. The doors for servers' NICs are `create`, `create_many`, `get`, `delete`, `bind`, `unbind`, `plugged`, `of_device`."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import bindparam, or_, select
from sqlalchemy import update as update_table

from haneul.kernel import clock
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.network import access, carrying, changes, quota, security_groups
from haneul.network.addresses import Chooser, Wish
from haneul.network.dhcp_options import checked as checked_options
from haneul.network.errors import (
    AddressPairAndPortSecurityRequired,
    BadAttribute,
    DeviceIDNotOwnedByTenant,
    InvalidInput,
    MacAddressInUse,
    NetworkNotFound,
    PolicyNotAuthorized,
    PortInUse,
    PortNotFound,
    PortSecurityAndIPRequiredForSecurityGroups,
    PortSecurityPortHasSecurityGroup,
    SecurityGroupConflict,
    SecurityGroupNotFound,
    ServicePortInUse,
)
from haneul.network.model import (
    AllocationRow,
    FloatingIpRow,
    MembershipRow,
    NetworkRow,
    PortRow,
    RouterRow,
    SecurityGroupRow,
    SubnetRow,
)

_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_TRUSTED = ("network:", "neutron:")  # device owners of the cloud's own ports: no filters on them

# Built once: making a statement costs as much as running it.
_NETWORKS = select(NetworkRow).where(NetworkRow.id.in_(bindparam("ids", expanding=True)))
_SUBNETS = (
    select(SubnetRow)
    .where(SubnetRow.network_id.in_(bindparam("ids", expanding=True)))
    .order_by(SubnetRow.created_at, SubnetRow.id)
)
_TAKEN_MACS = select(PortRow.network_id, PortRow.mac_address).where(
    PortRow.network_id.in_(bindparam("networks", expanding=True)),
    PortRow.mac_address.in_(bindparam("macs", expanding=True)),
)


class NewPort(Struct, kw_only=True):
    """A port to be. What is UNSET is chosen: a MAC, an address an IP version, the project's default group."""

    network_id: str
    project_id: str | None = None  # None: the caller's
    name: str = ""
    description: str = ""
    admin_state_up: bool = True
    mac_address: str | UnsetType = UNSET
    fixed_ips: list[Wish] | UnsetType = UNSET
    security_groups: list[str] | UnsetType = UNSET
    port_security_enabled: bool | UnsetType = UNSET
    allowed_address_pairs: list[dict[str, str]] = []
    extra_dhcp_opts: list[dict[str, Any]] = []
    device_id: str = ""
    device_owner: str = ""
    host: str = ""
    vnic_type: str = "normal"
    profile: dict[str, Any] = {}
    dns_name: str = ""
    qos_policy_id: str | None = None
    tags: list[str] = []


def get(tx: Transaction, context: Context, id: str) -> PortRow:
    """A port that the caller may see: own, or on an own network. Raises PortNotFound."""
    row = tx.execute(select(PortRow).where(PortRow.id == id, access.ports(context))).scalar()
    if row is None:
        raise PortNotFound(id)
    return row


def of_device(tx: Transaction, device_ids: Iterable[str]) -> dict[str, list[PortRow]]:
    """The ports of each device in the order of their making, with fixed_ips and security_groups; three statements."""
    found: dict[str, list[PortRow]] = {id: [] for id in device_ids}
    if found:
        for row in tx.execute(
            select(PortRow).where(PortRow.device_id.in_(found)).order_by(PortRow.created_at, PortRow.id)
        ).scalars():
            found[row.device_id].append(row)
    return found


def create(tx: Transaction, context: Context, *, network_id: str, **values: Any) -> PortRow:
    """One port; `values` are NewPort's."""
    return create_many(tx, context, [NewPort(network_id=network_id, **values)])[0]


def create_many(tx: Transaction, context: Context, wanted: Sequence[NewPort], *, lowest: bool = False) -> list[PortRow]:
    """All or none, in one bounded number of statements. With `host` a port is bound at once (BUILD until `plugged`).

    Raises NetworkNotFound, OverQuota, IpAddressGenerationFailure, IpAddressAlreadyAllocated, SecurityGroupNotFound and
    what else Neutron refuses. Attribute-level policy is the API's business.
    """
    networks, subnets = _networks(tx, context, {new.network_id for new in wanted})
    projects = [access.owner(context, new.project_id) for new in wanted]
    if context.project_id is not None:  # the cloud's own ports are not refused
        for project in set(projects):
            quota.check(tx, project, port=projects.count(project))
    groups = _groups(tx, context, wanted, projects, networks)
    choosers = {id: Chooser(tx, id, subnets[id]) for id in networks}
    macs = _macs(tx, wanted)
    rows: list[PortRow] = []
    for new, project, mac, memberships in zip(wanted, projects, macs, groups, strict=True):
        network = networks[new.network_id]
        secure = network.port_security_enabled if new.port_security_enabled is UNSET else new.port_security_enabled
        if new.device_owner.startswith(_TRUSTED):
            secure = False if new.port_security_enabled is UNSET else secure
        _check_device(tx, context, new.device_id, new.device_owner)
        wishes = None if new.fixed_ips is UNSET else new.fixed_ips
        chosen = choosers[new.network_id].choose(mac, wishes, owner=new.device_owner, lowest=lowest)
        if memberships and new.security_groups is not UNSET and not secure:
            raise PortSecurityAndIPRequiredForSecurityGroups()
        if new.allowed_address_pairs and not secure:
            raise AddressPairAndPortSecurityRequired()
        row = PortRow(
            qos_policy_id=_policy(tx, context, None, new.qos_policy_id, new.network_id),
            project_id=project,
            name=new.name,
            description=new.description,
            network_id=new.network_id,
            mac_address=mac,
            admin_state_up=new.admin_state_up,
            device_id=new.device_id,
            device_owner=new.device_owner,
            host=new.host,
            status="BUILD" if new.host else "DOWN",
            vnic_type=new.vnic_type,
            profile=new.profile,
            port_security_enabled=secure,
            allowed_address_pairs=pairs(new.allowed_address_pairs, mac),
            extra_dhcp_opts=checked_options(new.extra_dhcp_opts),
            dns_name=new.dns_name,
            tags=list(new.tags),
            revision_number=1,
        )
        row.allocations = [
            AllocationRow(subnet_id=subnet, ip_address=ip, network_id=new.network_id, number=number)
            for number, (subnet, ip) in enumerate(chosen)
        ]
        row.memberships = [MembershipRow(security_group_id=id) for id in memberships] if secure else []
        rows.append(row)
    tx.add_all(rows)  # all at once: what is asked meanwhile would flush one by one
    tx.flush()
    _bound(tx, [row for row in rows if row.host])
    return rows


def _policy(tx: Transaction, context: Context, row: PortRow | None, wanted: str | None, network_id: str) -> str | None:
    from haneul.network import bandwidth, qos

    if row is None and wanted is None:
        return None
    found = qos.change(tx, context, row.qos_policy_id if row else None, wanted)
    qos.check_port(tx, found, row.id if row else "", network_id)
    if row is not None and found != row.qos_policy_id:
        bandwidth.change(tx, row, found)
    return found


def _networks(
    tx: Transaction, context: Context, ids: set[str]
) -> tuple[dict[str, NetworkRow], dict[str, list[SubnetRow]]]:
    if len(ids) == 1:  # at hand already where the caller holds it
        networks = {id: known for id in ids if (known := tx.get(NetworkRow, id)) is not None}
    else:
        networks = {row.id: row for row in tx.execute(_NETWORKS, {"ids": list(ids)}).scalars()}
    for id in ids:
        if id not in networks:
            raise NetworkNotFound(id)
        if not access.may_use_network(tx, context, networks[id]):
            if networks[id].external and access.may_see_network(tx, context, networks[id]):
                raise PolicyNotAuthorized("create_port")
            raise NetworkNotFound(id)
    subnets: dict[str, list[SubnetRow]] = {id: [] for id in ids}
    for row in tx.execute(_SUBNETS, {"ids": list(ids)}).scalars():
        subnets[row.network_id].append(row)
    return networks, subnets


def _groups(
    tx: Transaction, context: Context, wanted: Sequence[NewPort], projects: list[str], networks: dict[str, NetworkRow]
) -> list[list[str]]:
    """The groups of each port: those named, else the project's default where port security is on."""
    named = {id for new in wanted if new.security_groups is not UNSET for id in new.security_groups}
    known = check_groups(tx, context, named)
    defaults: dict[str, str] = {}
    found = []
    for new, project in zip(wanted, projects, strict=True):
        secure = (
            networks[new.network_id].port_security_enabled
            if new.port_security_enabled is UNSET
            else new.port_security_enabled
        )
        if new.security_groups is not UNSET:
            _check_mix(known, new.security_groups)
            found.append(list(dict.fromkeys(new.security_groups)))
        elif not secure or new.device_owner.startswith(_TRUSTED) or not project:
            found.append([])
        else:
            if project not in defaults:
                defaults[project] = security_groups.default(tx, project)
            found.append([defaults[project]])
    return found


def check_groups(tx: Transaction, context: Context, ids: Iterable[str]) -> dict[str, bool]:
    """Whether each is stateful; SecurityGroupNotFound for one that the caller may not use."""
    wanted = set(ids)
    if not wanted:
        return {}
    query = select(SecurityGroupRow.id, SecurityGroupRow.stateful).where(
        SecurityGroupRow.id.in_(wanted), access.shareable(SecurityGroupRow, context)
    )
    known: dict[str, bool] = {id: stateful for id, stateful in tx.execute(query)}
    for id in sorted(wanted - known.keys()):
        raise SecurityGroupNotFound(id)
    return known


def _check_mix(known: dict[str, bool], ids: Iterable[str]) -> None:
    if len({known[id] for id in ids}) > 1:
        raise SecurityGroupConflict()


def _macs(tx: Transaction, wanted: Sequence[NewPort]) -> list[str]:
    """Made or checked, unique in their network."""
    macs: list[str] = []
    for new in wanted:
        if new.mac_address is UNSET:
            raw = os.urandom(3)
            macs.append(f"fa:16:3e:{raw[0]:02x}:{raw[1]:02x}:{raw[2]:02x}")
        else:
            macs.append(mac(new.mac_address))
    taken = {
        (network, address)
        for network, address in tx.execute(
            _TAKEN_MACS, {"networks": list({new.network_id for new in wanted}), "macs": macs}
        )
    }
    for position, new in enumerate(wanted):
        while (new.network_id, macs[position]) in taken:
            if new.mac_address is not UNSET:
                raise MacAddressInUse(new.network_id, macs[position])
            raw = os.urandom(3)
            macs[position] = f"fa:16:3e:{raw[0]:02x}:{raw[1]:02x}:{raw[2]:02x}"
        taken.add((new.network_id, macs[position]))
    return macs


def mac(text: str) -> str:
    """Lower case with colons; unicast and not zero."""
    lowered = text.strip().lower().replace("-", ":")
    if not _MAC.fullmatch(lowered) or lowered == "00:00:00:00:00:00" or int(lowered[:2], 16) & 1:
        raise BadAttribute("mac_address", f"'{text}' is not a valid MAC address")
    return lowered


def pairs(wanted: list[dict[str, str]], own_mac: str) -> list[dict[str, str]]:
    """Allowed address pairs, each once, with the port's MAC where none is named."""
    found: list[dict[str, str]] = []
    for pair in wanted:
        try:
            ip = (
                str(ipaddress.ip_network(pair["ip_address"], strict=False))
                if "/" in pair["ip_address"]
                else str(ipaddress.ip_address(pair["ip_address"]))
            )
        except ValueError:
            raise BadAttribute("allowed_address_pairs", f"'{pair['ip_address']}' is not a valid IP address") from None
        entry = {"ip_address": ip, "mac_address": mac(pair.get("mac_address") or own_mac)}
        if entry in found:
            raise InvalidInput(
                f"Request contains duplicate address pair: mac_address {entry['mac_address']} ip_address "
                f"{entry['ip_address']}"
            )
        found.append(entry)
    if len(found) > 10:
        raise BadAttribute("allowed_address_pairs", "Exceeded maximum amount of allowed address pairs (10)")
    return found


# ---------------------------------------------------------------- changing


def update(tx: Transaction, context: Context, row: PortRow, values: dict[str, Any]) -> PortRow:
    """`values` by NewPort's names; fixed_ips as Wishes."""
    if "device_id" in values or "device_owner" in values:
        _check_device(tx, context, values.get("device_id", row.device_id), values.get("device_owner", row.device_owner))
    if "mac_address" in values:
        asked = values.pop("mac_address")
        (address,) = _macs(tx, [NewPort(network_id=row.network_id)]) if asked is UNSET else [mac(asked)]
        if address != row.mac_address:
            _change_mac(tx, row, address)
    if "fixed_ips" in values:
        change_addresses(tx, row, values.pop("fixed_ips"))
    secure = values.get("port_security_enabled", row.port_security_enabled)
    if "security_groups" in values:
        wanted = values.pop("security_groups") or []
        if wanted and not secure:
            raise PortSecurityAndIPRequiredForSecurityGroups()
        _check_mix(check_groups(tx, context, wanted), wanted)
        _change_groups(tx, row, wanted)
    elif not secure and row.memberships:
        raise PortSecurityPortHasSecurityGroup()
    if values.get("allowed_address_pairs") is not None:
        values["allowed_address_pairs"] = pairs(values["allowed_address_pairs"], row.mac_address)
        changes.of_members(tx, row.security_groups)
    if (
        values.get("allowed_address_pairs") or row.allowed_address_pairs and "allowed_address_pairs" not in values
    ) and not secure:
        raise AddressPairAndPortSecurityRequired()
    if "extra_dhcp_opts" in values:
        values["extra_dhcp_opts"] = merge_options(row.extra_dhcp_opts, values["extra_dhcp_opts"] or [])
    if "qos_policy_id" in values:
        values["qos_policy_id"] = _policy(tx, context, row, values["qos_policy_id"], row.network_id)
    host = values.pop("host", row.host)
    if host != row.host:
        _move(tx, row, host or "")
    if values.get("admin_state_up", row.admin_state_up) != row.admin_state_up:
        row.status = "DOWN"  # up again: ACTIVE when its host has applied it
    for key, value in values.items():
        setattr(row, key, value)
    row.touch()
    tx.flush()
    changes.of_port(tx, row)
    if row.device_owner.startswith("network:router"):
        changes.of_routers(tx, [row.device_id])
    return row


def merge_options(present: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neutron merges by name and IP version; a null value takes an option away."""
    found = {(option["opt_name"], int(option.get("ip_version", 4))): option for option in present}
    for option in wanted:
        key = (option["opt_name"], int(option.get("ip_version", 4)))
        if option.get("opt_value") is None:
            found.pop(key, None)
        else:
            found[key] = checked_options([option])[0]
    return list(found.values())


def _check_device(tx: Transaction, context: Context, device: str, owner: str) -> None:
    """Nobody plugs a port into another project's router by naming it as the port's device."""
    if owner.startswith("network:router") and device and not context.is_admin:
        router = tx.get(RouterRow, device)
        if router is not None and router.project_id != context.project_id:
            raise DeviceIDNotOwnedByTenant(device)


def _change_mac(tx: Transaction, row: PortRow, address: str) -> None:
    if row.host:
        raise PortInUse(row.id, row.network_id, row.device_id)
    if tx.execute(
        select(PortRow.id).where(PortRow.network_id == row.network_id, PortRow.mac_address == address)
    ).first():
        raise MacAddressInUse(row.network_id, address)
    row.mac_address = address


def change_addresses(tx: Transaction, row: PortRow, wishes: list[Wish], *, lowest: bool = False) -> None:
    subnets = list(
        tx.execute(
            select(SubnetRow).where(SubnetRow.network_id == row.network_id).order_by(SubnetRow.created_at, SubnetRow.id)
        ).scalars()
    )
    before = list(row.allocations)
    wishes = _keeping(wishes, before)
    chosen = Chooser(tx, row.network_id, subnets).choose(
        row.mac_address, wishes, owner=row.device_owner, kept=before, lowest=lowest
    )
    present = {(entry.subnet_id, entry.ip_address): entry for entry in before}
    gone = [ip for (subnet, ip) in present if (subnet, ip) not in chosen]
    if gone and row.memberships and not chosen:
        raise PortSecurityPortHasSecurityGroup()
    row.allocations = [
        present.get(key) or AllocationRow(subnet_id=key[0], ip_address=key[1], network_id=row.network_id)
        for key in chosen
    ]
    for number, entry in enumerate(row.allocations):
        entry.number = number
    tx.flush()
    if gone:
        from haneul.network import floating_ips

        floating_ips.release(tx, row.id, gone)
    changes.of_members(tx, row.security_groups)


def _keeping(wishes: list[Wish], present: list[AllocationRow]) -> list[Wish]:
    """An entry with a subnet only keeps an address that the port has there and no other entry means."""
    free = [entry for entry in present if entry.ip_address not in {wish.ip_address for wish in wishes}]
    found = []
    for wish in wishes:
        if wish.ip_address is None and wish.subnet_id is not None:
            kept = next((entry for entry in free if entry.subnet_id == wish.subnet_id), None)
            if kept is not None:
                free.remove(kept)
                wish = Wish(kept.subnet_id, kept.ip_address)
        found.append(wish)
    return found


def _change_groups(tx: Transaction, row: PortRow, wanted: list[str]) -> None:
    before = set(row.security_groups)
    kept = {entry.security_group_id: entry for entry in row.memberships}
    row.memberships = [kept.get(id) or MembershipRow(security_group_id=id) for id in dict.fromkeys(wanted)]
    tx.flush()
    if row.host and before != set(wanted):
        changes.of_members(tx, before | set(wanted))


def delete(tx: Transaction, context: Context, id: str, *, direct: bool = False) -> None:
    """`direct`: asked for through the port API, which refuses routers' and floating IPs' ports. Gone ports are fine
    otherwise."""
    row = tx.get(PortRow, id)
    if row is None:
        if direct:
            raise PortNotFound(id)
        return
    if direct and row.device_owner.startswith(("network:router", "network:floatingip")) and _device_lives(tx, row):
        raise ServicePortInUse(row.id, f"has device owner {row.device_owner}")
    from haneul.network import bandwidth, floating_ips, trunks

    if not trunks.may_go(tx, row, direct=direct):
        return
    bandwidth.give_back(tx, row)
    floating_ips.release(tx, row.id)
    host, groups, network = row.host, row.security_groups, row.network_id
    tx.delete(row)
    tx.flush()
    if host:
        changes.note(tx, [(host, "ports", id), (host, "networks", network)])
        changes.of_members(tx, groups)


def _device_lives(tx: Transaction, row: PortRow) -> bool:
    model: Any = FloatingIpRow if row.device_owner == "network:floatingip" else RouterRow
    return tx.get(model, row.device_id) is not None


# ---------------------------------------------------------------- binding


def bind(tx: Transaction, port_id: str, *, host: str, device_id: str, device_owner: str = "compute:nova") -> PortRow:
    """A port gets its place: BUILD until `plugged`. PortInUse if another device has it; bound so already is fine."""
    return bind_many(tx, [port_id], host=host, device_id=device_id, device_owner=device_owner)[0]


def bind_many(
    tx: Transaction, port_ids: Sequence[str], *, host: str, device_id: str, device_owner: str = "compute:nova"
) -> list[PortRow]:
    """`bind` for all ports of a device, in the order given. Raises PortNotFound, PortInUse. `host` may be "" to reserve the
    ports for a device that has no place yet."""
    found = {row.id: row for row in tx.execute(select(PortRow).where(PortRow.id.in_(list(port_ids)))).scalars()}
    for id in port_ids:
        if id not in found:
            raise PortNotFound(id)
        if found[id].device_id not in ("", device_id):
            raise PortInUse(id, found[id].network_id, found[id].device_id)
    rows = [found[id] for id in port_ids]
    fresh = [row for row in rows if row.host != host]
    left = [
        (row.host, kind, id)
        for row in fresh
        if row.host
        for kind, id in (("ports", row.id), ("networks", row.network_id))
    ]
    for row in rows:
        if row in fresh or row.device_id != device_id:
            row.device_id, row.device_owner, row.host = device_id, device_owner, host
            row.status = "BUILD" if host else "DOWN"
            row.touch()
    tx.flush()
    changes.note(tx, left)
    _bound(tx, [row for row in fresh if row.host])
    _follow(tx, fresh)
    return rows


def _bound(tx: Transaction, rows: list[PortRow]) -> None:
    for host in {row.host for row in rows}:
        mine = [row for row in rows if row.host == host]
        changes.of_bindings(
            tx, host, {row.network_id for row in mine}, {id for row in mine for id in row.security_groups}
        )


def unbind(tx: Transaction, port_ids: Iterable[str], *, keep_device: bool = False) -> None:
    """Ports lose their place (and their device, unless `keep_device`: a shelved server's). Their hosts clear up."""
    ids = list(port_ids)
    rows = list(tx.execute(select(PortRow).where(PortRow.id.in_(ids))).scalars()) if ids else []
    notes = [
        (row.host, kind, id)
        for row in rows
        if row.host
        for kind, id in (("ports", row.id), ("networks", row.network_id))
    ]
    groups = {group for row in rows if row.host for group in row.security_groups}
    from haneul.network import bandwidth

    for row in rows:
        bandwidth.give_back(tx, row)
        row.host, row.status = "", "DOWN"
        if not keep_device:
            row.device_id, row.device_owner = "", ""
        row.touch()
    tx.flush()
    changes.note(tx, notes)
    changes.of_members(tx, groups)
    _follow(tx, rows)


def plugged(tx: Transaction, port_ids: Iterable[str]) -> None:
    """The ports are in place on their host (after `wiring.apply`): ACTIVE, unless administratively down. So is the DHCP of
    their networks."""
    ids = list(port_ids)
    if ids:
        tx.execute(
            update_table(PortRow)
            .where(
                PortRow.admin_state_up,
                PortRow.status != "ACTIVE",
                or_(
                    PortRow.id.in_(ids),
                    (PortRow.device_owner == "network:dhcp")
                    & PortRow.network_id.in_(select(PortRow.network_id).where(PortRow.id.in_(ids))),
                ),
            )
            .values(status="ACTIVE")
            .execution_options(synchronize_session=False)
        )
        carrying.plugged(tx, ids)


def _move(tx: Transaction, row: PortRow, host: str) -> None:
    """binding:host_id by an administrator or a service: the new host makes the port by itself."""
    place(tx, [row], host)
    _follow(tx, [row])


def place(tx: Transaction, rows: Sequence[PortRow], host: str) -> None:
    """Another host, or none: DOWN until that has made them, which it learns from here."""
    notes = [
        (place, kind, id)
        for row in rows
        for place in (row.host, host)
        if place
        for kind, id in (("ports", row.id), ("networks", row.network_id))
    ]
    for row in rows:
        row.host, row.status = host, "DOWN"
    tx.flush()
    if host and rows:
        _bound(tx, list(rows))
    changes.note(tx, notes)


def _follow(tx: Transaction, rows: Sequence[PortRow]) -> None:
    """What trunks carry goes where the trunk goes."""
    from haneul.network import trunks

    trunks.follow(tx, rows)


def rename(tx: Transaction, device_id: str, dns_name: str) -> None:
    """The host name that DHCP tells a device's guests."""
    tx.execute(
        update_table(PortRow).where(PortRow.device_id == device_id).values(dns_name=dns_name, updated_at=clock.now())
    )
