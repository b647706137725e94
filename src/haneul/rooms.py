"""The rooms of this cloud, in the order of their preparation."""

from __future__ import annotations

from haneul.compute import room as compute
from haneul.identity import room as identity
from haneul.image import room as image
from haneul.kernel.room import Room
from haneul.network import room as network
from haneul.placement import room as placement
from haneul.status import room as status
from haneul.volume import room as volume

ROOMS: list[Room] = [identity, image, placement, network, volume, compute, status]
