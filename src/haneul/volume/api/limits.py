"""/limits."""

from __future__ import annotations

from haneul.kernel.wire.routes import Routes

routes = Routes()
