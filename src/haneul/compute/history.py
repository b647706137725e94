"""What happened to a server: its tasks, and their steps, as Nova's actions and events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from haneul.compute.model import ServerRow
from haneul.kernel.database import Transaction
from haneul.kernel.errors import NotFound
from haneul.kernel.tasks import TaskRow

NAMES = {"create": "create", "create_with_volumes": "create",
         "delete": "delete", "start": "start", "stop": "stop", "reboot": "reboot", "hard_reboot": "reboot",
         "pause": "pause", "unpause": "unpause", "suspend": "suspend", "resume": "resume", "rebuild": "rebuild",
         "rebuild_volume": "rebuild",
         "rescue": "rescue", "unrescue": "unrescue", "resize": "resize", "confirm_resize": "confirmResize",
         "revert_resize": "revertResize", "snapshot": "createImage", "snapshot_volumes": "createImage",
         "shelve": "shelve", "unshelve": "unshelve",
         "attach_interface": "attach_interface", "detach_interface": "detach_interface", "attach_volume": "attach_volume",
         "detach_volume": "detach_volume", "swap_volume": "swap_volume", "extend_volume": "extend_volume",
         "rewire": "injectNetworkInfo", "interrupt": "trigger_crash_dump"}
WHOLE = {"attach_interface", "detach_interface", "attach_volume", "detach_volume", "swap_volume"}


def actions(tx: Transaction, row: ServerRow, *, since: datetime | None = None,
            before: datetime | None = None) -> list[TaskRow]:
    """Newest first."""
    query = select(TaskRow).where(TaskRow.resource == f"server:{row.id}").order_by(TaskRow.seq.desc())
    found = list(tx.execute(query).scalars())
    return [task for task in found if (since is None or changed(task) >= since) and (before is None or changed(task) <= before)]


def action(tx: Transaction, row: ServerRow, request_id: str) -> TaskRow:
    found = tx.execute(select(TaskRow).where(TaskRow.resource == f"server:{row.id}", TaskRow.request_id == request_id)
                       .order_by(TaskRow.seq).limit(1)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"Action {request_id[:64]} not found")
    return found


def name(task: TaskRow) -> str:
    return NAMES.get(task.kind.rsplit(".", 1)[-1], task.kind)


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def changed(task: TaskRow) -> datetime:
    last = task.record[-1]["finished"] if task.record else task.created
    return moment(task.finished or last)


def message(task: TaskRow) -> str | None:
    """What the user reads of an action that failed."""
    return "Error" if task.fault else None


def events(task: TaskRow, host: str | None) -> list[dict[str, Any]]:
    """Each step that ended, and the one under way; of attaching and detaching also Nova's one event, for which clients wait."""
    found = [{"event": f"compute_{entry['step'].replace(' ', '_')}", "started": moment(entry["started"]),
              "finished": moment(entry["finished"]), "result": "Error" if entry["outcome"] in ("failed", "left") else "Success",
              "details": entry.get("error"), "host": host} for entry in task.record]
    if task.finished is None and task.step_started is not None:
        found.append({"event": "compute_running", "started": moment(task.step_started), "finished": None, "result": None,
                      "details": task.waiting_for, "host": host})
    kind = task.kind.rsplit(".", 1)[-1]
    if task.finished is not None and kind in WHOLE:
        found.append({"event": f"compute_{kind}", "started": moment(task.created), "finished": moment(task.finished),
                      "result": "Error" if task.fault else "Success", "details": None, "host": host})
    return found
