"""/os-keypairs."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import select

from haneul.compute import keypairs
from haneul.compute.api import shapes
from haneul.compute.api.shapes import Body, KeypairName, KeypairName292
from haneul.compute.model import KeypairRow
from haneul.compute.problems import MarkerNotFound
from haneul.kernel import clock
from haneul.kernel.errors import Forbidden
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes

routes = Routes()
_RULE = "os_compute_api:os-keypairs:"


class New21(Body):
    name: KeypairName
    public_key: str | None = None


class New22(New21):
    type: Literal["ssh", "x509"] = "ssh"


class New210(New22):
    user_id: str | None = None


class New292(Body):
    name: KeypairName292
    public_key: str
    type: Literal["ssh", "x509"] = "ssh"
    user_id: str | None = None


class Create21(Body):
    keypair: New21


class Create22(Body):
    keypair: New22


class Create210(Body):
    keypair: New210


class Create292(Body):
    keypair: New292


def _user(call: Call, action: str) -> str:
    """Whose keys: one's own, or since 2.10 another user's if the policy lets."""
    user_id = (call.argument("user_id") if call.version >= (2, 10) else None) or call.context.user_id or ""
    _check(call, action, user_id)
    return user_id


def _check(call: Call, action: str, user_id: str) -> None:
    if not call.allows(_RULE + action, {"user_id": user_id}):
        raise Forbidden(f"Policy doesn't allow {_RULE}{action} to be performed.")


def _view(call: Call, row: KeypairRow) -> dict[str, Any]:
    found = {"name": row.name, "public_key": row.public_key, "fingerprint": row.fingerprint}
    if call.version >= (2, 2):
        found["type"] = row.type
    return found


@routes.get("/os-keypairs", rule=_RULE + "index")
def index(call: Call) -> dict[str, Any]:
    shapes.only(call, {"user_id", "limit", "marker"})
    user_id = _user(call, "index")
    query = select(KeypairRow).where(KeypairRow.user_id == user_id).order_by(KeypairRow.name)
    paged = call.version >= (2, 35)
    limit = paging.limit_of(call) if paged else 0
    marker = call.argument("marker") if paged else None
    if marker is not None:
        if not call.tx.execute(select(KeypairRow.seq).where(KeypairRow.user_id == user_id, KeypairRow.name == marker)).first():
            raise MarkerNotFound(marker)
        query = query.where(KeypairRow.name > marker)
    rows = list(call.tx.execute(query.limit(limit) if paged else query).scalars())
    found: dict[str, Any] = {"keypairs": [{"keypair": _view(call, row)} for row in rows]}
    more = shapes.next_links(call, len(rows), limit, rows[-1].name if rows else "") if paged else []
    if more:
        found["keypairs_links"] = more
    return found


@routes.get("/os-keypairs/{name}", rule=_RULE + "show")
def show(call: Call) -> dict[str, Any]:
    shapes.only(call, {"user_id"})
    row = keypairs.get(call.tx, _user(call, "show"), call.values["name"])
    return {"keypair": {**_view(call, row), "user_id": row.user_id, "id": row.seq, "deleted": False, "deleted_at": None,
                        "created_at": _moment(row), "updated_at": None}}


def _moment(row: KeypairRow) -> str:
    """Without a zone, as this resource has always written it."""
    return (clock.iso(row.created_at, micro=True) or "").removesuffix("Z")


@routes.post("/os-keypairs", rule=_RULE + "create", status=201, writes=False,
             body=[((2, 1), Create21), ((2, 2), Create22), ((2, 10), Create210), ((2, 92), Create292)])
def create(call: Call, body: Create210) -> Reply:
    """The key is made before the write begins: that takes long, and nobody else could write meanwhile."""
    new = body.keypair
    user_id = getattr(new, "user_id", None) or call.context.user_id or ""
    _check(call, "create", user_id)
    name, kind = shapes.name(new.name), getattr(new, "type", "ssh")
    private, public = (None, new.public_key) if new.public_key is not None else keypairs.generate(user_id, kind)
    row = call.cloud.database.transact(lambda tx: keypairs.create(tx, call.context, user_id, name, public, kind))
    found = {**_view(call, row), "user_id": row.user_id}
    if private is not None:
        found["private_key"] = private
    return Reply({"keypair": found}, status=201 if call.version >= (2, 2) else 200)


@routes.delete("/os-keypairs/{name}", rule=_RULE + "delete")
def delete(call: Call) -> Reply:
    shapes.only(call, {"user_id"})
    call.tx.delete(keypairs.get(call.tx, _user(call, "delete"), call.values["name"]))
    return Reply(status=204 if call.version >= (2, 2) else 202)
