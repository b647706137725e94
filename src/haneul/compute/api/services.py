"""/os-services and /os-availability-zone."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import select

from haneul.compute import hosts, zones
from haneul.compute.api import shapes
from haneul.compute.api.shapes import Body, Boolean, Fqdn
from haneul.fleet.model import HostRow
from haneul.kernel import clock, ids
from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
_RULE = "os_compute_api:os-services:"
BINARY = "nova-compute"


class OldUpdate(Body):
    host: Fqdn
    binary: str
    disabled_reason: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET
    forced_down: Boolean | UnsetType = UNSET


class Update(Body):
    status: Literal["enabled", "disabled"] | UnsetType = UNSET
    disabled_reason: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET
    forced_down: Boolean | UnsetType = UNSET


def _moment(row: HostRow) -> str:
    """The last sign of life, without a zone."""
    from haneul.compute.history import moment
    return moment(row.heartbeat).isoformat(timespec="microseconds")


def _view(call: Call, row: HostRow) -> dict[str, Any]:
    found = {"id": row.id if call.version >= (2, 53) else row.number, "binary": BINARY, "host": row.name,
             "zone": row.availability_zone or zones.DEFAULT, "status": "disabled" if row.disabled else "enabled",
             "state": "up" if hosts.up(row) else "down", "updated_at": _moment(row), "disabled_reason": row.disabled_reason}
    if call.version >= (2, 11):
        found["forced_down"] = row.forced_down
    return found


@routes.get("/os-services", rule=_RULE + "list")
def index(call: Call) -> dict[str, Any]:
    shapes.only(call, {"host", "binary"})
    query = select(HostRow).order_by(HostRow.number)
    if call.argument("host"):
        query = query.where(HostRow.name == call.argument("host"))
    binary, host = call.argument("binary") or None, call.argument("host") or None
    rows = list(call.tx.execute(query).scalars()) if binary in (None, BINARY) else []
    control = [_control_view(call, *service) for service in hosts.control_services()
               if binary in (None, service[0]) and host in (None, hosts.control_host())]
    return {"services": [_view(call, row) for row in rows] + control}


def _control_view(call: Call, binary: str, id: str, number: int) -> dict[str, Any]:
    found = {"id": id if call.version >= (2, 53) else number, "binary": binary, "host": hosts.control_host(),
             "zone": hosts.INTERNAL, "status": "enabled", "state": "up", "disabled_reason": None,
             "updated_at": clock.now().isoformat(timespec="microseconds")}
    if call.version >= (2, 11):
        found["forced_down"] = False
    return found


@routes.put("/os-services/{service_id}", rule=_RULE + "update", body=[((2, 1), OldUpdate), ((2, 53), Update)])
def update(call: Call, body: OldUpdate | Update) -> dict[str, Any]:
    if isinstance(body, OldUpdate):
        return _old_update(call, body)
    row = _one(call)
    if body.status is UNSET and body.forced_down is UNSET:
        raise BadRequest("No updates were requested. Fields 'status' or 'forced_down' should be specified.")
    if body.disabled_reason is not UNSET and body.status != "disabled":
        raise BadRequest("Specifying disabled_reason requires that status is 'disabled'.")
    if body.status is not UNSET:
        hosts.set_disabled(row, body.status == "disabled", None if body.disabled_reason is UNSET else body.disabled_reason)
    if body.forced_down is not UNSET:
        hosts.set_forced_down(row, shapes.truth(body.forced_down))
    return {"service": _view(call, row)}


def _old_update(call: Call, body: OldUpdate) -> dict[str, Any]:
    """PUT /os-services/enable, disable, disable-log-reason, force-down."""
    action = call.values["service_id"]
    if action not in ("enable", "disable", "disable-log-reason") and not (action == "force-down" and call.version >= (2, 11)):
        raise NotFound("Unknown action")
    if body.binary != BINARY:
        raise BadRequest(f"Updating a {body.binary[:64]} service is not supported. Only nova-compute services can be updated.")
    row = call.tx.get(HostRow, body.host)
    if row is None:
        raise NotFound(f"Could not find binary {body.binary} on host {body.host}.")
    shown: dict[str, Any] = {"host": row.name, "binary": BINARY}
    if action == "force-down":
        if body.forced_down is UNSET:
            raise BadRequest("Missing forced_down field")
        hosts.set_forced_down(row, shapes.truth(body.forced_down))
        return {"service": {**shown, "forced_down": row.forced_down}}
    if action == "disable-log-reason" and body.disabled_reason is UNSET:
        raise BadRequest("Missing disabled reason field")
    reason = body.disabled_reason if action == "disable-log-reason" and body.disabled_reason is not UNSET else None
    hosts.set_disabled(row, action != "enable", reason)
    shown["status"] = "enabled" if action == "enable" else "disabled"
    return {"service": {**shown, "disabled_reason": reason} if reason else shown}


def _one(call: Call) -> HostRow:
    key = call.values["service_id"]
    if call.version >= (2, 53) and not ids.is_uuid(key):
        raise BadRequest(f"Invalid uuid {key[:64]}")
    for binary, id, number in hosts.control_services():
        if key == (id if call.version >= (2, 53) else str(number)):
            raise BadRequest(f"Updating a {binary} service is not supported. Only nova-compute services can be updated.")
    try:
        return hosts.by_key(call.tx, key, by_uuid=call.version >= (2, 53), what="Service")
    except NotFound:
        raise NotFound(f"Service {key[:64]} not found.")


@routes.delete("/os-services/{service_id}", rule=_RULE + "delete")
def delete(call: Call) -> None:
    hosts.remove(call.tx, _one(call))


# ---------------------------------------------------------------- availability zones


@routes.get("/os-availability-zone", rule="os_compute_api:os-availability-zone:list")
def zone_index(call: Call) -> dict[str, Any]:
    return {"availabilityZoneInfo": [{"zoneName": name, "zoneState": {"available": _available(rows)}, "hosts": None}
                                     for name, rows in zones.by_zone(call.tx).items()]}


def _available(rows: list[HostRow]) -> bool:
    return any(hosts.up(row) and not row.disabled for row in rows)


@routes.get("/os-availability-zone/detail", rule="os_compute_api:os-availability-zone:detail")
def zone_detail(call: Call) -> dict[str, Any]:
    """Nova's own services are in a zone that nobody can ask for."""
    own = {binary: {"available": True, "active": True, "updated_at": clock.now().isoformat(timespec="microseconds")}
           for binary in hosts.CONTROL}
    found: list[dict[str, Any]] = [{"zoneName": hosts.INTERNAL, "zoneState": {"available": True},
                                    "hosts": {hosts.control_host(): own}}]
    for name, rows in zones.by_zone(call.tx).items():
        shown = {row.name: {BINARY: {"available": hosts.up(row), "active": not row.disabled,
                                     "updated_at": _moment(row)}} for row in rows}
        available = _available(rows)
        found.append({"zoneName": name, "zoneState": {"available": available}, "hosts": shown if available else None})
    return {"availabilityZoneInfo": found}

