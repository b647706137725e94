"""Volumes of a server: which it has, one more, one less, another in its place. The rows are block storage's; what a host does
about them is `tasks/volumes.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from string import ascii_lowercase

from haneul.compute import guests, states
from haneul.compute.model import ServerRow
from haneul.compute.states import ACTIVE, PAUSED, RESIZED, SHELVED, SHELVED_OFFLOADED, STOPPED
from haneul.compute.tasks import machine
from haneul.compute.tasks import volumes as tasks
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, NotFound
from haneul.volume import attachments, volumes
from haneul.volume.model import AttachmentRow, VolumeRow
from haneul.volume.problems import InvalidVolume, VolumeNotFound

_STATES = (ACTIVE, PAUSED, STOPPED, RESIZED, SHELVED, SHELVED_OFFLOADED)
_SWAPPABLE = (ACTIVE, PAUSED, RESIZED)
_AT_REST = (None, "", "error", "success")  # migration_status of a volume that nobody moves
_DEVICE = re.compile(r"^/dev/(x?[a-z]?d?)[a-z]+[0-9]*$")


class NotAttached(NotFound):
    def __init__(self, volume_id: str) -> None:
        super().__init__(f"No volume Block Device Mapping with id {volume_id[:64]}.")


class NeedsMultiattach(BadRequest):
    def __init__(self) -> None:
        super().__init__("Multiattach volumes are only supported starting with compute API version 2.60.")


def of(tx: Transaction, row: ServerRow) -> list[AttachmentRow]:
    return attachments.of_servers(tx, [row.id]).get(row.id, [])


def one(tx: Transaction, row: ServerRow, volume_id: str) -> AttachmentRow:
    """The attachment of a volume to this server."""
    for found in of(tx, row):
        if found.volume_id == volume_id:
            return found
    raise NotAttached(volume_id)


# ---------------------------------------------------------------- names of devices


def taken(tx: Transaction, row: ServerRow) -> set[str]:
    """Names that are the guest's already, without the numbers of partitions."""
    root = row.root_device_name or "/dev/vda"
    found = {root, *(attachment.mountpoint for attachment in of(tx, row) if attachment.mountpoint)}
    names = _names(root)
    found |= {next(names) for _ in range(len(guests.local_disks(guests.of(row))) + 1)}
    return {name.rstrip("0123456789") for name in found}


def _names(root: str) -> Iterator[str]:
    """/dev/vda, /dev/vdb, … /dev/vdaa, of the kind that the root is."""
    prefix = root.rstrip("0123456789")[:-1]
    for number in count():
        tens, ones = divmod(number, 26)
        yield prefix + (ascii_lowercase[tens - 1] if tens else "") + ascii_lowercase[ones]


def device(tx: Transaction, row: ServerRow, wanted: str | None) -> str:
    """The name asked for, if it is free and well formed, else the first free one."""
    used = taken(tx, row)
    if wanted is None or wanted == "auto":
        return next(name for name in _names(row.root_device_name or "/dev/vda") if name not in used)
    if not _DEVICE.match(wanted):
        raise BadRequest(f"The supplied device path ({wanted[:64]}) is invalid.")
    if wanted.rstrip("0123456789") in used:
        raise Conflict(f"The supplied device path ({wanted}) is in use.")
    return wanted


# ---------------------------------------------------------------- changes


def attach(tx: Transaction, context: Context, row: ServerRow, volume_id: str, *, wanted: str | None = None,
           tag: str | None = None, delete_on_termination: bool = False, multiattach: bool = True) -> AttachmentRow:
    """Reserved at once; a task plugs it in. `multiattach`: the caller knows that others may have it too."""
    states.require(context, row, "attach_volume", _STATES)
    volume = volumes.get(tx, context, volume_id)
    if any(found.volume_id == volume.id for found in of(tx, row)):
        raise InvalidVolume(f"volume {volume.id} already attached")
    if volume.multiattach and not multiattach:
        raise NeedsMultiattach
    if row.vm_state == SHELVED_OFFLOADED and (tag or volume.multiattach):
        raise BadRequest("Tagged volume attachment is not supported for shelved-offloaded instances." if tag else
                         "Attaching multiattach volumes is not supported for shelved-offloaded instances.")
    _check_reach(tx, row, volume)
    bus = machine.disk_bus(guests.of(row))
    found = attachments.reserve(
        tx, volume, context=context, server_id=row.id, mountpoint=device(tx, row, wanted), tag=tag,
        delete_on_termination=delete_on_termination, disk_bus=bus if bus == "scsi" else "virtio")
    _begin(tx, context, row, tasks.attach_volume, found)
    return found


def _check_reach(tx: Transaction, row: ServerRow, volume: VolumeRow) -> None:
    if row.host is not None and not attachments.reachable(tx, volume, row.host):
        raise InvalidVolume(f"Volume {volume.id} is on a back end that the host of instance {row.id} does not reach.")


def detach(tx: Transaction, context: Context, row: ServerRow, volume_id: str) -> None:
    """The guest is asked to let go; the volume is free when its host says that it has."""
    found, volume = _held(tx, context, row, volume_id)
    if found.boot_index == 0:
        raise BadRequest("Cannot detach a root device volume")
    states.require(context, row, "detach_volume", _STATES)
    kept = row.vm_state == SHELVED_OFFLOADED and found.status == attachments.RESERVED
    if not (found.status == attachments.ATTACHED or kept) or _busy(volume):
        raise InvalidVolume("Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to "
                            "detach.")
    attachments.begin_detach(tx, found)
    _begin(tx, context, row, tasks.detach_volume, found)


def _held(tx: Transaction, context: Context, row: ServerRow, volume_id: str) -> tuple[AttachmentRow, VolumeRow]:
    volume = volumes.get(tx, context, volume_id)
    return one(tx, row, volume.id), volume


def _busy(volume: VolumeRow) -> bool:
    """Something works on it: it may be neither let go of nor exchanged meanwhile."""
    return volume.status not in (*attachments.FOLLOWS, "error") or volume.migration_status not in _AT_REST


def swap(tx: Transaction, context: Context, row: ServerRow, volume_id: str, other_id: str) -> None:
    """The guest's disk is copied to the other volume, and then is that."""
    found, old = _held(tx, context, row, volume_id)
    try:
        new = volumes.get(tx, context, other_id)
    except VolumeNotFound as problem:
        raise BadRequest(problem.message)
    states.require(context, row, "swap_volume", _SWAPPABLE)
    if found.status != attachments.ATTACHED or _busy(old):
        raise InvalidVolume("Old volume is attached to a different instance." if found.status != attachments.ATTACHED else
                            f"Volume {old.id} is busy: {old.status}.")
    if attachments.of_volume(tx, new.id):
        raise InvalidVolume("New volume must be detached in order to swap.")
    if new.size != old.size:  # Nova takes larger ones too; QEMU's mirror does not
        raise InvalidVolume("New volume must be the same size or larger." if new.size < old.size else
                            "New volume must be the same size: extend it afterwards.")
    if old.multiattach and len(attachments.of_volume(tx, old.id)) > 1:
        raise Conflict("Swapping multi-attach volumes with more than one read/write attachment is not supported.")
    _check_reach(tx, row, new)
    reserved = attachments.reserve(tx, new, context=context, server_id=row.id, mountpoint=found.mountpoint)
    attachments.begin_detach(tx, found)
    tasks.swap_volume.submit(tx, tasks.SwapArguments(server_id=row.id, attachment_id=found.id, reserved_id=reserved.id),
                             resource=f"server:{row.id}", context=context)


def _begin(tx: Transaction, context: Context, row: ServerRow, task: tasks.OnAttachmentTask, found: AttachmentRow) -> None:
    task.submit(tx, tasks.OnAttachment(server_id=row.id, attachment_id=found.id), resource=f"server:{row.id}", context=context)
