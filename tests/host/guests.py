"""A machine with its drivers, and guests of 512 bytes that run on it."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from haneul.host.contract import DiskSpec, NicSpec, ServerSpec, ServerState
from haneul.host.hosts import open_hosts
from haneul.host.storage import DiskLimits, VolumeSource
from haneul.kernel.config import Config, Host, Paths

SAY_A = bytes([0xBA, 0xF8, 0x03, 0xB0, 0x41, 0xEE])  # mov dx, 0x3f8; mov al, 'A'; out dx, al
IDLE = SAY_A + bytes([0xFB, 0xF4, 0xEB, 0xFD])  # sti; hlt; jmp back
BABBLE = SAY_A + bytes([0xEB, 0xFD])  # out dx, al for ever
TURN_OFF = SAY_A + bytes([0xBA, 0x04, 0x06, 0xB8, 0x00, 0x20, 0xEF, 0xF4])  # mov dx, 0x604; mov ax, 0x2000; out dx, ax
LET_GO = SAY_A + bytes.fromhex("ba10ae 6631c0 66ef"  # mov dx, 0xae10; xor eax, eax; out dx, eax: the PCI bus 0 of ACPI's hot plug
                               "fbf4 ba04ae 66ed"  # sti; hlt; mov dx, 0xae04; in eax, dx: slots that shall be let go
                               "6685c0 74f4 ba08ae 66ef ebed")  # test eax, eax; jz sti; mov dx, 0xae08; out dx, eax; jmp sti
WRITE_ITSELF = SAY_A + bytes.fromhex("31c0 8ec0 bb007c b80103 b90100 ba8100 cd13"  # int 13h: the boot sector to the second disk
                                     "7206 baf803b042ee fbf4ebfd")  # jc idle; mov dx, 0x3f8; mov al, 'B'; out dx, al
DISK_BYTES = 1 << 20


def boot_sector(code: bytes) -> bytes:
    return code.ljust(510, b"\0") + b"\x55\xaa"


class Machine:
    """`restart` is what a new agent does; guests run on meanwhile."""

    def __init__(self, state: Path, kind: str, fabric: str = "fake") -> None:
        self.state = state
        self.kind = kind
        self.fabric = fabric
        self._open()

    def restart(self) -> None:
        self.close()
        self._open()

    def _open(self) -> None:
        config = Config(host=Host(name="testhost", hypervisor=self.kind, fabric=self.fabric))  # type: ignore[arg-type]
        host = open_hosts(config, Paths(self.state))[0]
        self.hypervisor, self.disks, self.store = host.hypervisor, host.disks, host.volumes.named("file")

    def close(self) -> None:
        if self.kind == "qemu":
            self.hypervisor.close()  # type: ignore[attr-defined]

    def put_image(self, content: bytes, format: str, id: str = "image", sha512: str | None = None) -> Any:
        upload = self.disks.take_image(id, format, sha512 or hashlib.sha512(content).hexdigest())  # type: ignore[attr-defined]
        try:
            upload.write(content[:1000])
            upload.write(content[1000:])
            return upload.finish()
        finally:
            upload.abort()

    def spec(self, code: bytes = IDLE, **more: Any) -> ServerSpec:
        """A server whose disk starts with this code."""
        id = str(uuid.uuid4())
        self.put_image(boot_sector(code).ljust(DISK_BYTES, b"\0"), "raw", f"image-{id}")
        self.disks.create(id, "root", "qcow2", DISK_BYTES, f"image-{id}", "raw")
        disk = DiskSpec(name="root", format="qcow2", boot_index=0, serial="a,serial=1")
        return ServerSpec(**{"id": id, "name": "a, name", "vcpus": 1, "memory_mib": 32, "disks": [disk],
                             "nics": [NicSpec(port_id=str(uuid.uuid4()), mac="fa:16:3e:00:00:01")], **more})

    def volume(self, name: str, size_bytes: int = DISK_BYTES, *, format: str = "raw", key: str | None = None,
               limits: DiskLimits | None = None, **more: Any) -> DiskSpec:
        """A disk that is a volume of its own."""
        self.store.create(f"volume-{name}", format, size_bytes, key)  # type: ignore[arg-type]
        source = VolumeSource(backend="file", volume=f"volume-{name}", format=format, key=key)  # type: ignore[arg-type]
        return DiskSpec(**{"name": f"vol-{name}", "format": format, "source": source, "limits": limits,
                           "serial": "0123456789abcdef0123", **more})

    def file_of(self, disk: DiskSpec) -> Path:
        """Where the store has the volume's bytes."""
        assert disk.source is not None
        node = self.store.node(disk.source)
        return Path(node.get("filename") or node["file"]["filename"])

    def running(self, code: bytes = IDLE, **more: Any) -> ServerSpec:
        spec = self.spec(code, **more)
        self.hypervisor.create(spec)
        self.hypervisor.run(spec.id)
        return spec

    def until(self, id: str, fits: Callable[[ServerState], bool]) -> ServerState:
        """Watches as the control plane does."""
        return wait(lambda: (state if fits(state := self.hypervisor.server(id)) else None), f"server {id}")

    def end(self) -> None:
        for server in self.hypervisor.servers():
            self.hypervisor.forget(server.id)


def wait(ask: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.02)
