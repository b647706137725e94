"""Volume types: what kind of volume, on which back end, encrypted or not."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete as delete_from
from sqlalchemy import select

from haneul.host.storage import DiskLimits
from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, NotFound
from haneul.volume import qos, quotas
from haneul.volume.model import DefaultTypeRow, GroupRow, SnapshotRow, VolumeRow, VolumeTypeAccessRow, VolumeTypeRow
from haneul.volume.problems import VolumeTypeNotFound

VISIBLE = ("RESKEY:availability_zones", "multiattach", "replication_enabled")  # the extra specs that everybody may read


def bootstrap(tx: Transaction) -> None:
    """The type of volumes that name none."""
    name = tx.cloud.config.volume.default_type
    if tx.execute(select(VolumeTypeRow.id).where(VolumeTypeRow.name == name)).first() is None:
        tx.add(VolumeTypeRow(id=ids.new(), name=name, description="Default Volume Type", created_at=clock.now()))


def get(tx: Transaction, context: Context, type_id: str) -> VolumeTypeRow:
    """By id; what the caller's project may not use is not there."""
    row = tx.get(VolumeTypeRow, type_id)
    if row is None or not usable(tx, context, row):
        raise VolumeTypeNotFound(type_id)
    return row


def named(tx: Transaction, context: Context, name_or_id: str) -> VolumeTypeRow:
    row = tx.get(VolumeTypeRow, name_or_id) or tx.execute(
        select(VolumeTypeRow).where(VolumeTypeRow.name == name_or_id)).scalar_one_or_none()
    if row is None or not usable(tx, context, row):
        raise VolumeTypeNotFound(name_or_id)
    return row


def usable(tx: Transaction, context: Context, row: VolumeTypeRow) -> bool:
    return row.is_public or context.is_admin or tx.get(VolumeTypeAccessRow, (row.id, context.project_id or "")) is not None


def default(tx: Transaction, context: Context) -> VolumeTypeRow:
    """The project's own, else the configured one."""
    own = tx.get(DefaultTypeRow, context.project_id or "")
    row = tx.get(VolumeTypeRow, own.type_id) if own is not None else None
    if row is None:
        name = tx.cloud.config.volume.default_type
        row = tx.execute(select(VolumeTypeRow).where(VolumeTypeRow.name == name)).scalar_one_or_none()
    if row is None:
        raise VolumeTypeNotFound(tx.cloud.config.volume.default_type)
    return row


def limits_of(tx: Transaction, type_id: str, size: int = 0) -> DiskLimits | None:
    """What a guest's disk is throttled to when it is a volume of the type; `size` in GiB is for limits that grow with it."""
    return qos.limits_of(tx, type_id, size)


# ---------------------------------------------------------------- made, changed and deleted


def create(tx: Transaction, *, name: str, description: str | None, is_public: bool, specs: dict[str, str]) -> VolumeTypeRow:
    _check_name(tx, name)
    _check_specs(specs)
    row = VolumeTypeRow(id=ids.new(), name=name, description=description, is_public=is_public, extra_specs=specs,
                        created_at=clock.now())
    tx.add(row)
    tx.flush()
    return row


def update(tx: Transaction, row: VolumeTypeRow, *, name: str | None, description: str | None, is_public: bool | None) -> None:
    """A type that is renamed keeps the quotas that carry its name."""
    if name is None and description is None and is_public is None:
        raise BadRequest("Specify volume type name, description, is_public or a combination thereof.")
    if name is not None and name.strip() != row.name:
        if not name.strip():
            raise BadRequest("Volume type name can not be empty.")
        _check_name(tx, name.strip())
        quotas.rename_type(tx, row.name, name.strip())
        row.name = name.strip()
    if description is not None:
        row.description = description.strip()
    if is_public is not None:
        row.is_public = is_public
    row.updated_at = clock.now()


def delete(tx: Transaction, row: VolumeTypeRow) -> None:
    is_default = tx.execute(select(DefaultTypeRow.project_id).where(DefaultTypeRow.type_id == row.id).limit(1)).first()
    if row.name == tx.cloud.config.volume.default_type or is_default is not None:
        raise BadRequest(f"The volume type {row.id} is a default volume type and cannot be deleted.")
    if in_use(tx, row.id) or any(row.id in kinds for kinds in tx.execute(select(GroupRow.volume_types)).scalars()):
        raise BadRequest("Target volume type is still in use.")
    tx.execute(delete_from(VolumeTypeAccessRow).where(VolumeTypeAccessRow.type_id == row.id))
    quotas.forget_type(tx, row.name)
    tx.delete(row)


def in_use(tx: Transaction, type_id: str) -> bool:
    return (tx.execute(select(VolumeRow.id).where(VolumeRow.type_id == type_id).limit(1)).first() is not None
            or tx.execute(select(SnapshotRow.id).where(SnapshotRow.volume_type_id == type_id).limit(1)).first() is not None)


def _check_name(tx: Transaction, name: str) -> None:
    if tx.execute(select(VolumeTypeRow.id).where(VolumeTypeRow.name == name)).first() is not None:
        raise Conflict(f"Volume Type {name} already exists.")


# ---------------------------------------------------------------- extra specs


def set_specs(tx: Transaction, row: VolumeTypeRow, specs: dict[str, str]) -> None:
    _check_free(tx, row)
    _check_specs(specs)
    row.extra_specs = {**row.extra_specs, **specs}
    row.updated_at = clock.now()


def delete_spec(tx: Transaction, row: VolumeTypeRow, key: str) -> None:
    _check_free(tx, row)
    if key not in row.extra_specs:
        raise no_spec(row, key)
    row.extra_specs = {name: value for name, value in row.extra_specs.items() if name != key}
    row.updated_at = clock.now()


def no_spec(row: VolumeTypeRow, key: str) -> NotFound:
    return NotFound(f"Volume Type {row.id} has no extra specs with key {key[:255]}.")


def _check_free(tx: Transaction, row: VolumeTypeRow) -> None:
    """Volumes were made by what the type said then."""
    if tx.execute(select(VolumeRow.id).where(VolumeRow.type_id == row.id).limit(1)).first() is not None:
        raise BadRequest("Volume Type is currently in use.")


def _check_specs(specs: dict[str, str]) -> None:
    for key in ("multiattach", "replication_enabled"):
        if key in specs and specs[key] not in ("<is> True", "<is> False"):
            raise BadRequest(f"Invalid input received: the extra spec {key} must be '<is> True' or '<is> False'.")
    if specs.get("volume:format", "raw") not in ("raw", "qcow2"):
        raise BadRequest("Invalid input received: the extra spec volume:format must be raw or qcow2.")


# ---------------------------------------------------------------- who may use a type


def give(tx: Transaction, row: VolumeTypeRow, project_id: str) -> None:
    _check_private(row)
    if tx.get(VolumeTypeAccessRow, (row.id, project_id)) is not None:
        raise Conflict(f"Volume type access for {row.id} / {project_id} combination already exists.")
    tx.add(VolumeTypeAccessRow(type_id=row.id, project_id=project_id))


def take(tx: Transaction, row: VolumeTypeRow, project_id: str) -> None:
    _check_private(row)
    access = tx.get(VolumeTypeAccessRow, (row.id, project_id))
    if access is None:
        raise NotFound(f"Volume type access not found for {row.id} / {project_id} combination.")
    tx.delete(access)


def _check_private(row: VolumeTypeRow) -> None:
    if row.is_public:
        raise BadRequest("Invalid volume type: Type access modification is not applicable to public volume type.")


# ---------------------------------------------------------------- encryption


def encryption_missing(row: VolumeTypeRow) -> NotFound:
    return NotFound(f"Volume type encryption for type {row.id} does not exist.")


def encrypt(tx: Transaction, row: VolumeTypeRow, given: dict[str, Any]) -> dict[str, Any]:
    """From now on volumes of the type are LUKS, whatever provider is named: QEMU has no other."""
    if row.encryption is not None:
        raise BadRequest(f"Volume type encryption for type {row.id} already exists.")
    _check_unused(tx, row, "create")
    row.encryption = {"encryption_id": ids.new(), "cipher": None, "key_size": None, **given,
                      "created_at": clock.now().isoformat(timespec="microseconds"), "updated_at": None}
    return dict(row.encryption)


def reencrypt(tx: Transaction, row: VolumeTypeRow, encryption_id: str, given: dict[str, Any]) -> None:
    _check_unused(tx, row, "update")
    _encryption(row, encryption_id)
    row.encryption = {**row.encryption, **given, "updated_at": clock.now().isoformat(timespec="microseconds")}


def decrypt(tx: Transaction, row: VolumeTypeRow, encryption_id: str) -> None:
    """Volumes that exist keep what they are: there are none."""
    _check_unused(tx, row, "delete")
    _encryption(row, encryption_id)
    row.encryption = None


def _encryption(row: VolumeTypeRow, encryption_id: str) -> None:
    if row.encryption is None or row.encryption["encryption_id"] != encryption_id:
        raise encryption_missing(row)


def _check_unused(tx: Transaction, row: VolumeTypeRow, what: str) -> None:
    if in_use(tx, row.id):
        raise BadRequest(f"Cannot {what} encryption specs. Volume type in use.")
