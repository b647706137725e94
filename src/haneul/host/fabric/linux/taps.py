"""Where a hypervisor gets its end of a port."""

from __future__ import annotations

from pathlib import Path

from haneul.host.contract import NotThere
from haneul.host.fabric import names

from . import links
from .namespaces import exists, inside


def open_tap(cloud_id: str, port_id: str) -> int:
    """A non-blocking, close-on-exec descriptor on a port's tap (with vnet_hdr), for QEMU's `-netdev tap,fd=`.

    The link itself stays in the fabric namespace; only the descriptor leaves it. Raises NotThere when `Fabric.apply`
    has not made the port, FabricError when another process has the tap open. The caller closes the descriptor.
    """
    fabric, tap = names.fabric_namespace(cloud_id), names.tap(cloud_id, port_id)
    if not exists(fabric):
        raise NotThere(f"port {port_id} is not on this host")
    with inside(fabric):
        if tap not in links.names():
            raise NotThere(f"port {port_id} is not on this host")
        return links.open_tap(tap)


def counters(cloud_id: str) -> dict[str, list[int]]:
    """The kernel's sixteen numbers of every link of the fabric, by its name: eight of what came in, eight of what went out."""
    fabric = names.fabric_namespace(cloud_id)
    if not exists(fabric):
        return {}
    with inside(fabric):
        lines = Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]
    return {name.strip(): [int(value) for value in values.split()] for name, _, values in (line.partition(":") for line in lines)}
