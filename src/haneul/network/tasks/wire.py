"""`network.wire`: a host makes what changed so, and the database learns what is really there."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from msgspec import Struct
from sqlalchemy import delete, select, update

from haneul.fleet.agents import Agents
from haneul.fleet.model import HostRow
from haneul.host.contract import FabricIds, FabricState
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Fault, Task, TaskRow, Work
from haneul.kernel.tasks.model import ACTIVE
from haneul.network import carrying, wiring
from haneul.network.model import ChangeRow, FloatingIpRow, PortRow, RouterRow


class Host(Struct):
    host: str


wire: Task[Host] = Task("network.wire", Host, deadline=600)


def submit(tx: Transaction, host: str) -> None:
    """A task for the host's change rows, unless one is waiting: it will find the rows of this transaction too."""
    resource = f"fabric:{host}"
    if (
        tx.execute(select(TaskRow.seq).where(TaskRow.resource == resource, TaskRow.state.in_(ACTIVE)).limit(1)).first()
        is None
    ):
        wire.submit(tx, Host(host), resource=resource)


@wire.step(deadline=300)
def apply(work: Work[Host]) -> None:
    """Takes every row there is now. Those of a host that is down are kept, once each, for its return, which is the
    reconciler's."""
    host = work.arguments.host
    with wiring.turn(work.cloud, host):
        with work.cloud.database.read() as tx:
            known = tx.execute(select(HostRow.state).where(HostRow.name == host)).scalar()
            rows = tx.execute(
                select(ChangeRow.seq, ChangeRow.kind, ChangeRow.object_id).where(ChangeRow.host == host)
            ).all()
            state, gone = wiring.of(tx, host, _ids(rows)) if rows and known == "up" else (FabricState(), FabricIds())
        if known == "up" and rows:
            act(work.cloud, host, state, gone)
    with work.commit() as tx:
        tx.lock("fabric", host)
        waiting = {(kind, id): seq for seq, kind, id in rows} if known not in ("up", None) else {}
        done = {seq for seq, _, _ in rows} - set(waiting.values())
        tx.execute(delete(ChangeRow).where(ChangeRow.seq.in_(done)))
        applied(tx, host, state)
        last = max((seq for seq, _, _ in rows), default=0)
        if tx.execute(select(ChangeRow.seq).where(ChangeRow.host == host, ChangeRow.seq > last).limit(1)).first():
            wire.submit(tx, Host(host), resource=f"fabric:{host}")
        work.result = {"changes": len(rows), "ports": len(state.ports), "routers": len(state.routers), "host": known}


@wire.failed
def failed(work: Work[Host], tx: Transaction, fault: Fault) -> None:
    """The rows stay until the reconciler has compared the whole host; new changes try again before that."""


def act(cloud: Any, host: str, state: FabricState, gone: FabricIds) -> None:
    fabric = cloud.get(Agents).of(host).fabric
    if state != FabricState():
        fabric.apply(state)
    if gone != FabricIds():
        fabric.remove(gone)


def applied(tx: Transaction, host: str, state: FabricState) -> None:
    """What a host has applied is ACTIVE now, ports that are administratively down excepted. Ports in BUILD are left so:
    who starts the server plugs them in and says so."""
    routed = [
        interface.port_id
        for router in state.routers
        for interface in [*router.interfaces, *([router.gateway] if router.gateway else [])]
    ]
    dhcp = [network.dhcp_port_id for network in state.networks if network.dhcp_port_id]
    if routed or dhcp:
        activate(tx, [*routed, *dhcp])
    if state.ports:
        tx.execute(
            update(PortRow)
            .where(
                PortRow.id.in_([port.id for port in state.ports]),
                PortRow.admin_state_up,
                PortRow.status == "DOWN",
                PortRow.host == host,
            )
            .values(status="ACTIVE")
            .execution_options(synchronize_session=False)
        )
        carrying.plugged(tx, [port.id for port in state.ports])
    floating = [
        id
        for router in state.routers
        if router.admin_up and router.gateway
        for id in [*(entry.id for entry in router.floating_ips), *(entry.floating_id for entry in router.forwardings)]
    ]
    if floating:
        tx.execute(
            update(FloatingIpRow)
            .where(
                FloatingIpRow.id.in_(floating),
                FloatingIpRow.status != "ACTIVE",
                # What was taken off meanwhile, or its router off the host, stays DOWN
                FloatingIpRow.router_id.in_(select(RouterRow.id).where(RouterRow.host == host)),
            )
            .values(status="ACTIVE")
            .execution_options(synchronize_session=False)
        )


def activate(tx: Transaction, port_ids: list[str]) -> None:
    tx.execute(
        update(PortRow)
        .where(PortRow.id.in_(port_ids), PortRow.admin_state_up, PortRow.status != "ACTIVE")
        .values(status="ACTIVE")
        .execution_options(synchronize_session=False)
    )


def _ids(rows: Any) -> FabricIds:
    found: dict[str, list[str]] = defaultdict(list)
    for _, kind, id in rows:
        if id not in found[kind]:
            found[kind].append(id)
    return FabricIds(**found)
