"""/groups and their members."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import select

from haneul.identity import groups as rules
from haneul.identity.api import targets
from haneul.identity.api.bodies import entity
from haneul.identity.api.lists import filtered, page
from haneul.identity.api.views import link
from haneul.identity.model import Group, User
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
_FILTERS = {"name": Group.name, "domain_id": Group.domain_id, "id": Group.id}


def group_view(call: Call, group: Group) -> dict[str, Any]:
    return {**group.extra, "id": group.id, "name": group.name, "domain_id": group.domain_id, "description": group.description,
            "links": link(call, "groups", group.id)}


@routes.get("/groups", "identity:list_groups", target=targets.own_domain)
def index(call: Call, target: dict[str, Any]) -> dict[str, Any]:
    query = select(Group)
    if not targets.wide(call):
        query = query.where(Group.domain_id == call.context.domain_id)
    query = filtered(call, query, _FILTERS)
    return page(call, "groups", query, Group.id, lambda rows: [group_view(call, row) for row in rows])


def _new(call: Call) -> dict[str, Any]:
    fields, extra = entity(call, "group", rules.Fields)
    domain = targets.new_in(call, "group", fields.domain_id or None)
    return {"fields": fields, "extra": extra, "domain": domain, "target.group.domain_id": domain.id}


@routes.post("/groups", "identity:create_group", target=_new, status=201)
def create(call: Call, new: dict[str, Any]) -> dict[str, Any]:
    return {"group": group_view(call, rules.create(call.tx, new["fields"], new["domain"], new["extra"]))}


@routes.get("/groups/{group_id}", "identity:get_group", target=targets.group)
def show(call: Call, group: Group) -> dict[str, Any]:
    return {"group": group_view(call, group)}


@routes.patch("/groups/{group_id}", "identity:update_group", target=targets.group)
def update(call: Call, group: Group) -> dict[str, Any]:
    fields, extra = entity(call, "group", rules.Fields)
    return {"group": group_view(call, rules.change(call.tx, group, fields, extra))}


@routes.delete("/groups/{group_id}", "identity:delete_group", target=targets.group)
def delete(call: Call, group: Group) -> None:
    rules.remove(call.tx, group)


class Pair(Struct):
    group: Group
    user: User

    @property
    def policy_target(self) -> dict[str, Any]:
        return {**self.user.policy_target, **self.group.policy_target}


def _pair(call: Call) -> Pair:
    return Pair(targets.group(call), targets.user(call))


@routes.put("/groups/{group_id}/users/{user_id}", "identity:add_user_to_group", target=_pair, status=204)
def add(call: Call, pair: Pair) -> None:
    rules.add(call.tx, pair.group, pair.user)


@routes.get("/groups/{group_id}/users/{user_id}", "identity:check_user_in_group", target=_pair, status=204)
def check(call: Call, pair: Pair) -> None:
    rules.check(call.tx, pair.group, pair.user)


@routes.delete("/groups/{group_id}/users/{user_id}", "identity:remove_user_from_group", target=_pair)
def remove(call: Call, pair: Pair) -> None:
    call.tx.delete(rules.check(call.tx, pair.group, pair.user))
