"""`GET /haneul/v1/status`: the whole cloud on one screen, for its administrator."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from haneul.compute import states
from haneul.compute.model import ServerRow
from haneul.fleet.hosts import is_up
from haneul.fleet.model import HostRow
from haneul.kernel import clock
from haneul.kernel.leaks import LeakRow
from haneul.kernel.policy import ADMIN, Rule
from haneul.kernel.room import Room
from haneul.kernel.tasks import TaskRow
from haneul.kernel.tasks.model import ACTIVE, FAILED
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.errors import nova
from haneul.kernel.wire.routes import Routes, Service
from haneul.volume import pools
from haneul.volume.model import PoolRow, VolumeRow

routes = Routes()
LATELY_SECONDS = 3600.0
MOST = 50


@routes.get("/status", rule="haneul:status")
def show(call: Call) -> dict[str, Any]:
    return {"status": {"hosts": _hosts(call), "servers": _servers(call), "back_ends": _back_ends(call),
                       "volumes": _volumes(call), "tasks": _tasks(call), "leaks": _leaks(call),
                       "reconcilers": [{"name": name, "age": round(clock.seconds() - since, 1), "message": text}
                                       for name, (since, text) in dict(call.cloud.reconcilers.failing).items()]}}


def _hosts(call: Call) -> list[dict[str, Any]]:
    placed = {host: count for host, count in call.tx.execute(select(ServerRow.host, func.count()).where(
        ServerRow.deleted.is_(False), ServerRow.host.is_not(None)).group_by(ServerRow.host))}
    return [{"name": row.name, "state": "up" if is_up(row) else "down" if row.state == "up" else row.state,
             "disabled": row.disabled, "virt": row.facts.get("virt"), "cpus": row.facts.get("cpus"),
             "memory_mib": row.facts.get("memory_mib"), "disk_gib": row.facts.get("disk_gib"),
             "servers": placed.get(row.name, 0), "heartbeat_age": round(clock.seconds() - row.heartbeat, 1),
             "problems": row.facts.get("problems", [])}
            for row in call.tx.execute(select(HostRow).order_by(HostRow.number)).scalars()]


def _servers(call: Call) -> dict[str, int]:
    found: dict[str, int] = {}
    for vm_state, task_state, count in call.tx.execute(select(ServerRow.vm_state, ServerRow.task_state, func.count()).where(
            ServerRow.deleted.is_(False)).group_by(ServerRow.vm_state, ServerRow.task_state)):
        name = states.status(vm_state, task_state)
        found[name] = found.get(name, 0) + count
    return found


def _back_ends(call: Call) -> list[dict[str, Any]]:
    """Those of the configuration, with what each said last."""
    now, configured = clock.seconds(), call.cloud.config.volume.backends
    return [{"name": row.name, "driver": row.facts.get("driver"), "up": pools.is_alive(row, now),
             "problem": row.facts.get("problem") or ("" if pools.is_alive(row, now) else "it was not asked lately"),
             "gib": row.facts.get("total_bytes", 0) >> 30, "free_gib": row.facts.get("free_bytes", 0) >> 30,
             "allocated_gib": row.facts.get("allocated_gib", 0)}
            for row in call.tx.execute(select(PoolRow).order_by(PoolRow.name)).scalars() if row.backend in configured]


def _volumes(call: Call) -> dict[str, int]:
    return {status: count for status, count in call.tx.execute(
        select(VolumeRow.status, func.count()).group_by(VolumeRow.status))}


def _tasks(call: Call) -> dict[str, Any]:
    now = clock.seconds()
    active = call.tx.execute(select(TaskRow).where(TaskRow.state.in_(ACTIVE)).order_by(TaskRow.seq)).scalars().all()
    failed = call.tx.execute(select(TaskRow).where(TaskRow.state == FAILED, TaskRow.finished > now - LATELY_SECONDS)
                             .order_by(TaskRow.finished.desc()).limit(MOST)).scalars().all()
    waiting = [task for task in active if task.run_at > now or task.waiting_for]
    return {"running": len(active) - len(waiting), "waiting": len(waiting), "failed_lately": len(failed),
            "active": [{"kind": task.kind, "resource": task.resource, "state": task.state, "waiting_for": task.waiting_for,
                        "age": round(now - task.created, 1)} for task in active[:MOST]],
            "failures": [{"kind": task.kind, "resource": task.resource, "message": (task.fault or {}).get("message", ""),
                          "age": round(now - (task.finished or now), 1)} for task in failed]}


def _leaks(call: Call) -> list[dict[str, Any]]:
    return [{"kind": row.kind, "host": row.host, "name": row.name, "what": row.what, "mended": row.mended is not None,
             "age": round(clock.seconds() - row.found, 1)}
            for row in call.tx.execute(select(LeakRow).order_by(LeakRow.found.desc()).limit(MOST)).scalars()]


room = Room(name="status", rules=[Rule("haneul:status", ADMIN, "The whole cloud on one screen.", ("project", "system"))],
            services=[Service(type="haneul", name="haneul", prefix="/haneul/v1", error_body=nova, routes=[routes],
                              catalog=False)])
