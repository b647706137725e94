"""A back end for a test, with guests that are only said to be there, and a look at bytes as QEMU reads them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from haneul.host.contract import NotThere
from haneul.host.storage import VolumeFormat, VolumeSource
from haneul.host.volumes import Backends
from haneul.host.volumes.store import Store
from haneul.host.volumes.transfers import TransferFiles

MIB = 1 << 20
KEY = "a-passphrase-of-256-bits"


class Guests:
    """What a hypervisor answers. `open` volumes are used; of those in `writing` only their process can make a copy."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.open: set[str] = set()
        self.writing: set[str] = set()
        self.copied: list[str] = []

    def uses(self, backend: str, volume: str) -> bool:
        return volume in self.open | self.writing

    def writes(self, backend: str, volume: str) -> bool:
        return volume in self.writing

    def copy(self, backend: str, volume: str, target: Path, format: VolumeFormat) -> None:
        """As QEMU's job would: all of the volume, from the level of the store's node, into a file that is prepared."""
        self.copied.append(volume)
        node = self.bench.node(volume)
        subprocess.run(["qemu-img", "convert", *self.bench.secrets(), "-U", "-n", "-O", format, f"json:{json.dumps(node)}",
                        str(target)], check=True)

    def take_snapshot(self, backend: str, volume: str, snapshot: str) -> None:
        self._inside("-c", volume, snapshot)

    def drop_snapshot(self, backend: str, volume: str, snapshot: str) -> None:
        self._inside("-d", volume, snapshot)

    def _inside(self, verb: str, volume: str, snapshot: str) -> None:
        self.copied.append(volume)
        subprocess.run(["qemu-img", "snapshot", verb, snapshot, f"json:{json.dumps(self.bench.node(volume))}"], check=True)


class Bench:
    """One back end in a state directory. `restart` is what a new agent does."""

    def __init__(self, state: Path, table: dict[str, Any], format: VolumeFormat) -> None:
        self.state = state
        self.format = format
        self._table = table
        self.guests = Guests(self)
        self.restart()

    def restart(self) -> None:
        self.transfers = TransferFiles(self.state / "transfers")
        backends = Backends({"store": self._table}, {"here"}, self.state / "volumes", self.transfers)
        backends.users.append(self.guests)
        self.backends = backends
        self.store: Store = backends.named("store")

    def node(self, volume: str, key: str | None = None) -> dict[str, Any]:
        """Of a volume as it lies, whether it is encrypted or not."""
        for format in ("raw", "qcow2"):
            for candidate in (None, key or KEY):
                try:
                    return self.store.node(VolumeSource(backend="store", volume=volume, format=format,  # type: ignore[arg-type]
                                                        key=candidate))
                except NotThere:
                    raise
                except Exception:  # noqa: BLE001, S112 - not this format, or not this kind: the next
                    continue
        raise AssertionError(f"no node of {volume}")

    def secrets(self) -> list[str]:
        return [word for id, secret in self.store.secrets().items()
                for word in ("--object", f"secret,id={id},format=base64,data={secret}")]

    # ------------------------------------------------------------ bytes

    def _io(self, volume: str, command: str, key: str | None) -> str:
        node, words = self.node(volume, key), self.secrets()
        if key is not None:
            node = {"driver": "luks", "key-secret": "key", "file": node}
            words += ["--object", f"secret,id=key,data={key}"]
        done = subprocess.run(["qemu-io", *words, "-c", command, f"json:{json.dumps(node)}"], capture_output=True, text=True)
        assert not done.returncode and "rror" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done.stdout

    def write(self, volume: str, pattern: int, offset: int = 0, length: int = MIB, key: str | None = None) -> None:
        self._io(volume, f"write -P {pattern} {offset} {length}", key)

    def has(self, volume: str, pattern: int, offset: int = 0, length: int = MIB, key: str | None = None) -> bool:
        return "Pattern verification failed" not in self._io(volume, f"read -P {pattern} {offset} {length}", key)

    # ------------------------------------------------------------ transfers

    def put(self, id: str, content: bytes, format: str) -> Any:
        upload = self.transfers.take(id, format, hashlib.sha512(content).hexdigest())
        try:
            upload.write(content)
            return upload.finish()
        finally:
            upload.abort()

    def content(self, id: str) -> bytes:
        file = self.transfers.read(id)
        with os.fdopen(file, "rb") as stream:
            return stream.read()


def converted(content: bytes, format: str, folder: Path, options: list[str] | None = None) -> bytes:
    """Raw bytes as an image of that format."""
    source, target = folder / "raw", folder / "converted"
    source.write_bytes(content)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", {"vhd": "vpc"}.get(format, format), *(options or []), str(source),
                    str(target)], check=True)
    return target.read_bytes()


def flattened(content: bytes, format: str, folder: Path) -> bytes:
    """And back."""
    source, target = folder / "image", folder / "flat"
    source.write_bytes(content)
    subprocess.run(["qemu-img", "convert", "-f", {"vhd": "vpc"}.get(format, format), "-O", "raw", str(source), str(target)],
                   check=True)
    return target.read_bytes()
