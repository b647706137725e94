"""Cards of a server: which it has, one more, one less; and security groups on all of them."""

from __future__ import annotations

from sqlalchemy import func, select

from haneul.compute import boot, guests, nics, servers, states, zones
from haneul.compute.model import ServerNicRow, ServerRow
from haneul.compute.nics import Nic
from haneul.compute.tasks import create as making
from haneul.compute.tasks import interfaces as tasks
from haneul.kernel.context import Context, system
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, NotFound
from haneul.network import bandwidth, ports
from haneul.network.addresses import Wish
from haneul.network.errors import IpAddressGenerationFailure
from haneul.network.errors_qos import QosPlacementAllocationConflict
from haneul.network.model import PortRow

_STATES = (states.ACTIVE, states.PAUSED, states.STOPPED)


def of(tx: Transaction, row: ServerRow) -> list[tuple[PortRow, str | None]]:
    """The ports and tags of a server's cards, in order."""
    known = {nic.port_id: nic for nic in servers.nics(tx, row.id)}
    found = [port for port in ports.of_device(tx, [row.id])[row.id] if port.id in known]
    return [(port, known[port.id].tag) for port in sorted(found, key=lambda port: known[port.id].position)]


def one(tx: Transaction, row: ServerRow, port_id: str) -> tuple[PortRow, str | None]:
    for port, tag in of(tx, row):
        if port.id == port_id:
            return port, tag
    raise NotFound(f"Instance {row.id} does not have a port with id {port_id[:64]}")


def attach(tx: Transaction, context: Context, row: ServerRow, nic: Nic) -> str:
    """The port's id; it is plugged in by a task."""
    states.require(context, row, "attach_interface", _STATES)
    if row.host is None:
        raise Conflict(f"Instance {row.id} is not ready")
    if nic.network_id is None and nic.port_id is None:
        found = nics.automatic(tx, context, required=False)
        if not found:
            raise BadRequest(f"No specific network was requested and none are available for project '{row.project_id}'.")
        nic = Nic(network_id=found[0].network_id, tag=nic.tag)
    try:
        nics.check(tx, context, [nic])
    except BadRequest as error:
        if "could not be found" in error.message:
            raise NotFound(error.message)
        raise
    last = tx.execute(select(func.max(ServerNicRow.position)).where(ServerNicRow.server_id == row.id)).scalar()
    port_id = making.plug(tx, guests.of(row), row.host, row.availability_zone or zones.DEFAULT, [nic], [],
                           first=0 if last is None else last + 1)[0].port_id
    _promise(tx, row, port_id)
    tasks.attach_interface.submit(tx, tasks.PortArguments(server_id=row.id, port_id=port_id), resource=f"server:{row.id}",
                                  context=context)
    return port_id


def _promise(tx: Transaction, row: ServerRow, port_id: str) -> None:
    """Bandwidth that the port asks for comes from the server's own host, or there is no card."""
    try:
        bandwidth.take(tx, tx.get_one(PortRow, port_id), row.id, row.host or "")
    except QosPlacementAllocationConflict as problem:
        raise BadRequest(f"Failed to allocate resources for port {port_id} on host {row.host}: {problem.message}") from None


def detach(tx: Transaction, context: Context, row: ServerRow, port_id: str) -> None:
    states.require(context, row, "detach_interface", _STATES)
    if port_id not in {nic.port_id for nic in servers.nics(tx, row.id)}:
        raise NotFound(f"Port {port_id[:64]} is not attached")
    tasks.detach_interface.submit(tx, tasks.PortArguments(server_id=row.id, port_id=port_id), resource=f"server:{row.id}",
                                  context=context)


def add_address(tx: Transaction, context: Context, row: ServerRow, network_id: str) -> None:
    """One more address, of the first card in the network, from the subnet of its first."""
    states.require_unlocked(context, row)
    port = next((port for port, _ in of(tx, row) if port.network_id == network_id), None)
    if port is None:
        raise NotFound(f"Network could not be found for instance {row.id}.")
    subnet = port.fixed_ips[0]["subnet_id"] if port.fixed_ips else None
    try:
        ports.update(tx, system(), port, {"fixed_ips": [*_addresses(port), Wish(subnet_id=subnet)]})
    except IpAddressGenerationFailure as error:
        raise BadRequest(f"No fixed IP addresses available for network: {network_id}") from error


def remove_address(tx: Transaction, context: Context, row: ServerRow, address: str) -> None:
    states.require_unlocked(context, row)
    for port, _ in of(tx, row):
        if address in (wish.ip_address for wish in _addresses(port)):
            ports.update(tx, system(), port, {"fixed_ips": [wish for wish in _addresses(port) if wish.ip_address != address]})
            return
    raise BadRequest(f"Instance {row.id} doesn't have fixed IP '{address}'.")


def _addresses(port: PortRow) -> list[Wish]:
    return [Wish(ip["subnet_id"], ip["ip_address"]) for ip in port.fixed_ips]


def groups_of(tx: Transaction, row: ServerRow) -> list[str]:
    """Ids of the security groups on a server's ports, each once."""
    return list(dict.fromkeys(group for port, _ in of(tx, row) for group in port.security_groups))


def add_group(tx: Transaction, context: Context, row: ServerRow, name: str) -> None:
    group = _group(tx, context, name)
    found = [port for port, _ in of(tx, row) if port.port_security_enabled and port.fixed_ips]
    if not found:
        raise BadRequest(f"Security group {name} cannot be added: the server has no port that takes it.")
    for port in found:
        if group not in port.security_groups:
            ports.update(tx, system(), port, {"security_groups": [*port.security_groups, group]})


def remove_group(tx: Transaction, context: Context, row: ServerRow, name: str) -> None:
    group = _group(tx, context, name)
    found = [port for port, _ in of(tx, row) if group in port.security_groups]
    if not found:
        raise NotFound(f"Security group {name} not associated with the instance {row.id}")
    for port in found:
        ports.update(tx, system(), port, {"security_groups": [other for other in port.security_groups if other != group]})


def _group(tx: Transaction, context: Context, name: str) -> str:
    try:
        return boot.find_groups(tx, context, [name])[0]
    except BadRequest as error:
        raise NotFound(error.message)
