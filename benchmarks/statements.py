#!/usr/bin/env python3
"""SQL statements a call, counted by the engine of a cloud in this process: `benchmarks/statements.py [--json FILE]`.

A figure is the smallest of several runs: what reconcilers and polls happen to do meanwhile is not the call's. BEGIN and
COMMIT are not counted. A boot counts from its request until its last task has ended.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from own_cloud import Client, own_cloud

from running import ADMIN_PASSWORD, RunningCloud


class Counter:
    def __init__(self, cloud: RunningCloud) -> None:
        self._database, self._runner = cloud.cloud.database, cloud.cloud.runner

    def of(self, act: Callable[[], object], runs: int = 7) -> int:
        act()  # what is made on first use is not the call's
        return min(self._once(act) for _ in range(runs))

    def _once(self, act: Callable[[], object]) -> int:
        self._rest()
        before = self._database.statements
        act()
        self._rest()
        return self._database.statements - before

    def _rest(self) -> None:
        """No task is at work. Asked of the runner, which costs no statement."""
        while not self._runner.idle():
            time.sleep(0.001)

    def idle_per_second(self, seconds: float = 10.0) -> float:
        self._rest()
        before = self._database.statements
        time.sleep(seconds)
        return (self._database.statements - before) / seconds


def log_in() -> dict[str, object]:
    domain = {"id": "default"}
    return {"auth": {"identity": {"methods": ["password"], "password": {
        "user": {"name": "admin", "domain": domain, "password": ADMIN_PASSWORD}}},
        "scope": {"project": {"name": "admin", "domain": domain}}}}


def count(cloud: RunningCloud) -> dict[str, float]:
    client, counter = Client(cloud), Counter(cloud)
    compute, network, image = client.compute, client.network, client.image
    tokens, subject = "/identity/v3/auth/tokens", {"X-Subject-Token": client.token}
    flavor, picture, net = client.flavor(), client.make_image(), client.make_network()
    numbers = iter(range(10_000))

    def boot(networks: object) -> str:
        body = {"name": f"s{next(numbers)}", "flavorRef": flavor, "imageRef": picture, "networks": networks}
        return str(client.call("POST", f"{compute}/servers", json={"server": body})["server"]["id"])

    found: dict[str, float] = {
        "token issue": counter.of(lambda: client.call("POST", tokens, json=log_in())),
        "token validate": counter.of(lambda: client.call("GET", tokens, headers=subject)),
        "image list": counter.of(lambda: client.call("GET", f"{image}/images")),
        "network and subnet create": counter.of(client.make_network),
        "port create": counter.of(lambda: client.call("POST", f"{network}/ports", json={"port": {"network_id": net}})),
        "port list (20)": counter.of(lambda: client.call("GET", f"{network}/ports?limit=20")),
        "boot, no network": counter.of(lambda: boot("none")),
        "boot with a port": counter.of(lambda: boot([{"uuid": net}]))}
    server = boot([{"uuid": net}])
    cloud.settle()
    found["server show"] = counter.of(lambda: client.call("GET", f"{compute}/servers/{server}"))
    found["servers detail (10)"] = counter.of(lambda: client.call("GET", f"{compute}/servers/detail?limit=10"))
    found["idle, per second"] = round(counter.idle_per_second(), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with own_cloud() as cloud:
        found = count(cloud)
    for name, number in found.items():
        print(f"{name:28} {number:g}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
