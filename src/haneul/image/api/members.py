"""Image members on the wire."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from haneul.image import members
from haneul.image.api.images import image_of
from haneul.image.model import ImageMember, ImageRow
from haneul.kernel import clock
from haneul.kernel.errors import Forbidden
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()


class AddMember(Struct):
    member: str


class AnswerMember(Struct):
    status: str


def view(found: ImageMember) -> dict[str, Any]:
    return {"member_id": found.member, "image_id": found.image_id, "status": found.status,
            "created_at": clock.iso(found.created_at), "updated_at": clock.iso(found.updated_at), "schema": "/v2/schemas/member"}


def _member_target(call: Call) -> dict[str, Any]:
    """The image's policy target with the member of the path in it."""
    row = image_of(call)
    found = members.get(call.tx, call.context, row, call.values["member_id"])
    return {**row.policy_target, "member_id": found.member, "row": row, "member": found}


@routes.get("/images/{image_id}/members", rule="get_members", target=image_of)
def index(call: Call, row: ImageRow) -> dict[str, Any]:
    return {"members": [view(found) for found in members.list_members(call.tx, call.context, row)],
            "schema": "/v2/schemas/members"}


@routes.post("/images/{image_id}/members", rule="add_member", target=image_of, body=AddMember)
def add(call: Call, row: ImageRow, body: AddMember) -> dict[str, Any]:
    return view(members.add(call.tx, row, body.member))


@routes.get("/images/{image_id}/members/{member_id}", rule="get_member", target=_member_target)
def show(call: Call, target: dict[str, Any]) -> dict[str, Any]:
    return view(target["member"])


@routes.put("/images/{image_id}/members/{member_id}", rule="modify_member", target=_member_target, body=AnswerMember)
def answer(call: Call, target: dict[str, Any], body: AnswerMember) -> dict[str, Any]:
    if target["row"].visibility != "shared":
        raise Forbidden("Only shared images have members.")
    return view(members.answer(call.tx, target["member"], body.status))


@routes.delete("/images/{image_id}/members/{member_id}", rule="delete_member", target=image_of)
def remove(call: Call, row: ImageRow) -> None:
    members.remove(call.tx, row, call.values["member_id"])
