"""/os-instance_usage_audit_log: what Nova shows where no usage audit runs. None runs here: every host has yet to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from haneul.fleet.model import HostRow
from haneul.kernel import clock
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
_RULE = "os_compute_api:os-instance-usage-audit-log:"


def _view(call: Call, before: datetime) -> dict[str, Any]:
    """Of the calendar month that ended before the moment."""
    end = before.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begin = end.replace(year=end.year - (end.month == 1), month=(end.month - 2) % 12 + 1)
    hosts = list(call.tx.execute(select(HostRow.name).order_by(HostRow.number)).scalars())
    return {"period_beginning": str(begin), "period_ending": str(end), "num_hosts": len(hosts), "num_hosts_done": 0,
            "num_hosts_running": 0, "num_hosts_not_run": len(hosts), "hosts_not_run": hosts, "total_instances": 0,
            "total_errors": 0, "overall_status": f"0 of {len(hosts)} hosts done. 0 errors.", "log": {}}


@routes.get("/os-instance_usage_audit_log", rule=_RULE + "list")
def index(call: Call) -> dict[str, Any]:
    return {"instance_usage_audit_logs": _view(call, clock.now())}


@routes.get("/os-instance_usage_audit_log/{before}", rule=_RULE + "show")
def show(call: Call) -> dict[str, Any]:
    text = call.values["before"]
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f"):
        try:
            return {"instance_usage_audit_log": _view(call, datetime.strptime(text, form))}
        except ValueError:
            continue
    raise BadRequest(f"Invalid timestamp for date {text[:64]}")
