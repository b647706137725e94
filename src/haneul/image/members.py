"""Sharing: the owner names projects, each project answers for itself."""

from __future__ import annotations

from sqlalchemy import select

from haneul.image.model import ImageMember, ImageRow
from haneul.kernel import clock
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, Forbidden, NotFound, TooLarge

STATUSES = ("pending", "accepted", "rejected")
MOST = 128


def _shared(row: ImageRow) -> None:
    if row.visibility != "shared":
        raise Forbidden("Only shared images have members.")


def list_members(tx: Transaction, context: Context, row: ImageRow) -> list[ImageMember]:
    """All of them for the owner; a member sees itself only."""
    if row.visibility != "shared":
        raise Forbidden("Only shared images have members.")
    query = select(ImageMember).where(ImageMember.image_id == row.id).order_by(ImageMember.created_at, ImageMember.member)
    if not context.is_admin and context.project_id != row.owner:
        query = query.where(ImageMember.member == context.project_id)
    return list(tx.execute(query).scalars())


def get(tx: Transaction, context: Context, row: ImageRow, member: str) -> ImageMember:
    found = tx.get(ImageMember, (row.id, member))
    if found is None or not (context.is_admin or context.project_id in (row.owner, member)):
        raise NotFound(f"{member[:64]} not found in the member list of the image {row.id}.")
    return found


def add(tx: Transaction, row: ImageRow, member: str) -> ImageMember:
    if not member or len(member) > 64:
        raise BadRequest("Member can't be empty and has at most 64 characters.")
    _shared(row)
    tx.lock("image.members", row.id)
    have = list(tx.execute(select(ImageMember.member).where(ImageMember.image_id == row.id)).scalars())
    if member in have:
        raise Conflict(f"Image member {member} already exists for image {row.id}")
    if len(have) >= MOST:
        raise TooLarge(f"The limit has been exceeded on the number of allowed image members for this image. "
                       f"Attempted: {len(have) + 1}, Maximum: {MOST}")
    now = clock.now()
    found = ImageMember(image_id=row.id, member=member, status="pending", created_at=now, updated_at=now)
    tx.add(found)
    tx.flush()
    return found


def answer(tx: Transaction, found: ImageMember, status: str) -> ImageMember:
    if status not in STATUSES:
        raise BadRequest(f"Provided status {status[:32]} is not one of: {', '.join(STATUSES)}.")
    found.status, found.updated_at = status, clock.now()
    return found


def remove(tx: Transaction, row: ImageRow, member: str) -> None:
    _shared(row)
    found = tx.get(ImageMember, (row.id, member))
    if found is None:
        raise NotFound(f"{member[:64]} not found in the member list of the image {row.id}.")
    tx.delete(found)


