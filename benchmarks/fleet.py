#!/usr/bin/env python3
"""A large fleet in one process tree: `benchmarks/fleet.py [--hosts 1000] [--servers 10000]`.

One agent plays the hosts, the production control plane runs in this process, and the servers are booted through the API, a
hundred a request. Printed: how long hosts took to enrol and servers to be ACTIVE, the scheduler's decision, pages of lists, one
server, what an idle fleet costs, and memory (this process carries the benchmark's client too).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

from own_cloud import Client, own_cloud  # first: it sets the path
import scheduler  # noqa: I001
from running import RunningCloud

BATCH = 100


def pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def memory(cloud: RunningCloud) -> dict[str, float]:
    assert cloud._agent is not None
    return {"control_mib": pss(os.getpid()), "agent_mib": pss(cloud._agent.pid)}


def wait_for_hosts(client: Client, count: int, seconds: float = 900.0) -> None:
    end = time.monotonic() + seconds
    while True:
        found = client.call("GET", f"{client.compute}/os-services?binary=nova-compute")["services"]
        if sum(service["state"] == "up" for service in found) >= count:
            return
        if time.monotonic() > end:
            raise SystemExit(f"only {len(found)} of {count} hosts enrolled")
        time.sleep(0.5)


def boot(client: Client, count: int) -> None:
    """Servers without a network; fifty requests are never under way at once, so that the queue stays a queue."""
    flavor, image = client.flavor(), client.make_image()
    for first in range(0, count, BATCH):
        several = min(BATCH, count - first)
        body = {"name": f"fleet-{first}", "flavorRef": flavor, "imageRef": image, "networks": "none", "min_count": several,
                "max_count": several}
        client.call("POST", f"{client.compute}/servers", json={"server": body})
    while client.call("GET", f"{client.compute}/servers?status=BUILD&limit=1")["servers"]:
        time.sleep(0.5)


def check(client: Client, count: int) -> Counter[str]:
    """Every server is ACTIVE on a host, and how many each host has."""
    hosts: Counter[str] = Counter()
    marker = ""
    while True:
        page = client.call("GET", f"{client.compute}/servers/detail?limit=1000{marker}")["servers"]
        if not page:
            break
        for server in page:
            assert server["status"] == "ACTIVE", server
            hosts[server["OS-EXT-SRV-ATTR:host"]] += 1
        marker = f"&marker={page[-1]['id']}"
    assert hosts.total() == count, hosts.total()
    return hosts


def pages(client: Client, count: int) -> dict[str, float]:
    """Median milliseconds, the client's part included."""
    ids = client.call("GET", f"{client.compute}/servers?limit={min(1000, count)}")["servers"]
    middle = ids[len(ids) // 2]["id"]

    def median(times: int, path: str) -> float:
        return statistics.median(client.timed(times, "GET", client.compute + path))

    return {"list 100": median(20, "/servers?limit=100"), "list 1000": median(5, "/servers?limit=1000"),
            "detail 100": median(20, "/servers/detail?limit=100"), "detail 1000": median(5, "/servers/detail?limit=1000"),
            "detail 100, a later page": median(20, f"/servers/detail?limit=100&marker={middle}"),
            "show": median(50, f"/servers/{middle}"), "hypervisors 100": median(10, "/os-hypervisors/detail?limit=100")}


def idle(cloud: RunningCloud, seconds: float) -> float:
    """The part of a core that the control plane takes with nothing to do."""
    before, started = time.process_time(), time.perf_counter()
    time.sleep(seconds)
    return (time.process_time() - before) / (time.perf_counter() - started)


def run(cloud: RunningCloud, hosts: int, servers: int, idle_seconds: float = 20.0) -> dict[str, Any]:
    client = Client(cloud)
    found: dict[str, Any] = {"hosts": hosts, "servers": servers}
    started = time.perf_counter()
    wait_for_hosts(client, hosts)
    found["enrolled_s"] = time.perf_counter() - started
    found["memory_empty"] = memory(cloud)
    started = time.perf_counter()
    boot(client, servers)
    found["booted_s"] = time.perf_counter() - started
    per_host = check(client, servers)
    found["servers_a_host"] = (min(per_host.values()), max(per_host.values()))
    decisions = sorted(scheduler.measure(cloud.cloud, 100))
    found["decision_ms"] = {"p50": statistics.median(decisions), "p99": decisions[98]}
    found["pages_ms"] = pages(client, servers)
    found["idle_core"] = idle(cloud, idle_seconds)
    found["memory_full"] = memory(cloud)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--servers", type=int, default=10000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with own_cloud(log={"level": "error", "format": "text"}, host={
            "fake_hosts": options.hosts, "heartbeat_seconds": 5.0, "name": "host"}) as cloud:
        found = run(cloud, options.hosts, options.servers)
    for name, value in found.items():
        print(f"{name:16} {json.dumps(value) if not isinstance(value, float) else round(value, 2)}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
