"""Metadata definitions: what administrators define, everybody reads what is public."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from running import RunningCloud

_numbers = itertools.count(1)


def client_of(cloud: RunningCloud, persona: str) -> httpx.Client:
    client = cloud.http(persona)
    client.base_url = cloud.url + "/image/v2/metadefs"  # type: ignore[assignment]
    return client


@pytest.fixture
def admin(cloud: RunningCloud) -> Iterator[httpx.Client]:
    with client_of(cloud, "admin") as client:
        yield client


@pytest.fixture
def reader(cloud: RunningCloud) -> Iterator[httpx.Client]:
    with client_of(cloud, "reader") as client:
        yield client


def made(admin: httpx.Client, **values: Any) -> str:
    name = f"OS::Test::{next(_numbers):03}"
    answer = admin.post("/namespaces", json={"namespace": name, **values})
    assert answer.status_code == 201, answer.text
    return name


def test_a_namespace_comes_with_all_that_its_body_brings(admin: httpx.Client, reader: httpx.Client) -> None:
    name = made(admin, visibility="public", display_name="Shown", resource_type_associations=[
        {"name": "OS::Glance::Image", "prefix": "hw_"}, {"name": "OS::Made::Up"}],
        properties={"cores": {"title": "Cores", "type": "integer", "minimum": 1, "default": 2}},
        objects=[{"name": "limits", "required": ["cpu"], "properties": {"cpu": {"title": "CPU", "type": "string"}}}],
        tags=[{"name": "b"}, {"name": "a"}])
    found = reader.get(f"/namespaces/{name}").json()
    assert found["properties"] == {"cores": {"title": "Cores", "type": "integer", "minimum": 1, "default": 2}}
    assert [each["name"] for each in found["resource_type_associations"]] == ["OS::Glance::Image", "OS::Made::Up"]
    assert {each["name"] for each in found["tags"]} == {"a", "b"}
    assert found["objects"][0]["required"] == ["cpu"] and found["self"] == f"/v2/metadefs/namespaces/{name}"
    assert "OS::Made::Up" in [each["name"] for each in reader.get("/resource_types").json()["resource_types"]]
    prefixed = reader.get(f"/namespaces/{name}?resource_type=OS::Glance::Image").json()
    assert list(prefixed["properties"]) == ["hw_cores"] and prefixed["objects"][0]["required"] == ["hw_cpu"]
    one = reader.get(f"/namespaces/{name}/properties/hw_cores?resource_type=OS::Glance::Image")
    assert one.json()["name"] == "cores"
    assert reader.get(f"/namespaces/{name}/properties/cores?resource_type=OS::Glance::Image").status_code == 404
    assert admin.delete(f"/namespaces/{name}").status_code == 204
    assert reader.get(f"/namespaces/{name}").status_code == 404


def test_who_sees_and_who_changes(cloud: RunningCloud, admin: httpx.Client, reader: httpx.Client) -> None:
    public, private = made(admin, visibility="public"), made(admin)
    own = made(admin, owner=str(cloud.connect("reader").current_project_id))
    listed = [found["namespace"] for found in reader.get("/namespaces?limit=1000").json()["namespaces"]]
    assert public in listed and own in listed and private not in listed
    assert reader.get(f"/namespaces/{private}").status_code == 404
    assert reader.get(f"/namespaces/{private}/tags").status_code == 404
    with client_of(cloud, "manager") as manager:
        assert manager.put(f"/namespaces/{public}", json={"namespace": public}).status_code == 403
        assert manager.post("/namespaces", json={"namespace": "mine"}).status_code == 403
        assert manager.post(f"/namespaces/{public}/tags/t").status_code == 403
    with client_of(cloud, "nobody") as nobody:
        assert nobody.get("/namespaces").status_code == 403


def test_what_is_protected_stays(admin: httpx.Client) -> None:
    name = made(admin, protected=True, tags=[{"name": "t"}], properties={"p": {"title": "P", "type": "string"}},
                resource_type_associations=[{"name": "OS::Nova::Server"}])
    for path in ("", "/tags", "/tags/t", "/properties", "/properties/p", "/objects", "/resource_types/OS::Nova::Server"):
        assert admin.delete(f"/namespaces/{name}{path}").status_code == 403, path
    changed = admin.put(f"/namespaces/{name}", json={"namespace": name + "-renamed", "description": "d"})
    assert changed.json()["protected"] is False and changed.json()["visibility"] == "private"
    for path in ("/tags/t", "/properties/p", "/objects", "/resource_types/OS::Nova::Server", ""):
        assert admin.delete(f"/namespaces/{name}-renamed{path}").status_code == 204, path


def test_items_are_renamed_and_never_double(admin: httpx.Client) -> None:
    name = made(admin)
    assert admin.post(f"/namespaces/{name}/objects", json={"name": "one"}).status_code == 201
    assert admin.post(f"/namespaces/{name}/objects", json={"name": "one"}).status_code == 409
    admin.post(f"/namespaces/{name}/objects", json={"name": "two"})
    assert admin.put(f"/namespaces/{name}/objects/two", json={"name": "one"}).status_code == 409
    assert admin.put(f"/namespaces/{name}/objects/two", json={"name": "three"}).json()["name"] == "three"
    assert {each["name"] for each in admin.get(f"/namespaces/{name}/objects").json()["objects"]} == {"one", "three"}
    newest = admin.get(f"/namespaces/{name}/objects?limit=1").json()["objects"][0]["name"]
    (other,) = {"one", "three"} - {newest}
    assert [each["name"] for each in admin.get(f"/namespaces/{name}/objects?marker={newest}").json()["objects"]] == [other]
    assert admin.post("/namespaces", json={"namespace": name}).status_code == 409
    assert admin.post(f"/namespaces/{name}/resource_types", json={"name": "OS::Nova::Flavor"}).status_code == 201
    assert admin.post(f"/namespaces/{name}/resource_types", json={"name": "OS::Nova::Flavor"}).status_code == 409
    assert admin.delete(f"/namespaces/{name}/resource_types/OS::Nova::Server").status_code == 404


def test_tags_replace_each_other_unless_they_are_added(admin: httpx.Client) -> None:
    name = made(admin)

    def tags() -> set[str]:
        return {each["name"] for each in admin.get(f"/namespaces/{name}/tags").json()["tags"]}

    admin.post(f"/namespaces/{name}/tags", json={"tags": [{"name": "a"}, {"name": "b"}]})
    admin.post(f"/namespaces/{name}/tags", json={"tags": [{"name": "c"}]}, headers={"X-Openstack-Append": "True"})
    assert tags() == {"a", "b", "c"}
    assert admin.post(f"/namespaces/{name}/tags", json={"tags": [{"name": "a"}]}).status_code == 201
    assert tags() == {"a"}
    assert admin.post(f"/namespaces/{name}/tags", json={"tags": [{"name": "x"}, {"name": "x"}]}).status_code == 409
    assert tags() == {"a"}


@pytest.mark.parametrize("body, status", [
    ({"namespace": "x" * 81}, 400), ({}, 400), ({"namespace": "x", "visibility": "shared"}, 400),
    ({"namespace": "x", "self": "/v2"}, 403), ({"namespace": "x", "created_at": "2020-01-01T00:00:00Z"}, 403),
    ({"namespace": "x", "properties": {"p": {"type": "string"}}}, 400), ({"namespace": "x", "unknown": 1}, 400),
    ({"namespace": "x", "properties": {"p": {"title": "P", "type": "text"}}}, 400),
    ({"namespace": "x", "properties": {"p": {"title": "P", "type": "string", "maxLength": -1}}}, 400)])
def test_bodies_are_checked(admin: httpx.Client, body: dict[str, Any], status: int) -> None:
    assert admin.post("/namespaces", json=body).status_code == status


def test_lists_by_page_kind_and_visibility(admin: httpx.Client) -> None:
    names = [made(admin, visibility="public", resource_type_associations=[{"name": "OS::Listed"}]) for _ in range(3)]
    query = "resource_types=OS::Listed&sort_key=namespace&sort_dir=asc"
    first = admin.get(f"/namespaces?{query}&limit=2").json()
    assert [each["namespace"] for each in first["namespaces"]] == names[:2]
    second = admin.get(first["next"].removeprefix("/v2/metadefs")).json()
    assert [each["namespace"] for each in second["namespaces"]] == names[2:] and "next" not in second
    assert admin.get(f"/namespaces?{query}&visibility=private").json()["namespaces"] == []
    for bad in ("visibility=shared", "sort_dir=up", "sort_key=id"):
        assert admin.get(f"/namespaces?{bad}").status_code == 400, bad
    assert admin.get("/namespaces?marker=nothing").status_code == 404
