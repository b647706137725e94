"""/messages, since 3.3."""

from __future__ import annotations

from haneul.kernel.wire.routes import Routes

routes = Routes()
