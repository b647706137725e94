"""The keys of Fernet tokens: numbered files as Keystone keeps them. The highest number seals, 0 is the next to seal, all open.

Rotation first hands out the next key (as 0) and makes it the sealing one a round later, so that processes on other machines
that share the folder know a key before they meet a token made with it.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from haneul.kernel import clock
from haneul.kernel.reconcilers import reconciler

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud


class Keys:
    """Seals and opens with the keys of a folder, and notices when they are rotated."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder = folder
        self.most = max(most, 2)
        self._lock = threading.Lock()
        self._looked = 0.0
        self._seen: tuple[tuple[int, int], ...] = ()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(folder, 0o700)
        if not self._numbers():
            self._write(0)
            self._write(1)
        self._fernet = self._load()

    def seal(self, payload: bytes) -> str:
        self._notice()
        return self._fernet.encrypt(payload).decode().rstrip("=")

    def open(self, token: str) -> bytes | None:
        """None for what none of our keys sealed."""
        padded = token.encode("ascii", "replace") + b"=" * (-len(token) % 4)
        try:
            return self._fernet.decrypt(padded)
        except InvalidToken:
            if not self._notice():
                return None
        try:
            return self._fernet.decrypt(padded)
        except InvalidToken:
            return None

    def rotate(self) -> None:
        with self._lock:
            numbers = self._numbers()
            os.rename(self.folder / "0", self.folder / str(max(numbers) + 1))
            self._write(0)
            numbers = sorted(self._numbers())
            for number in numbers[1:1 + max(0, len(numbers) - self.most)]:
                (self.folder / str(number)).unlink(missing_ok=True)
        self._looked = 0.0
        self._notice()

    def age(self) -> float:
        """Seconds since the last rotation: the age of the file that is next."""
        try:
            return clock.seconds() - (self.folder / "0").stat().st_mtime
        except FileNotFoundError:  # a rotation elsewhere is between its two steps
            return 0.0

    def _numbers(self) -> list[int]:
        return [int(path.name) for path in self.folder.iterdir() if path.name.isdigit()]

    def _write(self, number: int) -> None:
        temporary = self.folder / f".new-{number}-{os.getpid()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, self.folder / str(number))

    def _fingerprint(self) -> tuple[tuple[int, int], ...]:
        return tuple(sorted((number, (self.folder / str(number)).stat().st_mtime_ns) for number in self._numbers()))

    def _load(self) -> MultiFernet:
        self._seen = self._fingerprint()
        order = sorted((number for number, _ in self._seen), reverse=True)
        return MultiFernet([Fernet((self.folder / str(number)).read_bytes()) for number in order])

    def _notice(self) -> bool:
        """Reads the keys again if the folder changed; looks at most once a second. Whether it did."""
        now = time.monotonic()
        if now - self._looked < 1.0:
            return False
        with self._lock:
            self._looked = now
            try:
                if self._fingerprint() == self._seen:
                    return False
                self._fernet = self._load()
            except FileNotFoundError:  # another process is rotating: the old keys still do
                return False
        return True


@reconciler("identity.keys", every=60.0)
def rotate_when_due(cloud: Cloud) -> int:
    """A key is sealing for `key_rotation_seconds`; it must be kept until the last token it sealed has ended."""
    keys = cloud.get(Keys)
    if keys.age() < cloud.config.identity.key_rotation_seconds:
        return 0
    keys.rotate()
    return 1
