"""The guest image, built once a machine and kept; the build runs while the cloud starts."""

from __future__ import annotations

import fcntl
import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import haneul

if TYPE_CHECKING:
    from haneul.cli.up import Steps

CACHE = Path("/var/cache/haneul/guest")

_result: dict[str, BaseException | Path] = {}
_thread: threading.Thread | None = None


def cached() -> Path:
    """Named by its recipe: another recipe is another image."""
    recipe = hashlib.sha256()
    folder = Path(haneul.__file__).parent / "image" / "guest"
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            recipe.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return CACHE / f"guest-{recipe.hexdigest()[:12]}.qcow2"


def begin(steps: Steps) -> None:
    global _thread
    _thread = threading.Thread(target=_make, args=(steps,), daemon=True)
    _thread.start()


def finished() -> Path:
    assert _thread is not None
    _thread.join()
    outcome = _result["outcome"]
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _make(steps: Steps) -> None:
    try:
        _result["outcome"] = ensure(steps)
    except BaseException as error:  # carried over to the thread that waits
        _result["outcome"] = error


def ensure(steps: Steps) -> Path:
    image = cached()
    if image.exists():
        return image
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if image.exists():
            return image
        from haneul.image.guest.build import build
        with steps.step("guest image built (once)"):
            build(image, CACHE / "packages", lambda text: None)
    for old in CACHE.glob("guest-*.qcow2"):
        if old != image:
            old.unlink()
    return image
