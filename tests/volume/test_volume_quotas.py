"""Quota sets, their classes, limits, and what happens when one is reached."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from volume_world import Cinder, Make

from haneul.volume import quotas
from running import RunningCloud


@pytest.fixture
def tight(cinder: Cinder, cloud: RunningCloud) -> Iterator[tuple[Cinder, str]]:
    """Another project, whose limits end with the test."""
    other = Cinder(cloud, "other")
    project = cloud.connect("other").current_project_id
    yield other, project
    cinder.call("DELETE", f"/os-quota-sets/{project}", status=200)


def test_a_quota_set(cinder: Cinder, tight: tuple[Cinder, str]) -> None:
    other, project = tight
    path = f"/os-quota-sets/{project}"
    defaults = cinder.get(f"{path}/defaults")["quota_set"]
    assert defaults["volumes"] == 10 and defaults["per_volume_gigabytes"] == -1 and defaults["volumes___DEFAULT__"] == -1
    assert defaults["id"] == project
    changed = cinder.call("PUT", path, {"quota_set": {"volumes": 3, "gigabytes": "7"}})["quota_set"]
    assert changed["volumes"] == 3 and changed["gigabytes"] == 7 and "id" not in changed
    shown = other.get(path)["quota_set"]
    assert shown == {"id": project, **changed}
    usage = other.get(f"{path}?usage=True")["quota_set"]
    assert usage["gigabytes"] == {"limit": 7, "in_use": 0, "reserved": 0}
    assert cinder.call("DELETE", path, status=200) is None
    assert cinder.get(path)["quota_set"] == defaults
    other.call("PUT", path, {"quota_set": {"volumes": 100}}, status=403)
    other.get("/os-quota-sets/" + "0" * 32, status=403)


@pytest.mark.parametrize("bad", [{"volumes": -2}, {"volumes": "many"}, {"volumes": 2**31}, {"volumes": "9999999999"},
                                 {"volumes": None}, {"unheard": 1}, {"volumes_nothing": 1}, {"volumes": 1.5}])
def test_numbers_that_are_none(cinder: Cinder, tight: tuple[Cinder, str], bad: dict[str, Any]) -> None:
    cinder.call("PUT", f"/os-quota-sets/{tight[1]}", {"quota_set": bad}, status=400)


def test_what_is_over_is_refused(cinder: Cinder, tight: tuple[Cinder, str], make: Make) -> None:
    other, project = tight
    path = f"/os-quota-sets/{project}"
    make(by=other, size=1)
    body = {"volume": {"size": 1}}

    def refused(limits: dict[str, int], wanted: dict[str, Any] = body) -> str:
        cinder.call("PUT", path, {"quota_set": {"volumes": -1, "gigabytes": -1, "volumes___DEFAULT__": -1,
                                                "per_volume_gigabytes": -1, **limits}})
        answer = other.http.post("/volume/v3/volumes", json=wanted)
        assert answer.status_code == 413 and answer.headers["retry-after"] == "0", answer.text
        assert answer.json()["overLimit"]["code"] == 413
        return str(answer.json()["overLimit"]["message"])

    assert refused({"volumes": 1}) == "Maximum number of volumes allowed (1) exceeded for quota 'volumes'."
    assert refused({"gigabytes": 1}) == ("Requested volume or snapshot exceeds allowed gigabytes quota. Requested 1G, quota is "
                                         "1G and 1G has been consumed.")
    assert "'volumes___DEFAULT__'" in refused({"volumes___DEFAULT__": 1})
    assert refused({"per_volume_gigabytes": 1}, {"volume": {"size": 2}}) == (
        "Requested volume size 2 is larger than maximum allowed limit 1.")
    usage = cinder.get(f"{path}?usage=true")["quota_set"]
    assert usage["volumes"]["in_use"] == 1 and usage["gigabytes___DEFAULT__"]["in_use"] == 1
    said = cinder.call("PUT", f"{path}?skip_validation=false", {"quota_set": {"volumes": 0}}, status=400)
    assert said["badRequest"]["message"] == "Quota volumes limit must be equal or greater than existing resources."


def test_classes(cinder: Cinder, tight: tuple[Cinder, str]) -> None:
    before = cinder.get("/os-quota-class-sets/default")["quota_class_set"]
    assert before["id"] == "default"
    try:
        changed = cinder.call("PUT", "/os-quota-class-sets/default", {"quota_class_set": {"backups": 33}})["quota_class_set"]
        assert changed["backups"] == 33 and "id" not in changed
        assert cinder.get(f"/os-quota-sets/{tight[1]}/defaults")["quota_set"]["backups"] == 33
        assert tight[0].get("/limits")["limits"]["absolute"]["maxTotalBackups"] == 33
    finally:
        cinder.call("PUT", "/os-quota-class-sets/default", {"quota_class_set": {"backups": before["backups"]}})
    tight[0].get("/os-quota-class-sets/default", status=403)
    cinder.call("PUT", "/os-quota-class-sets/default", {"quota_class_set": {"nothing": 1}}, status=400)


def test_limits(cinder: Cinder, tight: tuple[Cinder, str], make: Make) -> None:
    other, project = tight
    make(by=other, size=2)
    found = other.get("/limits")["limits"]
    assert found["rate"] == [] and found["absolute"]["totalGigabytesUsed"] == 2 and found["absolute"]["totalVolumesUsed"] == 1
    assert cinder.get(f"/limits?project_id={project}")["limits"] == found
    assert cinder.get(f"/limits?project_id={project}", version="3.38")["limits"] != found
    other.get("/limits?project_id=" + "0" * 32, status=403)


def test_a_renamed_type_keeps_its_limits(cinder: Cinder, tight: tuple[Cinder, str]) -> None:
    path = f"/os-quota-sets/{tight[1]}"
    made = cinder.call("POST", "/types", {"volume_type": {"name": "limited"}})["volume_type"]
    cinder.call("PUT", path, {"quota_set": {"volumes_limited": 4}})
    cinder.call("PUT", f"/types/{made['id']}", {"volume_type": {"name": "renamed"}})
    shown = cinder.get(path)["quota_set"]
    assert shown["volumes_renamed"] == 4 and "volumes_limited" not in shown
    cinder.call("DELETE", f"/types/{made['id']}", status=202)
    made = cinder.call("POST", "/types", {"volume_type": {"name": "renamed"}})["volume_type"]
    assert cinder.get(path)["quota_set"]["volumes_renamed"] == -1
    cinder.call("DELETE", f"/types/{made['id']}", status=202)


def test_nothing_is_counted_that_has_no_limit(cloud: RunningCloud, tight: tuple[Cinder, str]) -> None:
    """Creating is quick where an administrator wants no limits."""
    with cloud.cloud.database.write() as tx:
        quotas.set_limits(tx, tight[1], {"volumes": -1, "gigabytes": -1})
    with cloud.cloud.database.read() as tx:
        before = cloud.cloud.database.statements
        quotas.check(tx, tight[1], "__DEFAULT__", volumes=1, gigabytes=1)
        assert cloud.cloud.database.statements - before <= 2


def test_a_limit_holds_against_many_at_once(cinder: Cinder, tight: tuple[Cinder, str], cloud: RunningCloud) -> None:
    other, project = tight
    had = cinder.get(f"/os-quota-sets/{project}?usage=true")["quota_set"]["volumes"]["in_use"]
    cinder.call("PUT", f"/os-quota-sets/{project}", {"quota_set": {"volumes": had + 3, "gigabytes": -1}})

    def one(_: int) -> httpx.Response:
        return other.http.post("/volume/v3/volumes", json={"volume": {"size": 1, "name": "crowd"}})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(12)))
    made = [answer.json()["volume"]["id"] for answer in answers if answer.status_code == 202]
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [413] * 9
    for id in made:
        other.wait(id)
        other.call("DELETE", f"/volumes/{id}", status=202)
        other.wait_gone(id)


def test_a_retype_needs_room_in_the_new_type(cinder: Cinder, tight: tuple[Cinder, str], make: Make) -> None:
    other, project = tight
    kind = cinder.call("POST", "/types", {"volume_type": {"name": "retype-target"}})["volume_type"]
    volume = make(by=other)
    body = {"os-retype": {"new_type": kind["name"], "migration_policy": "never"}}
    for limits in ({"volumes_retype-target": 0}, {"volumes_retype-target": -1, "gigabytes_retype-target": 0}):
        cinder.call("PUT", f"/os-quota-sets/{project}", {"quota_set": limits})
        other.call("POST", f"/volumes/{volume['id']}/action", body, status=413)
    assert other.volume(volume["id"])["volume_type"] == "__DEFAULT__"
    cinder.call("PUT", f"/os-quota-sets/{project}", {"quota_set": {"volumes_retype-target": 1, "gigabytes_retype-target": 1}})
    other.call("POST", f"/volumes/{volume['id']}/action", body, status=202)
    assert other.wait(volume["id"])["volume_type"] == "retype-target"
