"""What rooms above want to know of volumes. `cloud.get(Listeners)`."""

from __future__ import annotations

from collections.abc import Callable

from haneul.kernel.database import Transaction
from haneul.volume.model import VolumeRow

OnExtend = Callable[[Transaction, str, VolumeRow, str], None]


class Listeners:
    """`extended(tx, server_id, volume, request_id)`: a volume that a server has has grown, in the transaction that says so."""

    def __init__(self) -> None:
        self.extended: list[OnExtend] = []
