"""One of everything that identity's extensions name in paths."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

Post = Callable[[str, Any], Any]  # path below /v3, body -> the answer, made as an administrator
_numbers = itertools.count(1)


def extensions(post: Post, service_id: str, project_id: str) -> dict[str, str]:
    """Ids by the names that paths have for them. A registered limit, a limit of a project, an endpoint group, a consumer."""
    name = f"made-{next(_numbers)}"
    made = {"service_id": service_id, "resource_name": name}
    registered = post("/registered_limits", {"registered_limits": [{**made, "default_limit": 1}]})["registered_limits"][0]
    limit = post("/limits", {"limits": [{**made, "resource_limit": 2, "project_id": project_id}]})["limits"][0]
    group = post("/OS-EP-FILTER/endpoint_groups", {"endpoint_group": {"name": name, "filters": {"interface": "public"}}})
    consumer = post("/OS-OAUTH1/consumers", {"consumer": {"description": name}})["consumer"]
    return {"registered_limit_id": registered["id"], "limit_id": limit["id"], "consumer_id": consumer["id"],
            "endpoint_group_id": group["endpoint_group"]["id"], "config_group": "ldap", "option": "url",
            "request_token_id": "0" * 32, "access_token_id": "0" * 32}  # only a signed request makes these


def trust(post: Post, trustor_id: str, trustee_id: str, project_id: str) -> str:
    """`post` as the trustor, who is a member of the project."""
    return str(post("/OS-TRUST/trusts", {"trust": {
        "trustor_user_id": trustor_id, "trustee_user_id": trustee_id, "project_id": project_id, "impersonation": False,
        "roles": [{"name": "member"}]}})["trust"]["id"])
