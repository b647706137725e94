"""/default-types, since 3.62."""

from __future__ import annotations

from haneul.kernel.wire.routes import Routes

routes = Routes()
