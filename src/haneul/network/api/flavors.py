"""/flavors and /service_profiles."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import select, true

from haneul.kernel.database import Transaction
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import flavors
from haneul.network.api import attributes, bodies, lists
from haneul.network.api.networks import Name, Project
from haneul.network.model_services import FlavorProfileRow, FlavorRow, ServiceProfileRow

routes = Routes()
FLAVOR, PROFILE = "/flavors/{flavor_id}", "/service_profiles/{profile_id}"
Text = Annotated[str, Meta(max_length=1024)]


class UpdateFlavor(Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    description: Text | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class CreateFlavor(UpdateFlavor, kw_only=True, forbid_unknown_fields=True):
    service_type: str
    service_profiles: list[str] | UnsetType = UNSET
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


class UpdateProfile(Struct, kw_only=True, forbid_unknown_fields=True):
    description: Text | None | UnsetType = UNSET
    driver: Text | UnsetType = UNSET
    metainfo: Annotated[str, Meta(max_length=4096)] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class CreateProfile(UpdateProfile, kw_only=True, forbid_unknown_fields=True):
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


class Named(Struct, forbid_unknown_fields=True):
    id: str
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


def view(tx: Transaction, rows: list[FlavorRow]) -> list[dict[str, Any]]:
    profiles = flavors.profiles_of(tx, [row.id for row in rows]) if rows else {}
    return [
        {
            "id": row.id,
            "name": row.name,
            "description": row.description,
            "service_type": row.service_type,
            "enabled": row.enabled,
            "service_profiles": profiles[row.id],
        }
        for row in rows
    ]


def view_profiles(tx: Transaction, rows: list[ServiceProfileRow]) -> list[dict[str, Any]]:
    return [{name: getattr(row, name) for name in _COLUMNS} for row in rows]


_COLUMNS = ("id", "description", "driver", "enabled", "metainfo")
LISTING = lists.Listing(
    resource="flavor",
    plural="flavors",
    model=FlavorRow,
    view=view,
    visible=lambda context: true(),
    columns={name: getattr(FlavorRow, name) for name in ("id", "name", "description", "service_type", "enabled")},
    filters={
        "service_profiles": lambda values: FlavorRow.id.in_(
            select(FlavorProfileRow.flavor_id).where(FlavorProfileRow.profile_id.in_(values))
        )
    },
)
PROFILES = lists.Listing(
    resource="service_profile",
    plural="service_profiles",
    model=ServiceProfileRow,
    view=view_profiles,
    visible=lambda context: true(),
    columns={name: getattr(ServiceProfileRow, name) for name in _COLUMNS},
)


def _flavor(call: Call) -> FlavorRow:
    return flavors.get(call.tx, call.values["flavor_id"])


def _profile(call: Call) -> ServiceProfileRow:
    return flavors.profile(call.tx, call.values["profile_id"])


def _one(call: Call, row: FlavorRow) -> dict[str, Any]:
    return {"flavor": attributes.shown(call, "flavor", view(call.tx, [row]))[0]}


def _one_profile(call: Call, row: ServiceProfileRow) -> dict[str, Any]:
    return {"service_profile": attributes.shown(call, "service_profile", view_profiles(call.tx, [row]))[0]}


@routes.get("/flavors", rule="get_flavor")
def index(call: Call) -> dict[str, Any]:
    return lists.answer(call, LISTING)


@routes.get(FLAVOR, rule="get_flavor")
def show(call: Call) -> dict[str, Any]:
    return _one(call, _flavor(call))


@routes.post("/flavors", rule="create_flavor", body=bodies.Body, status=201)
def create(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "flavor", "flavors", CreateFlavor)
    rows = []
    for new in wanted:
        values = attributes.columns(new, {name: name for name in ("name", "description", "enabled")})
        rows.append(flavors.create(call.tx, service_type=new.service_type, **values))
        for profile in new.service_profiles or []:
            flavors.associate(call.tx, rows[-1], profile)
    return {"flavors": view(call.tx, rows)} if bulk else _one(call, rows[0])


@routes.put(FLAVOR, rule="update_flavor", body=bodies.Body)
def update(call: Call, body: bodies.Body) -> dict[str, Any]:
    row = _flavor(call)
    new = bodies.one(body, "flavor", UpdateFlavor, read_only=frozenset({"id", "service_type"}))
    for key, value in attributes.columns(new, {name: name for name in ("name", "description", "enabled")}).items():
        setattr(row, key, value)
    call.tx.flush()
    return _one(call, row)


@routes.delete(FLAVOR, rule="delete_flavor")
def delete(call: Call) -> None:
    flavors.delete(call.tx, _flavor(call))


@routes.get(FLAVOR + "/next_providers", rule="get_flavor")
def providers(call: Call) -> dict[str, Any]:
    return {"next_providers": [flavors.provider(call.tx, _flavor(call))]}


@routes.post(FLAVOR + "/service_profiles", rule="create_flavor_service_profile", body=bodies.Body, status=201)
def associate(call: Call, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(body, "service_profile", Named)
    flavors.associate(call.tx, _flavor(call), new.id)
    return {"service_profile": {"id": new.id}}


@routes.delete(FLAVOR + "/service_profiles/{profile_id}", rule="delete_flavor_service_profile")
def disassociate(call: Call) -> None:
    flavors.disassociate(call.tx, _flavor(call), call.values["profile_id"])


@routes.get("/service_profiles", rule="get_extension")
def index_profiles(call: Call) -> dict[str, Any]:
    """What the caller may not see is left out, which is all or nothing."""
    return lists.answer(call, PROFILES) if call.allows("get_service_profile") else {"service_profiles": []}


@routes.get(PROFILE, rule="get_service_profile")
def show_profile(call: Call) -> dict[str, Any]:
    return _one_profile(call, _profile(call))


@routes.post("/service_profiles", rule="create_service_profile", body=bodies.Body, status=201)
def create_profile(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "service_profile", "service_profiles", CreateProfile)
    rows = [flavors.create_profile(call.tx, **attributes.columns(new, _PROFILE)) for new in wanted]
    return {"service_profiles": view_profiles(call.tx, rows)} if bulk else _one_profile(call, rows[0])


@routes.put(PROFILE, rule="update_service_profile", body=bodies.Body)
def update_profile(call: Call, body: bodies.Body) -> dict[str, Any]:
    row = _profile(call)
    new = bodies.one(body, "service_profile", UpdateProfile, read_only=frozenset({"id"}))
    return _one_profile(call, flavors.update_profile(call.tx, row, attributes.columns(new, _PROFILE)))


_PROFILE = {name: name for name in ("description", "driver", "metainfo", "enabled")}


@routes.delete(PROFILE, rule="delete_service_profile")
def delete_profile(call: Call) -> None:
    flavors.delete_profile(call.tx, _profile(call))
