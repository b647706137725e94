"""/types/{type_id}/os-volume-type-access and the actions that change it."""

from __future__ import annotations

from haneul.kernel.wire.routes import Routes

routes = Routes()
