"""/volumes/{volume_id}/metadata and the actions on image metadata."""

from __future__ import annotations

from haneul.kernel.wire.routes import Routes

routes = Routes()
