"""Allocation candidates: the ways in which a request could be met, a tree of providers at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from msgspec import Struct, field
from sqlalchemy import select

from haneul.kernel.database import Transaction
from haneul.placement.model import Inventory, Provider, ProviderAggregate, ProviderTrait
from haneul.placement.query import Group

MOST = 1000  # candidates of an answer without a limit
_MOST_LOOKS = 20_000  # combinations tried of one tree


class Node(Struct, kw_only=True):
    """A provider with what it has."""

    id: int
    uuid: str
    parent_id: int | None
    root_id: int
    inventories: dict[str, Any] = field(default_factory=dict)
    traits: set[str] = field(default_factory=set)
    aggregates: set[str] = field(default_factory=set)

    def has_room(self, name: str, amount: int, whole: int | None = None) -> bool:
        """Room for `amount` where `whole` is what one allocation would be of it."""
        row = self.inventories.get(name)
        one = amount if whole is None else whole
        return row is not None and row.used + amount <= (row.total - row.reserved) * row.allocation_ratio \
            and row.min_unit <= one <= row.max_unit and one % row.step_size == 0


class Request(Struct, kw_only=True):
    groups: list[Group]
    isolate: bool = False
    root_required: set[str] = field(default_factory=set)
    root_forbidden: set[str] = field(default_factory=set)
    same_subtree: list[set[str]] = field(default_factory=list)
    limit: int | None = None
    nested: bool = True  # before 1.29 one provider gives everything of the unnamed group


class Candidate(Struct, kw_only=True):
    """{provider uuid: {class: amount}}, and which providers serve which group."""

    resources: dict[str, dict[str, int]]
    mappings: dict[str, list[str]]
    root_id: int


def load(tx: Transaction) -> dict[int, list[Node]]:
    """Every tree, by its root."""
    nodes: dict[int, Node] = {}
    trees: dict[int, list[Node]] = {}
    for number, uuid, parent, root in tx.execute(
            select(Provider.id, Provider.uuid, Provider.parent_id, Provider.root_id).order_by(Provider.id)):
        nodes[number] = Node(id=number, uuid=uuid, parent_id=parent, root_id=root or number)
        trees.setdefault(root or number, []).append(nodes[number])
    for row in tx.execute(select(Inventory.provider_id, Inventory.resource_class, Inventory.total, Inventory.reserved,
                                 Inventory.min_unit, Inventory.max_unit, Inventory.step_size, Inventory.allocation_ratio,
                                 Inventory.used)):
        nodes[row.provider_id].inventories[row.resource_class] = row
    for number, trait in tx.execute(select(ProviderTrait.provider_id, ProviderTrait.trait)):
        nodes[number].traits.add(trait)
    for number, aggregate in tx.execute(select(ProviderAggregate.provider_id, ProviderAggregate.aggregate)):
        nodes[number].aggregates.add(aggregate)
    return trees


def find(trees: dict[int, list[Node]], request: Request) -> list[Candidate]:
    most = request.limit if request.limit is not None else MOST
    found = itertools.chain.from_iterable(_of_tree(tree, request) for tree in trees.values())
    return list(itertools.islice(found, most))


def _of_tree(tree: list[Node], request: Request) -> Iterator[Candidate]:
    root = next(node for node in tree if node.parent_id is None)
    if request.root_required - root.traits or request.root_forbidden & root.traits:
        return
    choices = [list(itertools.islice(_choices(tree, root, group, request), _MOST_LOOKS)) for group in request.groups]
    seen: set[str] = set()
    for combination in itertools.islice(itertools.product(*choices), _MOST_LOOKS):
        candidate = _combine(tree, root, request, combination)
        if candidate is not None and (key := repr((candidate.resources, candidate.mappings))) not in seen:
            seen.add(key)
            yield candidate


Choice = dict[str, Node]  # class: the provider that gives it; "" when a group asks for no resources


def _choices(tree: list[Node], root: Node, group: Group, request: Request) -> Iterator[Choice]:
    """Ways to meet one group. A named group is one provider's; the unnamed one may be spread over its tree."""
    if group.in_tree is not None and group.in_tree not in {node.uuid for node in tree}:
        return
    if group.suffix or not request.nested:
        for node in tree:
            if all(node.has_room(name, amount) for name, amount in group.resources.items()) \
                    and _meets_traits(node.traits, group) and _meets_aggregates(node, root, group):
                yield dict.fromkeys(group.resources or [""], node)
        return
    givers = [[node for node in tree if node.has_room(name, amount) and _meets_aggregates(node, root, group)]
              for name, amount in group.resources.items()]
    for combination in itertools.product(*givers):
        if _meets_traits(set().union(*(node.traits for node in combination)), group):
            yield dict(zip(group.resources, combination, strict=True))


def _meets_traits(traits: set[str], group: Group) -> bool:
    return not (group.forbidden & traits) and all(choice & traits for choice in group.required)


def _meets_aggregates(node: Node, root: Node, group: Group) -> bool:
    """For the unnamed group a root's aggregates span its tree."""
    mine = node.aggregates if group.suffix else node.aggregates | root.aggregates
    return not (group.not_member_of & mine) and all(choice & mine for choice in group.member_of)


def _combine(tree: list[Node], root: Node, request: Request, combination: tuple[Choice, ...]) -> Candidate | None:
    """The groups' choices together, if the room is there for all of them at once."""
    resources: dict[str, dict[str, int]] = {}
    mappings: dict[str, list[str]] = {}
    nodes: dict[str, Node] = {}
    for group, choice in zip(request.groups, combination, strict=True):
        for name, node in choice.items():
            nodes[node.uuid] = node
            if name:
                held = resources.setdefault(node.uuid, {})
                held[name] = held.get(name, 0) + group.resources[name]
        mappings[group.suffix] = sorted({node.uuid for node in choice.values()})
    if not resources or not all(nodes[uuid].has_room(name, amount)
                                for uuid, held in resources.items() for name, amount in held.items()):
        return None
    if request.isolate:
        named = [uuids[0] for suffix, uuids in mappings.items() if suffix]
        if len(named) != len(set(named)):
            return None
    if not all(_in_one_subtree(tree, {nodes[mappings[suffix][0]].id for suffix in suffixes if mappings.get(suffix)})
               for suffixes in request.same_subtree):
        return None
    return Candidate(resources=resources, mappings=mappings, root_id=root.id)


def _in_one_subtree(tree: list[Node], wanted: set[int]) -> bool:
    """One of the wanted providers is an ancestor of (or is) all the others."""
    parents = {node.id: node.parent_id for node in tree}

    def line(number: int) -> set[int]:
        found, current = set(), number
        while current is not None:
            found.add(current)
            current = parents.get(current)  # type: ignore[assignment]
        return found

    return not wanted or any(all(top in line(number) for number in wanted) for top in wanted)
