"""OS-ENDPOINT-POLICY: which stored policy endpoints, services, and services in regions have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from haneul.identity import endpoint_policies as rules
from haneul.identity.api import targets
from haneul.identity.api.credentials import policy_view
from haneul.identity.api.directory import endpoint_view
from haneul.identity.api.views import collection
from haneul.identity.lookup import require
from haneul.identity.model import CatalogService, Endpoint, PolicyAssociation, Region, StoredPolicy
from haneul.kernel.errors import NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
POLICY = "/policies/{policy_id}/OS-ENDPOINT-POLICY"


def _policy(call: Call) -> StoredPolicy:
    return targets.found(call, StoredPolicy, call.values["policy_id"])


def _key(call: Call) -> tuple[str, str, str]:
    """Endpoint, service and region that a path names, each of which must be there."""
    kinds = (("endpoint_id", Endpoint), ("service_id", CatalogService), ("region_id", Region))
    for name, kind in kinds:
        if name in call.values:
            require(call.tx, kind, call.values[name])
    return tuple(call.values.get(name, "") for name, _ in kinds)  # type: ignore[return-value]


def _found(call: Call, policy: StoredPolicy) -> PolicyAssociation:
    row = call.tx.get(PolicyAssociation, _key(call))
    if row is None or row.policy_id != policy.id:
        raise NotFound("Could not find policy association.")
    return row


def _put(call: Call, policy: StoredPolicy) -> None:
    """A place has one policy: the last one."""
    key = _key(call)
    row = call.tx.get(PolicyAssociation, key)
    if row is not None:
        row.policy_id = policy.id
    else:
        call.tx.add(PolicyAssociation(endpoint_id=key[0], service_id=key[1], region_id=key[2], policy_id=policy.id))


def _check(call: Call, policy: StoredPolicy) -> None:
    _found(call, policy)


def _remove(call: Call, policy: StoredPolicy) -> None:
    call.tx.delete(_found(call, policy))


for _path, _word in (("/endpoints/{endpoint_id}", "endpoint"), ("/services/{service_id}", "service"),
                     ("/services/{service_id}/regions/{region_id}", "region_and_service")):
    routes.put(POLICY + _path, f"identity:create_policy_association_for_{_word}", target=_policy, status=204)(_put)
    routes.get(POLICY + _path, f"identity:check_policy_association_for_{_word}", target=_policy, status=204)(_check)
    routes.delete(POLICY + _path, f"identity:delete_policy_association_for_{_word}", target=_policy)(_remove)


@routes.get("/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy", "identity:get_policy_for_endpoint",
            target=lambda call: targets.found(call, Endpoint, call.values["endpoint_id"]))
def of_endpoint(call: Call, endpoint: Endpoint) -> dict[str, Any]:
    policy_id = rules.of(call.tx, endpoint, rules.known(call.tx))
    if policy_id is None:
        raise NotFound(f"No policy is associated with endpoint {endpoint.id}.")
    return {"policy": policy_view(call, require(call.tx, StoredPolicy, policy_id))}


@routes.get(POLICY + "/endpoints", "identity:list_endpoints_for_policy", target=_policy)
def endpoints(call: Call, policy: StoredPolicy) -> dict[str, Any]:
    known = rules.known(call.tx)
    rows = call.tx.execute(select(Endpoint).order_by(Endpoint.id)).scalars()
    return collection(call, "endpoints", [endpoint_view(call, row) for row in rows if rules.of(call.tx, row, known) == policy.id])
