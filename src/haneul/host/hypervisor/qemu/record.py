"""What is written down of a server, for the agent that comes after this one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, structs

from haneul.host.contract import DiskSpec, NicSpec, Power, ServerSpec


class Move(Struct, kw_only=True):
    """A disk that is being copied to another volume, which is open as `node`."""

    disk: DiskSpec
    node: str
    encrypted: bool


class Record(Struct, kw_only=True):
    """`ended` is empty while a process should exist; `slots`, `units` and `controllers` are where devices are, which saved memory
    depends on. Keys of volumes are never in it; `encrypted` are the disks that want one."""

    spec: ServerSpec  # its disks are those that are open
    virt: Literal["kvm", "tcg"]
    nics: list[NicSpec]
    slots: dict[str, int] = {}  # PCI, by device
    units: dict[str, int] = {}  # of disks on other buses, by disk
    controllers: list[str] = []  # buses of disks that the server was started with
    nodes: dict[str, str] = {}  # by disk; one that is not there is the one that `node` says
    moves: dict[str, Move] = {}
    encrypted: list[str] = []
    networked: bool = False  # its process sees the machine's network
    pid: int = 0
    started: int = 0
    boot_id: str = ""
    ended: Power | Literal[""] = ""
    reason: str = ""

    def disk(self, name: str) -> DiskSpec | None:
        return next((disk for disk in self.spec.disks if disk.name == name), None)

    def set_disks(self, disks: list[DiskSpec]) -> None:
        self.spec = structs.replace(self.spec, disks=disks)

    def node(self, name: str) -> str:
        """The node that the disk's device has."""
        return self.nodes.get(name, f"node-{name}")


class Folder:
    """A server's files. All but `qemu/` belong to root: a QEMU that was taken over cannot mislead the agent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = path / "record.json"
        self.monitor = path / "qmp.sock"
        self.memory = path / "memory"
        self.kept_memory = path / "memory.kept"  # while it is being restored
        self.errors = path / "stderr.log"
        self.console = path / "console.log"
        self.vnc = path / "qemu" / "vnc.sock"

    def load(self) -> Record | None:
        try:
            return msgspec.json.decode(self.record.read_bytes(), type=Record)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def save(self, record: Record) -> None:
        fresh = self.record.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(record))
        fresh.replace(self.record)

    def last_words(self, size: int = 600) -> str:
        """The end of what QEMU said on standard error, warnings left out."""
        try:
            with open(self.errors, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - size))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "; ".join(line.strip() for line in text.splitlines() if line.strip() and " warning: " not in line)
