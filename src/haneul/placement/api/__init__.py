"""The wire of placement. Gathered here, so that a module of the wire never hides the rules of the same name."""

from haneul.placement.api import (
    aggregates,
    allocations,
    candidates,
    classes,
    inventories,
    providers,
    reshaper,
    traits,
    usages,
)

ROUTES = [module.routes for module in (
    aggregates, allocations, candidates, classes, inventories, providers, reshaper, traits, usages)]
