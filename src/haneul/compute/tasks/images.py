"""Images on hosts: sent once, whoever needs them at the same moment waits for the one that sends."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

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
            agent.send_image(image["id"], image["format"], image["sha512"], store.read(cloud, image["id"]))
    finally:
        lock.release()
    return True


def make_disks(agent: Agent, server_id: str, flavor: dict[str, Any], image: dict[str, Any]) -> None:
    """Root on the image, and what else the flavor has. Those that exist stay as they are."""
    agent.disks.create(server_id, "root", "qcow2", flavor["disk"] << 30, image_id=image["id"], image_format=image["format"])
    if flavor["ephemeral"]:
        agent.disks.create(server_id, "ephemeral0", "qcow2", flavor["ephemeral"] << 30)
    if flavor["swap"]:
        agent.disks.create(server_id, "swap", "qcow2", flavor["swap"] << 20)
