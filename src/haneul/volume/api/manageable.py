"""/manageable_volumes, /manageable_snapshots and their older forms."""

from __future__ import annotations

from haneul.kernel.wire.routes import Routes

routes = Routes()
