"""The reconciler `network.fabric`: what hosts have, against what the database says they should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import delete, select

from haneul.fleet.agents import Agents, Unreachable
from haneul.fleet.model import HostRow
from haneul.host.contract import FabricIds, FabricInventory, HostError
from haneul.kernel import clock, leaks
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.reconcilers import reconciler
from haneul.kernel.tasks import Again
from haneul.network import changes, routers, wiring
from haneul.network.model import ChangeRow, PortRow, RouterRow
from haneul.network.tasks import wire

log = structlog.get_logger("network")
NAME = "network.fabric"
EVERY = 20.0
PER_ROUND = 64
KINDS = ("networks", "security_groups", "ports", "routers")


@reconciler(NAME, every=EVERY)
def mend(cloud: Cloud) -> int:
    """Moves routers from hosts that are down, then mends each host that is up. A host that does not answer keeps for the
    next round."""
    mended = move_routers(cloud)
    with cloud.database.read() as tx:
        hosts = list(tx.execute(select(HostRow.name).where(HostRow.state == "up").order_by(HostRow.number)).scalars())
    for host in _due(hosts):
        try:
            mended += mend_host(cloud, host)
        except (Unreachable, Again, HostError) as error:
            log.warning("fabric not compared", host=host, error=str(error))
    return mended


def _due(hosts: list[str]) -> list[str]:
    """All of them, but in a large fleet a part a round, so that comparing never fills the rounds."""
    if len(hosts) <= PER_ROUND:
        return hosts
    first = int(clock.seconds() // EVERY) * PER_ROUND % len(hosts)
    return (hosts + hosts)[first : first + PER_ROUND]


def mend_host(cloud: Cloud, host: str) -> int:
    """Missing and unhealthy things are applied, things that should not be are removed, strays too. How many those were."""
    fabric = cloud.get(Agents).of(host).fabric
    with wiring.turn(cloud, host):
        has = fabric.inventory()
        with cloud.database.read() as tx:
            wanted = wiring.wanted(tx, host)
            overdue = (
                tx.execute(
                    select(ChangeRow.seq, ChangeRow.kind, ChangeRow.object_id).where(ChangeRow.host == host)
                ).all()
                if not _task_waits(tx, host)
                else []
            )
            lacking = _lacking(wanted, has, overdue)
            state = wiring.of(tx, host, lacking)[0]
        gone = _gone(wanted, has)
        with cloud.database.read() as tx:  # who waits for the turn has not acted on these yet
            told = set(tx.execute(select(ChangeRow.object_id).where(ChangeRow.host == host)).scalars())
        if lacking != FabricIds() or gone != FabricIds():
            wire.act(cloud, host, state, gone)
        if lacking != FabricIds() or overdue:
            with cloud.database.write() as tx:
                wire.applied(tx, host, state)
                tx.execute(delete(ChangeRow).where(ChangeRow.seq.in_([seq for seq, _, _ in overdue])))
        strays = fabric.remove_strays() if has.strays else []
    _note(cloud, host, strays, [id for id in (*gone.ports, *gone.routers) if id not in told])
    return sum(len(getattr(ids, kind)) for ids in (lacking, gone) for kind in KINDS) + len(strays)


def _note(cloud: Cloud, host: str, strays: list[str], gone: list[str]) -> None:
    """For the operator. Networks and groups without ports on a host are no leaks: the last port has just left."""
    for name in strays:
        leaks.note(cloud, "fabric", host, name, "a link, namespace or rule set of this cloud that no object needs")
    for id in gone:
        leaks.note(cloud, "fabric", host, id, "a port or router that is not this host's")


def _task_waits(tx: Transaction, host: str) -> bool:
    from haneul.kernel.tasks import TaskRow
    from haneul.kernel.tasks.model import ACTIVE

    return (
        tx.execute(
            select(TaskRow.seq).where(TaskRow.resource == f"fabric:{host}", TaskRow.state.in_(ACTIVE)).limit(1)
        ).first()
        is not None
    )


def _lacking(wanted: FabricIds, has: FabricInventory, overdue: Sequence[Any]) -> FabricIds:
    changed = {(kind, id) for _, kind, id in overdue}
    return FabricIds(
        **{
            kind: [
                id
                for id in getattr(wanted, kind)
                if id not in getattr(has, kind) or id in has.unhealthy or (kind, id) in changed
            ]
            for kind in KINDS
        }
    )


def _gone(wanted: FabricIds, has: FabricInventory) -> FabricIds:
    return FabricIds(**{kind: [id for id in getattr(has, kind) if id not in getattr(wanted, kind)] for kind in KINDS})


def move_routers(cloud: Cloud) -> int:
    """Routers that route something and have no host, or one that is down, get another; floating IPs follow."""
    with cloud.database.read() as tx:
        up = set(tx.execute(select(HostRow.name).where(HostRow.state == "up", ~HostRow.forced_down)).scalars())
        serving = select(PortRow.device_id).where(PortRow.device_owner.startswith("network:router"))
        lost = [
            id
            for id, host in tx.execute(select(RouterRow.id, RouterRow.host).where(RouterRow.id.in_(serving)))
            if host not in up and host != ""  # taken off by hand: until it is put on another, or changes
        ]
    if not lost or not up:
        return 0
    with cloud.database.write() as tx:
        for row in tx.execute(select(RouterRow).where(RouterRow.id.in_(lost))).scalars().all():
            before, row.host = row.host, routers.choose(tx)
            row.updated_at = clock.now()
            tx.flush()
            log.warning("router moved", router=row.id, before=before, now=row.host)
            changes.of_routers(tx, [row.id])
            changes.of_networks(
                tx, tx.execute(select(PortRow.network_id).where(PortRow.device_id == row.id)).scalars().all()
            )
    return len(lost)
