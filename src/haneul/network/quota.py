"""How the network room's resources are counted."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from haneul.kernel import quota
from haneul.kernel.database import Transaction
from haneul.network.errors import OverQuota
from haneul.network.model import (
    FloatingIpRow,
    NetworkRow,
    PortRow,
    RbacRow,
    RouterRow,
    SecurityGroupRow,
    SecurityRuleRow,
    SubnetPoolRow,
    SubnetRow,
)
from haneul.network.model_qos import TrunkRow

RESOURCES = {
    "network": NetworkRow,
    "subnet": SubnetRow,
    "port": PortRow,
    "router": RouterRow,
    "floatingip": FloatingIpRow,
    "security_group": SecurityGroupRow,
    "security_group_rule": SecurityRuleRow,
    "subnetpool": SubnetPoolRow,
    "rbac_policy": RbacRow,
    "trunk": TrunkRow,
}


def _counter(model: type) -> quota.Count:
    query = select(func.count()).select_from(model).where(model.project_id == bindparam("project"))  # type: ignore[attr-defined]

    def count(tx: Transaction, project_id: str) -> int:
        return tx.execute(query, {"project": project_id}).scalar_one()

    return count


for _resource, _model in RESOURCES.items():
    quota.counted("network", _resource)(_counter(_model))


def check(tx: Transaction, project_id: str, **wanted: int) -> None:
    """Raises Neutron's OverQuota (409) unless the project may have so many more."""
    if project_id:
        quota.check(tx, "network", project_id, wanted, lambda names, details: OverQuota(names, details))
