"""From a volume to the agent that serves its back end."""

from __future__ import annotations

import socket
import uuid
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, select

from haneul.fleet.agents import Agent, Agents
from haneul.host.storage import Volumes
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Fault
from haneul.volume.model import PoolRow

_pools: Any = PoolRow.__table__
_HOST = select(_pools.c.host).where(_pools.c.name == bindparam("name"))


def agent_host(cloud: Cloud, backend: str) -> str:
    """The host whose agent serves a back end: this machine's, of the many that a fake agent plays the first."""
    host = cloud.config.host
    name = host.name or socket.gethostname()
    own = f"{name}-0001" if host.hypervisor == "fake" and host.fake_hosts > 1 else name
    return str(cloud.config.volume.backends[backend].get("host") or own)


def backend_of(pool: str) -> str:
    """Of host@backend#pool."""
    return pool.partition("@")[2].partition("#")[0]


def agent(cloud: Cloud, pool: str | None) -> Agent:
    """The agent behind host@backend#pool; Fault when the pool is known no more."""
    if pool is None:
        raise Fault("The volume is on no back end.")
    with cloud.database.read() as tx:
        host = tx.core(_HOST, name=pool).scalar()
    if host is None:
        raise Fault(f"Back end {backend_of(pool)} is not configured any more.")
    return cloud.get(Agents).of(host)


def of(cloud: Cloud, pool: str | None) -> Volumes:
    """The store itself."""
    return agent(cloud, pool).volumes(backend_of(pool or ""))


@lru_cache(maxsize=64)
def service_uuid(pool: str | None) -> str | None:
    """Of the service behind a pool: the same wherever it is asked for, as host@backend is its only identity."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "cinder-volume:" + pool.partition("#")[0])) if pool else None


def known(tx: Transaction, pool: str) -> bool:
    return tx.get(PoolRow, pool) is not None
