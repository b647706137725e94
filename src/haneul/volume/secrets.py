"""Keys of encrypted volumes: made here, sealed in the database under a key of the state directory, opened only for a host."""

from __future__ import annotations

import os
import secrets
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from haneul.kernel.cloud import Cloud
from haneul.kernel.tasks import Fault

KEY_BYTES = 32


def new(cloud: Cloud) -> str:
    """A fresh LUKS passphrase, sealed."""
    return _fernet(cloud.paths.volume_key).encrypt(secrets.token_hex(KEY_BYTES).encode()).decode()


def opened(cloud: Cloud, sealed: str) -> str:
    """Fault for a key that this cloud did not seal."""
    try:
        return _fernet(cloud.paths.volume_key).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Fault("The volume's key cannot be opened with this cloud's volume key.") from error


@lru_cache(maxsize=8)
def _fernet(path: Path) -> Fernet:
    """Its file is made on first use, whole or not at all: two processes agree on one."""
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return Fernet(path.read_bytes())
