"""Credentials: secrets that users keep here, encrypted at rest. Whose they are never changes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from haneul.identity.delegation import refuse_delegated
from haneul.identity.keys import Keys
from haneul.identity.lookup import keep, refuse
from haneul.identity.model import Credential, User
from haneul.kernel import ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest


class Vault:
    """Seals blobs with keys of their own, which are never rotated away: a credential has no end."""

    def __init__(self, folder: Path) -> None:
        self._keys = Keys(folder, 1 << 30)

    def seal(self, text: str) -> str:
        return self._keys.seal(text.encode())

    def open(self, sealed: str) -> str:
        raw = self._keys.open(sealed)
        if raw is None:
            raise BadRequest("Credential could not be decrypted. Please contact the administrator")
        return raw.decode()


class Fields(Struct):
    user_id: str | None | UnsetType = UNSET
    project_id: str | None | UnsetType = UNSET
    type: str | UnsetType = UNSET
    blob: str | UnsetType = UNSET


def check_caller(context: Context) -> None:
    """A delegated token must not plant or read secrets that stand for its user: they outlive it."""
    refuse_delegated(context, "Delegated tokens cannot access credentials directly")


def create(tx: Transaction, fields: Fields, user: User, extra: dict[str, Any]) -> Credential:
    if not isinstance(fields.type, str) or not 1 <= len(fields.type) <= 255 or not isinstance(fields.blob, str):
        raise BadRequest("Invalid input: 'type' and 'blob' are required properties.")
    id = _ec2_id(fields.blob) if fields.type == "ec2" else ids.new_hex()
    if fields.type == "ec2" and not fields.project_id:
        raise BadRequest("Expecting to find project_id in credential.")
    row = Credential(id=id, user_id=user.id, project_id=fields.project_id or None, type=fields.type, extra=extra,
                     sealed=tx.cloud.get(Vault).seal(fields.blob))
    keep(tx, row, word="credential", details=f"Duplicate entry found with ID {id}")
    return row


def _ec2_id(blob: str) -> str:
    try:
        access = msgspec.json.decode(blob, type=dict[str, Any])["access"]
    except (msgspec.DecodeError, KeyError) as error:
        raise BadRequest("Invalid blob in credential: it must name its access key.") from error
    return ec2_id(str(access))


def ec2_id(access: str) -> str:
    """Keystone's id of the credential that has an access key."""
    return hashlib.sha256(access.encode()).hexdigest()


def change(tx: Transaction, row: Credential, fields: Fields, extra: dict[str, Any]) -> Credential:
    if fields.user_id is not UNSET and fields.user_id != row.user_id:
        raise refuse("The owner of a credential cannot be changed.")
    if isinstance(fields.type, str):
        row.type = fields.type
    if isinstance(fields.blob, str):
        row.sealed = tx.cloud.get(Vault).seal(fields.blob)
    if not isinstance(fields.project_id, UnsetType):
        row.project_id = fields.project_id
    if row.type == "ec2":
        _ec2_id(tx.cloud.get(Vault).open(row.sealed))
        if not row.project_id:
            raise BadRequest("Expecting to find project_id in credential.")
    row.extra = {**row.extra, **extra}
    tx.flush()
    return row
