"""Small things that clients look for: extensions, external events, migrations, the guest's password."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta
from sqlalchemy import select

from haneul.compute import listing
from haneul.compute.api import shapes
from haneul.compute.api.server_target import server
from haneul.compute.api.shapes import Body
from haneul.compute.model import MigrationRow, ServerRow
from haneul.compute.problems import MarkerNotFound
from haneul.kernel.errors import Forbidden, NotFound
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes

routes = Routes()

# What Nova calls them; clients look for aliases, some for names.
EXTENSIONS = {
    "NMN": "Multinic", "OS-DCF": "DiskConfig", "OS-EXT-AZ": "ExtendedAvailabilityZone", "OS-EXT-IMG-SIZE": "ImageSize",
    "OS-EXT-IPS": "ExtendedIps", "OS-EXT-IPS-MAC": "ExtendedIpsMac", "OS-EXT-SRV-ATTR": "ExtendedServerAttributes",
    "OS-EXT-STS": "ExtendedStatus", "OS-FLV-DISABLED": "FlavorDisabled", "OS-FLV-EXT-DATA": "FlavorExtraData",
    "OS-SCH-HNT": "SchedulerHints", "OS-SRV-USG": "ServerUsage", "os-access-ips": "AccessIPs", "os-admin-actions": "AdminActions",
    "os-aggregates": "Aggregates", "os-attach-interfaces": "AttachInterfaces", "os-availability-zone": "AvailabilityZone",
    "os-config-drive": "ConfigDrive", "os-console-output": "ConsoleOutput", "os-consoles": "Consoles",
    "os-create-backup": "CreateBackup", "os-extended-status": "ExtendedStatus", "os-extended-volumes": "ExtendedVolumes",
    "os-flavor-access": "FlavorAccess", "os-flavor-extra-specs": "FlavorExtraSpecs", "os-flavor-manage": "FlavorManage",
    "os-flavor-rxtx": "FlavorRxtx", "os-flavor-swap": "FlavorSwap", "os-floating-ip-pools": "FloatingIpPools",
    "os-floating-ips": "FloatingIps", "os-hosts": "Hosts", "os-hypervisors": "Hypervisors",
    "os-instance-actions": "InstanceActions", "os-instance_usage_audit_log": "OSInstanceUsageAuditLog", "os-keypairs": "Keypairs",
    "os-lock-server": "LockServer",
    "os-migrations": "Migrations", "os-multiple-create": "MultipleCreate", "os-networks": "Networks",
    "os-pause-server": "PauseServer", "os-quota-class-sets": "QuotaClasses", "os-quota-sets": "Quotas",
    "os-remote-consoles": "Consoles", "os-rescue": "Rescue", "os-security-groups": "SecurityGroups",
    "os-server-diagnostics": "ServerDiagnostics", "os-server-external-events": "ServerExternalEvents",
    "os-server-groups": "ServerGroups", "os-server-password": "ServerPassword", "os-server-sort-keys": "ServerSortKeys",
    "os-server-start-stop": "ServerStartStop", "os-services": "Services", "os-shelve": "Shelve",
    "os-simple-tenant-usage": "SimpleTenantUsage", "os-suspend-server": "SuspendServer",
    "os-tenant-networks": "OSTenantNetworks", "os-used-limits": "UsedLimits", "os-user-data": "UserData",
    "os-volumes": "Volumes"}


def _extension(alias: str) -> dict[str, Any]:
    return {"alias": alias, "name": EXTENSIONS[alias], "description": "", "links": [], "updated": "2014-12-03T00:00:00Z",
            "namespace": "http://docs.openstack.org/compute/ext/fake_xml"}


@routes.get("/extensions", rule="os_compute_api:extensions")
def extensions(call: Call) -> dict[str, Any]:
    return {"extensions": [_extension(alias) for alias in EXTENSIONS]}


@routes.get("/extensions/{alias}", rule="os_compute_api:extensions")
def extension(call: Call) -> dict[str, Any]:
    if call.values["alias"] not in EXTENSIONS:
        raise NotFound()
    return {"extension": _extension(call.values["alias"])}


# ---------------------------------------------------------------- external events


class Event(Body):
    server_uuid: str
    name: Literal["network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted", "volume-extended",
                  "power-update", "accelerator-request-bound"]
    status: Literal["failed", "completed", "in-progress"] = "completed"
    tag: Annotated[str, Meta(max_length=255)] | None = None


class Events(Body):
    events: Annotated[list[Event], Meta(min_length=1)]


@routes.post("/os-server-external-events", rule="os_compute_api:os-server-external-events:create", body=Events)
def external_events(call: Call, body: Events) -> Reply:
    """Nothing here waits for them: ports are this cloud's own. What a server's host would hear of is acknowledged."""
    wanted = [event.server_uuid for event in body.events]
    placed = {id: host for id, host in call.tx.execute(select(ServerRow.id, ServerRow.host).where(
        ServerRow.id.in_(wanted), ServerRow.deleted.is_(False)))}
    found = []
    for event in body.events:
        code = 404 if event.server_uuid not in placed else 200 if placed[event.server_uuid] else 422
        shown = {"server_uuid": event.server_uuid, "name": event.name, "code": code,
                 "status": "completed" if code == 200 else "failed"}
        found.append({**shown, "tag": event.tag} if event.tag is not None else shown)
    return Reply({"events": found}, status=200 if all(event["code"] == 200 for event in found) else 207)


# ---------------------------------------------------------------- migrations


@routes.get("/os-migrations", rule="os_compute_api:os-migrations:index")
def migrations(call: Call) -> dict[str, Any]:
    wanted = call.argument("project_id")
    rule = "os_compute_api:os-migrations:index:all_projects"
    if wanted != call.context.project_id and not call.allows(rule):
        raise Forbidden(f"Policy doesn't allow {rule} to be performed.")
    query = select(MigrationRow).order_by(MigrationRow.created_at.desc(), MigrationRow.id.desc())
    for key, column in (("status", MigrationRow.status), ("instance_uuid", MigrationRow.server_id),
                        ("migration_type", MigrationRow.type), ("project_id", MigrationRow.project_id),
                        ("user_id", MigrationRow.user_id), ("source_compute", MigrationRow.source)):
        if call.argument(key) is not None:
            query = query.where(column == call.argument(key))
    if call.argument("host") is not None:
        query = query.where((MigrationRow.source == call.argument("host")) | (MigrationRow.target == call.argument("host")))
    paged = call.version >= (2, 59)
    if paged:
        query = _paged(call, query)
    limit = paging.limit_of(call) if paged else 0
    rows = list(call.tx.execute(query.limit(limit) if paged else query).scalars())
    with_host = call.allows("os_compute_api:os-migrations:index:host")
    found: dict[str, Any] = {"migrations": [_migration(call, row, with_host) for row in rows]}
    more = shapes.next_links(call, len(rows), limit, rows[-1].uuid if rows else "") if paged else []
    if more:
        found["migrations_links"] = more
    return found


def _paged(call: Call, query: Any) -> Any:
    for key in ("changes-since", "changes-before"):
        text = call.argument(key)
        if text is not None and not (key == "changes-before" and call.version < (2, 66)):
            moment = listing.moment(text, key)
            column = MigrationRow.updated_at
            query = query.where(column >= moment if key == "changes-since" else column <= moment)
    marker = call.argument("marker")
    if marker is not None:
        after = call.tx.execute(select(MigrationRow.id).where(MigrationRow.uuid == marker)).scalar()
        if after is None:
            raise MarkerNotFound(marker)
        query = query.where(MigrationRow.id < after)
    return query


def _migration(call: Call, row: MigrationRow, with_host: bool) -> dict[str, Any]:
    def moment(value: Any) -> str | None:
        return value.isoformat(timespec="microseconds") if value is not None else None

    found: dict[str, Any] = {
        "id": row.id, "source_compute": row.source if with_host else None, "dest_compute": row.target if with_host else None,
        "source_node": row.source if with_host else None, "dest_node": row.target if with_host else None, "dest_host": None,
        "status": row.status, "instance_uuid": row.server_id, "old_instance_type_id": row.old_flavor,
        "new_instance_type_id": row.new_flavor, "created_at": moment(row.created_at), "updated_at": moment(row.updated_at)}
    if call.version >= (2, 23):
        found["migration_type"] = row.type
    if call.version >= (2, 59):
        found["uuid"] = row.uuid
    if call.version >= (2, 80):
        found.update(user_id=row.user_id, project_id=row.project_id)
    return found


# ---------------------------------------------------------------- of a server


@routes.get("/servers/{server_id}/migrations", rule="os_compute_api:servers:migrations:index", target=server, minimum=(2, 23))
def server_migrations(call: Call, row: ServerRow) -> dict[str, Any]:
    """Live migrations under way: there are none."""
    return {"migrations": []}


@routes.get("/servers/{server_id}/topology", rule="compute:server:topology:index", target=server, minimum=(2, 78))
def topology(call: Call, row: ServerRow) -> dict[str, Any]:
    """What Nova says of a server without a NUMA topology: no server here has one."""
    return {"nodes": [], "pagesize_kb": None}


@routes.get("/servers/{server_id}/os-server-password", rule="os_compute_api:os-server-password:show", target=server)
def password(call: Call, row: ServerRow) -> dict[str, Any]:
    return {"password": row.system.get("password", "")}


@routes.delete("/servers/{server_id}/os-server-password", rule="os_compute_api:os-server-password:clear", target=server)
def clear_password(call: Call, row: ServerRow) -> None:
    row.system = {key: value for key, value in row.system.items() if key != "password"}
