"""Extra DHCP options of ports: only what dnsmasq may be told, and nothing that could end a line of its configuration."""

from __future__ import annotations

import re
from typing import Any

from haneul.network.errors import BadAttribute

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}|[0-9]{1,3}")
_MOST = 255


def checked(options: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Names are words or numbers, values one line of printable text."""
    found = []
    for option in options:
        name, value = str(option.get("opt_name", "")), option.get("opt_value")
        version = int(option.get("ip_version") or 4)
        if not _NAME.fullmatch(name):
            raise BadAttribute("extra_dhcp_opts", f"'{name[:64]}' is not a valid DHCP option name")
        if version not in (4, 6):
            raise BadAttribute("extra_dhcp_opts", f"'{version}' is not in [4, 6]")
        if value is None:
            continue
        if not isinstance(value, str) or len(value) > _MOST or not value.isprintable():
            raise BadAttribute("extra_dhcp_opts", "an option value is one line of at most 255 printable characters")
        found.append({"opt_name": name, "opt_value": value, "ip_version": version})
    return found
