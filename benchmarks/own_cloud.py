"""A cloud of a benchmark's own: the control plane in this process, an agent with fake hosts beside it, a scratch directory."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])  # for the agent

from running import RunningCloud  # noqa: E402 - needs the path

UNLIMITED = {name: -1 for name in ("instances", "cores", "ram", "network", "subnet", "port")}


@contextlib.contextmanager
def own_cloud(**sections: dict[str, Any]) -> Iterator[RunningCloud]:
    """`sections` are configuration over the defaults; quotas are off."""
    with tempfile.TemporaryDirectory(prefix="haneul-bench-") as folder:
        cloud = RunningCloud(Path(folder), {"quota": UNLIMITED, **sections}).start()
        try:
            yield cloud
        finally:
            cloud.stop()


class Client:
    """Plain calls to a cloud's services as admin; an answer that is no success ends the benchmark."""

    def __init__(self, cloud: RunningCloud, microversion: str = "2.79") -> None:
        self.cloud = cloud
        self.http = cloud.http("admin")
        self.token = self.http.headers["X-Auth-Token"]
        self.http.headers["OpenStack-API-Version"] = f"compute {microversion}"
        self.compute, self.network, self.image = "/compute/v2.1", "/network/v2.0", "/image/v2"

    def call(self, method: str, path: str, **options: Any) -> Any:
        answer = self.http.request(method, path, **options)
        if answer.status_code >= 400:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json() if answer.content and "json" in answer.headers.get("content-type", "") else answer

    def flavor(self) -> str:
        wanted = {"name": "bench", "vcpus": 1, "ram": 64, "disk": 1}
        return str(self.call("POST", f"{self.compute}/flavors", json={"flavor": wanted})["flavor"]["id"])

    def make_image(self, size: int = 1 << 20) -> str:
        made = self.call("POST", f"{self.image}/images", json={
            "name": "bench", "disk_format": "raw", "container_format": "bare"})
        self.call("PUT", f"{self.image}/images/{made['id']}/file", content=os.urandom(size),
                  headers={"Content-Type": "application/octet-stream"})
        return str(made["id"])

    def make_network(self, cidr: str = "10.77.0.0/16") -> str:
        made = self.call("POST", f"{self.network}/networks", json={"network": {"name": "bench"}})["network"]
        self.call("POST", f"{self.network}/subnets", json={
            "subnet": {"network_id": made["id"], "ip_version": 4, "cidr": cidr}})
        return str(made["id"])

    def timed(self, times: int, method: str, path: str, **options: Any) -> list[float]:
        """Milliseconds of each of so many calls, sorted."""
        found = []
        for _ in range(times):
            started = time.perf_counter()
            self.call(method, path, **options)
            found.append((time.perf_counter() - started) * 1e3)
        return sorted(found)
