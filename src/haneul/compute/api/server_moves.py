"""POST /servers/{id}/action: to other hosts. The bodies are those of each version."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, UnsetType, field

from haneul.compute import moving
from haneul.compute.api.server_target import server
from haneul.compute.api.shapes import Body, Boolean, Fqdn, truth
from haneul.compute.model import ServerRow
from haneul.kernel.errors import BadRequest, Forbidden
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
PATH = "/servers/{server_id}/action"
_RULE = "os_compute_api:os-migrate-server:"


class Cold(Body):
    host: Fqdn | None = None


class Live(Body):
    block_migration: Boolean
    disk_over_commit: Boolean
    host: Fqdn | None


class Live225(Body):
    block_migration: Boolean | Literal["auto"]
    host: Fqdn | None


class Live230(Live225):
    force: Boolean = False


class Evacuate(Body):
    on_shared_storage: Boolean = field(name="onSharedStorage")
    host: Fqdn | UnsetType = UNSET
    admin_pass: str | UnsetType = field(name="adminPass", default=UNSET)


class Evacuate214(Body):
    host: Fqdn | UnsetType = UNSET
    admin_pass: str | UnsetType = field(name="adminPass", default=UNSET)


class Evacuate229(Evacuate214):
    force: Boolean = False


def _named(call: Call, row: ServerRow, rule: str, host: str | None) -> None:
    """Who names the host needs a rule more."""
    if host and not call.allows(rule, {"project_id": row.project_id}):
        raise Forbidden(f"Policy doesn't allow {rule} to be performed.")


def _forced(force: bool | str, host: str | None) -> None:
    if truth(force) and not host:
        raise BadRequest("Can't force to a non-provided destination")


# nobody looks at the value before 2.56
@routes.action(PATH, "migrate", _RULE + "migrate", target=server, body=[((2, 1), Any), ((2, 56), Cold | None)])
def migrate(call: Call, row: ServerRow, body: Any) -> None:
    host = body.host if isinstance(body, Cold) else None
    _named(call, row, _RULE + "migrate:host", host)
    moving.migrate(call.tx, call.context, row, host)


@routes.action(PATH, "os-migrateLive", _RULE + "migrate_live", target=server,
               body=[((2, 1), Live), ((2, 25), Live225), ((2, 30), Live230), ((2, 68), Live225)])
def migrate_live(call: Call, row: ServerRow, body: Live | Live225) -> None:
    _named(call, row, _RULE + "migrate_live:host", body.host)
    if isinstance(body, Live230):
        _forced(body.force, body.host)
    moving.migrate_live(call.tx, call.context, row, body.host or None)


@routes.action(PATH, "evacuate", "os_compute_api:os-evacuate", target=server, status=200,
               body=[((2, 1), Evacuate), ((2, 14), Evacuate214), ((2, 29), Evacuate229), ((2, 68), Evacuate214)])
def evacuate(call: Call, row: ServerRow, body: Evacuate | Evacuate214) -> None:
    host = None if body.host is UNSET else body.host
    if isinstance(body, Evacuate229):
        _forced(body.force, host)
    moving.evacuate(call.tx, call.context, row, host)
