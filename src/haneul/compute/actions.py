"""What may be done to a server, in which state; each writes the intent and submits the task that carries it out."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from haneul.compute import block_devices, boot, flavors, guests, personality, quotas, states
from haneul.compute.model import MigrationRow, ServerRow
from haneul.compute.problems import InvalidState, NotReady
from haneul.compute.states import (
    ACTIVE,
    ERROR,
    PAUSED,
    RESCUED,
    RESIZED,
    SHELVED,
    SHELVED_OFFLOADED,
    STOPPED,
    SUSPENDED,
    require,
)
from haneul.compute.tasks import interfaces, power, rebuild, resize, shelve, snapshot
from haneul.compute.tasks.destroy import delete_server
from haneul.compute.tasks.machine import OnServer
from haneul.fleet.model import HostRow
from haneul.image import images
from haneul.image.model import ImageRow
from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.tasks import Task
from haneul.volume import attachments, snapshots, volumes

_REBOOTABLE = (None, "rebooting", "reboot_pending", "reboot_started")
_HARD_REBOOTABLE = (*_REBOOTABLE, "rebooting_hard", "reboot_pending_hard", "reboot_started_hard", "unpausing", "suspending",
                    "resuming", "powering-off", "powering-on", "pausing")


def _begin(tx: Transaction, context: Context, row: ServerRow, task: Task[Any], task_state: str | None,
           arguments: OnServer | None = None) -> None:
    row.task_state, row.updated_at = task_state, clock.now()
    task.submit(tx, arguments or OnServer(server_id=row.id), resource=f"server:{row.id}", context=context)


# ---------------------------------------------------------------- end


def delete(tx: Transaction, context: Context, row: ServerRow) -> None:
    """In any state, whatever is under way; done already is fine."""
    states.require_unlocked(context, row)
    row.task_state, row.updated_at, row.progress = "deleting", clock.now(), 0
    delete_server.submit(tx, OnServer(server_id=row.id), resource=f"server:{row.id}", context=context, cancel_others=True)


# ---------------------------------------------------------------- power


def start(tx: Transaction, context: Context, row: ServerRow) -> None:
    require(context, row, "start", (STOPPED,))
    _begin(tx, context, row, power.start_server, "powering-on")


def stop(tx: Transaction, context: Context, row: ServerRow) -> None:
    require(context, row, "stop", (ACTIVE, ERROR))
    _begin(tx, context, row, power.stop_server, "powering-off")


def reboot(tx: Transaction, context: Context, row: ServerRow, *, hard: bool) -> None:
    if hard:
        require(context, row, "reboot", (ACTIVE, STOPPED, PAUSED, SUSPENDED, ERROR), task_states=_HARD_REBOOTABLE)
        _begin(tx, context, row, power.hard_reboot_server, "rebooting_hard")
    else:
        require(context, row, "reboot", (ACTIVE,), task_states=_REBOOTABLE)
        _begin(tx, context, row, power.reboot_server, "rebooting")


def trigger_crash_dump(tx: Transaction, context: Context, row: ServerRow) -> None:
    require(context, row, "trigger_crash_dump", (ACTIVE, PAUSED, RESCUED, RESIZED, ERROR))
    if row.host is None:
        raise NotReady(row.id)
    _begin(tx, context, row, power.interrupt_server, None)


def pause(tx: Transaction, context: Context, row: ServerRow) -> None:
    require(context, row, "pause", (ACTIVE,))
    _begin(tx, context, row, power.pause_server, "pausing")


def unpause(tx: Transaction, context: Context, row: ServerRow) -> None:
    require(context, row, "unpause", (PAUSED,))
    _begin(tx, context, row, power.unpause_server, "unpausing")


def suspend(tx: Transaction, context: Context, row: ServerRow) -> None:
    require(context, row, "suspend", (ACTIVE,))
    _begin(tx, context, row, power.suspend_server, "suspending")


def resume(tx: Transaction, context: Context, row: ServerRow) -> None:
    require(context, row, "resume", (SUSPENDED,))
    _begin(tx, context, row, power.resume_server, "resuming")


# ---------------------------------------------------------------- other images


def rebuild_server(tx: Transaction, context: Context, row: ServerRow, image_id: str, *, key: tuple[str | None, str | None] | None,
                   changes: dict[str, Any], metadata: dict[str, str] | None, files: list[personality.File],
                   reimage: bool = False) -> None:
    """`changes` are columns of the row; `key` None keeps the present one; `reimage`: a root volume may get new data."""
    require(context, row, "rebuild", (ACTIVE, STOPPED, ERROR))
    if row.host is None:
        raise InvalidState("rebuild", row.id, "host", None)
    on_volume = guests.of(row).on_volume
    image = boot.find_image(tx, context, image_id, any_format=on_volume)
    if on_volume:
        _check_root_volume(tx, row, image, reimage)
    else:
        boot.check_fit(_Size(row.flavor), image)
    if metadata is not None:
        quotas.check_metadata(tx, row.project_id, len(metadata))
        row.meta = dict(metadata)
    personality.check(tx, row.project_id, files)
    personality.keep(tx, row.id, files)
    row.config_drive = row.config_drive or bool(files)
    if key is not None:
        row.key_name, row.key_data = key
    for name, value in changes.items():
        setattr(row, name, value)
    row.progress = 0
    if on_volume:
        if reimage:
            row.system = {**row.system, "image": block_devices.image_facts(image)}
        _begin(tx, context, row, rebuild.rebuild_on_volume, "rebuilding", rebuild.ReimageArguments(
            server_id=row.id, run=row.vm_state != STOPPED, image_id=image.id if reimage else None))
        return
    row.image_id = image.id
    row.system = {**row.system, "image": block_devices.image_facts(image)}
    _begin(tx, context, row, rebuild.rebuild_server, "rebuilding",
           rebuild.RebuildArguments(server_id=row.id, run=row.vm_state != STOPPED))


def _check_root_volume(tx: Transaction, row: ServerRow, image: ImageRow, reimage: bool) -> None:
    root = next((held for held in attachments.of_servers(tx, [row.id]).get(row.id, []) if held.boot_index == 0), None)
    volume = volumes.by_id(tx, root.volume_id) if root is not None else None
    if volume is None:
        raise BadRequest("The server's root volume is not attached.")
    if not reimage:
        if (volume.image or {}).get("image_id") != image.id:
            raise BadRequest(f"Image {image.id} is unacceptable: Unable to rebuild with a different image for a volume-backed "
                             "server.")
        return
    if row.flavor["ram"] < (image.min_ram or 0):
        raise BadRequest("Flavor's memory is too small for requested image.")
    volumes.check_image_fits(image, volume.size)
    if snapshots.of_volume(tx, volume.id):
        raise BadRequest(f"Volume {volume.id} has snapshots, which are of the data that would go.")


class _Size:
    """A server's embedded flavor where a flavor is expected."""

    def __init__(self, flavor: dict[str, Any]) -> None:
        self.ram, self.disk = flavor["ram"], flavor["disk"]


def rescue(tx: Transaction, context: Context, row: ServerRow, image_id: str | None, *, on_volume: bool = False) -> None:
    """With the image asked for, else the server's own; `on_volume`: also servers whose root is a volume."""
    require(context, row, "rescue", (ACTIVE, STOPPED, ERROR))
    wanted = image_id or row.image_id
    cannot = BadRequest(f"Instance {row.id} cannot be rescued: Cannot rescue a volume-backed instance")
    backed = guests.of(row).on_volume
    if backed and (wanted is None or not on_volume):
        raise cannot
    if wanted is None:
        raise BadRequest("The server has no image of its own; name one for the rescue.")
    try:
        image = boot.find_image(tx, context, wanted)
    except BadRequest:
        if image_id is not None:
            raise
        facts = row.system["image"]  # the image is gone from the service, but still in the host's cache under its disk
    else:
        boot.check_fit(_Size(row.flavor), image)  # its disk may grow to what the image says, and no quota would count it
        facts = block_devices.image_facts(image)
    stable = _stable(facts["properties"])
    if backed and stable is None:
        raise cannot
    _begin(tx, context, row, rebuild.rescue_server, "rescuing",
           rebuild.RescueArguments(server_id=row.id, image=facts, stable=stable))


def _stable(properties: dict[str, str]) -> guests.Rescue | None:
    """An image that says how it wants to be plugged in leaves the server's own disks where they are."""
    bus, device = properties.get("hw_rescue_bus"), properties.get("hw_rescue_device")
    if not bus and not device:
        return None
    if (device or "disk") not in ("disk", "cdrom"):
        raise BadRequest(f"Requested rescue device '{str(device)[:64]}' is not supported by the hypervisor.")
    bus = bus or ("ide" if device == "cdrom" else "virtio")
    if bus not in block_devices.BUSES:
        raise BadRequest(f"Requested rescue bus '{bus[:64]}' is not supported by the hypervisor.")
    return guests.Rescue(bus=bus, device=device or "disk")


def unrescue(tx: Transaction, context: Context, row: ServerRow) -> None:
    require(context, row, "unrescue", (RESCUED,))
    _begin(tx, context, row, rebuild.unrescue_server, "unrescuing")


# ---------------------------------------------------------------- resize


def resize_server(tx: Transaction, context: Context, row: ServerRow, flavor_id: str, auto_disk_config: bool | None) -> None:
    require(context, row, "resize", (ACTIVE, STOPPED))
    try:
        flavor = flavors.get(tx, context, flavor_id)
    except NotFound:
        raise BadRequest("Unable to locate requested flavor.")
    if flavor.id == row.flavor["id"]:
        raise BadRequest("When resizing, instances must change flavor!")
    if flavor.disabled:
        raise BadRequest("Unable to locate requested flavor.")
    on_volume = guests.of(row).on_volume
    if flavor.disk < row.flavor["disk"] and not on_volume:
        raise BadRequest("Resize to smaller disk flavor is not allowed: the disk would lose data.")
    if flavor.disk == 0 and row.flavor["disk"] != 0 and not on_volume:
        raise BadRequest("Resize to zero disk flavor is not allowed.")
    quotas.room_to_grow(tx, row.project_id, flavor.vcpus - row.vcpus, flavor.ram - row.ram)
    if auto_disk_config is not None:
        row.auto_disk_config = auto_disk_config
    migration = MigrationRow(uuid=ids.new(), server_id=row.id, project_id=row.project_id, user_id=context.user_id or "",
                             type="resize", status="pre-migrating", source=row.host, target=row.host,
                             old_flavor=row.flavor.get("number"), new_flavor=flavor.seq, created_at=clock.now())
    tx.add(migration)
    row.progress = 0
    _begin(tx, context, row, resize.resize_server, "resize_prep", resize.ResizeArguments(
        server_id=row.id, migration=migration.uuid, flavor=flavors.snapshot(flavor), run=row.vm_state == ACTIVE))


def _migration_of(tx: Transaction, row: ServerRow) -> str:
    found = tx.execute(select(MigrationRow).where(MigrationRow.server_id == row.id, MigrationRow.status == "finished")
                       .order_by(MigrationRow.id.desc()).limit(1)).scalar_one_or_none()
    if found is None:
        raise BadRequest("Instance has not been resized.")
    found.updated_at = clock.now()
    return found.uuid


def confirm_resize(tx: Transaction, context: Context, row: ServerRow) -> None:
    require(context, row, "confirmResize", (RESIZED,))
    migration = _migration_of(tx, row)
    _begin(tx, context, row, resize.confirm_resize, None, resize.DecideArguments(server_id=row.id, migration=migration))


def revert_resize(tx: Transaction, context: Context, row: ServerRow) -> None:
    require(context, row, "revertResize", (RESIZED,))
    old = row.system.get("old_flavor") or row.flavor
    quotas.room_to_grow(tx, row.project_id, old["vcpus"] - row.vcpus, old["ram"] - row.ram)
    migration = _migration_of(tx, row)
    _begin(tx, context, row, resize.revert_resize, "resize_reverting",
           resize.DecideArguments(server_id=row.id, migration=migration))


# ---------------------------------------------------------------- images of the server


def _image_of(tx: Transaction, context: Context, row: ServerRow, name: str, kind: str, metadata: dict[str, str],
              format: str = "qcow2") -> str:
    """A queued image for the server's disk. Properties of the boot image are handed down."""
    facts = row.system["image"]
    inherited = {key: value for key, value in facts["properties"].items()
                 if key.startswith(("hw_", "os_", "img_")) and not key.startswith("os_glance")}
    properties = {**inherited, "image_type": kind, "instance_uuid": row.id, "user_id": context.user_id or "",
                  "owner_id": row.project_id, "image_location": "snapshot", "image_state": "available",
                  "base_image_ref": row.image_id or "", **metadata}
    return images.begin(tx, context, name=name, disk_format=format, container_format="bare", visibility="private",
                        min_disk=0 if guests.of(row).on_volume else max(int(facts.get("min_disk") or 0), row.flavor["disk"]),
                        min_ram=int(facts.get("min_ram") or 0), owner=context.project_id, properties=properties).id


def create_image(tx: Transaction, context: Context, row: ServerRow, name: str, metadata: dict[str, str]) -> str:
    """The new image's id."""
    require(context, row, "createImage", (ACTIVE, STOPPED, PAUSED, SUSPENDED))
    quotas.check_metadata(tx, row.project_id, len(metadata))
    if guests.of(row).on_volume:
        taken, properties = block_devices.snapshot(tx, context, row, name)
        image_id = _image_of(tx, context, row, name, "snapshot", {**metadata, **properties}, format="raw")
        _begin(tx, context, row, snapshot.snapshot_of_volumes, "image_snapshot",
               snapshot.VolumesArguments(server_id=row.id, image_id=image_id, snapshot_ids=taken))
        return image_id
    image_id = _image_of(tx, context, row, name, "snapshot", metadata)
    _begin(tx, context, row, snapshot.snapshot_server, "image_snapshot",
           snapshot.SnapshotArguments(server_id=row.id, image_id=image_id))
    return image_id


def create_backup(tx: Transaction, context: Context, row: ServerRow, name: str, kind: str, rotation: int,
                  metadata: dict[str, str]) -> str:
    """As `create_image`; of the server's backups of this kind the newest `rotation` are kept."""
    require(context, row, "createBackup", (ACTIVE, STOPPED, PAUSED, SUSPENDED))
    if guests.of(row).on_volume:
        raise BadRequest("Backup is not supported for volume-backed instances.")
    quotas.check_metadata(tx, row.project_id, len(metadata))
    image_id = _image_of(tx, context, row, name, "backup", {**metadata, "backup_type": kind})
    backups: dict[str, list[str]] = row.system.get("backups", {})
    every = [*backups.get(kind, []), image_id]
    keep = every[-rotation:] if rotation else []
    row.system = {**row.system, "backups": {**backups, kind: keep}}
    _begin(tx, context, row, snapshot.snapshot_server, "image_backup", snapshot.SnapshotArguments(
        server_id=row.id, image_id=image_id, discard=[id for id in every if id not in keep]))
    return image_id


# ---------------------------------------------------------------- shelving


def shelve_server(tx: Transaction, context: Context, row: ServerRow) -> None:
    require(context, row, "shelve", (ACTIVE, STOPPED, PAUSED, SUSPENDED))
    on_volume = guests.of(row).on_volume
    image_id = _image_of(tx, context, row, f"{row.name}-shelved", "snapshot", {}) if not on_volume else None
    _begin(tx, context, row, shelve.shelve_server, "shelving_offloading" if on_volume else "shelving",
           shelve.ShelveArguments(server_id=row.id, image_id=image_id))


def shelve_offload(tx: Transaction, context: Context, row: ServerRow) -> None:
    """Shelving leaves the host by itself, so no server stays in the one state that this is for."""
    require(context, row, "shelveOffload", (SHELVED,))


def unshelve(tx: Transaction, context: Context, row: ServerRow, *, zone: str | None = None, host: str | None = None,
             unpin: bool = False) -> None:
    require(context, row, "unshelve", (SHELVED, SHELVED_OFFLOADED))
    from haneul.compute import zones
    if zone is not None and not zones.exists(tx, zone):
        raise BadRequest("The requested availability zone is not available")
    if host is not None and tx.execute(select(HostRow.name).where(HostRow.name == host)).first() is None:
        raise BadRequest(f"Compute host {host} could not be found.")
    if zone is not None or unpin:
        row.pinned_zone = zone
    _begin(tx, context, row, shelve.unshelve_server, "unshelving",
           shelve.UnshelveArguments(server_id=row.id, zone=zone, host=host))


# ---------------------------------------------------------------- locks and repairs


def lock(context: Context, row: ServerRow, reason: str | None) -> None:
    if row.locked_by == "admin" and not context.is_admin:
        return
    row.locked_by = "admin" if context.is_admin and context.project_id != row.project_id else "owner"
    row.locked_reason, row.updated_at = reason, clock.now()


def unlock(context: Context, row: ServerRow) -> None:
    row.locked_by, row.locked_reason, row.updated_at = None, None, clock.now()


def reset_state(tx: Transaction, context: Context, row: ServerRow, vm_state: str) -> None:
    """An administrator's word on what state it is; nothing is done on the host."""
    row.vm_state, row.task_state, row.updated_at = vm_state, None, clock.now()
    if vm_state == ACTIVE:
        row.fault = None


def inject_network_info(tx: Transaction, context: Context, row: ServerRow) -> None:
    states.require_unlocked(context, row)
    if row.host is None:
        raise NotReady(row.id)
    interfaces.rewire_server.submit(tx, OnServer(server_id=row.id), resource=f"server:{row.id}", context=context)
