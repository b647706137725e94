"""Resource providers and their trees."""

from __future__ import annotations

from sqlalchemy import delete, exists, select, update

from haneul.kernel import clock, ids
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict
from haneul.placement import errors
from haneul.placement.model import Allocation, Inventory, Provider, ProviderAggregate, ProviderTrait
from haneul.placement.query import Group, provider_conditions


def get(tx: Transaction, uuid: str) -> Provider:
    row = tx.execute(select(Provider).where(Provider.uuid == uuid.lower())).scalar_one_or_none()
    if row is None:
        raise errors.NoSuchProvider(uuid)
    return row


def uuids(tx: Transaction, provider_ids: set[int | None]) -> dict[int | None, str | None]:
    found: dict[int | None, str | None] = {None: None}
    if provider_ids - {None}:
        found.update((number, uuid) for number, uuid in tx.execute(
            select(Provider.id, Provider.uuid).where(Provider.id.in_(provider_ids - {None}))))
    return found


def list_providers(tx: Transaction, group: Group, *, name: str | None, uuid: str | None) -> list[Provider]:
    """Those that match every filter; a tree's members alone, not what the tree has together."""
    query = select(Provider).order_by(Provider.id)
    if name is not None:
        query = query.where(Provider.name == name)
    if uuid is not None:
        query = query.where(Provider.uuid == uuid.lower())
    for condition in provider_conditions(tx, group):
        query = query.where(condition)
    return list(tx.execute(query).scalars())


def create(tx: Transaction, name: str, uuid: str | None, parent_uuid: str | None) -> Provider:
    if not 1 <= len(name) <= 200:
        raise BadRequest("JSON does not validate: 'name' has 1 to 200 characters.")
    uuid = _uuid(uuid) if uuid is not None else ids.new()
    if tx.execute(select(Provider.id).where((Provider.name == name) | (Provider.uuid == uuid))).first():
        raise Conflict(f"Conflicting resource provider name: {name} already exists.", code=errors.DUPLICATE)
    parent = _parent(tx, parent_uuid) if parent_uuid else None
    now = clock.now()
    row = Provider(uuid=uuid, name=name, generation=0, parent_id=parent.id if parent else None,
                   root_id=parent.root_id if parent else None, created_at=now, updated_at=now)
    tx.add(row)
    tx.flush()
    if parent is None:
        row.root_id = row.id
        tx.flush()
    return row


def _uuid(text: str) -> str:
    if not ids.is_uuid(text) or len(text) != 36:
        raise BadRequest("JSON does not validate: a UUID is expected.")
    return text.lower()


def _parent(tx: Transaction, uuid: str) -> Provider:
    try:
        return get(tx, uuid)
    except errors.NoSuchProvider as error:
        raise BadRequest(f"Unable to save resource provider: parent provider UUID {uuid[:64]} does not exist.") from error


def change(tx: Transaction, row: Provider, name: str, parent: str | None, *, move: bool, keep_parent: bool) -> None:
    """`move`: from 1.37 on a provider may get another parent, or none."""
    if name != row.name and tx.execute(select(Provider.id).where(Provider.name == name)).first():
        raise Conflict(f"Conflicting resource provider name: {name} already exists.", code=errors.DUPLICATE)
    if not 1 <= len(name) <= 200:
        raise BadRequest("JSON does not validate: 'name' has 1 to 200 characters.")
    row.name, row.updated_at = name, clock.now()
    if not keep_parent:
        _reparent(tx, row, _parent(tx, parent) if parent else None, move=move)
    tx.flush()


def _reparent(tx: Transaction, row: Provider, parent: Provider | None, *, move: bool) -> None:
    if row.parent_id == (parent.id if parent else None):
        return
    if row.parent_id is not None and not move:
        raise BadRequest("Unable to save resource provider: re-parenting a provider is not currently allowed.")
    below = _subtree(tx, row)
    if parent is not None and parent.id in below:
        raise BadRequest("Unable to save resource provider: creating loop in the provider tree is not allowed.")
    row.parent_id = parent.id if parent else None
    root = parent.root_id if parent else row.id
    tx.flush()
    tx.execute(update(Provider).where(Provider.id.in_(below)).values(root_id=root))
    tx.refresh(row)


def _subtree(tx: Transaction, row: Provider) -> set[int]:
    found, fresh = {row.id}, {row.id}
    while fresh:
        fresh = set(tx.execute(select(Provider.id).where(Provider.parent_id.in_(fresh))).scalars()) - found
        found |= fresh
    return found


def remove(tx: Transaction, row: Provider) -> None:
    if tx.execute(select(Provider.id).where(Provider.parent_id == row.id)).first():
        raise Conflict(f"Unable to delete parent resource provider {row.uuid}: It has child resource providers.",
                       code=errors.CANNOT_DELETE_PARENT)
    if tx.execute(select(Allocation.consumer_id).where(Allocation.provider_id == row.id)).first():
        raise Conflict(f"Unable to delete resource provider {row.uuid}: Resource provider has allocations.",
                       code=errors.PROVIDER_IN_USE)
    for kind in (Inventory, ProviderTrait, ProviderAggregate):
        tx.execute(delete(kind).where(kind.provider_id == row.id))  # type: ignore[attr-defined]
    tx.execute(update(Provider).where(Provider.id == row.id).values(root_id=None))
    tx.execute(delete(Provider).where(Provider.id == row.id))


def advance(tx: Transaction, row: Provider, generation: int | None) -> None:
    """The provider's next generation, if the caller knew the present one. `generation` None: the caller does not say."""
    query = update(Provider).where(Provider.id == row.id).values(
        generation=Provider.generation + 1, updated_at=clock.now()).execution_options(synchronize_session=False)
    if generation is not None:
        query = query.where(Provider.generation == generation)
    if tx.execute(query).rowcount != 1:  # type: ignore[attr-defined]
        raise errors.ProviderConflict()
    tx.flush()
    tx.refresh(row)


# ---------------------------------------------------------------- aggregates and traits of a provider


def aggregates(tx: Transaction, row: Provider) -> list[str]:
    return list(tx.execute(select(ProviderAggregate.aggregate).where(ProviderAggregate.provider_id == row.id)
                           .order_by(ProviderAggregate.aggregate)).scalars())


def set_aggregates(tx: Transaction, row: Provider, wanted: list[str], generation: int | None) -> None:
    checked = sorted({_uuid(uuid) for uuid in wanted})
    if generation is not None:
        advance(tx, row, generation)
    tx.execute(delete(ProviderAggregate).where(ProviderAggregate.provider_id == row.id))
    tx.add_all(ProviderAggregate(provider_id=row.id, aggregate=uuid) for uuid in checked)
    tx.flush()


def traits(tx: Transaction, row: Provider) -> list[str]:
    return list(tx.execute(select(ProviderTrait.trait).where(ProviderTrait.provider_id == row.id)
                           .order_by(ProviderTrait.trait)).scalars())


def set_traits(tx: Transaction, row: Provider, wanted: list[str], generation: int | None) -> None:
    advance(tx, row, generation)
    tx.execute(delete(ProviderTrait).where(ProviderTrait.provider_id == row.id))
    tx.add_all(ProviderTrait(provider_id=row.id, trait=trait) for trait in sorted(set(wanted)))
    tx.flush()


def usages(tx: Transaction, row: Provider) -> dict[str, int]:
    found: dict[str, int] = {name: used for name, used in tx.execute(
        select(Inventory.resource_class, Inventory.used).where(Inventory.provider_id == row.id))}
    return found


def trait_in_use(tx: Transaction, name: str) -> bool:
    return bool(tx.execute(select(exists().where(ProviderTrait.trait == name))).scalar())


def class_in_use(tx: Transaction, name: str) -> bool:
    return bool(tx.execute(select(exists().where(Inventory.resource_class == name))).scalar())


