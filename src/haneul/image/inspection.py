"""What an image's bytes really are, decided while they stream by: no tool ever opens an image to find out."""

from __future__ import annotations

from typing import Any

from oslo_utils.imageutils import format_inspector

from haneul.kernel.errors import UnsupportedMedia

# The inspector sees a partition table in most raw disks, and in an ISO that also boots from a stick.
_TRUE: dict[str, tuple[set[str], ...]] = {
    "raw": ({"raw"}, {"gpt"}),
    "ami": ({"raw"}, {"gpt"}),
    "ari": ({"raw"},),
    "aki": ({"raw"},),
    "ploop": ({"raw"},),
    "iso": ({"iso"}, {"iso", "gpt"}),
    "qcow2": ({"qcow2"},),
    "vmdk": ({"vmdk"},),
    "vdi": ({"vdi"},),
    "vhd": ({"vhd"},),
    "vhdx": ({"vhdx"},),
}
_OWN_SIZE = {"raw", "ami", "ari", "aki", "ploop", "iso"}  # these are as large as their files


class NotWhatItSays(UnsupportedMedia):
    """The data is of another format than declared, or refers to something outside itself."""


class _Source:
    """The inspector pulls; bytes here are pushed."""

    chunk = b""

    def read(self, size: int) -> bytes:
        return self.chunk


class Inspection:
    """Eats an image's bytes in order; `verdict` answers its virtual size or raises NotWhatItSays.

    Unless `strict`, data of another format than declared is let in, of unknown size; hosts refuse it when it is used.
    """

    def __init__(self, declared: str, strict: bool = True) -> None:
        self._declared = declared
        self._strict = strict
        self._source = _Source()
        self._wrapper: Any = format_inspector.InspectWrapper(self._source)  # type: ignore[arg-type]
        self._decided = False
        self._size = 0

    def eat(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._decided or not chunk:
            return
        self._source.chunk = chunk
        self._wrapper.read(len(chunk))
        self._decided = self._wrapper.formats is not None

    def verdict(self) -> int | None:
        self._wrapper.close()
        found: list[Any] = self._wrapper.formats or []
        names = {str(each) for each in found}
        if names not in _TRUE[self._declared]:
            if not self._strict:
                return None
            raise NotWhatItSays(f"The image is declared as {self._declared} but its data is "
                                f"{' and '.join(sorted(names)) or 'unknown'}.")
        try:
            for each in found:
                if str(each) != "gpt":  # an odd partition table harms nobody but the guest
                    each.safety_check()
        except format_inspector.SafetyCheckFailed as error:
            raise NotWhatItSays(f"The image failed the safety check: {', '.join(sorted(map(str, error.failures)))}.") from error
        return self._size if self._declared in _OWN_SIZE else int(found[0].virtual_size)
