"""What a query string asks of providers: resources, traits, aggregates, a tree."""

from __future__ import annotations

import re

from msgspec import Struct, field
from sqlalchemy import ColumnElement, exists, select

from haneul.kernel import ids
from haneul.kernel.database import Transaction
from haneul.kernel.wire.call import Call
from haneul.placement import allocations, traits
from haneul.placement.errors import BadQuery
from haneul.placement.model import Inventory, Provider, ProviderAggregate, ProviderTrait

_SUFFIX = re.compile(r"(resources|required|member_of|in_tree)([a-zA-Z0-9_-]{0,64})")
_NUMBER = re.compile(r"([1-9][0-9]*)?")


class Group(Struct, kw_only=True):
    """One group of a request. `required` and `member_of` are alternatives: each set must be met by one of its members."""

    suffix: str = ""
    resources: dict[str, int] = field(default_factory=dict)
    required: list[frozenset[str]] = field(default_factory=list)
    forbidden: set[str] = field(default_factory=set)
    member_of: list[frozenset[str]] = field(default_factory=list)
    not_member_of: set[str] = field(default_factory=set)
    in_tree: str | None = None


def groups_of(call: Call) -> dict[str, Group]:
    """The groups of a query by suffix; the unnamed one has the suffix ''."""
    found: dict[str, Group] = {}
    for key, value in call.query:
        match = _SUFFIX.fullmatch(key)
        if match is None or (match[2] and not _suffix_known(call, match[2])):
            continue
        group = found.setdefault(match[2], Group(suffix=match[2]))
        _fill(call, group, match[1], value)
    return found


def _suffix_known(call: Call, suffix: str) -> bool:
    return call.version >= (1, 33) or (call.version >= (1, 25) and _NUMBER.fullmatch(suffix) is not None)


def _fill(call: Call, group: Group, kind: str, value: str) -> None:
    if kind == "resources":
        if group.resources:
            raise BadQuery("Query parameter 'resources' may be given once.", "placement.query.duplicate_key")
        group.resources = resources(call.tx, value)
    elif kind == "required":
        add_required(call, group, value)
    elif kind == "member_of":
        add_member_of(call, group, value)
    else:
        group.in_tree = _uuid(value, "in_tree")


def resources(tx: Transaction, text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in text.split(","):
        name, colon, amount = part.partition(":")
        if not colon or not name or not amount.isascii() or not amount.isdigit() or int(amount) < 1 or len(amount) > 10:
            raise BadQuery(f"Badly formed resources parameter. Expected resources query string parameter in form: "
                           f"?resources=VCPU:2,MEMORY_MB:1024. Got: {text[:200]}.")
        found[name] = int(amount)
    if unknown := set(found) - traits.known_classes(tx):
        raise BadQuery("Invalid resource class in resources parameter: No such resource class "
                       f"{', '.join(sorted(unknown))[:200]}.")
    return found


def add_required(call: Call, group: Group, text: str) -> None:
    if text.startswith("in:"):
        if call.version < (1, 39):
            raise BadQuery("The format 'in:' of 'required' is supported since microversion 1.39.")
        alternatives = frozenset(part.strip() for part in text[3:].split(","))
        _known(call.tx, alternatives)
        group.required.append(alternatives)
        return
    for part in text.split(","):
        name = part.strip()
        if name.startswith("!") and call.version >= (1, 22):
            group.forbidden.add(name[1:])
        else:
            group.required.append(frozenset({name}))
    _known(call.tx, group.forbidden.union(*group.required))
    if conflicting := {name for choice in group.required if len(choice) == 1 for name in choice} & group.forbidden:
        raise BadQuery(f"Conflicting required and forbidden traits found in the following traits keys: "
                       f"required{group.suffix}: ({', '.join(sorted(conflicting))})")


def _known(tx: Transaction, names: frozenset[str] | set[str]) -> None:
    if "" in names:
        raise BadQuery("Invalid query string parameters: Expected 'required' parameter value of the form: "
                       "HW_CPU_X86_VMX,CUSTOM_MAGIC.")
    if missing := names - traits.known_traits(tx, names):
        raise BadQuery(f"No such trait(s): {', '.join(sorted(missing))[:300]}.")


def add_member_of(call: Call, group: Group, text: str) -> None:
    forbidden = text.startswith("!")
    if forbidden and call.version < (1, 32):
        raise BadQuery("Forbidden member_of parameters are not supported in the specified microversion")
    text = text[1:] if forbidden else text
    names = frozenset(_uuid(part, "member_of") for part in (text[3:].split(",") if text.startswith("in:") else [text]))
    if group.member_of and call.version < (1, 24) and not forbidden:
        raise BadQuery("Multiple member_of parameters are not supported", "placement.query.duplicate_key")
    if forbidden:
        group.not_member_of |= names
    else:
        group.member_of.append(names)


def _uuid(text: str, key: str) -> str:
    if not ids.is_uuid(text):
        raise BadQuery(f"Invalid query string parameters: Expected '{key}' parameter to be a valid uuid. Got: {text[:64]}")
    return text.lower()


def provider_conditions(tx: Transaction, group: Group) -> list[ColumnElement[bool]]:
    """SQL: a provider by itself meets the group."""
    found: list[ColumnElement[bool]] = []
    for name, amount in group.resources.items():
        found.append(exists().where(Inventory.provider_id == Provider.id, Inventory.resource_class == name,
                                    allocations.fits(Inventory, amount, amount)))
    for choice in group.required:
        found.append(exists().where(ProviderTrait.provider_id == Provider.id, ProviderTrait.trait.in_(sorted(choice))))
    if group.forbidden:
        found.append(~exists().where(ProviderTrait.provider_id == Provider.id,
                                     ProviderTrait.trait.in_(sorted(group.forbidden))))
    for member in group.member_of:
        found.append(exists().where(ProviderAggregate.provider_id == Provider.id,
                                    ProviderAggregate.aggregate.in_(sorted(member))))
    if group.not_member_of:
        found.append(~exists().where(ProviderAggregate.provider_id == Provider.id,
                                     ProviderAggregate.aggregate.in_(sorted(group.not_member_of))))
    if group.in_tree is not None:
        root = select(Provider.root_id).where(Provider.uuid == group.in_tree).scalar_subquery()
        found.append(Provider.root_id == root)
    return found
