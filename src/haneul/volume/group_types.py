"""Group types: what kind of groups there are. Private ones are the administrators'."""

from __future__ import annotations

from sqlalchemy import select

from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, NotFound
from haneul.volume.model import GroupRow, GroupSnapshotRow, GroupTypeRow

RESERVED = "default_cgsnapshot_type"  # of consistency groups that were made groups: nobody may make one of it
CONSISTENT = "consistent_group_snapshot_enabled"


class GroupTypeNotFound(NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Group type {id[:64]} could not be found.")


def bootstrap(tx: Transaction) -> None:
    if tx.execute(select(GroupTypeRow.id).where(GroupTypeRow.name == RESERVED)).first() is None:
        tx.add(GroupTypeRow(id=ids.new(), name=RESERVED, description="Default group type for migrating cgsnapshot",
                            group_specs={CONSISTENT: "<is> True"}, created_at=clock.now()))


def get(tx: Transaction, context: Context, type_id: str) -> GroupTypeRow:
    row = tx.get(GroupTypeRow, type_id)
    if row is None or not (row.is_public or context.is_admin):
        raise GroupTypeNotFound(type_id)
    return row


def named(tx: Transaction, context: Context, name_or_id: str) -> GroupTypeRow:
    row = tx.get(GroupTypeRow, name_or_id) or tx.execute(
        select(GroupTypeRow).where(GroupTypeRow.name == name_or_id)).scalar_one_or_none()
    if row is None or not (row.is_public or context.is_admin):
        raise GroupTypeNotFound(name_or_id)
    return row


def create(tx: Transaction, *, name: str, description: str | None, is_public: bool, specs: dict[str, str]) -> GroupTypeRow:
    _check_name(tx, name)
    row = GroupTypeRow(id=ids.new(), name=name, description=description, is_public=is_public, group_specs=specs,
                       created_at=clock.now())
    tx.add(row)
    tx.flush()
    return row


def update(tx: Transaction, row: GroupTypeRow, *, name: str | None, description: str | None, is_public: bool | None) -> None:
    if name is None and description is None and is_public is None:
        raise BadRequest("Specify group type name, description or a combination thereof.")
    if name is not None:
        if not name.strip():
            raise BadRequest("Group type name can not be empty.")
        _check_name(tx, name, but=row.id)
        row.name = name
    if description is not None:
        row.description = description
    if is_public is not None:
        row.is_public = is_public
    row.updated_at = clock.now()


def delete(tx: Transaction, row: GroupTypeRow) -> None:
    tx.lock("group_type", row.id)
    for table in (GroupRow, GroupSnapshotRow):
        if tx.execute(select(table.id).where(table.group_type_id == row.id).limit(1)).first() is not None:
            raise BadRequest("Target group type is still in use.")
    tx.delete(row)


def set_specs(row: GroupTypeRow, specs: dict[str, str]) -> None:
    row.group_specs = {**row.group_specs, **specs}
    row.updated_at = clock.now()


def delete_spec(row: GroupTypeRow, key: str) -> None:
    if key not in row.group_specs:
        raise NotFound(f"Group Type {row.id} has no specs with key {key[:255]}.")
    row.group_specs = {name: value for name, value in row.group_specs.items() if name != key}
    row.updated_at = clock.now()


def _check_name(tx: Transaction, name: str, but: str = "") -> None:
    if tx.execute(select(GroupTypeRow.id).where(GroupTypeRow.name == name, GroupTypeRow.id != but)).first() is not None:
        raise Conflict(f"Group Type {name[:255]} already exists.")
