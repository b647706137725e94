"""What a room shows to the process that assembles the cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from haneul.kernel.cloud import Cloud
from haneul.kernel.policy import Rule
from haneul.kernel.wire.routes import Service


class Room(Struct, kw_only=True):
    """`prepare` runs once at start, before anything is served: bootstrap rows, long-lived things, listeners of the fleet.

    `plain` are unauthenticated pages by exact path; `sockets` WebSocket handlers by prefix.
    """

    name: str
    services: list[Service] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    prepare: Callable[[Cloud], None] | None = None
    plain: Mapping[str, Any] = field(default_factory=dict)
    sockets: Mapping[str, Any] = field(default_factory=dict)
