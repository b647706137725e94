"""Console log, remote consoles, diagnostics."""

from __future__ import annotations

from typing import Any, Literal

from haneul.compute import consoles, states
from haneul.compute.api.server_target import server
from haneul.compute.api.shapes import Body
from haneul.compute.model import ServerRow
from haneul.compute.problems import NotReady
from haneul.fleet.agents import Agents, Unreachable
from haneul.host.contract import HostError, NotThere
from haneul.kernel.errors import BadRequest, Conflict, NotFound, Unavailable
from haneul.kernel.tasks import Again
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

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
