"""What volumes ask about the guests that have them open; every hypervisor driver answers, for all its servers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from haneul.host.storage import VolumeFormat


class Users(Protocol):
    def uses(self, backend: str, volume: str) -> bool:
        """A server of this hypervisor has the volume open, or will open it again where it left off (it is suspended)."""
        ...

    def writes(self, backend: str, volume: str) -> bool:
        """A guest's process has the volume open: while it runs only this process can copy it as of one moment, and nobody else
        may change the file below it. Never true of a fake guest, which writes nothing."""
        ...

    def copy(self, backend: str, volume: str, target: Path, format: VolumeFormat) -> None:
        """Writes the volume as it is now into `target`, an empty file of the volume's size that QEMU's user owns: the bytes that
        the driver's `Store.node` gives, which of an encrypted volume are those below LUKS. May take minutes. Conflict when no
        guest has it open any more, NoRoom."""
        ...

    def take_snapshot(self, backend: str, volume: str, snapshot: str) -> None:
        """An internal snapshot of this name in the qcow2 file that is the volume (blockdev-snapshot-internal-sync)."""
        ...

    def drop_snapshot(self, backend: str, volume: str, snapshot: str) -> None:
        """The internal snapshot of this name is gone (blockdev-snapshot-delete-internal-sync)."""
        ...
