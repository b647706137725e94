"""The rooms of this cloud, in the order of their preparation."""

from __future__ import annotations

from haneul.kernel.room import Room
from haneul.identity import room as identity

ROOMS: list[Room] = [identity]
