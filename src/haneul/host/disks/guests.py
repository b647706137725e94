"""What disks ask about the servers that use them; every hypervisor driver answers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Guests(Protocol):
    def uses_disks(self, server_id: str) -> bool:
        """A process has the server's disks open."""
        ...

    def copy_disk(self, server_id: str, name: str, target: Path) -> None:
        """Writes the disk as it is now into `target`, an empty qcow2 of its size, by the running guest's process."""
        ...
