"""Console log, remote consoles, diagnostics."""

from __future__ import annotations

from typing import Any, Literal

from haneul.compute import consoles, states
from haneul.compute.api.server_target import server
from haneul.compute.api.shapes import Body
from haneul.compute.model import ServerRow
from haneul.compute.problems import NotReady
from haneul.fleet.agents import Agents, Unreachable
from haneul.host.contract import HostError, NotThere, ServerState
from haneul.kernel.errors import BadRequest, Conflict, NotFound, Unavailable
from haneul.kernel.tasks import Again
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import ports

routes = Routes()
PATH = "/servers/{server_id}/action"
MOST_BYTES = 1 << 20


class Output(Body):
    length: int | str | None = None


class OldConsole(Body):
    type: str


class Remote(Body):
    protocol: Literal["vnc", "spice", "serial", "mks", "rdp"]
    type: str


class Create(Body):
    remote_console: Remote


@routes.action(PATH, "os-getConsoleOutput", "os_compute_api:os-console-output", target=server, body=Output, status=200,
               writes=False)
def output(call: Call, row: ServerRow, body: Output) -> dict[str, Any]:
    """Nothing is written: the host may take its time, and nobody's write must wait for it."""
    lines = -1 if body.length is None else _length(body.length)
    if row.host is None or row.vm_state == states.BUILDING:
        raise NotReady(row.id)
    try:
        text = call.cloud.get(Agents).of(row.host).hypervisor.console_log(row.id, MOST_BYTES)
    except NotThere:
        raise NotFound("Unable to get console")
    except (Unreachable, Again):
        raise Unavailable("The server's host does not answer now.")
    except HostError as error:
        raise Conflict(str(error))
    if lines >= 0:
        text = "\n".join(text.split("\n")[-lines:]) if lines else ""  # what follows the last line break counts, as in Nova
    return {"output": _printable(text)}


def _length(value: int | str) -> int:
    try:
        found = int(value)
    except ValueError:
        raise BadRequest(f"Invalid input for field/attribute length. Value: {str(value)[:32]}")
    if found < -1:
        raise BadRequest(f"Invalid input for field/attribute length. Value: {found}. It is less than the minimum of -1")
    return found


def _printable(text: str) -> str:
    """Without the control characters that a JSON client's screen would act on."""
    return "".join(char for char in text if char >= " " or char in "\t\n\r\x1b")


@routes.action(PATH, "os-getVNCConsole", "os_compute_api:os-remote-consoles", target=server, body=OldConsole, status=200,
               maximum=(2, 5))
def old_vnc(call: Call, row: ServerRow, body: OldConsole) -> dict[str, Any]:
    return {"console": {"type": body.type, "url": consoles.open_vnc(call.tx, call.context, row, body.type)}}


@routes.post("/servers/{server_id}/remote-consoles", rule="os_compute_api:os-remote-consoles", target=server, body=Create,
             minimum=(2, 6))
def create(call: Call, row: ServerRow, body: Create) -> dict[str, Any]:
    wanted = body.remote_console
    if wanted.protocol != "vnc":
        raise BadRequest(f"Unavailable console type {wanted.type[:64]}.")
    url = consoles.open_vnc(call.tx, call.context, row, wanted.type)
    return {"remote_console": {"protocol": "vnc", "type": wanted.type, "url": url}}


@routes.get("/servers/{server_id}/diagnostics", rule="os_compute_api:os-server-diagnostics", target=server)
def diagnostics(call: Call, row: ServerRow) -> dict[str, Any]:
    """What the host knows: the power state and what is plugged in. Counters are not measured, and say so by null. Clients
    know a fixed set of drivers; "libvirt" is theirs for QEMU."""
    if row.host is None:
        raise NotReady(row.id)
    try:
        found = call.cloud.get(Agents).of(row.host).hypervisor.server(row.id)
    except NotThere:
        found = ServerState(id=row.id, power="off")
    except (Unreachable, Again):
        raise Unavailable("The server's host does not answer now.")
    if call.version < (2, 48):
        return {"memory": row.ram << 10}
    state = {"running": "running", "paused": "paused", "off": "shutdown", "crashed": "crashed", "suspended": "suspended"}
    macs = {port.id: port.mac_address for port in ports.of_device(call.tx, [row.id])[row.id]}
    nothing = dict.fromkeys(("rx_octets", "rx_errors", "rx_drop", "rx_packets", "rx_rate", "tx_octets", "tx_errors", "tx_drop",
                             "tx_packets", "tx_rate"))
    return {"state": state[found.power], "driver": "libvirt", "hypervisor": "qemu", "hypervisor_os": "linux", "uptime": None,
            "config_drive": row.config_drive, "num_cpus": row.vcpus, "num_nics": len(found.nics),
            "num_disks": len(found.disks),
            "cpu_details": [{"id": number, "time": None, "utilisation": None} for number in range(row.vcpus)],
            "nic_details": [{"mac_address": macs[port], **nothing} for port in found.nics if port in macs],
            "disk_details": [dict.fromkeys(("read_bytes", "read_requests", "write_bytes", "write_requests", "errors_count"))
                             for _ in found.disks],
            "memory_details": {"maximum": row.ram, "used": None}}
