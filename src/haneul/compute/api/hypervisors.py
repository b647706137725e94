"""/os-hypervisors: 2.1 with integers, 2.53 with UUIDs, 2.88 without what placement knows better."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import select

from haneul.compute import hosts
from haneul.compute.api import shapes
from haneul.compute.hosts import Load
from haneul.compute.problems import MarkerNotFound
from haneul.fleet.model import HostRow
from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
_RULE = "os_compute_api:os-hypervisors:"
_OLD = (2, 52)


def _id(call: Call, row: HostRow) -> Any:
    return row.id if call.version >= (2, 53) else row.number


def _brief(call: Call, row: HostRow) -> dict[str, Any]:
    return {"id": _id(call, row), "hypervisor_hostname": row.name, "state": "up" if hosts.up(row) else "down",
            "status": "disabled" if row.disabled else "enabled"}


def _detail(call: Call, row: HostRow, load: Load) -> dict[str, Any]:
    facts = row.facts
    found = {**_brief(call, row), "hypervisor_type": "fake" if facts["hypervisor"] == "fake" else "QEMU",
             "hypervisor_version": facts["hypervisor_version"], "host_ip": facts.get("tunnel_ip", ""),
             "service": {"id": _id(call, row), "host": row.name, "disabled_reason": row.disabled_reason}}
    if call.version >= (2, 88):
        found["uptime"] = facts.get("uptime") or None
        return found
    reserved = call.cloud.config.compute.reserved_memory_mib
    disk_free = facts["disk_gib"] - load.disk
    found.update(vcpus=facts["cpus"], memory_mb=facts["memory_mib"], local_gb=facts["disk_gib"], vcpus_used=load.vcpus,
                 memory_mb_used=reserved + load.ram, local_gb_used=load.disk, free_disk_gb=disk_free,
                 free_ram_mb=facts["memory_mib"] - reserved - load.ram, current_workload=load.busy, running_vms=load.servers,
                 disk_available_least=disk_free)
    cpu = {"arch": facts["architecture"], "model": facts["cpu_model"], "vendor": "", "features": facts["cpu_features"],
           "topology": {"cores": facts["cpus"], "sockets": 1, "threads": 1}}
    found["cpu_info"] = cpu if call.version >= (2, 28) else msgspec.json.encode(cpu).decode()
    return found


def _list(call: Call, *, detailed: bool) -> dict[str, Any]:
    pattern = call.argument("hypervisor_hostname_pattern") if call.version >= (2, 53) else None
    with_servers = call.version >= (2, 53) and paging.flag(call.argument("with_servers", "false") or "false", "with_servers")
    query = select(HostRow).order_by(HostRow.number)
    paged = call.version >= (2, 33)
    marker = call.argument("marker") if paged else None
    if pattern is not None:
        if call.argument("limit") is not None or marker is not None:
            raise BadRequest("Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported.")
        query = query.where(HostRow.name.contains(pattern, autoescape=True))
    if marker is not None:
        after = call.tx.execute(select(HostRow.number).where(
            HostRow.id == marker if call.version >= (2, 53) else HostRow.number == (int(marker) if marker.isdigit() else -1))
        ).scalar()
        if after is None:
            raise MarkerNotFound(marker)
        query = query.where(HostRow.number > after)
    limit = paging.limit_of(call) if paged else 0
    rows = list(call.tx.execute(query.limit(limit) if paged else query).scalars())
    if pattern is not None and not rows:
        raise NotFound(f"No hypervisor matching '{pattern[:255]}' could be found.")
    items = _items(call, rows, detailed=detailed, with_servers=with_servers)
    found: dict[str, Any] = {"hypervisors": items}
    more = shapes.next_links(call, len(rows), limit, items[-1]["id"] if items else "") if paged and pattern is None else []
    if more:
        found["hypervisors_links"] = more
    return found


def _items(call: Call, rows: list[HostRow], *, detailed: bool, with_servers: bool) -> list[dict[str, Any]]:
    loads = hosts.loads(call.tx) if detailed and call.version < (2, 88) else {}
    items = [_detail(call, row, loads.get(row.name, Load())) if detailed else _brief(call, row) for row in rows]
    if with_servers:
        servers = hosts.servers_on(call.tx, [row.name for row in rows])
        for row, item in zip(rows, items, strict=True):
            if servers[row.name] or call.version >= (2, 75):
                item["servers"] = servers[row.name]
    return items


def _one(call: Call) -> HostRow:
    key = call.values["hypervisor_id"]
    if call.version >= (2, 53):
        from haneul.kernel import ids
        if not ids.is_uuid(key):
            raise BadRequest(f"Invalid uuid {key[:64]}")
    return hosts.by_key(call.tx, key, by_uuid=call.version >= (2, 53), what="Hypervisor")


@routes.get("/os-hypervisors", rule=_RULE + "list")
def index(call: Call) -> dict[str, Any]:
    return _list(call, detailed=False)


@routes.get("/os-hypervisors/detail", rule=_RULE + "list-detail")
def detail(call: Call) -> dict[str, Any]:
    return _list(call, detailed=True)


@routes.get("/os-hypervisors/statistics", rule=_RULE + "statistics", maximum=(2, 87))
def statistics(call: Call) -> dict[str, Any]:
    rows = list(call.tx.execute(select(HostRow)).scalars())
    total: dict[str, int] = {"count": len(rows)}
    for item in _items(call, rows, detailed=True, with_servers=False):
        for key in ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "free_ram_mb",
                    "free_disk_gb", "current_workload", "running_vms", "disk_available_least"):
            total[key] = total.get(key, 0) + item[key]
    return {"hypervisor_statistics": total}


@routes.get("/os-hypervisors/{hypervisor_id}", rule=_RULE + "show")
def show(call: Call) -> dict[str, Any]:
    row = _one(call)
    with_servers = call.version >= (2, 53) and paging.flag(call.argument("with_servers", "false") or "false", "with_servers")
    return {"hypervisor": _items(call, [row], detailed=True, with_servers=with_servers)[0]}


@routes.get("/os-hypervisors/{hypervisor_id}/uptime", rule=_RULE + "uptime", maximum=(2, 87))
def uptime(call: Call) -> dict[str, Any]:
    row = _one(call)
    if not hosts.up(row):
        raise BadRequest(f"Compute service of {row.name} is unavailable at this time.")
    return {"hypervisor": {**_brief(call, row), "uptime": row.facts.get("uptime", "")}}


@routes.get("/os-hypervisors/{hypervisor_id}/search", rule=_RULE + "search", maximum=_OLD)
def search(call: Call) -> dict[str, Any]:
    return {"hypervisors": [_brief(call, row) for row in _matching(call)]}


@routes.get("/os-hypervisors/{hypervisor_id}/servers", rule=_RULE + "servers", maximum=_OLD)
def servers(call: Call) -> dict[str, Any]:
    return {"hypervisors": _items(call, _matching(call), detailed=False, with_servers=True)}


def _matching(call: Call) -> list[HostRow]:
    pattern = call.values["hypervisor_id"]
    rows = list(call.tx.execute(select(HostRow).where(HostRow.name.contains(pattern, autoescape=True))
                                .order_by(HostRow.number)).scalars())
    if not rows:
        raise NotFound(f"No hypervisor matching '{pattern[:255]}' could be found.")
    return rows
