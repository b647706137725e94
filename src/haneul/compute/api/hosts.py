"""/os-hosts below 2.43, which /os-services and /os-hypervisors replaced. Power is the machine owner's business: 501."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, UnsetType
from sqlalchemy import select

from haneul.compute import hosts, zones
from haneul.compute.api.shapes import Body
from haneul.fleet.model import HostRow
from haneul.kernel.errors import BadRequest, NotImplementedHere
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
PATH = "/os-hosts"
LAST = (2, 42)
_RULE = "os_compute_api:os-hosts:"


class Update(Body):
    status: Literal["enable", "disable"] | UnsetType = UNSET
    maintenance_mode: Literal["enable", "disable"] | UnsetType = UNSET


@routes.get(PATH, rule=_RULE + "list", maximum=LAST)
def index(call: Call) -> dict[str, Any]:
    service, zone = call.argument("service") or None, call.argument("zone") or None
    rows = call.tx.execute(select(HostRow).order_by(HostRow.number)).scalars() if service in (None, "compute") else ()
    found = [{"host_name": row.name, "service": "compute", "zone": row.availability_zone or zones.DEFAULT} for row in rows]
    found += [{"host_name": hosts.control_host(), "service": name, "zone": hosts.INTERNAL}
              for name in (binary.removeprefix("nova-") for binary in hosts.CONTROL) if service in (None, name)]
    return {"hosts": [host for host in found if zone in (None, host["zone"])]}


@routes.get(PATH + "/{host}", rule=_RULE + "show", maximum=LAST)
def show(call: Call) -> dict[str, Any]:
    """What the host has, what of it is taken, and by whom."""
    row = hosts.by_name(call.tx, call.values["host"])
    facts, reserved = row.facts, call.cloud.config.compute.reserved_memory_mib
    by_project = hosts.loads_by_project(call.tx, row.name)
    cpus, ram, disk = (sum(getattr(load, key) for load in by_project.values()) for key in ("vcpus", "ram", "disk"))
    amounts = [("(total)", facts["cpus"], facts["memory_mib"], facts["disk_gib"]), ("(used_now)", cpus, ram + reserved, disk),
               ("(used_max)", cpus, ram, disk),
               *((project, load.vcpus, load.ram, load.disk) for project, load in by_project.items())]
    return {"host": [{"resource": {"host": row.name, "project": project, "cpu": cpu, "memory_mb": memory, "disk_gb": size}}
                     for project, cpu, memory, size in amounts]}


@routes.put(PATH + "/{host}", rule=_RULE + "update", maximum=LAST, body=Update)
def update(call: Call, body: Update) -> dict[str, Any]:
    row = hosts.by_name(call.tx, call.values["host"])
    if body.status is UNSET and body.maintenance_mode is UNSET:
        raise BadRequest("Invalid input: either 'status' or 'maintenance_mode' is required.")
    if body.maintenance_mode is not UNSET:
        raise NotImplementedHere("Virt driver does not implement host maintenance mode.")
    hosts.set_disabled(row, body.status == "disable", None)
    return {"host": row.name, "status": f"{body.status}d"}


def _power(call: Call) -> None:
    hosts.by_name(call.tx, call.values["host"])
    raise NotImplementedHere("Virt driver does not implement host power actions.")


@routes.get(PATH + "/{host}/startup", rule=_RULE + "start", maximum=LAST)
def startup(call: Call) -> None:
    _power(call)


@routes.get(PATH + "/{host}/shutdown", rule=_RULE + "shutdown", maximum=LAST)
def shutdown(call: Call) -> None:
    _power(call)


@routes.get(PATH + "/{host}/reboot", rule=_RULE + "reboot", maximum=LAST)
def reboot(call: Call) -> None:
    _power(call)
