"""Networks as software: Neutron's API, and what hosts have to make of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect, select

from haneul.fleet.hosts import Listeners
from haneul.fleet.model import HostRow
from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.room import Room
from haneul.network import policy, reconcile
from haneul.network.api import service
from haneul.network.model import DefaultRuleRow
from haneul.network.security_groups import PARENT


def prepare(cloud: Cloud) -> None:
    """Neutron's templates of default rules, and the comparison of a host that enrols or comes back."""
    with cloud.database.write() as tx:
        if tx.execute(select(DefaultRuleRow.id).limit(1)).first() is None:
            for ethertype in ("IPv4", "IPv6"):
                tx.add(
                    DefaultRuleRow(
                        direction="egress",
                        ethertype=ethertype,
                        used_in_default_sg=True,
                        used_in_non_default_sg=True,
                        description="Legacy default SG rule for egress traffic",
                    )
                )
                tx.add(
                    DefaultRuleRow(
                        direction="ingress",
                        ethertype=ethertype,
                        remote_group_id=PARENT,
                        used_in_default_sg=True,
                        used_in_non_default_sg=False,
                        description="Legacy default SG rule for ingress traffic",
                    )
                )
    cloud.get(Listeners).enrolled.append(_enrolled)


def _enrolled(tx: Transaction, row: HostRow, facts: Any) -> None:
    """Facts change at every heartbeat; only a host that is new or was away is worth a look."""
    new = (clock.now() - row.created_at).total_seconds() < 10
    if not new and not inspect(row).attrs.state.history.has_changes():
        return
    cloud = tx.cloud
    tx.after_commit(lambda: cloud.reconcilers.signal(reconcile.NAME))


room = Room(name="network", services=[service], rules=policy.RULES, prepare=prepare)
