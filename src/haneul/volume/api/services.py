"""/os-services and /os-hosts."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from haneul.kernel.errors import BadRequest, Forbidden, NotFound, NotImplementedHere
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.volume import services
from haneul.volume.api import shapes
from haneul.volume.api.shapes import Body
from haneul.volume.services import VOLUME, Held, Service

routes = Routes()
_RULE = "volume_extension:services:"
CLUSTERS, FAILOVER, LOGS, BACKEND_STATE = (3, 7), (3, 26), (3, 32), (3, 49)
Text = Annotated[str, Meta(max_length=255)]


class Change(Body):
    """Of any action: each looks at its own keys."""

    host: Text | None = None
    binary: Text | None = None
    service: Text | None = None
    disabled_reason: Text | None = None
    backend_id: Text | None = None
    cluster: Text | None = None
    server: Text | None = None
    prefix: Text | None = None
    level: Text | None = None


class HostUpdate(Body):
    status: str


def _view(call: Call, service: Service) -> dict[str, Any]:
    found: dict[str, Any] = {
        "binary": service.binary, "host": service.host, "zone": service.zone, "updated_at": shapes.moment(service.at),
        "status": "disabled" if service.disabled else "enabled", "state": "up" if service.up else "down",
        "disabled_reason": service.reason}
    if call.version >= CLUSTERS:
        found["cluster"] = None
    if service.binary == VOLUME:
        found.update(replication_status="disabled", active_backend_id=None, frozen=service.frozen)
        if call.version >= BACKEND_STATE:
            found["backend_state"] = "up" if service.up else "down"
    return found


@routes.get("/os-services", rule=_RULE + "index")
def index(call: Call) -> dict[str, Any]:
    host, binary = call.argument("host"), call.argument("binary") or call.argument("service")
    return {"services": [_view(call, one) for one in services.every(call.tx)
                         if (not host or host in (one.host, one.host.partition("@")[0]))
                         and (not binary or one.binary == binary)]}


@routes.put("/os-services/{action}", rule=_RULE + "update", body=Change)
def update(call: Call, body: Change) -> Reply:
    action = call.values["action"]
    if action in ("enable", "disable", "disable-log-reason"):
        return Reply(_switch(call, action, body))
    if action in ("freeze", "thaw"):
        return _freeze(call, action, body)
    if action == "failover_host" or (action == "failover" and call.version >= FAILOVER):
        return _fail_over(call, action, body)
    if action == "get-log" and call.version >= LOGS:
        return Reply(_log(call, body))
    if action == "set-log" and call.version >= LOGS:
        raise NotImplementedHere("The log level is [log] level of the configuration: it changes when the control plane starts.")
    raise NotFound("Unknown action")


def _need(value: str | None, name: str) -> str:
    if not value:
        raise BadRequest(f"Invalid input for field/attribute {name}: it is required.")
    return value


def _switch(call: Call, action: str, body: Change) -> dict[str, Any]:
    host, binary = _need(body.host, "host"), _need(body.binary or body.service, "binary")
    shown: dict[str, Any] = {"host": host, "service": binary, "binary": binary, "disabled": action != "enable",
                             "status": "enabled" if action == "enable" else "disabled"}
    if action == "enable":
        services.enable(call.tx, binary, host)
        return {**shown, "disabled_reason": None}
    if action == "disable":
        services.disable(call.tx, binary, host)
        return shown
    reason = (body.disabled_reason or "").strip()
    if not reason:
        raise BadRequest("Disabled reason contains invalid characters or is too long")
    services.disable(call.tx, binary, host, reason)
    return {**shown, "disabled_reason": reason}


def _permit(call: Call, rule: str) -> None:
    if not call.allows(rule):
        raise Forbidden(f"Policy doesn't allow {rule} to be performed.")


def _freeze(call: Call, action: str, body: Change) -> Reply:
    _permit(call, f"volume:{action}_host")
    services.freeze(call.tx, _need(body.host, "host"), action == "freeze")
    return Reply(status=200)


def _fail_over(call: Call, action: str, body: Change) -> Reply:
    """No back end of ours replicates to another: there is nothing to fail over to."""
    _permit(call, "volume:failover_host")
    service = services.back_end(call.tx, _need(body.host, "host"))
    raise BadRequest(f"Invalid replication target: no replication target is configured for {service.host}.")


def _log(call: Call, body: Change) -> dict[str, Any]:
    """One level for the whole control plane, which is all of Cinder's binaries."""
    if body.binary not in (None, "", "*", "cinder-api", "cinder-scheduler", "cinder-volume", "cinder-backup"):
        raise BadRequest("Invalid input received: Unknown binary.")
    own = services.control_host(call.tx)
    names = [body.binary] if body.binary not in (None, "", "*") else ["cinder-api", *(
        one.binary for one in services.every(call.tx))]
    level = call.cloud.config.log.level.upper()
    return {"log_levels": [{"binary": name, "host": own, "levels": {(body.prefix or "haneul"): level}}
                           for name in dict.fromkeys(names)] if body.server in (None, "", own) else []}


# ---------------------------------------------------------------- hosts


@routes.get("/os-hosts", rule="volume_extension:hosts")
def hosts(call: Call) -> dict[str, Any]:
    wanted = call.argument("service")
    return {"hosts": [{"host_name": one.host, "service": one.binary, "zone": one.zone, "last-update": shapes.moment(one.at),
                       "service-status": "available" if one.up else "unavailable",
                       "service-state": "disabled" if one.disabled else "enabled"}
                      for one in services.every(call.tx) if wanted in (None, "", one.binary)]}


def _back_end(call: Call) -> Service:
    try:
        return services.get(call.tx, VOLUME, call.values["host"])
    except NotFound as error:
        raise NotFound(f"Host {call.values['host'][:255]} could not be found.") from error


@routes.get("/os-hosts/{host}", rule="volume_extension:hosts")
def host(call: Call) -> dict[str, Any]:
    """What lies on it: of all, then of each project."""
    name = _back_end(call).host
    found = services.held(call.tx, name)
    total = Held(volumes=sum(one.volumes for one in found.values()), volume_gib=sum(one.volume_gib for one in found.values()),
                 snapshots=sum(one.snapshots for one in found.values()),
                 snapshot_gib=sum(one.snapshot_gib for one in found.values()))
    return {"host": [_resource(name, "(total)", total), *(_resource(name, project, one) for project, one in found.items())]}


def _resource(host: str, project: str, one: Held) -> dict[str, Any]:
    return {"resource": {"host": host, "project": project, "volume_count": str(one.volumes),
                         "total_volume_gb": str(one.volume_gib), "snapshot_count": str(one.snapshots),
                         "total_snapshot_gb": str(one.snapshot_gib)}}


@routes.put("/os-hosts/{host}", rule="volume_extension:hosts", body=HostUpdate)
def host_update(call: Call, body: HostUpdate) -> dict[str, Any]:
    name, status = _back_end(call).host, body.status.strip().lower()
    if status not in ("enable", "disable"):
        raise BadRequest(f"Invalid status: '{status[:64]}'")
    if status == "enable":
        services.enable(call.tx, VOLUME, name)
    else:
        services.disable(call.tx, VOLUME, name)
    return {"host": name, "status": status + "d"}
