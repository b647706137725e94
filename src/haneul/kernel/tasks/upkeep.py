"""What is done for the table of tasks itself: its gauges, and forgetting what ended long ago."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from haneul.kernel import clock
from haneul.kernel.reconcilers import reconciler
from haneul.kernel.tasks.model import ACTIVE, TaskRow
from haneul.kernel.telemetry import QUEUE_AGE, TASKS

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud

_T: Any = TaskRow.__table__
_COUNT = select(_T.c.state, func.count()).where(_T.c.state.in_(ACTIVE)).group_by(_T.c.state)
_OLDEST = select(func.min(_T.c.run_at)).where(_T.c.state.in_(ACTIVE))


@reconciler("tasks.upkeep", every=15.0)
def upkeep(cloud: Cloud) -> int:
    """Returns how many ended tasks were forgotten."""
    now = clock.seconds()
    with cloud.database.read() as tx:
        counts: dict[str, int] = {state: count for state, count in tx.core(_COUNT)}
        oldest = tx.core(_OLDEST).scalar()
        limit = now - cloud.config.tasks.keep_days * 86400
        old = tx.core(select(_T.c.seq).where(_T.c.finished < limit).limit(1)).first()
    for state in ACTIVE:
        TASKS.labels(state).set(counts.get(state, 0))
    QUEUE_AGE.set(max(0.0, now - oldest) if oldest is not None else 0.0)
    if old is None:
        return 0
    with cloud.database.write() as tx:
        return tx.core(delete(_T).where(_T.c.finished < limit)).rowcount
