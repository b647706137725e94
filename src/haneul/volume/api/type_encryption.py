"""/types/{type_id}/encryption, and what a volume says of its own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, structs

from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.volume import rows, types
from haneul.volume.api.shapes import Body
from haneul.volume.api.types import loaded
from haneul.volume.model import VolumeRow, VolumeTypeRow

routes = Routes()
_RULE = "volume_extension:volume_type_encryption:"
_PATH = "/types/{type_id}/encryption"
_VOLUME_RULE = "volume_extension:volume_encryption_metadata"
_FACTS = ("control_location", "cipher", "key_size", "provider")
Provider = Annotated[str, Meta(min_length=1, max_length=255)]
KeySize = Annotated[int, Meta(ge=0, le=2**31 - 1)] | Annotated[str, Meta(pattern=r"^[0-9]{1,10}$")] | None
Location = Literal["front-end", "back-end"]
Cipher = Annotated[str, Meta(max_length=255)] | None


class New(Body):
    provider: Provider
    control_location: Location = "front-end"
    cipher: Cipher = None
    key_size: KeySize = None


class Create(Body):
    encryption: New


class Changes(Body):
    provider: Provider | UnsetType = UNSET
    control_location: Location | UnsetType = UNSET
    cipher: Cipher | UnsetType = UNSET
    key_size: KeySize | UnsetType = UNSET


class Update(Body):
    encryption: Changes


def _given(body: New | Changes) -> dict[str, Any]:
    found = {name: value for name, value in structs.asdict(body).items() if value is not UNSET}
    if isinstance(found.get("key_size"), str):
        found["key_size"] = int(found["key_size"])
    return found


def _view(row: VolumeTypeRow) -> dict[str, Any]:
    if row.encryption is None:
        return {}
    return {"volume_type_id": row.id, "deleted": False, "deleted_at": None, **row.encryption}


@routes.get(_PATH, rule=_RULE + "get")
def index(call: Call) -> dict[str, Any]:
    """Empty when there is none."""
    return _view(loaded(call))


@routes.get(_PATH + "/{key}", rule=_RULE + "get")
def show(call: Call) -> dict[str, Any]:
    found, key = _view(loaded(call)), call.values["key"]
    if key not in found:
        raise NotFound()
    return {key: found[key]}


@routes.post(_PATH, rule=_RULE + "create", body=Create)
def create(call: Call, body: Create) -> dict[str, Any]:
    row = loaded(call)
    made = types.encrypt(call.tx, row, _given(body.encryption))
    return {"encryption": {"volume_type_id": row.id, "encryption_id": made["encryption_id"],
                           **{name: made[name] for name in _FACTS}}}


@routes.put(_PATH + "/{key}", rule=_RULE + "update", body=Update)
def update(call: Call, body: Update) -> dict[str, Any]:
    given = _given(body.encryption)
    if not given:
        raise BadRequest("Invalid input for field/attribute encryption: nothing to change was given.")
    types.reencrypt(call.tx, loaded(call), call.values["key"], given)
    return {"encryption": given}


@routes.delete(_PATH + "/{key}", rule=_RULE + "delete", status=202)
def delete(call: Call) -> None:
    types.decrypt(call.tx, loaded(call), call.values["key"])


# ---------------------------------------------------------------- of a volume


def _volume(call: Call) -> VolumeRow:
    return rows.get(call.tx, call.context, call.values["volume_id"])


def _of_volume(call: Call, volume: VolumeRow) -> dict[str, Any]:
    """The key's id names it and opens nothing: the key itself is never shown."""
    found: dict[str, Any] = {"encryption_key_id": volume.key_id}
    row = call.tx.get(VolumeTypeRow, volume.type_id)
    if volume.encrypted and row is not None and row.encryption is not None:
        found.update({name: row.encryption[name] for name in _FACTS})
    return found


@routes.get("/volumes/{volume_id}/encryption", rule=_VOLUME_RULE, target=_volume)
def volume_index(call: Call, volume: VolumeRow) -> dict[str, Any]:
    return _of_volume(call, volume)


@routes.get("/volumes/{volume_id}/encryption/{key}", rule=_VOLUME_RULE, target=_volume)
def volume_show(call: Call, volume: VolumeRow) -> Reply:
    """The bare value, as Cinder has it; nothing for what there is not."""
    value = _of_volume(call, volume).get(call.values["key"])
    return Reply(raw=b"" if value is None else str(value).encode(), content_type="text/plain")
