"""What tests of block storage start from: a client without limits in its way, an image, and a quick way to volumes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from volume_world import Cinder, Make

from haneul.volume import quotas
from running import RunningCloud, wait_until

_numbers = itertools.count(1)
PATTERN = b"what the image holds" * 100


def _unlimited(cloud: RunningCloud, persona: str) -> None:
    project = cloud.connect(persona).current_project_id
    with cloud.cloud.database.write() as tx:
        quotas.set_limits(tx, project, {"volumes": -1, "gigabytes": -1, "snapshots": -1, "backups": -1, "groups": -1})


@pytest.fixture(scope="session")
def cinder(cloud: RunningCloud) -> Cinder:
    _unlimited(cloud, "admin")
    found = Cinder(cloud)
    with cloud.cloud.database.read() as tx:
        from haneul.volume.model import PoolRow
        wait_until(lambda: tx.query(PoolRow).filter(PoolRow.at > 0).count() or tx.rollback(), what="the back ends' first report")
    return found


@pytest.fixture(scope="session")
def member(cloud: RunningCloud, cinder: Cinder) -> Cinder:
    _unlimited(cloud, "member")
    return Cinder(cloud, "member")


@pytest.fixture(scope="session")
def picture(cloud: RunningCloud) -> str:
    """A public raw image of a little more than a mebibyte that begins with `PATTERN`."""
    data = PATTERN + bytes((1 << 20) - len(PATTERN)) + b"end of the image".ljust(512, b"\0")
    return cloud.connect("admin").image.create_image(
        name="volume-image", disk_format="raw", container_format="bare", data=data, visibility="public", hw_disk_bus="virtio",
        wait=True).id


@pytest.fixture
def make(cinder: Cinder) -> Iterator[Make]:
    """Makes volumes that are available (or whatever `until` says) and end with the test."""
    made: list[tuple[Cinder, str]] = []

    def one(until: str | None = "available", by: Cinder | None = None, **values: Any) -> dict[str, Any]:
        client = by or cinder
        hints = values.pop("hints", None)
        body = {"volume": {"name": f"volume-{next(_numbers)}", "size": 1, **values}}
        found = client.call("POST", "/volumes", {**body, **({"OS-SCH-HNT:scheduler_hints": hints} if hints else {})},
                            status=202)["volume"]
        made.append((client, found["id"]))
        return client.wait(found["id"], until) if until else found

    yield one
    for _, id in reversed(made):
        if cinder.http.get(f"/volume/v3/volumes/{id}").status_code == 200:
            cinder.call("DELETE", f"/volumes/{id}?cascade=true&force=true")
            cinder.wait_gone(id)
