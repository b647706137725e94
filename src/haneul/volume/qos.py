"""QoS specs: what a volume type's volumes may take of their guest's time. Front-end ones are QEMU's throttling."""

from __future__ import annotations

from typing import Any

from msgspec.structs import fields
from sqlalchemy import bindparam, select
from sqlalchemy import update as update_rows

from haneul.host.storage import DiskLimits
from haneul.kernel import clock, ids
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, NotFound
from haneul.volume.model import QosSpecsRow, VolumeTypeRow

CONSUMERS = ("front-end", "back-end", "both")
NUMBERS = frozenset(field.name for field in fields(DiskLimits))
_PER_GB = ("total_bytes_sec", "read_bytes_sec", "write_bytes_sec", "total_iops_sec", "read_iops_sec", "write_iops_sec")
_Q: Any = QosSpecsRow.__table__
_T: Any = VolumeTypeRow.__table__
_OF_TYPE = select(_Q.c.consumer, _Q.c.specs).join(_T, _T.c.qos_specs_id == _Q.c.id).where(_T.c.id == bindparam("type"))


def of_type(tx: Transaction, type_id: str) -> tuple[str, dict[str, str]] | None:
    """Consumer and specs of a volume type, as the back end or the connection is told."""
    row = tx.core(_OF_TYPE, type=type_id).first()
    return None if row is None else (str(row[0]), dict(row[1]))


def limits_of(tx: Transaction, type_id: str, size: int = 0) -> DiskLimits | None:
    """What QEMU is told of a volume of the type; `size` (GiB) is for the limits that grow with it (…_per_gb)."""
    found = of_type(tx, type_id)
    if found is None or found[0] == "back-end":
        return None
    numbers = _numbers(found[1], size)
    return DiskLimits(**numbers) if any(numbers.values()) else None


def _numbers(specs: dict[str, str], size: int) -> dict[str, int]:
    """As Cinder: a limit a GiB, not less than its `_per_gb_min`, not more than `_max`, which then is no burst."""
    found = {name: int(value) for name, value in specs.items() if name in NUMBERS}
    for name in _PER_GB:
        each = specs.get(f"{name}_per_gb")
        if each is not None and size > 0:
            value = max(int(each) * size, int(specs.get(f"{name}_per_gb_min", "0")))
            most = found.pop(f"{name}_max", None)
            found[name] = value if most is None else min(value, most)
    return found


def _numeric(name: str) -> bool:
    """Whether a front-end spec must be a number."""
    return name in NUMBERS or name.removesuffix("_min").removesuffix("_per_gb") in _PER_GB


# ---------------------------------------------------------------- made, changed and deleted


class QosSpecsNotFound(NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"No such QoS spec {id[:64]}.")


def get(tx: Transaction, specs_id: str) -> QosSpecsRow:
    row = tx.get(QosSpecsRow, specs_id)
    if row is None:
        raise QosSpecsNotFound(specs_id)
    return row


def create(tx: Transaction, name: str, consumer: str, specs: dict[str, str]) -> QosSpecsRow:
    _check(consumer, specs)
    if tx.execute(select(QosSpecsRow.id).where(QosSpecsRow.name == name)).first() is not None:
        raise Conflict(f"QoS Specs {name} already exists.")
    row = QosSpecsRow(id=ids.new(), name=name, consumer=consumer, specs=specs, created_at=clock.now())
    tx.add(row)
    tx.flush()
    return row


def update(row: QosSpecsRow, given: dict[str, str]) -> None:
    """Guests that run keep what they were started with."""
    specs = {**row.specs, **{key: value for key, value in given.items() if key != "consumer"}}
    consumer = given.get("consumer", row.consumer)
    _check(consumer, specs)
    row.specs, row.consumer, row.updated_at = specs, consumer, clock.now()


def delete_keys(row: QosSpecsRow, keys: list[str]) -> None:
    for key in keys:
        if key not in row.specs:
            raise NotFound(f"QoS spec {row.id} has no spec with key {key}.")
    row.specs = {key: value for key, value in row.specs.items() if key not in keys}
    row.updated_at = clock.now()


def delete(tx: Transaction, row: QosSpecsRow, *, force: bool) -> None:
    if force:
        disassociate_all(tx, row)
    elif tx.core(select(_T.c.id).where(_T.c.qos_specs_id == row.id).limit(1)).first() is not None:
        raise BadRequest(f"QoS Specs {row.id} is still associated with entities.")
    tx.delete(row)


def associate(row: QosSpecsRow, kind: VolumeTypeRow) -> None:
    if kind.qos_specs_id not in (None, row.id):
        raise BadRequest(f"Invalid volume type: Type {kind.id} is already associated with another qos specs: "
                         f"{kind.qos_specs_id}")
    kind.qos_specs_id = row.id


def disassociate(row: QosSpecsRow, kind: VolumeTypeRow) -> None:
    if kind.qos_specs_id == row.id:
        kind.qos_specs_id = None


def disassociate_all(tx: Transaction, row: QosSpecsRow) -> None:
    tx.execute(update_rows(VolumeTypeRow).where(VolumeTypeRow.qos_specs_id == row.id).values(qos_specs_id=None))


def _check(consumer: str, specs: dict[str, str]) -> None:
    if consumer not in CONSUMERS:
        raise BadRequest(f"Invalid qos specs: Valid consumer of QoS specs are: {list(CONSUMERS)}")
    if consumer != "back-end":
        for key, value in specs.items():
            if _numeric(key) and not (value.isascii() and value.isdigit() and len(value) <= 18):
                raise BadRequest(f"Invalid qos specs: {key} must be a number that is not negative.")
