"""Files that a server is born with (up to 2.56): they travel on its config drive, and a rebuild brings others or none."""

from __future__ import annotations

import base64

from sqlalchemy import delete

from haneul.compute import quotas
from haneul.compute.model import ServerFilesRow
from haneul.compute.problems import TooMany
from haneul.kernel.database import Transaction

File = tuple[str, str]  # path in the guest, content in base64


def check(tx: Transaction, project_id: str, files: list[File]) -> None:
    """As Nova counts: characters of the path, and of the content as it was sent."""
    if not files:
        return
    most = quotas.limits(tx, project_id, ("injected_files", "injected_file_path_bytes", "injected_file_content_bytes"))
    if 0 <= most["injected_files"] < len(files):
        raise TooMany("Personality file limit exceeded")
    if 0 <= most["injected_file_path_bytes"] < max(len(path) for path, _ in files):
        raise TooMany(f"Personality file path exceeds maximum {most['injected_file_path_bytes']}")
    if 0 <= most["injected_file_content_bytes"] < max(len(content) for _, content in files):
        raise TooMany(f"Personality file content exceeds maximum {most['injected_file_content_bytes']}")


def keep(tx: Transaction, server_id: str, files: list[File]) -> None:
    """In place of what was there."""
    forget(tx, server_id)
    if files:
        tx.add(ServerFilesRow(server_id=server_id, files=[list(file) for file in files]))


def forget(tx: Transaction, server_id: str) -> None:
    tx.execute(delete(ServerFilesRow).where(ServerFilesRow.server_id == server_id))


def of(tx: Transaction, server_id: str) -> list[tuple[str, bytes]]:
    row = tx.get(ServerFilesRow, server_id)
    return [(path, base64.b64decode("".join(content.split()))) for path, content in row.files] if row is not None else []
