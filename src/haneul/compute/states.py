"""What a server is in, and how Nova names it."""

from __future__ import annotations

from haneul.compute.model import ServerRow
from haneul.compute.problems import InvalidState, Locked
from haneul.kernel.context import Context

ACTIVE, BUILDING, PAUSED, SUSPENDED, STOPPED = "active", "building", "paused", "suspended", "stopped"
RESCUED, RESIZED, ERROR, DELETED = "rescued", "resized", "error", "deleted"
SHELVED, SHELVED_OFFLOADED = "shelved", "shelved_offloaded"

NOSTATE, RUNNING, POWER_PAUSED, SHUTDOWN, CRASHED, POWER_SUSPENDED = 0, 1, 3, 4, 6, 7
POWER = {"running": RUNNING, "paused": POWER_PAUSED, "off": SHUTDOWN, "crashed": CRASHED, "suspended": POWER_SUSPENDED}

_RESIZING = dict.fromkeys(("resize_prep", "resize_migrating", "resize_migrated", "resize_finish"), "RESIZE")
_REBUILDING = dict.fromkeys(("rebuilding", "rebuild_block_device_mapping", "rebuild_spawning"), "REBUILD")
STATUS: dict[str, dict[str, str]] = {
    ACTIVE: {"default": "ACTIVE", **dict.fromkeys(("rebooting", "reboot_pending", "reboot_started"), "REBOOT"),
             **dict.fromkeys(("rebooting_hard", "reboot_pending_hard", "reboot_started_hard"), "HARD_REBOOT"),
             "updating_password": "PASSWORD", **_REBUILDING, "migrating": "MIGRATING", **_RESIZING},
    BUILDING: {"default": "BUILD"},
    STOPPED: {"default": "SHUTOFF", **_RESIZING, **_REBUILDING},
    RESIZED: {"default": "VERIFY_RESIZE", "resize_reverting": "REVERT_RESIZE"},
    PAUSED: {"default": "PAUSED", "migrating": "MIGRATING"},
    SUSPENDED: {"default": "SUSPENDED"},
    RESCUED: {"default": "RESCUE"},
    ERROR: {"default": "ERROR", **_REBUILDING},
    DELETED: {"default": "DELETED"},
    "soft-delete": {"default": "SOFT_DELETED"},
    SHELVED: {"default": "SHELVED"},
    SHELVED_OFFLOADED: {"default": "SHELVED_OFFLOADED"},
}


def status(vm_state: str, task_state: str | None) -> str:
    names = STATUS.get(vm_state)
    if names is None:
        return "UNKNOWN"
    return names.get(task_state or "default", names["default"])


def of_statuses(wanted: list[str]) -> tuple[set[str], set[str]]:
    """The vm_states and task_states ("default" among them) that show as one of these statuses."""
    vm_states: set[str] = set()
    task_states: set[str] = set()
    asked = {name.lower() for name in wanted}
    for vm_state, names in STATUS.items():
        for task_state, name in names.items():
            if name.lower() in asked:
                vm_states.add(vm_state)
                task_states.add(task_state)
    return vm_states, task_states


def require_unlocked(context: Context, row: ServerRow) -> None:
    if row.locked_by and not context.is_admin:
        raise Locked(row.id)


def require(context: Context, row: ServerRow, action: str, vm_states: tuple[str, ...] | None, *,
            task_states: tuple[str | None, ...] | None = (None,), launched: bool = True) -> None:
    """Raises unless the server is unlocked (for the caller), launched, and in one of these states."""
    require_unlocked(context, row)
    if vm_states is not None and row.vm_state not in vm_states:
        raise InvalidState(action, row.id, "vm_state", row.vm_state)
    if task_states is not None and row.task_state not in task_states:
        raise InvalidState(action, row.id, "task_state", row.task_state)
    if launched and row.launched_at is None:
        raise InvalidState(action, row.id, "launched_at", row.launched_at)
