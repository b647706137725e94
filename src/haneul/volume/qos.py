"""QoS specs: what a volume type's volumes may take of their guest's time. Front-end ones are QEMU's throttling."""

from __future__ import annotations

from typing import Any

from msgspec.structs import fields
from sqlalchemy import bindparam, select

from haneul.host.storage import DiskLimits
from haneul.kernel.database import Transaction
from haneul.volume.model import QosSpecsRow, VolumeTypeRow

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


def numeric(name: str) -> bool:
    """Whether a front-end spec must be a number."""
    return name in NUMBERS or name.removesuffix("_min").removesuffix("_per_gb") in _PER_GB
