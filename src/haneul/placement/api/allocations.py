"""Allocations on the wire, in the shapes that they had since 1.0."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.placement import consumers
from haneul.placement.api.answers import provider_of, reply
from haneul.placement.consumers import UNSAID, Claim

routes = Routes()


class ProviderRef(Struct, forbid_unknown_fields=True):
    uuid: str


class ListedAllocation(Struct, forbid_unknown_fields=True):
    resource_provider: ProviderRef
    resources: dict[str, int]


class Listed(Struct, forbid_unknown_fields=True):
    """Until 1.11."""

    allocations: list[ListedAllocation]
    project_id: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET


class Amounts(Struct, forbid_unknown_fields=True):
    resources: dict[str, int]
    generation: int | None = None


class Mapped(Struct, forbid_unknown_fields=True):
    """Since 1.12; the generation since 1.28, mappings (unused) since 1.34, the type since 1.38."""

    allocations: dict[str, Amounts]
    project_id: str
    user_id: str
    consumer_generation: int | None | UnsetType = UNSET
    consumer_type: str | UnsetType = UNSET
    mappings: dict[str, list[str]] | UnsetType = UNSET


def claim_of(call: Call, consumer: str, body: Mapped) -> Claim:
    version = call.version
    for value, since, name in ((body.consumer_generation, (1, 28), "consumer_generation"), (body.mappings, (1, 34), "mappings"),
                               (body.consumer_type, (1, 38), "consumer_type")):
        if value is not UNSET and version < since:
            raise BadRequest(f"JSON does not validate: '{name}' was unexpected.")
        if value is UNSET and version >= since and name != "mappings":
            raise BadRequest(f"JSON does not validate: '{name}' is a required property.")
    _owner(body.project_id, body.user_id)
    generation: Any = UNSAID if body.consumer_generation is UNSET else body.consumer_generation
    kind: Any = None if body.consumer_type is UNSET else body.consumer_type
    if kind is not None and (not kind or len(kind) > 255 or not all(c.isupper() or c.isdigit() or c == "_" for c in kind)):
        raise BadRequest("JSON does not validate: 'consumer_type' is made of A-Z, 0-9 and _.")
    return Claim(consumer=consumer, resources={uuid: held.resources for uuid, held in body.allocations.items()},
                 project_id=body.project_id, user_id=body.user_id, generation=generation, consumer_type=kind)


def _owner(project_id: str, user_id: str) -> None:
    if not 1 <= len(project_id) <= 255 or not 1 <= len(user_id) <= 255:
        raise BadRequest("JSON does not validate: project_id and user_id have 1 to 255 characters.")


def _listed(call: Call, consumer: str, body: Listed) -> Claim:
    said = body.project_id is not UNSET and body.user_id is not UNSET
    if said != (call.version >= (1, 8)):
        raise BadRequest("JSON does not validate: project_id and user_id are required since microversion 1.8, unknown before.")
    resources: dict[str, dict[str, int]] = {}
    for item in body.allocations:
        resources.setdefault(item.resource_provider.uuid, {}).update(item.resources)
    project = body.project_id if isinstance(body.project_id, str) else "00000000-0000-0000-0000-000000000000"
    user = body.user_id if isinstance(body.user_id, str) else "00000000-0000-0000-0000-000000000000"
    return Claim(consumer=consumer, resources=resources, project_id=project, user_id=user)


@routes.get("/allocations/{consumer}", rule="placement:allocations:list")
def show(call: Call) -> Reply:
    found = consumers.held(call.tx, call.values["consumer"])
    held: dict[str, Any] = {}
    for uuid, generation, name, used in found.rows:
        held.setdefault(uuid, {"generation": generation, "resources": {}})["resources"][name] = used
    body: dict[str, Any] = {"allocations": held}
    if held and found.consumer is not None:
        if call.version >= (1, 12):
            body |= {"project_id": found.consumer.project_id, "user_id": found.consumer.user_id}
        if call.version >= (1, 28):
            body["consumer_generation"] = found.consumer.generation
        if call.version >= (1, 38):
            body["consumer_type"] = found.consumer.consumer_type or "unknown"
    return reply(call, body)


@routes.put("/allocations/{consumer}", rule="placement:allocations:update", status=204,
            body=[((1, 0), Listed), ((1, 12), Mapped)])
def replace(call: Call, body: Listed | Mapped) -> None:
    if not body.allocations and call.version < (1, 28):
        raise BadRequest("JSON does not validate: allocations must not be empty.")
    consumer = call.values["consumer"]
    claim = claim_of(call, consumer, body) if isinstance(body, Mapped) else _listed(call, consumer, body)
    consumers.set_all(call.tx, [claim])


@routes.post("/allocations", rule="placement:allocations:manage", body=dict[str, Mapped], status=204, minimum=(1, 13))
def manage(call: Call, body: dict[str, Mapped]) -> None:
    if not body:
        raise BadRequest("JSON does not validate: {} does not have enough properties")
    consumers.set_all(call.tx, [claim_of(call, consumer, wanted) for consumer, wanted in body.items()])


@routes.delete("/allocations/{consumer}", rule="placement:allocations:delete")
def remove(call: Call) -> None:
    consumers.remove(call.tx, call.values["consumer"])


@routes.get("/resource_providers/{uuid}/allocations", rule="placement:resource_providers:allocations:list")
def of_provider(call: Call) -> Reply:
    provider = provider_of(call)
    shown: dict[str, Any] = {}
    for consumer, (generation, resources) in consumers.of_provider(call.tx, provider).items():
        shown[consumer] = {"resources": resources}
        if call.version >= (1, 28):
            shown[consumer]["consumer_generation"] = generation
    return reply(call, {"allocations": shown, "resource_provider_generation": provider.generation}, moment=provider.updated_at)
