"""The segment of a network. Each network has one: what it is made of is the network's, and it ends with it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from haneul.kernel.database import Transaction
from haneul.network.errors_services import SegmentNotFound
from haneul.network.model import NetworkRow
from haneul.network.model_services import SegmentRow


def make(tx: Transaction, network: NetworkRow) -> None:
    tx.add(SegmentRow(network_id=network.id, project_id=network.project_id))


def get(tx: Transaction, id: str) -> SegmentRow:
    row = tx.get(SegmentRow, id)
    if row is None:
        raise SegmentNotFound(id)
    return row


def of_network(tx: Transaction, network_id: str) -> str:
    return tx.execute(select(SegmentRow.id).where(SegmentRow.network_id == network_id)).scalar_one()


def update(tx: Transaction, row: SegmentRow, values: dict[str, Any]) -> SegmentRow:
    for key, value in values.items():
        setattr(row, key, value)
    row.touch()
    tx.flush()
    return row
