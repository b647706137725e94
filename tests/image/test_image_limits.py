"""Unified limits of images: kept as soon as an administrator has registered them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
from test_data import DATA, make, start_import, wait_for

if TYPE_CHECKING:
    from running import RunningCloud

MIB = os.urandom(1 << 20)


@pytest.fixture
def member(cloud: RunningCloud) -> Iterator[httpx.Client]:
    with cloud.http("member") as client:
        client.base_url = cloud.url + "/image/v2"  # type: ignore[assignment]
        yield client


@pytest.fixture
def limit(cloud: RunningCloud, member: httpx.Client) -> Iterator[Callable[[str, int], None]]:
    """Registers a limit that binds nobody, and sets it for the project; gone at the end, as the project's images are."""
    made: dict[str, str] = {}
    before = {image["id"] for image in member.get("/images").json()["images"]}
    project = member.get(f"/images/{make(member)}").json()["owner"]
    with cloud.http("admin") as admin:
        admin.base_url = cloud.url + "/identity/v3"  # type: ignore[assignment]
        service = next(each["id"] for each in admin.get("/services").json()["services"] if each["type"] == "image")
        registered = []

        def set_to(name: str, value: int) -> None:
            if name in made:
                assert admin.patch(f"/limits/{made[name]}", json={"limit": {"resource_limit": value}}).status_code == 200
                return
            key = {"service_id": service, "resource_name": name, "region_id": "RegionOne"}
            new = admin.post("/registered_limits", json={"registered_limits": [{**key, "default_limit": -1}]})
            registered.append(new.json()["registered_limits"][0]["id"])
            own = admin.post("/limits", json={"limits": [{**key, "project_id": project, "resource_limit": value}]})
            made[name] = own.json()["limits"][0]["id"]

        yield set_to
        for path in [*(f"/limits/{id}" for id in made.values()), *(f"/registered_limits/{id}" for id in registered)]:
            assert admin.delete(path).status_code == 204
    for image in member.get("/images").json()["images"]:
        if image["id"] not in before and image["owner"] == project:
            member.delete(f"/images/{image['id']}")


def mine(client: httpx.Client) -> int:
    project = client.get(f"/images/{make(client)}").json()["owner"]
    return sum(image["owner"] == project for image in client.get("/images?limit=1000").json()["images"])


def test_how_many_images(member: httpx.Client, limit: Callable[[str, int], None]) -> None:
    limit("image_count_total", mine(member) + 1)
    last = make(member)
    refused = member.post("/images", json={"name": "one too many"})
    assert refused.status_code == 413 and "image_count_total" in refused.text
    assert member.delete(f"/images/{last}").status_code == 204
    make(member)


def test_how_much_is_stored(member: httpx.Client, limit: Callable[[str, int], None]) -> None:
    """The upload that goes over the limit ends well, because its size is not known before; then nothing more goes in."""
    stored = sum((image["size"] or 0) for image in member.get("/images?limit=1000").json()["images"]) >> 20
    limit("image_size_total", stored)
    over, refused = make(member), make(member)
    assert member.put(f"/images/{over}/file", content=MIB, headers=DATA).status_code == 204
    answer = member.put(f"/images/{refused}/file", content=MIB, headers=DATA)
    if answer.status_code == 204:  # what else there is was less than whole MiB
        answer = member.put(f"/images/{make(member)}/file", content=MIB, headers=DATA)
    assert answer.status_code == 413
    limit("image_size_total", stored + 100)
    assert member.put(f"/images/{make(member)}/file", content=MIB, headers=DATA).status_code == 204


def test_how_much_and_how_many_are_on_their_way(member: httpx.Client, limit: Callable[[str, int], None]) -> None:
    limit("image_stage_total", 1)
    limit("image_count_uploading", 2)
    first, second, third = make(member), make(member), make(member)
    for image in (first, second):
        assert member.put(f"/images/{image}/stage", content=MIB, headers=DATA).status_code == 204
    for kind in ("stage", "file"):
        assert member.put(f"/images/{third}/{kind}", content=MIB, headers=DATA).status_code == 413
    limit("image_count_uploading", 3)
    assert member.put(f"/images/{third}/stage", content=MIB, headers=DATA).status_code == 413  # by the size of the others
    assert member.put(f"/images/{third}/file", content=MIB, headers=DATA).status_code == 204
    assert start_import(member, first, name="glance-direct").status_code == 202
    wait_for(member, first, "active")
    fourth = make(member)
    assert member.put(f"/images/{fourth}/stage", content=MIB, headers=DATA).status_code == 204
    limit("image_count_uploading", 1)
    assert start_import(member, make(member), name="web-download", uri="http://93.184.216.34/image").status_code == 413
