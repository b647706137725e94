"""Policy on single attributes: which may be set, which are shown, and which were asked for."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct

from haneul.kernel import clock
from haneul.kernel.policy import Policy
from haneul.kernel.wire.call import Call
from haneul.network.errors import BadAttribute, PolicyNotAuthorized, RevisionNumberConstraintFailed

_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_HARMLESS: dict[str, Any] = {
    "shared": False,
    "router:external": False,
    "is_default": False,
    "distributed": False,
    "ha": False,
    "binding:host_id": "",
    "binding:profile": {},
    "device_owner": "",
    "service_types": [],
    "allowed_address_pairs": [],
}


@functools.lru_cache(maxsize=256)
def _guarded(policy: Policy, action: str) -> tuple[str, ...]:
    return tuple(name.removeprefix(action + ":") for name in policy.rules if name.startswith(action + ":"))


def check(call: Call, action: str, body: Struct, target: Mapping[str, Any]) -> None:
    """Whether the caller may set what the body sets. What equals the default is no request in a creation."""
    guarded = _guarded(call.cloud.policy, action)
    creating = action.startswith("create")
    for attribute, name in zip(body.__struct_fields__, body.__struct_encode_fields__, strict=True):
        value = getattr(body, attribute)
        if value is UNSET or (creating and name in _HARMLESS and value in (_HARMLESS[name], None)):
            continue
        if creating and name.startswith("provider:") and value is None:
            continue
        wanted = [name] if name in guarded else []
        wanted += [f"{name}:{sub}" for sub in _parts(value) if f"{name}:{sub}" in guarded]
        for part in wanted:
            if not call.allows(f"{action}:{part}", target):
                raise PolicyNotAuthorized(f"({action} and rule:{action}:{part})")


def _parts(value: Any) -> set[str]:
    items = value if isinstance(value, list) else [value]
    return {
        name
        for item in items
        if isinstance(item, Struct)
        for attribute, name in zip(item.__struct_fields__, item.__struct_encode_fields__, strict=True)
        if getattr(item, attribute) not in (UNSET, None)
    }


def require(call: Call, action: str, target: Mapping[str, Any]) -> None:
    if not call.allows(action, target):
        raise PolicyNotAuthorized(action)


def shown(call: Call, resource: str, views: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The views without what the caller may not see, and only the `fields` that the query names."""
    action = f"get_{resource}"
    fields = set(call.arguments("fields"))
    if fields & {"tenant_id", "project_id"}:
        fields |= {"tenant_id", "project_id"} & fields
    guarded = _guarded(call.cloud.policy, action)
    if guarded and not call.context.is_admin:
        policy, context = call.cloud.policy, call.context
        for view in views:
            for name in guarded:
                if name in view and not policy.allows(f"{action}:{name}", context, view):
                    del view[name]
    if fields and any(fields & view.keys() for view in views):
        return [{name: value for name, value in view.items() if name in fields} for view in views]
    return views


def standard(row: Any) -> dict[str, Any]:
    """What every resource shows."""
    return {
        "id": row.id,
        "project_id": row.project_id,
        "tenant_id": row.project_id,
        "name": row.name,
        "description": row.description,
        "tags": row.tags,
        "revision_number": row.revision_number,
        "created_at": clock.iso(row.created_at),
        "updated_at": clock.iso(row.updated_at),
    }


def constrain(call: Call, row: Any) -> None:
    """If-Match: revision_number=N, as Neutron has it."""
    header = call.headers.get("if-match", "")
    name, _, number = header.partition("=")
    wanted = number.strip()
    known = wanted.removeprefix("-").isdecimal() and len(wanted) < 20
    if name.strip() == "revision_number" and known and int(wanted) != row.revision_number:
        raise RevisionNumberConstraintFailed(int(number), row.revision_number)


def uuid(name: str, value: Any) -> None:
    """Neutron reads ids of bodies before it looks for what they name."""
    if isinstance(value, str) and not _UUID.fullmatch(value):
        raise BadAttribute(name, f"'{value[:64]}' is not a valid UUID")


def columns(body: Struct, names: Mapping[str, str]) -> dict[str, Any]:
    """What of a body is set, by column; `names` maps the struct's fields to columns."""
    return {column: getattr(body, field) for field, column in names.items() if getattr(body, field) is not UNSET}
