"""The fabric on plain Linux. `LinuxFabric(cloud_id, paths, control_url, secret, tunnel_ip)`."""

from haneul.kernel.config import Config, Paths

from .check import check
from .driver import LinuxFabric

__all__ = ["LinuxFabric", "check", "driver"]


def driver(config: Config, paths: Paths, name: str) -> LinuxFabric:
    """As the agent loads it. The control plane of a single machine is asked for metadata over loopback."""
    bind = config.api.bind
    loopback = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(bind, bind)
    address = f"[{loopback}]" if ":" in loopback else loopback
    return LinuxFabric(paths.cloud_id.read_text().strip(), paths, f"http://{address}:{config.api.port}",
                       paths.agent_secret.read_bytes().strip(), config.host.tunnel_ip)
