"""`volume.pools`: what every configured back end says of itself, kept for the scheduler and for whoever asks for pools.

A back end that does not answer, or that the configuration names no more, keeps its row and says why in `facts["problem"]`:
its volumes are still there.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from sqlalchemy import func, select

from haneul.fleet.agents import Agents, Unreachable
from haneul.fleet.hosts import Listeners
from haneul.host.contract import HostError
from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.reconcilers import reconciler
from haneul.kernel.tasks import Again
from haneul.volume import stores
from haneul.volume.model import PoolRow, VolumeRow

log = structlog.get_logger("pools")
EVERY_SECONDS = 10.0
DEAD_SECONDS = 60.0
DEFAULT_ZONE = "nova"


def listen(cloud: Cloud) -> None:
    """A host that enrols may serve back ends: they are asked at once."""
    def enrolled(tx: Any, row: Any, facts: Any) -> None:
        tx.after_commit(lambda: cloud.reconcilers.signal("volume.pools"))

    cloud.get(Listeners).enrolled.append(enrolled)


def name_of(cloud: Cloud, backend: str) -> str:
    """host@backend#pool."""
    settings = cloud.config.volume.backends[backend]
    return f"{stores.agent_host(cloud, backend)}@{backend}#{settings.get('volume_backend_name') or backend}"


def is_alive(row: Any, now: float) -> bool:
    """Of anything with `facts` and `at`."""
    return not row.facts.get("problem") and now - row.at < DEAD_SECONDS


def zones(cloud: Cloud) -> set[str]:
    """Every availability zone that a back end is in; the default one always is."""
    return {DEFAULT_ZONE} | {str(settings.get("availability_zone") or DEFAULT_ZONE)
                             for settings in cloud.config.volume.backends.values()}


@reconciler("volume.pools", every=EVERY_SECONDS)
def look(cloud: Cloud) -> int:
    """Asks; how many back ends came, went or changed their mind."""
    backends = {name_of(cloud, backend): backend for backend in cloud.config.volume.backends}
    told = {name: _facts(cloud, backend) for name, backend in backends.items()}
    now, changed = clock.seconds(), 0
    with cloud.database.write() as tx:
        sums = select(VolumeRow.host, func.sum(VolumeRow.size)).group_by(VolumeRow.host)
        allocated = {host: size for host, size in tx.execute(sums)}
        known = {row.name: row for row in tx.execute(select(PoolRow)).scalars()}
        for name, facts in told.items():
            facts["allocated_gib"] = int(allocated.get(name) or 0)
            row = known.get(name)
            if row is None:
                row = PoolRow(name=name, host=stores.agent_host(cloud, backends[name]), backend=backends[name], facts={}, at=0.0)
                tx.add(row)
            changed += int(row.facts.get("problem") != facts.get("problem", ""))
            row.facts = {**row.facts, **facts}
            row.at = row.at if facts["problem"] else now
        for name, row in known.items():
            if name not in told and row.facts.get("problem") != "not configured":
                row.facts, changed = {**row.facts, "problem": "not configured"}, changed + 1
    return changed


def _facts(cloud: Cloud, backend: str) -> dict[str, Any]:
    settings = cloud.config.volume.backends[backend]
    always = {"volume_backend_name": str(settings.get("volume_backend_name") or backend),
              "availability_zone": str(settings.get("availability_zone") or DEFAULT_ZONE)}
    try:
        state = cloud.get(Agents).of(stores.agent_host(cloud, backend)).volumes(backend).state()
    except (Unreachable, Again, HostError) as error:
        log.info("back end silent", backend=backend, error=str(error))
        return always | {"problem": str(error) or type(error).__name__}
    return always | msgspec.to_builtins(state)
