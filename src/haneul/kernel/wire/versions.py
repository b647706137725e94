"""Microversions: negotiated by header, as the API working group's guideline and Nova's older header have it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from haneul.kernel.errors import BadRequest, NotAcceptable

Version = tuple[int, int]


def text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


class VersionNotAcceptable(NotAcceptable):
    """406: a well-formed version outside the range."""


class Microversions(Struct, frozen=True):
    """The range of a service. `legacy_header` is Nova's X-OpenStack-Nova-API-Version."""

    service_type: str
    minimum: Version
    maximum: Version
    legacy_header: str | None = None

    def negotiate(self, headers: Mapping[str, str]) -> Version:
        """The version that a request asks for; the minimum when it asks for none. `headers` have lower-case names."""
        asked: str | None = None
        for part in headers.get("openstack-api-version", "").split(","):
            words = part.split()
            if len(words) == 2 and words[0].lower() == self.service_type:
                asked = words[1]
        if asked is None and self.legacy_header is not None:
            asked = headers.get(self.legacy_header.lower())
        if asked is None:
            return self.minimum
        asked = asked.strip()
        if asked == "latest":
            return self.maximum
        major, dot, minor = asked.partition(".")
        if not (dot and major.isdigit() and minor.isdigit() and len(asked) < 12 and asked.isascii()) \
                or (len(minor) > 1 and minor[0] == "0"):
            raise BadRequest(f"API Version String {asked} is of invalid format. Must be of format MajorNum.MinorNum.")
        version = (int(major), int(minor))
        if not self.minimum <= version <= self.maximum:
            raise VersionNotAcceptable(f"Version {asked} is not supported by the API. Minimum is {text(self.minimum)} and "
                                       f"maximum is {text(self.maximum)}.")
        return version

    def headers(self, version: Version) -> list[tuple[bytes, bytes]]:
        """What every answer carries."""
        found = [(b"openstack-api-version", f"{self.service_type} {text(version)}".encode())]
        vary = "OpenStack-API-Version"
        if self.legacy_header:
            found.append((self.legacy_header.lower().encode(), text(version).encode()))
            vary += f", {self.legacy_header}"
        return [*found, (b"vary", vary.encode())]
