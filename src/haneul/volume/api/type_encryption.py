"""/types/{type_id}/encryption, and what a volume says of its own."""

from __future__ import annotations

from haneul.kernel.wire.routes import Routes

routes = Routes()
