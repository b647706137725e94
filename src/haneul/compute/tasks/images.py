"""Images on hosts: sent once, whoever needs them at the same moment waits for the one that sends."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

from haneul.compute import guests
from haneul.compute.guests import Guest
from haneul.fleet.agents import Agent
from haneul.image import store
from haneul.kernel.cloud import Cloud
from haneul.kernel.tasks import Again

_sending: dict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)


def ensure(cloud: Cloud, agent: Agent, image: dict[str, Any]) -> bool:
    """The image is in the host's cache; whether it had to be sent. `image` is a server's `system["image"]`."""
    if agent.disks.has_image(image["id"]):
        return False
    lock = _sending[agent.host, image["id"]]
    if not lock.acquire(blocking=False):
        raise Again(f"image {image['id']} on its way to host {agent.host}", 0.1)
    try:
        if not agent.disks.has_image(image["id"]):
            agent.send_image(image["id"], image["format"], *store.read_known(cloud, image["id"]))
    finally:
        lock.release()
    return True


def make_disks(agent: Agent, guest: Guest, image: dict[str, Any] | None = None) -> None:
    """Root on the image unless it is a volume, and what else the server has on its host. Those that exist stay as they are."""
    if not guest.on_volume:
        image = image or guest.image
        agent.disks.create(guest.id, "root", "qcow2", guest.flavor["disk"] << 30, image_id=image["id"],
                           image_format=image["format"])
    for name, size in guests.local_disks(guest).items():
        agent.disks.create(guest.id, name, "qcow2", size)
