"""Images that an administrator wants in hosts' caches before servers ask for them. One task a host, one step for all of them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from haneul.compute.tasks import images
from haneul.compute.tasks.machine import plain
from haneul.fleet.agents import Agents
from haneul.kernel.tasks import Task, Work


class CacheArguments(Struct, kw_only=True):
    """`images` as servers keep theirs: id, format, digest."""

    host: str
    images: list[dict[str, Any]]


cache_images = Task("compute.host.cache_images", CacheArguments, deadline=3600.0)


@cache_images.step(deadline=3600)
@plain
def send(work: Work[CacheArguments]) -> None:
    agent = work.cloud.get(Agents).of(work.arguments.host)
    work.result = {"sent": [image["id"] for image in work.arguments.images if images.ensure(work.cloud, agent, image)]}
