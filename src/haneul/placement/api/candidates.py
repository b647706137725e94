"""Allocation candidates on the wire."""

from __future__ import annotations

from typing import Any

from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.placement import candidates
from haneul.placement.api.answers import reply
from haneul.placement.candidates import Candidate, Node, Request
from haneul.placement.errors import BadQuery
from haneul.placement.query import Group, add_required, groups_of

routes = Routes()


def _request(call: Call) -> Request:
    groups = groups_of(call)
    if not any(group.resources for group in groups.values()):
        raise BadQuery("All request groups must specify resources." if groups else
                       "Invalid query string parameters: 'resources' is a required property")
    named = [suffix for suffix in groups if suffix]
    policy = call.argument("group_policy")
    if policy is not None and policy not in ("none", "isolate"):
        raise BadQuery("Invalid query string parameters: group_policy is 'none' or 'isolate'.")
    if len(named) > 1 and policy is None and call.version < (1, 36):
        raise BadQuery("The \"group_policy\" parameter is required when specifying more than one \"resources{N}\" parameter.")
    same = [set(text.split(",")) for text in call.arguments("same_subtree")] if call.version >= (1, 36) else []
    for suffix, group in groups.items():
        if not group.resources and not any(suffix in suffixes for suffixes in same):
            raise BadQuery(f"All request groups must specify resources. Missing in group '{suffix}'.")
    root = Group()
    if call.version >= (1, 35):
        for text in call.arguments("root_required"):
            add_required(call, root, text)
    return Request(groups=list(groups.values()), isolate=policy == "isolate", limit=_limit(call), same_subtree=same,
                   nested=call.version >= (1, 29), root_forbidden=root.forbidden,
                   root_required={name for choice in root.required for name in choice})


def _limit(call: Call) -> int | None:
    text = call.argument("limit") if call.version >= (1, 16) else None
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:10]):
        raise BadQuery(f"Invalid query string parameters: '{text[:32]}' does not match '^[1-9][0-9]*$'")
    return min(int(text[:10]), candidates.MOST)


@routes.get("/allocation_candidates", rule="placement:allocation_candidates:list", minimum=(1, 10))
def index(call: Call) -> Reply:
    request = _request(call)
    trees = candidates.load(call.tx)
    found = candidates.find(trees, request)
    asked = {name for group in request.groups for name in group.resources}
    uuids = {node.id: node.uuid for tree in trees.values() for node in tree}
    summaries: dict[str, Any] = {}
    for candidate in found:
        for node in trees[candidate.root_id]:
            if node.uuid not in summaries and (request.nested or node.uuid in candidate.resources):
                summaries[node.uuid] = _summary(call, node, asked, uuids)
    return reply(call, {"allocation_requests": [_shown(call, candidate) for candidate in found],
                        "provider_summaries": summaries})


def _shown(call: Call, candidate: Candidate) -> dict[str, Any]:
    if call.version < (1, 12):
        return {"allocations": [{"resource_provider": {"uuid": uuid}, "resources": resources}
                                for uuid, resources in candidate.resources.items()]}
    shown: dict[str, Any] = {"allocations": {uuid: {"resources": resources} for uuid, resources in candidate.resources.items()}}
    if call.version >= (1, 34):
        shown["mappings"] = candidate.mappings
    return shown


def _summary(call: Call, node: Node, asked: set[str], uuids: dict[int, str]) -> dict[str, Any]:
    shown: dict[str, Any] = {"resources": {
        name: {"capacity": int((row.total - row.reserved) * row.allocation_ratio), "used": row.used}
        for name, row in node.inventories.items() if call.version >= (1, 27) or name in asked}}
    if call.version >= (1, 17):
        shown["traits"] = sorted(node.traits)
    if call.version >= (1, 29):
        shown["parent_provider_uuid"] = uuids[node.parent_id] if node.parent_id is not None else None
        shown["root_provider_uuid"] = uuids[node.root_id]
    return shown
