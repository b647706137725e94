"""Taking an image's bytes in: digest, true format and safety are known before anything else may open the file."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from haneul.host.contract import Refused

PARTIAL = ".partial-"  # what starts so is swept when the agent starts
CHUNK = 1 << 20

# The inspector sees a partition table in most raw images, and in an ISO that also boots from a stick. LUKS is what an encrypted
# volume's bytes are; who opens them as raw does no harm.
TRUE_FORMATS: dict[str, tuple[set[str], ...]] = {
    "raw": ({"raw"}, {"gpt"}, {"luks"}),
    "iso": ({"iso"}, {"iso", "gpt"}),
    "qcow2": ({"qcow2"},),
    "vmdk": ({"vmdk"},),
    "vdi": ({"vdi"},),
    "vhd": ({"vhd"},),
    "vhdx": ({"vhdx"},),
}


class Upload:
    """One image on its way in. `keep` gets file, format and virtual size of a good one and moves the file."""

    def __init__(self, folder: Path, declared: str, sha512: str,
                 keep: Callable[[Path, str, int], Any]) -> None:
        if declared not in TRUE_FORMATS:
            raise Refused(f"no server can start from an image in the format {declared!r}")
        self._path = folder / f"{PARTIAL}{uuid.uuid4().hex}"
        self._declared = declared
        self._sha512 = sha512.lower()
        self._keep = keep
        self._digest = hashlib.sha512()
        self._file = open(self._path, "xb", buffering=0)

    def write(self, chunk: bytes | bytearray) -> None:
        self._digest.update(chunk)
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view):]

    def finish(self) -> Any:
        """What `keep` answers."""
        self._file.close()
        if self._digest.hexdigest() != self._sha512:
            raise Refused("the image's bytes do not have the SHA-512 that was announced")
        virtual = inspect(self._path, self._declared)
        return self._keep(self._path, self._declared, virtual)

    def abort(self) -> None:
        """Nothing stays; fine also after a failed or a good `finish`."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def inspect(path: Path, declared: str) -> int:
    """The virtual size of an image that is what it says it is and refers to nothing outside itself; else Refused."""
    from oslo_utils.imageutils import format_inspector  # 8 MiB of memory, and many agents never take an image

    with open(path, "rb") as file:
        wrapper = format_inspector.InspectWrapper(file)
        try:
            while wrapper.formats is None and wrapper.read(CHUNK):
                pass
        finally:
            wrapper.close()
    found: list[Any] = wrapper.formats or []
    names = {str(each) for each in found}
    if names not in TRUE_FORMATS[declared]:
        raise Refused(f"the image is said to be {declared} but is {' and '.join(sorted(names)) or 'unknown'}")
    try:
        for each in found:
            if str(each) != "gpt":  # an odd partition table harms nobody but the guest
                each.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        raise Refused(f"the image is not safe: {', '.join(map(str, error.failures))}") from error
    if declared in ("raw", "iso"):
        return os.stat(path).st_size
    return int(found[0].virtual_size)


def sweep(folder: Path) -> None:
    """What a killed agent left half made."""
    for path in folder.glob(f"{PARTIAL}*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
