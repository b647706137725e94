"""The rules of metadata definitions: namespaces, what is in them, and which resources they are for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, or_, select

from haneul.image import metadef_bodies as bodies
from haneul.image.model import MetadefAssociation, MetadefItem, MetadefNamespace, MetadefResourceType
from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Conflict, Forbidden, NotFound
from haneul.kernel.wire.paging import Sort, order

OBJECT, PROPERTY, TAG = "object", "property", "tag"
SORT_KEYS = ("namespace", "created_at", "updated_at", "display_name", "visibility", "owner")


class NamespaceNotFound(NotFound):
    def __init__(self, namespace: str) -> None:
        super().__init__(f"Metadata definition namespace={namespace[:80]} was not found.")


# ---------------------------------------------------------------- namespaces


def visible(context: Context) -> ColumnElement[bool]:
    if context.is_admin:
        return MetadefNamespace.id.is_not(None)
    return or_(MetadefNamespace.visibility == "public", MetadefNamespace.owner == context.project_id)


def get(tx: Transaction, context: Context, namespace: str) -> MetadefNamespace:
    row = tx.execute(select(MetadefNamespace).where(
        MetadefNamespace.namespace == namespace, visible(context))).scalar_one_or_none()
    if row is None:
        raise NamespaceNotFound(namespace)
    return row


def page(tx: Transaction, context: Context, *, visibility: str | None, resource_types: list[str], sort: Sort,
         marker: str | None, limit: int) -> list[MetadefNamespace]:
    query = select(MetadefNamespace).where(visible(context))
    if visibility is not None:
        query = query.where(MetadefNamespace.visibility == visibility)
    if resource_types:
        query = query.where(exists().where(MetadefAssociation.namespace_id == MetadefNamespace.id,
                                           MetadefAssociation.name.in_(resource_types)))
    after = get(tx, context, marker) if marker else None
    query = order(query, {key: getattr(MetadefNamespace, key) for key in SORT_KEYS}, sort, after)
    return list(tx.execute(query.limit(limit)).scalars())


def create(tx: Transaction, context: Context, asked: bodies.Namespace) -> MetadefNamespace:
    """The namespace with everything that its body brings."""
    _free(tx, asked.namespace)
    now = clock.now()
    row = MetadefNamespace(id=ids.new(), owner=asked.owner or context.project_id, created_at=now, updated_at=now,
                           namespace=asked.namespace, display_name=asked.display_name, description=asked.description,
                           visibility=asked.visibility, protected=asked.protected)
    tx.add(row)
    tx.flush()
    for association in asked.resource_type_associations:
        associate(tx, row, association)
    for entry in asked.objects:
        add(tx, row, OBJECT, entry.name, entry.body())
    for name, value in asked.properties.items():
        add(tx, row, PROPERTY, name, value.body())
    for tag in asked.tags:
        add(tx, row, TAG, tag.name, {})
    return row


def update(tx: Transaction, context: Context, row: MetadefNamespace, asked: bodies.Namespace) -> None:
    """What the body leaves out is as for a new namespace."""
    if asked.namespace != row.namespace:
        _free(tx, asked.namespace)
    row.namespace, row.display_name, row.description = asked.namespace, asked.display_name, asked.description
    row.visibility, row.protected, row.owner = asked.visibility, asked.protected, asked.owner or context.project_id
    row.updated_at = clock.now()
    tx.flush()


def remove(tx: Transaction, row: MetadefNamespace) -> None:
    unprotected(row, f"namespace {row.namespace}")
    for table in (MetadefItem, MetadefAssociation):
        tx.execute(delete(table).where(table.namespace_id == row.id))  # type: ignore[attr-defined]
    tx.execute(delete(MetadefNamespace).where(MetadefNamespace.id == row.id))


def unprotected(row: MetadefNamespace, what: str) -> None:
    if row.protected:
        raise Forbidden(f"Metadata definition {what} is protected and cannot be deleted.")


def _free(tx: Transaction, namespace: str) -> None:
    tx.lock("image.metadefs", namespace)
    if tx.execute(select(MetadefNamespace.id).where(MetadefNamespace.namespace == namespace)).first():
        raise Conflict(f"The metadata definition namespace={namespace} already exists.")


# ---------------------------------------------------------------- objects, properties, tags


def items(tx: Transaction, row: MetadefNamespace, kind: str, *, sort: Sort | None = None, marker: str | None = None,
          limit: int | None = None) -> list[MetadefItem]:
    query: Select[Any] = select(MetadefItem).where(MetadefItem.namespace_id == row.id, MetadefItem.kind == kind)
    columns = {"created_at": MetadefItem.created_at, "updated_at": MetadefItem.updated_at, "name": MetadefItem.name}
    after = item(tx, row, kind, marker) if marker else None
    query = order(query, columns, sort or [("created_at", "asc"), ("name", "asc")], after)
    return list(tx.execute(query if limit is None else query.limit(limit)).scalars())


def item(tx: Transaction, row: MetadefNamespace, kind: str, name: str) -> MetadefItem:
    found = tx.get(MetadefItem, (row.id, kind, name))
    if found is None:
        raise NotFound(f"The metadata definition {kind} with name={name[:80]} was not found in namespace={row.namespace}.")
    return found


def add(tx: Transaction, row: MetadefNamespace, kind: str, name: str, body: dict[str, Any]) -> MetadefItem:
    _unnamed(tx, row, kind, name)
    now = clock.now()
    found = MetadefItem(namespace_id=row.id, kind=kind, name=name, body=body, created_at=now, updated_at=now)
    tx.add(found)
    tx.flush()
    return found


def change(tx: Transaction, row: MetadefNamespace, found: MetadefItem, name: str, body: dict[str, Any]) -> MetadefItem:
    if name != found.name:
        _unnamed(tx, row, found.kind, name)
    found.name, found.body, found.updated_at = name, body, clock.now()
    tx.flush()
    return found


def drop(tx: Transaction, row: MetadefNamespace, found: MetadefItem) -> None:
    unprotected(row, f"{found.kind} {found.name}")
    tx.delete(found)


def drop_all(tx: Transaction, row: MetadefNamespace, kind: str) -> None:
    unprotected(row, f"namespace {row.namespace}")
    tx.execute(delete(MetadefItem).where(MetadefItem.namespace_id == row.id, MetadefItem.kind == kind))


def set_tags(tx: Transaction, row: MetadefNamespace, names: list[str], *, append: bool) -> None:
    if not append:
        tx.execute(delete(MetadefItem).where(MetadefItem.namespace_id == row.id, MetadefItem.kind == TAG))
    for name in names:
        add(tx, row, TAG, name, {})


def _unnamed(tx: Transaction, row: MetadefNamespace, kind: str, name: str) -> None:
    tx.lock("image.metadefs", row.id)
    if tx.get(MetadefItem, (row.id, kind, name)) is not None:
        raise Conflict(f"A metadata definition {kind} with name={name} already exists in namespace={row.namespace}.")


# ---------------------------------------------------------------- resource types


def resource_types(tx: Transaction) -> list[MetadefResourceType]:
    return list(tx.execute(select(MetadefResourceType).order_by(MetadefResourceType.name)).scalars())


def associations(tx: Transaction, namespace_ids: list[str]) -> dict[str, list[MetadefAssociation]]:
    found: dict[str, list[MetadefAssociation]] = {namespace_id: [] for namespace_id in namespace_ids}
    for row in tx.execute(select(MetadefAssociation).where(MetadefAssociation.namespace_id.in_(namespace_ids))
                          .order_by(MetadefAssociation.name)).scalars():
        found[row.namespace_id].append(row)
    return found


def associate(tx: Transaction, row: MetadefNamespace, asked: bodies.Association) -> MetadefAssociation:
    """A kind of resource that nobody named before becomes known by it."""
    tx.lock("image.metadefs", asked.name)
    now = clock.now()
    if tx.get(MetadefAssociation, (row.id, asked.name)) is not None:
        raise Conflict(f"The metadata definition resource-type association of resource-type={asked.name} to "
                       f"namespace={row.namespace} already exists.")
    if tx.get(MetadefResourceType, asked.name) is None:
        tx.add(MetadefResourceType(name=asked.name, created_at=now, updated_at=now))
        tx.flush()
    found = MetadefAssociation(namespace_id=row.id, name=asked.name, prefix=asked.prefix,
                               properties_target=asked.properties_target, created_at=now, updated_at=now)
    tx.add(found)
    tx.flush()
    return found


def dissociate(tx: Transaction, row: MetadefNamespace, name: str) -> None:
    found = tx.get(MetadefAssociation, (row.id, name))
    if found is None:
        raise NotFound(f"Failed to find resource type {name[:80]} to delete")
    unprotected(row, f"resource-type-association {name}")
    tx.delete(found)
