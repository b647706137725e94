"""/limits: what a project may have, and has."""

from __future__ import annotations

from typing import Any

from haneul.kernel.errors import Forbidden
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import quotas

routes = Routes()
_RULE = "limits_extension:used_limits"
OTHER_PROJECT = (3, 39)
_NAMES = {"volumes": ("maxTotalVolumes", "totalVolumesUsed"), "gigabytes": ("maxTotalVolumeGigabytes", "totalGigabytesUsed"),
          "snapshots": ("maxTotalSnapshots", "totalSnapshotsUsed"), "backups": ("maxTotalBackups", "totalBackupsUsed"),
          "backup_gigabytes": ("maxTotalBackupGigabytes", "totalBackupGigabytesUsed")}


@routes.get("/limits", rule=_RULE)
def limits(call: Call) -> dict[str, Any]:
    asked = (call.argument("project_id") or call.argument("tenant_id")) if call.version >= OTHER_PROJECT else None
    project_id = asked or call.context.project_id or ""
    if not call.allows(_RULE, {"project_id": project_id}):
        raise Forbidden(f"Policy doesn't allow {_RULE} to be performed.")
    most, used = quotas.limits(call.tx, project_id, _NAMES), quotas.used(call.tx, project_id)
    absolute = {}
    for name, (limit, held) in _NAMES.items():
        absolute[limit], absolute[held] = most[name], used[name]
    return {"limits": {"rate": [], "absolute": absolute}}
