"""Which networks and ports a server asks for, checked before anything is made."""

from __future__ import annotations

import ipaddress

from msgspec import Struct

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, Forbidden, NotFound, Problem
from haneul.network import bandwidth, networks, ports, topologies


class Nic(Struct, kw_only=True):
    """A card: on a network (a port will be made) or of a port that exists."""

    network_id: str | None = None
    port_id: str | None = None
    fixed_ip: str | None = None
    tag: str | None = None


class NetworkAmbiguous(Conflict):
    def __init__(self) -> None:
        super().__init__("Multiple possible networks found, use a Network ID to be more specific.")


class PortInUse(Conflict):
    def __init__(self, port_id: str) -> None:
        super().__init__(f"Port {port_id} is still in use.")


def automatic(tx: Transaction, context: Context, *, required: bool) -> list[Nic]:
    """The one network that the project can use. Without one, a network is made (`required`: auto), or the server has no card."""
    found = networks.available(tx, context)
    if len(found) > 1:
        raise NetworkAmbiguous()
    if not found:
        return [_allocated(tx, context)] if required else []
    return [Nic(network_id=found[0].id)]


def _allocated(tx: Transaction, context: Context) -> Nic:
    try:
        return Nic(network_id=topologies.get(tx, context, context.project_id or ""))
    except Problem as problem:  # what was made until then goes with the request
        raise BadRequest(f"Unable to automatically allocate a network for project {context.project_id}: {problem}") from None


def check(tx: Transaction, context: Context, wanted: list[Nic]) -> None:
    """Every network and port exists, is the caller's to use, and free."""
    seen: set[str] = set()
    known: set[str] = set()
    for nic in wanted:
        if nic.port_id is not None:
            if nic.port_id in seen:
                raise BadRequest(f"Port ID '{nic.port_id}' was specified twice: you cannot attach a port multiple times.")
            if nic.fixed_ip is not None:
                raise BadRequest(f"Specified Fixed IP '{nic.fixed_ip}' cannot be used with port '{nic.port_id}': the two "
                                 "cannot be specified together.")
            seen.add(nic.port_id)
            _check_port(tx, context, nic.port_id)
        elif nic.network_id is not None and nic.network_id not in known:
            _check_network(tx, context, nic.network_id)
            known.add(nic.network_id)


def _check_port(tx: Transaction, context: Context, port_id: str) -> None:
    try:
        port = ports.get(tx, context, port_id)
    except NotFound:
        raise BadRequest(f"Port id {port_id} could not be found.")
    if port.device_id:
        raise PortInUse(port_id)
    if not port.fixed_ips:
        raise BadRequest(f"Port {port_id} requires a FixedIP in order to be used.")


def _check_network(tx: Transaction, context: Context, network_id: str) -> None:
    try:
        network = networks.get(tx, context, network_id)
    except NotFound:
        raise BadRequest(f"Network {network_id} could not be found.")
    if network.external and not network.shared and not tx.cloud.policy.allows(
            "network:attach_external_network", context, {"project_id": context.project_id}):
        raise Forbidden(f"It is not allowed to create an interface on external network {network_id}")
    if not networks.subnet_ids(tx, [network_id])[network_id]:
        raise BadRequest(f"Network {network_id} requires a subnet in order to boot instances on.")
    if bandwidth.by_network(tx, network_id):
        raise BadRequest("Using networks with QoS policy is not supported for instances; create a port first. (Network ID is "
                         f"{network_id})")


def check_address(text: str) -> str:
    try:
        if "%" in text:  # a zone, behind which anything may stand
            raise ValueError(text)
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise BadRequest(f"Invalid input for field/attribute fixed_ip. Value: {text[:64]}. '{text[:64]}' is not a 'ip address'")
