"""Traits, and which providers have them, on the wire."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import delete, select

from haneul.kernel import clock
from haneul.kernel.errors import BadRequest, Conflict, NotFound
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.paging import flag
from haneul.kernel.wire.routes import Routes
from haneul.placement import providers, traits
from haneul.placement.api.answers import provider_of, reply
from haneul.placement.errors import BadQuery
from haneul.placement.model import CustomTrait, ProviderTrait

routes = Routes()
_SINCE = (1, 6)


class SetTraits(Struct, forbid_unknown_fields=True):
    traits: list[str]
    resource_provider_generation: int


@routes.get("/traits", rule="placement:traits:list", minimum=_SINCE)
def index(call: Call) -> Reply:
    found = set(traits.STANDARD_TRAITS) | set(call.tx.execute(select(CustomTrait.name)).scalars())
    name, associated = call.argument("name"), call.argument("associated")
    if name is not None:
        word, colon, rest = name.partition(":")
        if not colon or word not in ("in", "startswith"):
            raise BadQuery("Badly formatted name parameter. Expected name query string parameter in form: "
                           f"?name=[in|startswith]:[name1,name2|prefix]. Got: \"{name[:200]}\"")
        found = found & set(rest.split(",")) if word == "in" else {trait for trait in found if trait.startswith(rest)}
    if associated is not None:
        used = set(call.tx.execute(select(ProviderTrait.trait).distinct()).scalars())
        found = found & used if flag(associated, "associated") else found - used
    return reply(call, {"traits": sorted(found)})


@routes.get("/traits/{name}", rule="placement:traits:show", minimum=_SINCE, status=204)
def show(call: Call) -> Reply:
    if not traits.known_traits(call.tx, [call.values["name"]]):
        raise NotFound(f"No such trait(s): {call.values['name'][:255]}.")
    return reply(call, None, status=204)


@routes.put("/traits/{name}", rule="placement:traits:update", minimum=_SINCE)
def create(call: Call) -> Reply:
    name = call.values["name"]
    if not traits.is_custom(name):
        raise BadRequest("The trait is invalid. A valid trait must be no longer than 255 characters, start with the prefix "
                         "\"CUSTOM_\" and use following characters: \"A\"-\"Z\", \"0\"-\"9\" and \"_\"")
    known = bool(traits.known_traits(call.tx, [name]))
    traits.ensure_traits(call.tx, [name])
    return reply(call, None, status=204 if known else 201, location=f"{call.base_url}/traits/{name}")


@routes.delete("/traits/{name}", rule="placement:traits:delete", minimum=_SINCE)
def remove(call: Call) -> None:
    name = call.values["name"]
    if name in traits.STANDARD_TRAITS:
        raise BadRequest(f"Cannot delete standard trait {name}")
    if providers.trait_in_use(call.tx, name):
        raise Conflict(f"The trait {name} is in use by a resource provider.")
    gone = call.tx.execute(delete(CustomTrait).where(CustomTrait.name == name).returning(CustomTrait.name))
    if gone.first() is None:
        raise NotFound(f"No such trait(s): {name[:255]}.")


@routes.get("/resource_providers/{uuid}/traits", rule="placement:resource_providers:traits:list", minimum=_SINCE)
def of_provider(call: Call) -> Reply:
    provider = provider_of(call)
    return reply(call, {"traits": providers.traits(call.tx, provider), "resource_provider_generation": provider.generation},
                 moment=provider.updated_at)


@routes.put("/resource_providers/{uuid}/traits", rule="placement:resource_providers:traits:update", minimum=_SINCE,
            body=SetTraits)
def set_of_provider(call: Call, body: SetTraits) -> Reply:
    provider = provider_of(call)
    traits.require_traits(call.tx, body.traits)
    providers.set_traits(call.tx, provider, body.traits, body.resource_provider_generation)
    return reply(call, {"traits": sorted(set(body.traits)), "resource_provider_generation": provider.generation},
                 moment=clock.now())


@routes.delete("/resource_providers/{uuid}/traits", rule="placement:resource_providers:traits:delete", minimum=_SINCE)
def remove_of_provider(call: Call) -> None:
    providers.set_traits(call.tx, provider_of(call), [], None)
