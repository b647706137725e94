"""/extensions, /resource_filters, /clusters, /workers: what there is to say of this API, and of what it has none."""

from __future__ import annotations

from typing import Any

from haneul.kernel.errors import NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume.api.shapes import Body

routes = Routes()
CLUSTERS, CLEANUP, RESOURCE_FILTERS = (3, 7), (3, 24), (3, 33)

# alias: name, since when, what for
EXTENSIONS: dict[str, tuple[str, str, str]] = {
    "OS-SCH-HNT": ("SchedulerHints", "2013-04-18", "Pass arbitrary key/value pairs to the scheduler."),
    "backups": ("Backups", "2012-12-12", "Backups support."),
    "capabilities": ("Capabilities", "2015-08-31", "Capabilities support."),
    "encryption": ("VolumeTypeEncryption", "2013-07-01", "Encryption support for volume types."),
    "os-admin-actions": ("AdminActions", "2012-08-25", "Enable admin actions."),
    "os-availability-zone": ("AvailabilityZones", "2013-06-27", "Describe Availability Zones."),
    "os-extended-services": ("ExtendedServices", "2014-01-10", "Extended services support."),
    "os-extended-snapshot-attributes": ("ExtendedSnapshotAttributes", "2012-06-19", "Extended SnapshotAttributes support."),
    "os-hosts": ("Hosts", "2011-06-29", "Admin-only host administration."),
    "os-quota-class-sets": ("QuotaClasses", "2012-03-12", "Quota classes management support."),
    "os-quota-sets": ("Quotas", "2011-08-08", "Quota management support."),
    "os-services": ("Services", "2012-10-28", "Services support."),
    "os-snapshot-actions": ("SnapshotActions", "2013-07-16", "Enable snapshot manager actions."),
    "os-snapshot-manage": ("SnapshotManage", "2014-12-31", "Allows existing backend storage to be 'managed' by Cinder."),
    "os-snapshot-unmanage": ("SnapshotUnmanage", "2014-12-31", "Enable volume unmanage operation."),
    "os-types-extra-specs": ("TypesExtraSpecs", "2011-08-24", "Type extra specs support."),
    "os-types-manage": ("TypesManage", "2011-08-24", "Types manage support."),
    "os-used-limits": ("UsedLimits", "2013-10-03", "Provide data on limited resources that are being used."),
    "os-vol-host-attr": ("VolumeHostAttribute", "2011-11-03", "Expose host as an attribute of a volume."),
    "os-vol-image-meta": ("VolumeImageMetadata", "2012-12-07", "Show image metadata associated with the volume."),
    "os-vol-mig-status-attr": ("VolumeMigStatusAttribute", "2013-08-08", "Expose migration_status as an attribute of a volume."),
    "os-vol-tenant-attr": ("VolumeTenantAttribute", "2011-11-03", "Expose the internal project_id as an attribute of a volume."),
    "os-volume-actions": ("VolumeActions", "2012-05-31", "Enable volume actions."),
    "os-volume-encryption-metadata": ("VolumeEncryptionMetadata", "2013-07-10", "Volume encryption metadata retrieval support."),
    "os-volume-manage": ("VolumeManage", "2014-02-10", "Allows existing backend storage to be 'managed' by Cinder."),
    "os-volume-transfer": ("VolumeTransfer", "2013-05-29", "Volume transfer management support."),
    "os-volume-type-access": ("VolumeTypeAccess", "2014-06-26", "Volume type access support."),
    "os-volume-unmanage": ("VolumeUnmanage", "2012-05-31", "Enable volume unmanage operation."),
    "qos-specs": ("Qos_specs_manage", "2013-08-02", "QoS specs support."),
    "scheduler-stats": ("Scheduler_stats", "2014-09-07", "Scheduler stats support."),
}
# What the lists of a resource can be filtered by, for those who may not use every column.
FILTERS: dict[str, list[str]] = {
    "volume": ["name", "status", "metadata", "bootable", "migration_status", "availability_zone", "group_id", "size",
               "created_at", "updated_at"],
    "backup": ["name", "status", "volume_id"],
    "snapshot": ["name", "status", "volume_id", "metadata", "availability_zone"],
    "group": [],
    "group_snapshot": ["status", "group_id"],
    "attachment": ["volume_id", "status", "instance_id", "attach_status"],
    "message": ["resource_uuid", "resource_type", "event_id", "request_id", "message_level"],
    "pool": ["name", "volume_type"],
    "volume_type": ["is_public", "extra_specs"],
}


class Cleanup(Body):
    """What is to be cleaned; every key is optional."""

    cluster_name: str | None = None
    service_id: int | None = None
    host: str | None = None
    binary: str | None = None
    is_up: bool | str | None = None
    disabled: bool | str | None = None
    resource_id: str | None = None
    resource_type: str | None = None


class Cluster(Body):
    name: str
    binary: str | None = None
    disabled_reason: str | None = None


def _view(alias: str) -> dict[str, Any]:
    name, since, text = EXTENSIONS[alias]
    return {"alias": alias, "name": name, "description": text, "updated": f"{since}T00:00:00+00:00", "links": []}


@routes.get("/extensions", rule="volume_extension:list_extensions")
def index(call: Call) -> dict[str, Any]:
    return {"extensions": [_view(alias) for alias in EXTENSIONS]}


@routes.get("/extensions/{alias}", rule="volume_extension:list_extensions")
def show(call: Call) -> dict[str, Any]:
    if call.values["alias"] not in EXTENSIONS:
        raise NotFound()
    return {"extension": _view(call.values["alias"])}


@routes.get("/resource_filters", rule="volume_extension:list_extensions", minimum=RESOURCE_FILTERS)
def filters(call: Call) -> dict[str, Any]:
    wanted = call.argument("resource")
    return {"resource_filters": [{"resource": name, "filters": keys} for name, keys in FILTERS.items()
                                 if wanted in (None, "", name)]}


# ---------------------------------------------------------------- what this cloud has none of


@routes.get("/clusters", rule="clusters:get_all", minimum=CLUSTERS)
def clusters(call: Call) -> dict[str, Any]:
    """Control processes share a database and need no cluster of services."""
    return {"clusters": []}


@routes.get("/clusters/{name}", rule="clusters:get", minimum=CLUSTERS)
def cluster(call: Call) -> dict[str, Any]:
    if call.values["name"] == "detail":
        return {"clusters": []}
    raise NotFound(f"Cluster {call.values['name'][:255]} could not be found.")


@routes.put("/clusters/{name}", rule="clusters:update", body=Cluster, minimum=CLUSTERS)
def cluster_update(call: Call, body: Cluster) -> dict[str, Any]:
    if call.values["name"] not in ("enable", "disable"):
        raise NotFound("Unknown action")
    raise NotFound(f"Cluster {body.name[:255]} could not be found.")


@routes.post("/workers/cleanup", rule="workers:cleanup", body=Cleanup, status=202, minimum=CLEANUP)
def cleanup(call: Call, body: Cleanup) -> dict[str, Any]:
    """What a process left undone its successor takes up by itself: there is never anything to clean."""
    return {"cleaning": [], "unavailable": []}
