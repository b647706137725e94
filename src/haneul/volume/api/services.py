"""/os-services, /os-hosts, /scheduler-stats, /capabilities, /os-availability-zone, /extensions, /clusters, /workers."""

from __future__ import annotations

from haneul.kernel.wire.routes import Routes

routes = Routes()
