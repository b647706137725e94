"""/trunks."""

from __future__ import annotations

import uuid
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import select

from haneul.kernel.database import Transaction
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import access, carrying, trunks
from haneul.network.api import attributes, bodies, lists
from haneul.network.api.networks import Name, Project
from haneul.network.errors import BadAttribute, InvalidInput
from haneul.network.model_qos import SubportRow, TrunkRow

routes = Routes()
READ_ONLY = frozenset(
    {
        "id",
        "status",
        "created_at",
        "updated_at",
        "revision_number",
        "tags",
        "project_id",
        "tenant_id",
        "port_id",
        "sub_ports",
    }
)
PATH = "/trunks/{trunk_id}"


class UpdateTrunk(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Name | UnsetType = UNSET
    admin_state_up: bool | UnsetType = UNSET


class CreateTrunk(UpdateTrunk, kw_only=True, forbid_unknown_fields=True):
    port_id: str
    sub_ports: Any = UNSET
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


_COLUMNS = {name: name for name in ("name", "description", "admin_state_up")}


def view(tx: Transaction, rows: list[TrunkRow]) -> list[dict[str, Any]]:
    subports = carrying.subports(tx, [row.id for row in rows]) if rows else {}
    return [
        {
            **attributes.standard(row),
            "port_id": row.port_id,
            "admin_state_up": row.admin_state_up,
            "status": row.status,
            "sub_ports": subports.get(row.id, []),
        }
        for row in rows
    ]


LISTING = lists.Listing(
    resource="trunk",
    plural="trunks",
    model=TrunkRow,
    visible=lambda context: access.owned(TrunkRow, context),
    view=view,
    columns={
        **lists.standard_columns(TrunkRow),
        **{name: getattr(TrunkRow, name) for name in ("port_id", "admin_state_up", "status")},
    },
    filters={
        "sub_ports": lambda values: TrunkRow.id.in_(
            select(SubportRow.trunk_id).where(SubportRow.port_id.in_([value.partition("=")[2] for value in values]))
        )
    },
)


def _one(call: Call, row: TrunkRow) -> dict[str, Any]:
    return {"trunk": attributes.shown(call, "trunk", view(call.tx, [row]))[0]}


def loaded(call: Call) -> TrunkRow:
    return trunks.get(call.tx, call.context, call.values["trunk_id"])


def _wrong(data: Any) -> str | None:
    """What is wrong with a list of subports, in Neutron's words."""
    if not isinstance(data, list):
        return f"Invalid data format for subports: '{str(data)[:80]}' is not a list"
    ports: set[str] = set()
    tags: set[tuple[Any, Any]] = set()
    for entry in data:
        if not isinstance(entry, dict):
            return f"Invalid data format for subport: '{str(entry)[:80]}' is not a dict"
        port, kind, number = entry.get("port_id"), entry.get("segmentation_type"), entry.get("segmentation_id")
        if port is None:
            return "A valid port UUID must be specified"
        if not _is_uuid(port):
            return f"Invalid UUID for subport: '{str(port)[:80]}'"
        if port in ports:
            return f"Non unique UUID for subport: '{port}'"
        ports.add(port)
        if kind == "inherit":
            continue
        if (not kind or number is None) and len(entry) > 1:
            return (
                f"Invalid subport details '{str(entry)[:200]}': missing segmentation information. Must specify both "
                "segmentation_id and segmentation_type"
            )
        if not isinstance(kind, str | None) or not isinstance(number, str | int | None):
            return f"Invalid subport details '{str(entry)[:200]}'"
        if number is not None and (kind, number) in tags:
            return f"Segmentation ID '{number}' for '{port}' is not unique"
        tags.add((kind, number))
    return None


def _is_uuid(text: Any) -> bool:
    try:
        uuid.UUID(text)
    except (ValueError, TypeError, AttributeError):
        return False
    return True


def _subports(data: Any) -> list[trunks.NewSubport]:
    found = []
    for entry in data:
        number = entry.get("segmentation_id")
        if entry.get("segmentation_type") != "inherit" and "segmentation_type" not in entry:
            raise InvalidInput(
                f"Invalid subport details '{entry}': missing segmentation information. Must specify both "
                "segmentation_id and segmentation_type"
            )
        try:
            whole = None if number is None else int(number)
        except ValueError:
            raise InvalidInput(
                f"Invalid subport details: segmentation_id '{str(number)[:32]}' is not an integer"
            ) from None
        found.append(
            trunks.NewSubport(
                port_id=entry["port_id"], segmentation_type=entry["segmentation_type"], segmentation_id=whole
            )
        )
    return found


@routes.get("/trunks", rule="get_trunk")
def index(call: Call) -> dict[str, Any]:
    return lists.answer(call, LISTING)


@routes.get(PATH, rule="get_trunk", target=loaded)
def show(call: Call, row: TrunkRow) -> dict[str, Any]:
    return _one(call, row)


@routes.post("/trunks", rule="create_trunk", body=bodies.Body, status=201)
def create(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "trunk", "trunks", CreateTrunk, read_only=READ_ONLY - {"port_id", "sub_ports"})
    rows = []
    for new in wanted:
        project = access.owner(call.context, new.project_id or new.tenant_id or None)
        attributes.require(call, "create_trunk", {"project_id": project})
        data = [] if new.sub_ports in (UNSET, None) else new.sub_ports
        if wrong := _wrong(data):
            raise BadAttribute("sub_ports", wrong)
        rows.append(
            trunks.create(
                call.tx,
                call.context,
                project_id=project,
                port_id=new.port_id,
                sub_ports=_subports(data),
                **attributes.columns(new, _COLUMNS),
            )
        )
    return {"trunks": view(call.tx, rows)} if bulk else _one(call, rows[0])


@routes.put(PATH, rule="update_trunk", target=loaded, body=bodies.Body)
def update(call: Call, row: TrunkRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(body, "trunk", UpdateTrunk, read_only=READ_ONLY)
    attributes.constrain(call, row)
    return _one(call, trunks.update(call.tx, row, attributes.columns(new, _COLUMNS)))


@routes.delete(PATH, rule="delete_trunk", target=loaded)
def delete(call: Call, row: TrunkRow) -> None:
    attributes.constrain(call, row)
    trunks.delete(call.tx, row)


# ---------------------------------------------------------------- subports


def _asked(body: bodies.Body) -> Any:
    """The list in the body of these actions, which has no name around it."""
    if "sub_ports" not in body:
        raise InvalidInput("Unable to find 'sub_ports' in request body")
    if wrong := _wrong(body["sub_ports"]):
        raise InvalidInput(wrong)
    return body["sub_ports"]


@routes.get(PATH + "/get_subports", rule="get_subports", target=loaded)
def get_subports(call: Call, row: TrunkRow) -> dict[str, Any]:
    return {"sub_ports": carrying.subports(call.tx, [row.id]).get(row.id, [])}


@routes.put(PATH + "/add_subports", rule="add_subports", target=loaded, body=bodies.Body)
def add_subports(call: Call, row: TrunkRow, body: bodies.Body) -> dict[str, Any]:
    trunks.add_subports(call.tx, call.context, row, _subports(_asked(body)))
    return view(call.tx, [row])[0]


@routes.put(PATH + "/remove_subports", rule="remove_subports", target=loaded, body=bodies.Body)
def remove_subports(call: Call, row: TrunkRow, body: bodies.Body) -> dict[str, Any]:
    trunks.remove_subports(call.tx, row, [entry["port_id"] for entry in _asked(body)])
    return view(call.tx, [row])[0]
