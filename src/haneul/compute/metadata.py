"""What a guest may know of itself, in OpenStack's and EC2's layouts: for the metadata service and the config drive alike."""

from __future__ import annotations

import base64
import ipaddress
from typing import Any

import msgspec
from sqlalchemy import select

from haneul.compute import guests, personality, servers
from haneul.compute.model import ServerNicRow, ServerRow
from haneul.host.contract import FabricState
from haneul.kernel.database import Transaction
from haneul.network import addresses, security_groups, wiring
from haneul.volume import attachments
from haneul.volume.model import AttachmentRow

OPENSTACK_VERSIONS = ("2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22",
                      "2018-08-27", "2020-10-14")
EC2_VERSIONS = ("1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01",
                "2009-04-04")


class Guest(msgspec.Struct):
    """Everything about a server that its guest may read, loaded in one snapshot."""

    row: ServerRow
    zone: str
    addresses: list[addresses.Address]
    groups: list[str]
    fabric: FabricState
    nics: list[ServerNicRow]
    volumes: list[AttachmentRow]
    files: list[tuple[str, bytes]]


def load(tx: Transaction, row: ServerRow) -> Guest:
    nics = list(tx.execute(select(ServerNicRow).where(ServerNicRow.server_id == row.id)
                           .order_by(ServerNicRow.position)).scalars())
    fabric = wiring.of_ports(tx, row.host, [nic.port_id for nic in nics]) if row.host and nics else FabricState()
    return Guest(row, row.availability_zone or "nova", addresses.of_devices(tx, [row.id])[row.id],
                 security_groups.names_of_devices(tx, [row.id]).get(row.id, []), fabric, nics,
                 attachments.of_servers(tx, [row.id]).get(row.id, []),
                 personality.of(tx, row.id) if row.config_drive else [])


# ---------------------------------------------------------------- OpenStack


def user_data(row: ServerRow) -> bytes | None:
    return base64.b64decode("".join(row.user_data.split())) if row.user_data else None


def fqdn(tx: Transaction, row: ServerRow) -> str:
    domain = tx.cloud.config.compute.dhcp_domain
    return f"{row.hostname}.{domain}" if domain else row.hostname  # as Nova: behind a name that has a domain too (2.94)


def meta_data(tx: Transaction, guest: Guest) -> dict[str, Any]:
    """meta_data.json."""
    row = guest.row
    found: dict[str, Any] = {
        "uuid": row.id, "availability_zone": guest.zone, "hostname": fqdn(tx, row), "launch_index": row.launch_index,
        "name": row.name, "project_id": row.project_id, "devices": _devices(guest), "dedicated_cpus": []}
    if row.meta:
        found["meta"] = row.meta
    if guest.files:
        found["files"] = [{"path": path, "content_path": f"/content/{number:04}"} for number, (path, _) in enumerate(guest.files)]
    if row.key_name and row.key_data:
        found["public_keys"] = {row.key_name: row.key_data}
        found["keys"] = [{"type": "ssh", "name": row.key_name, "data": row.key_data}]
    return found


def _devices(guest: Guest) -> list[dict[str, Any]]:
    """Cards and volumes that the user tagged."""
    macs = {port.id: port.mac for port in guest.fabric.ports}
    cards = [{"type": "nic", "bus": "pci", "address": "0000:00:00.0", "mac": macs[nic.port_id], "tags": [nic.tag]}
             for nic in guest.nics if nic.tag and nic.port_id in macs]
    disks = [{"type": "disk", "bus": "scsi" if row.disk_bus == "scsi" else "pci", "address": "0000:00:00.0",
              "serial": row.volume_id[:20], "path": row.mountpoint or "", "tags": [row.tag]} for row in guest.volumes if row.tag]
    return cards + disks


def network_data(guest: Guest) -> dict[str, Any]:
    """network_data.json: links, networks, services."""
    links: list[dict[str, Any]] = []
    networks: list[dict[str, Any]] = []
    services: list[dict[str, str]] = []
    known = {network.id: network for network in guest.fabric.networks}
    ports = {port.id: port for port in guest.fabric.ports}
    for nic in guest.nics:
        port = ports.get(nic.port_id)
        if port is None or port.network_id not in known:
            continue
        network = known[port.network_id]
        link = "tap" + port.id[:11]
        links.append({"id": link, "type": "ovs" if network.type == "vxlan" else "phy", "vif_id": port.id, "mtu": network.mtu,
                      "ethernet_mac_address": port.mac})
        subnets = {subnet.id: subnet for subnet in network.subnets}
        for fixed in port.fixed_ips:
            subnet = subnets.get(fixed.subnet_id)
            if subnet is not None:
                networks.append(_network(len(networks), link, network.id, subnet, fixed.ip))
                services += [{"type": "dns", "address": server} for server in subnet.dns_nameservers]
    return {"links": links, "networks": networks, "services": list({item["address"]: item for item in services}.values())}


def _network(number: int, link: str, network_id: str, subnet: Any, ip: str) -> dict[str, Any]:
    kind = "ipv6" if ":" in ip else "ipv4"
    found: dict[str, Any] = {"id": f"network{number}", "link": link, "network_id": network_id}
    if subnet.enable_dhcp and kind == "ipv4":
        return {**found, "type": "ipv4_dhcp"}
    if kind == "ipv6" and subnet.ipv6_address_mode:
        return {**found, "type": "ipv6_" + subnet.ipv6_address_mode}
    routes = [{"network": "::" if kind == "ipv6" else "0.0.0.0", "netmask": "::" if kind == "ipv6" else "0.0.0.0",
               "gateway": subnet.gateway_ip}] if subnet.gateway_ip else []
    for route in subnet.host_routes:
        destination = ipaddress.ip_network(route.destination)
        routes.append({"network": str(destination.network_address), "netmask": str(destination.netmask),
                       "gateway": route.nexthop})
    return {**found, "type": kind, "ip_address": ip, "netmask": str(ipaddress.ip_network(subnet.cidr).netmask),
            "routes": routes, "services": [{"type": "dns", "address": server} for server in subnet.dns_nameservers]}


def content(guest: Guest) -> dict[str, bytes]:
    """Every file of openstack/content/ by its name."""
    return {f"{number:04}": raw for number, (_, raw) in enumerate(guest.files)}


def files(tx: Transaction, guest: Guest) -> dict[str, bytes]:
    """Every file of openstack/<version>/ by its name."""
    found = {"meta_data.json": msgspec.json.encode(meta_data(tx, guest)),
             "network_data.json": msgspec.json.encode(network_data(guest)), "vendor_data.json": b"{}",
             "vendor_data2.json": b"{}"}
    given = user_data(guest.row)
    if given is not None:
        found["user_data"] = given
    return found


# ---------------------------------------------------------------- EC2


def ec2(tx: Transaction, guest: Guest) -> dict[str, Any]:
    """The tree below /<version>/meta-data; folders are dicts."""
    row = guest.row
    fixed = [address.ip for address in guest.addresses if address.kind == "fixed" and address.version == 4]
    floating = [address.ip for address in guest.addresses if address.kind == "floating"]
    name = fqdn(tx, row)
    tree: dict[str, Any] = {
        "ami-id": f"ami-{row.image_id[:8]}" if row.image_id else "", "ami-launch-index": str(row.launch_index),
        "ami-manifest-path": "", "block-device-mapping": _mapping(guest),
        "hostname": name, "instance-action": "none", "instance-id": f"i-{row.seq:08x}", "instance-type": row.flavor["name"],
        "local-hostname": name, "local-ipv4": fixed[0] if fixed else "", "placement": {"availability-zone": guest.zone},
        "public-hostname": name, "public-ipv4": floating[0] if floating else "", "reservation-id": row.reservation_id,
        "security-groups": "\n".join(guest.groups)}
    if row.key_name and row.key_data:
        tree["public-keys"] = {"0": {"_name": row.key_name, "openssh-key": row.key_data}}
    return tree


def _mapping(guest: Guest) -> dict[str, str]:
    """EC2's names of the disks: the root, volumes in order, and what the host has beside them."""
    root = guest.row.root_device_name or "/dev/vda"
    found = {"ami": root.removeprefix("/dev/"), "root": root}
    beside = [volume for volume in guest.volumes if volume.boot_index != 0 and volume.mountpoint]
    found |= {f"ebs{number}": volume.mountpoint or "" for number, volume in enumerate(beside)}
    local = guests.local_disks(guests.of(guest.row))
    return found | {name: f"{root[:-1]}{letter}" for name, letter in zip(local, "bcdefgh", strict=False)}


def ec2_text(tree: Any, path: list[str]) -> str | None:
    """What a path below meta-data answers: a value, or the names in a folder. None: no such thing."""
    for part in path:
        if not isinstance(tree, dict) or part not in tree or part.startswith("_"):
            return None
        tree = tree[part]
    if not isinstance(tree, dict):
        return str(tree)
    return "\n".join(_entry(name, value) for name, value in tree.items() if not name.startswith("_"))


def _entry(name: str, value: Any) -> str:
    if not isinstance(value, dict):
        return name
    return f"{name}={value['_name']}" if "_name" in value else f"{name}/"


def of_port(tx: Transaction, port_id: str) -> Guest | None:
    """The guest that a port is plugged into."""
    row = servers.of_port(tx, port_id)
    return load(tx, row) if row is not None else None
