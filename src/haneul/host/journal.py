"""The memory of one fake host: a file of JSON lines, the last one of a key counts."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import msgspec


class Journal:
    """Appends survive a kill at any moment: a line that was cut off is left out when the file is read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._records: dict[tuple[str, str], msgspec.Raw] = {}
        self._read()

    def _read(self) -> None:
        if not self._path.exists():
            return
        decoder = msgspec.json.Decoder(tuple[str, str, msgspec.Raw])
        lines = self._path.read_bytes().split(b"\n")
        for line in lines:
            try:
                kind, key, value = decoder.decode(line)
            except msgspec.DecodeError:
                continue
            if bytes(value) == b"null":
                self._records.pop((kind, key), None)
            else:
                self._records[kind, key] = value.copy()
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(b"".join(msgspec.json.encode((*names, value)) + b"\n"
                                   for names, value in self._records.items()))
        fresh.replace(self._path)

    def load(self, kind: str, shape: Any) -> dict[str, Any]:
        """What was kept of one kind; afterwards the caller's objects are the memory and the journal only writes."""
        mine = [names for names in self._records if names[0] == kind]
        return {names[1]: msgspec.json.decode(self._records.pop(names), type=shape) for names in mine}

    def put(self, kind: str, key: str, value: Any) -> None:
        """None takes the key away."""
        line = msgspec.json.encode((kind, key, value)) + b"\n"
        with self._lock:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, line)
            finally:
                os.close(file)
