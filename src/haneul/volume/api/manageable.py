"""/manageable_volumes and /manageable_snapshots (3.8), their older names, and os-unmanage."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from haneul.kernel.errors import BadRequest
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.kernel.wire.versions import Version
from haneul.volume import manageable, rows, snapshots
from haneul.volume.api import lists, shapes, volume_views
from haneul.volume.api import snapshots as snapshots_api
from haneul.volume.api.shapes import Body, Boolean, Description, LooseMetadata, Name
from haneul.volume.manageable import Existing, Manageable
from haneul.volume.model import SnapshotRow, VolumeRow

routes = Routes()
VOLUMES, OLD_VOLUMES = "/manageable_volumes", "/os-volume-manage"
SNAPSHOTS, OLD_SNAPSHOTS = "/manageable_snapshots", "/os-snapshot-manage"
SINCE = (3, 8)
Host = Annotated[str, Meta(min_length=1, max_length=255)]


class NewVolume(Body):
    ref: dict[str, Any] | Annotated[str, Meta(min_length=1, max_length=255)]
    host: Host | None = None
    cluster: str | None = None
    name: Name = None
    description: Description = None
    volume_type: Annotated[str, Meta(max_length=255)] | None = None
    availability_zone: Annotated[str, Meta(max_length=255)] | None = None
    metadata: LooseMetadata = None
    bootable: Boolean | None = None  # null is what the openstack command sends


class ManageVolume(Body):
    volume: NewVolume


class NewSnapshot(Body):
    volume_id: str
    ref: dict[str, Any] | Annotated[str, Meta(min_length=1, max_length=255)]
    name: Name = None
    display_name: Name = None
    description: Description = None
    metadata: LooseMetadata = None


class ManageSnapshot(Body):
    snapshot: NewSnapshot


def _ref(ref: dict[str, Any] | str) -> dict[str, Any]:
    return {"source-name": ref} if isinstance(ref, str) else ref


def _both(path: str, old: str) -> list[tuple[str, Version | None]]:
    """The same thing at two paths."""
    return [(path, SINCE), (old, None)]


# ---------------------------------------------------------------- manage


def manage_volume(call: Call, body: ManageVolume) -> dict[str, Any]:
    new = body.volume
    if new.host is None or new.cluster is not None:
        raise BadRequest("One and only one of cluster and host must be set." if call.version >= (3, 16)
                         else "The following elements are required: host")
    row = manageable.manage_volume(call.tx, call.context, Existing(
        host=new.host, ref=_ref(new.ref), name=shapes.stripped(new.name), description=shapes.stripped(new.description),
        volume_type=new.volume_type or None, availability_zone=new.availability_zone or None,
        metadata=shapes.texts(new.metadata), bootable=new.bootable is not None and shapes.truth(new.bootable)))
    return {"volume": volume_views.one(call, row.id, whole=True)}


def manage_snapshot(call: Call, body: ManageSnapshot) -> dict[str, Any]:
    new = body.snapshot
    volume = rows.get(call.tx, call.context, shapes.uuid(new.volume_id, "volume_id"))
    name = new.name if new.name is not None else new.display_name
    row = manageable.manage_snapshot(call.tx, call.context, volume, _ref(new.ref), name=shapes.stripped(name),
                                     description=shapes.stripped(new.description), metadata=shapes.texts(new.metadata))
    return {"snapshot": snapshots_api.summary(row)}


# ---------------------------------------------------------------- lists


def _listed(call: Call, there: Callable[..., list[Manageable]], *, detail: bool) -> list[dict[str, Any]]:
    host = call.argument("host")
    if not host:
        raise BadRequest("Invalid input received: host must be given in the query.")
    order = lists.sort(call, {"reference": None, "size": None}, "reference", "reference")
    found = there(call.tx, host)
    for key, direction in reversed(order):
        found.sort(key=operator.attrgetter("size" if key == "size" else "name"), reverse=direction == "desc")
    start = _after(call, found) + lists.number(call, "offset")
    return [_view(one, detail) for one in found[start:start + paging.limit_of(call)]]


def _after(call: Call, found: list[Manageable]) -> int:
    """Where the page begins: behind the marker, a reference as JSON."""
    marker = call.argument("marker")
    if not marker:
        return 0
    try:
        wanted = msgspec.json.decode(marker)
    except (msgspec.DecodeError, RecursionError):
        raise BadRequest("Invalid input received: marker can not be analysed, please use json like format")
    for position, one in enumerate(found):
        if wanted == {"source-name": one.name}:
            return position + 1
    raise BadRequest("Invalid input received: marker not found")


def _view(one: Manageable, detail: bool) -> dict[str, Any]:
    view: dict[str, Any] = {"reference": {"source-name": one.name}, "size": one.size, "safe_to_manage": one.reason is None}
    if one.source is not None:
        view["source_reference"] = {"source-name": one.source}
    if detail:
        view |= {"reason_not_safe": one.reason, "cinder_id": one.owner, "extra_info": None}
    return view


def list_volumes(call: Call) -> dict[str, Any]:
    return {"manageable-volumes": _listed(call, manageable.volumes_there, detail=False)}


def list_volumes_detail(call: Call) -> dict[str, Any]:
    return {"manageable-volumes": _listed(call, manageable.volumes_there, detail=True)}


def list_snapshots(call: Call) -> dict[str, Any]:
    return {"manageable-snapshots": _listed(call, manageable.snapshots_there, detail=False)}


def list_snapshots_detail(call: Call) -> dict[str, Any]:
    return {"manageable-snapshots": _listed(call, manageable.snapshots_there, detail=True)}


for _path, _since in _both(VOLUMES, OLD_VOLUMES):
    routes.post(_path, rule="volume_extension:volume_manage", body=ManageVolume, status=202, minimum=_since)(manage_volume)
    routes.get(_path, rule="volume_extension:list_manageable", minimum=_since)(list_volumes)
    routes.get(_path + "/detail", rule="volume_extension:list_manageable", minimum=_since)(list_volumes_detail)
for _path, _since in _both(SNAPSHOTS, OLD_SNAPSHOTS):
    routes.post(_path, rule="snapshot_extension:snapshot_manage", body=ManageSnapshot, status=202, minimum=_since)(
        manage_snapshot)
    routes.get(_path, rule="snapshot_extension:list_manageable", minimum=_since)(list_snapshots)
    routes.get(_path + "/detail", rule="snapshot_extension:list_manageable", minimum=_since)(list_snapshots_detail)


# ---------------------------------------------------------------- unmanage


def _volume(call: Call) -> VolumeRow:
    return rows.get(call.tx, call.context, call.values["volume_id"])


def _snapshot(call: Call) -> SnapshotRow:
    return snapshots.get(call.tx, call.context, call.values["snapshot_id"])


@routes.action("/volumes/{volume_id}/action", "os-unmanage", rule="volume_extension:volume_unmanage", target=_volume)
def unmanage_volume(call: Call, row: VolumeRow) -> None:
    manageable.unmanage_volume(call.tx, row)


@routes.action("/snapshots/{snapshot_id}/action", "os-unmanage", rule="snapshot_extension:snapshot_unmanage", target=_snapshot)
def unmanage_snapshot(call: Call, row: SnapshotRow) -> None:
    snapshots.forget(call.tx, row)
