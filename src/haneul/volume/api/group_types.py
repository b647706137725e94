"""/group_types and their specs, since 3.11."""

from __future__ import annotations

from haneul.kernel.wire.routes import Routes

routes = Routes()
