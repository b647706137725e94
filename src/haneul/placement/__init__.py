"""Placement: who has what, who holds what of it, and the scheduler that stands on both."""

from haneul.kernel.room import Room
from haneul.placement import allocations, hosts  # noqa: F401 - allocations registers its reconciler

room = Room(name="placement", services=[], rules=[], prepare=hosts.listen)
