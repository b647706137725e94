"""The stored policy of an endpoint: its own, else its service's in its region or one that lies around it, else its service's."""

from __future__ import annotations

from sqlalchemy import select

from haneul.identity.model import Endpoint, PolicyAssociation, Region
from haneul.kernel.database import Transaction

Known = dict[tuple[str, str, str], str]


def _above(tx: Transaction, region_id: str | None) -> list[str]:
    """A region and those it lies in, the nearest first."""
    parents = {id: parent for id, parent in tx.execute(select(Region.id, Region.parent_region_id))}
    found: list[str] = []
    while region_id is not None:
        found.append(region_id)
        region_id = parents.get(region_id)
    return found


def of(tx: Transaction, endpoint: Endpoint, known: Known) -> str | None:
    keys = [(endpoint.id, "", ""), *(("", endpoint.service_id, region) for region in _above(tx, endpoint.region_id)),
            ("", endpoint.service_id, "")]
    return next((known[key] for key in keys if key in known), None)


def known(tx: Transaction) -> Known:
    """All associations: policies by endpoint, service and region."""
    return {(row.endpoint_id, row.service_id, row.region_id): row.policy_id
            for row in tx.execute(select(PolicyAssociation)).scalars()}
