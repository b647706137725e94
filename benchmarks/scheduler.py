"""How long one placement decision takes: hosts and servers are written as rows, then servers are claimed and released.

    python benchmarks/scheduler.py [--hosts 1000] [--servers 10000] [--decisions 200] [--database URL]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import func, insert, select

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from haneul.fleet.model import HostRow
from haneul.host.contract import HostFacts
from haneul.kernel import clock, ids
from haneul.kernel.cloud import Cloud
from haneul.kernel.config import Config, Paths
from haneul.kernel.database import Base, Database
from haneul.placement import allocations, hosts
from haneul.placement.model import Allocation, Consumer, Inventory, Provider
from haneul.placement.scheduler import Ask, NoValidHost, claim

SERVER = {"VCPU": 2, "MEMORY_MB": 4096, "DISK_GB": 20}


def fill(cloud: Cloud, host_count: int, server_count: int) -> None:
    now = clock.now()
    with cloud.database.write() as tx:
        for number in range(host_count):
            facts = HostFacts(name=f"host-{number}", hypervisor="fake", virt="fake", hypervisor_version=1,
                              architecture="x86_64", cpu_model="fake", cpu_features=["avx2", "aes"], cpus=64,
                              memory_mib=262144, disk_gib=4000, fabric="fake")
            row = HostRow(name=facts.name, id=ids.new(), endpoint="unix:/nowhere", facts={"name": facts.name, "fill": "x" * 600},
                          state="up", heartbeat=0.0, number=number, created_at=now, updated_at=now)
            tx.add(row)
            tx.flush()
            hosts.enrolled(tx, row, facts)
    with cloud.database.write() as tx:
        providers = list(tx.execute(select(Provider.id)).scalars())
        taken = {provider: 0 for provider in providers}
        consumers, rows = [], []
        for _ in range(server_count):
            consumer, provider = ids.new(), random.choice(providers)
            consumers.append({"id": consumer, "project_id": "p", "user_id": "u", "generation": 1, "by_cloud": True,
                              "consumer_type": "INSTANCE", "created_at": now, "updated_at": now})
            rows += [{"consumer_id": consumer, "provider_id": provider, "resource_class": name, "used": amount}
                     for name, amount in SERVER.items()]
            taken[provider] += 1
        if consumers:
            tx.execute(insert(Consumer), consumers)
            tx.execute(insert(Allocation), rows)
    allocations.recount(cloud)


def measure(cloud: Cloud, decisions: int, **more: object) -> list[float]:
    """Milliseconds of each claim, commit included; every server is released afterwards."""
    times, consumers = [], []
    for _ in range(decisions):
        ask = Ask(consumer_id=ids.new(), project_id="p", user_id="u", resources=dict(SERVER), **more)  # type: ignore[arg-type]
        consumers.append(ask.consumer_id)
        started = time.perf_counter()
        try:
            with cloud.database.write() as tx:
                claim(tx, ask)
        except NoValidHost:
            pass
        times.append((time.perf_counter() - started) * 1e3)
    with cloud.database.write() as tx:
        for consumer in consumers:
            allocations.release(tx, consumer)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--servers", type=int, default=10000)
    parser.add_argument("--decisions", type=int, default=200)
    parser.add_argument("--database", default="", help="URL of an empty database; SQLite in a scratch directory without")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cloud = Cloud(Config(), Paths(Path(folder)))
        cloud.database = Database(options.database or f"sqlite:///{folder}/haneul.db")
        cloud.database.cloud = cloud
        Base.metadata.create_all(cloud.database.engine)
        fill(cloud, options.hosts, options.servers)
        with cloud.database.read() as tx:
            held = tx.execute(select(func.count()).select_from(Allocation)).scalar_one()
            rooms = tx.execute(select(func.count()).select_from(Inventory)).scalar_one()
        print(f"{options.hosts} hosts, {rooms} inventories, {held} allocations; {options.decisions} decisions")
        half = frozenset(f"host-{number}" for number in range(0, options.hosts, 2))
        shapes: dict[str, dict[str, object]] = {
            "plain": {}, "trait": {"required_traits": frozenset({"HW_CPU_X86_AVX2"})}, "zone": {"availability_zone": "nova"},
            "avoid 500": {"avoid": {name: "group" for name in half}},
            "no host": {"required_traits": frozenset({"HW_CPU_X86_SGX"})}}
        measure(cloud, 5)
        for name, more in shapes.items():
            times = sorted(measure(cloud, options.decisions, **more))
            print(f"{name:12} median {statistics.median(times):6.2f} ms   p99 {times[int(0.99 * (len(times) - 1))]:6.2f} ms")
        cloud.database.close()


if __name__ == "__main__":
    main()
