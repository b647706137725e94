"""/group_snapshots, since 3.14."""

from __future__ import annotations

from haneul.kernel.wire.routes import Routes

routes = Routes()
