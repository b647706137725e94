"""Images on their way into volumes: a transfer for each image and host, shared by all volumes that are made of it at once."""

from __future__ import annotations

import threading
from collections import defaultdict

import structlog

from haneul.fleet.agents import Agent, Unreachable
from haneul.host.contract import HostError, NotThere
from haneul.image import images, store
from haneul.image.model import ImageRow
from haneul.kernel.cloud import Cloud
from haneul.kernel.context import system
from haneul.kernel.tasks import Again

log = structlog.get_logger("images")
PREFIX = "image-"
RAW = frozenset({"ami", "ari", "aki"})  # Glance's names of raw bytes
_lock = threading.Lock()
_sending: dict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
_wanted: dict[tuple[str, str], set[str]] = defaultdict(set)  # which volumes are made of a transfer at present


def transfer_of(image_id: str) -> str:
    return PREFIX + image_id


def wanted() -> set[str]:
    """Transfers that volumes are being made of, in this process."""
    with _lock:
        return {transfer for (_, transfer), volumes in _wanted.items() if volumes}


def disk_format(image: ImageRow) -> str:
    """As the agent knows it."""
    return "raw" if image.disk_format in RAW else str(image.disk_format)


def ensure(cloud: Cloud, agent: Agent, image_id: str, volume_id: str) -> str:
    """The image's bytes are a transfer on the host, and stay until this volume `release`s them. The transfer's id."""
    transfer = transfer_of(image_id)
    with _lock:
        _wanted[agent.host, transfer].add(volume_id)
    if _there(agent, transfer):
        return transfer
    lock = _sending[agent.host, transfer]
    if not lock.acquire(blocking=False):
        raise Again(f"image {image_id} on its way to host {agent.host}", 0.1)
    try:
        if not _there(agent, transfer):
            with cloud.database.read() as tx:
                image = images.get(tx, system(), image_id)
            agent.send_transfer(transfer, disk_format(image), *store.read_known(cloud, image_id))
    finally:
        lock.release()
    return transfer


def release(agent: Agent, image_id: str, volume_id: str) -> None:
    """The last volume that was made of it drops it. One that cannot be dropped now is a leak, and found as such."""
    transfer = transfer_of(image_id)
    with _lock:
        volumes = _wanted[agent.host, transfer]
        volumes.discard(volume_id)
        if volumes:
            return
        del _wanted[agent.host, transfer]
    try:
        agent.transfers.drop(transfer)
    except (HostError, Unreachable, Again) as error:
        log.info("transfer left", transfer=transfer, host=agent.host, error=str(error))


def _there(agent: Agent, transfer: str) -> bool:
    try:
        agent.transfers.transfer(transfer)
    except NotThere:
        return False
    return True
