"""DHCP options that users may set on a port: a list of names with the type of each value.

An option goes into dnsmasq's file only when its name is here and its value is of its type; what users write is never
copied there unparsed. Others are left out, with a warning in the log.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

TEXT = re.compile(r"[A-Za-z0-9 ._:/@=+~?&%()\[\]-]{1,255}\Z")
LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
NAME = re.compile(rf"{LABEL}(\.{LABEL})*\.?\Z")


def _addresses(value: str, version: int) -> str:
    if "%" in value:  # a zone, behind which anything may stand
        raise ValueError(value)
    found = [ipaddress.ip_address(word.strip().strip("[]")) for word in value.split(",")]
    if any(address.version != version for address in found):
        raise ValueError(value)
    return ",".join(f"[{address}]" if version == 6 else str(address) for address in found)


def _number(value: str, version: int) -> str:
    number = int(value)
    if not 0 <= number < 1 << 32:
        raise ValueError(value)
    return str(number)


def _text(value: str, version: int) -> str:
    if not TEXT.match(value):
        raise ValueError(value)
    return value


def _names(value: str, version: int) -> str:
    words = [word.strip() for word in value.split(",")]
    if not all(NAME.match(word) for word in words):
        raise ValueError(value)
    return ",".join(words)


def _addresses_or_names(value: str, version: int) -> str:
    try:
        return _addresses(value, version)
    except ValueError:
        return _names(value, version)


def _routes(value: str, version: int) -> str:
    words = [word.strip() for word in value.split(",")]
    pairs = list(zip(words[::2], words[1::2], strict=True))
    return ",".join(f"{ipaddress.IPv4Network(to)},{ipaddress.IPv4Address(via)}" for to, via in pairs)


Kind = Callable[[str, int], str]
V4: dict[str, tuple[int, Kind]] = {
    "netmask": (1, _addresses), "time-offset": (2, _number), "router": (3, _addresses), "dns-server": (6, _addresses),
    "log-server": (7, _addresses), "lpr-server": (9, _addresses), "boot-file-size": (13, _number),
    "domain-name": (15, _names), "swap-server": (16, _addresses), "root-path": (17, _text),
    "extension-path": (18, _text), "ip-forward-enable": (19, _number), "default-ttl": (23, _number),
    "mtu": (26, _number), "arp-timeout": (35, _number), "tcp-ttl": (37, _number), "tcp-keepalive": (38, _number),
    "nis-domain": (40, _names), "nis-server": (41, _addresses), "ntp-server": (42, _addresses),
    "netbios-ns": (44, _addresses), "netbios-dd": (45, _addresses), "netbios-nodetype": (46, _number),
    "lease-time": (51, _number), "T1": (58, _number), "T2": (59, _number), "tftp-server": (66, _addresses_or_names),
    "bootfile-name": (67, _text), "smtp-server": (69, _addresses), "pop3-server": (70, _addresses),
    "nntp-server": (71, _addresses), "irc-server": (74, _addresses), "posix-timezone": (100, _text),
    "tzdb-timezone": (101, _text), "domain-search": (119, _names), "classless-static-route": (121, _routes),
    "tftp-server-address": (150, _addresses), "path-prefix": (210, _text), "server-ip-address": (255, _addresses),
}
V6: dict[str, tuple[int, Kind]] = {
    "sip-server-domain": (21, _names), "sip-server": (22, _addresses), "dns-server": (23, _addresses),
    "domain-search": (24, _names), "nis-server": (27, _addresses), "nis+-server": (28, _addresses),
    "nis-domain": (29, _names), "nis+-domain": (30, _names), "sntp-server": (31, _addresses),
    "information-refresh-time": (32, _number), "ntp-server": (56, _addresses), "bootfile-url": (59, _text),
}
TYPED_BY_NUMBER = {4: {number: kind for number, kind in V4.values()}, 6: {number: kind for number, kind in V6.values()}}


def render(version: int, name: str, value: str) -> str | None:
    """`name,value` for dnsmasq, without tag; None when the option cannot be served."""
    if name.isascii() and name.isdigit():
        number = int(name)
        kind = TYPED_BY_NUMBER[version].get(number)
        if number == 255:
            return None
    else:
        number, kind = (V4 if version == 4 else V6).get(name, (0, None))
    if kind is None:
        return None
    try:
        typed = kind(value, version)
    except ValueError:
        return None
    if number == 255:
        return f"option:server-ip-address,{typed}"  # not an option but the message's "next server" field
    return f"option6:{number},{typed}" if version == 6 else f"{number},{typed}"
