"""/servers/{id}/diagnostics: what the host measures of a server now."""

from __future__ import annotations

from typing import Any

from haneul.compute.api.server_target import server
from haneul.compute.model import ServerRow
from haneul.compute.problems import NotReady
from haneul.fleet.agents import Agents, Unreachable
from haneul.host.contract import CardCounters, HostError, NotThere, ServerCounters
from haneul.kernel.errors import Unavailable
from haneul.kernel.tasks import Again
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import ports

routes = Routes()
_STATES = {"running": "running", "paused": "paused", "off": "shutdown", "crashed": "crashed", "suspended": "suspended"}
_UNKNOWN = dict.fromkeys(("rx_octets", "rx_errors", "rx_drop", "rx_packets", "tx_octets", "tx_errors", "tx_drop", "tx_packets"))
_RATES = {"rx_rate": None, "tx_rate": None}  # of the card's link: a tap has none


@routes.get("/servers/{server_id}/diagnostics", rule="os_compute_api:os-server-diagnostics", target=server)
def diagnostics(call: Call, row: ServerRow) -> dict[str, Any]:
    if row.host is None:
        raise NotReady(row.id)
    try:
        found = call.cloud.get(Agents).of(row.host).hypervisor.counters(row.id)
    except NotThere:
        found = ServerCounters(power="off")
    except (Unreachable, Again, HostError):
        raise Unavailable("The server's host does not answer now.")
    return _old(row, found) if call.version < (2, 48) else _new(call, row, found)


def _old(row: ServerRow, found: ServerCounters) -> dict[str, Any]:
    """As Nova names what libvirt counts: disks by their letters, cards by their taps."""
    shown: dict[str, Any] = {"memory": row.ram << 10}
    if found.memory_used_mib is not None:
        shown["memory-rss"] = found.memory_used_mib << 10
    shown |= {f"cpu{number}_time": used for number, used in enumerate(found.cpu_nanoseconds)}
    for position, disk in enumerate(found.disks):
        name = f"vd{chr(ord('a') + position)}"
        shown |= {f"{name}_read": disk.read_bytes, f"{name}_read_req": disk.read_requests, f"{name}_write": disk.write_bytes,
                  f"{name}_write_req": disk.write_requests, f"{name}_errors": disk.errors}
    for nic in found.nics:
        name = "tap" + nic.port_id[:11]
        shown |= {f"{name}_{way}{suffix}": getattr(nic, f"{way}_{what}") for way in ("rx", "tx") for suffix, what in (
            ("", "octets"), ("_packets", "packets"), ("_errors", "errors"), ("_drop", "drop"))}
    return shown


def _new(call: Call, row: ServerRow, found: ServerCounters) -> dict[str, Any]:
    """Clients know a fixed set of drivers; "libvirt" is theirs for QEMU."""
    cards = {nic.port_id: nic for nic in found.nics}
    nics = [{"mac_address": port.mac_address, **_counted(cards.get(port.id)), **_RATES}
            for port in ports.of_device(call.tx, [row.id])[row.id]]
    return {"state": _STATES[found.power], "driver": "libvirt", "hypervisor": "qemu", "hypervisor_os": "linux",
            "uptime": found.uptime, "config_drive": row.config_drive, "num_cpus": row.vcpus, "num_nics": len(nics),
            "num_disks": len(found.disks),
            "cpu_details": [{"id": number, "time": used, "utilisation": None}
                            for number, used in enumerate(found.cpu_nanoseconds)],
            "nic_details": nics,
            "disk_details": [{"read_bytes": disk.read_bytes, "read_requests": disk.read_requests,
                              "write_bytes": disk.write_bytes, "write_requests": disk.write_requests,
                              "errors_count": disk.errors} for disk in found.disks],
            "memory_details": {"maximum": row.ram, "used": found.memory_used_mib}}


def _counted(card: CardCounters | None) -> dict[str, int | None]:
    return _UNKNOWN if card is None else {name: getattr(card, name) for name in _UNKNOWN}
