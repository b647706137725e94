"""POST /volumes/{volume_id}/action: what changes a volume."""

from __future__ import annotations

from haneul.kernel.wire.routes import Routes

routes = Routes()
