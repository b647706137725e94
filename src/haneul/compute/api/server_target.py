"""The server that a path names, for every route below /servers/{server_id}."""

from __future__ import annotations

from haneul.compute import servers
from haneul.compute.model import ServerRow
from haneul.kernel.wire.call import Call


def server(call: Call) -> ServerRow:
    return servers.get(call.tx, call.context, call.values["server_id"])
