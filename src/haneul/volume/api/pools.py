"""/scheduler-stats, /capabilities, /os-availability-zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from haneul.kernel import clock
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import pools, scheduler, services, stores, types
from haneul.volume.api import shapes

routes = Routes()
FILTERS, BY_TYPE = (3, 28), (3, 35)
GIB = 1 << 30


@routes.get("/scheduler-stats/get_pools", rule="scheduler_extension:scheduler_stats:get_pools")
def get_pools(call: Call) -> dict[str, Any]:
    detail = paging.flag(call.argument("detail") or "false", "detail")
    found = services.all_pools(call.tx)
    if call.version >= FILTERS:
        _check_filters(call)
        name, kind = call.argument("name"), call.argument("volume_type") if call.version >= BY_TYPE else None
        found = [row for row in found if name in (None, row.name)]
        if kind is not None:
            specs = types.named(call.tx, call.context, kind).extra_specs
            found = [row for row in found if scheduler.fits(call.tx, row.name, scheduler.Ask(size=0, specs=specs))]
    return {"pools": [{"name": row.name, "capabilities": _capabilities(call, row)} if detail else {"name": row.name}
                      for row in found]}


def _check_filters(call: Call) -> None:
    allowed = {"detail", "name", "volume_type"} if call.version >= BY_TYPE else {"detail", "name"}
    unknown = sorted({key for key, _ in call.query} - allowed)
    if unknown and not call.context.is_admin:
        raise BadRequest(f"Invalid filters {', '.join(key[:64] for key in unknown)} are found in query options.")


def _capabilities(call: Call, row: Any) -> dict[str, Any]:
    """What the scheduler reckons with; sizes in GiB as Cinder rounds them."""
    facts, limits = row.facts, call.cloud.config.volume
    at = shapes.moment(datetime.fromtimestamp(row.at, UTC).replace(tzinfo=None)) if row.at else None
    allocated = facts.get("allocated_gib", 0)
    return {**scheduler.capabilities(facts), "pool_name": row.name.partition("#")[2], "location_info": row.name,
            "total_capacity_gb": round(facts.get("total_bytes", 0) / GIB, 2),
            "free_capacity_gb": round(facts.get("free_bytes", 0) / GIB, 2),
            "allocated_capacity_gb": allocated, "provisioned_capacity_gb": float(allocated),
            "max_over_subscription_ratio": str(limits.max_over_subscription_ratio), "reserved_percentage": 0,
            "replication_enabled": False, "replication_targets": [], "filter_function": None, "goodness_function": None,
            "driver": facts.get("driver"), "backend_state": "up" if pools.is_alive(row, clock.seconds()) else "down",
            "timestamp": at, "updated": at}


@routes.get("/capabilities/{host}", rule="volume_extension:capabilities")
def capabilities(call: Call) -> dict[str, Any]:
    """Of host@backend or host@backend#pool."""
    row = services.pool_of(call.tx, call.values["host"])
    found = scheduler.capabilities(row.facts)
    host = row.name.partition("#")[0]
    properties = {
        "thin_provisioning": ("Thin Provisioning", "Sets thin provisioning."),
        "compression": ("Compression", "Enables compression."),
        "qos": ("QoS", "Enables QoS."),
        "replication_enabled": ("Replication", "Enables replication.")}
    return {"namespace": f"OS::Storage::Capabilities::{host}", "vendor_name": found["vendor_name"],
            "volume_backend_name": found["volume_backend_name"] or stores.backend_of(row.name), "pool_name": None,
            "driver_version": found["driver_version"], "storage_protocol": found["storage_protocol"] or "unknown",
            "display_name": None, "description": None, "visibility": None, "replication_targets": [],
            "properties": {name: {"title": title, "description": text, "type": "boolean"}
                           for name, (title, text) in properties.items()}}


@routes.get("/os-availability-zone", rule="volume_extension:availability_zone_list")
def zones(call: Call) -> dict[str, Any]:
    """One is available while a back end in it is up and enabled."""
    found = dict.fromkeys(sorted(pools.zones(call.cloud)), False)
    for service in services.every(call.tx):
        if service.binary == services.VOLUME:
            found[service.zone] = found.get(service.zone, False) or (service.up and not service.disabled)
    return {"availabilityZoneInfo": [{"zoneName": name, "zoneState": {"available": available}}
                                     for name, available in found.items()]}
