"""POST /volumes/{volume_id}/action: attaching, as clients before 3.27 do it."""

from __future__ import annotations

from haneul.kernel.wire.routes import Routes

routes = Routes()
