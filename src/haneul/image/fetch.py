"""Fetches an image's data from the web without becoming anybody's way into the cloud's own networks.

A name is resolved once and the connection goes to the very address that was checked; so does each redirect's.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import httpx
from msgspec import Struct

from haneul.kernel.config import Image
from haneul.kernel.errors import BadRequest
from haneul.kernel.tasks import Again, Fault

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_places = threading.BoundedSemaphore(3)


class Refused(BadRequest):
    """A URI that must not be fetched."""


class Target(Struct, frozen=True):
    """A URI taken apart, and the one address it will be fetched from."""

    scheme: str
    host: str
    port: int
    path: str
    address: str = ""

    @property
    def pinned(self) -> str:
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{shown}:{self.port}{self.path}"

    @property
    def host_header(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return shown if self.port == {"http": 80, "https": 443}[self.scheme] else f"{shown}:{self.port}"


def parse(uri: str) -> Target:
    """The parts of a URI. Refused unless it is plain http or https without credentials."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise Refused("URI for web-download is malformed.") from error
    if parts.scheme not in ("http", "https"):
        raise Refused(f"URI for web-download does not pass filtering: scheme {parts.scheme[:16]!r} is not allowed.")
    if not parts.hostname or parts.username is not None or parts.password is not None or "\\" in uri \
            or any(character.isspace() or ord(character) < 32 for character in uri) or len(uri) > 2048:
        raise Refused("URI for web-download does not pass filtering.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, port or {"http": 80, "https": 443}[parts.scheme], path)


def allowed(address: Address, config: Image, port: int = 0) -> bool:
    """Whether data may be fetched from there. What an IPv6 address says in IPv4 is judged as IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return allowed(inner, config, port)
    if any(_covers(entry, address, port) for entry in config.web_download_allow):
        return True
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved:
        return False
    return address.is_global or (config.web_download_private and address.is_private)


def _covers(entry: str, address: Address, port: int) -> bool:
    """`entry` is a network, or one address with the one port that may be fetched from there."""
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return entry == (f"{address}:{port}" if address.version == 4 else f"[{address}]:{port}")


def resolve(target: Target, config: Image, *, numeric: bool = False) -> Target:
    """The target with its address. Every address of the name must be allowed: the next look-up might answer another one.

    The C library reads octal, hexadecimal and short spellings as connect() would. `numeric` asks no name server and answers
    the target as it is for a name.
    """
    flags = socket.AI_NUMERICHOST if numeric else 0
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM, flags=flags)
    except (socket.gaierror, UnicodeError) as error:
        if numeric:
            return target
        raise Refused("The host of the URI cannot be resolved.") from error
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if not addresses or not all(allowed(ipaddress.ip_address(address), config, target.port) for address in addresses):
        raise Refused("URI for web-download does not pass filtering: its address is not allowed.")
    return Target(target.scheme, target.host, target.port, target.path, addresses[0])


def check(uri: str, config: Image) -> None:
    """What can be told of a URI without asking a name server."""
    resolve(parse(uri), config, numeric=True)


@contextlib.contextmanager
def one_of_few() -> Iterator[None]:
    """A task's place for a transfer, Again while there is none: it holds its runner's thread for minutes, as long as some server
    likes, and the other threads are for others."""
    if not _places.acquire(blocking=False):
        raise Again("a free place among the imports", 1.0)
    try:
        yield
    finally:
        _places.release()


@contextlib.contextmanager
def opened(uri: str, config: Image, *, deadline: float) -> Iterator[Iterator[bytes]]:
    """The chunks of what a URI leads to; Fault when it leads nowhere good."""
    for _ in range(MOST_REDIRECTS + 1):
        target = resolve(parse(uri), config)
        with httpx.Client(trust_env=False, follow_redirects=False, timeout=_TIMEOUT) as client:
            request = client.build_request(
                "GET", target.pinned, headers={"Host": target.host_header, "Accept-Encoding": "identity"},
                extensions={"sni_hostname": target.host})
            try:
                answer = client.send(request, stream=True)
            except httpx.HTTPError as error:
                raise Fault(f"The image could not be fetched: {type(error).__name__}.") from error
            try:
                if answer.status_code in _REDIRECTS and "location" in answer.headers:
                    uri = urljoin(uri, answer.headers["location"])
                    continue
                if answer.status_code != 200:
                    raise Fault(f"The image could not be fetched: the server answered {answer.status_code}.")
                yield _chunks(answer, deadline)
                return
            finally:
                answer.close()
    raise Fault("The image could not be fetched: too many redirects.")


def _chunks(answer: httpx.Response, deadline: float) -> Iterator[bytes]:
    try:
        for chunk in answer.iter_raw(1 << 20):
            if time.time() > deadline:
                raise Fault("The image could not be fetched in time.")
            yield chunk
    except httpx.HTTPError as error:
        raise Fault(f"The image could not be fetched: {type(error).__name__}.") from error
