"""Two control processes on one PostgreSQL: what one does the other knows, and nothing is done twice."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec import Struct
from sqlalchemy import delete

from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.leaks import LeakRow
from haneul.kernel.tasks import Task, Work
from running import ADMIN_PASSWORD, RunningCloud, wait_until

pytestmark = pytest.mark.skipif(not os.environ.get("HANEUL_TEST_DATABASE", "").startswith("postgresql"),
                                reason="SQLite has one control process")


class Numbered(Struct):
    number: int


done: list[tuple[str, int]] = []
overlaps: list[str] = []
_running: Counter[str] = Counter()
_guard = threading.Lock()
count: Task[Numbered] = Task("test.count", Numbered)


@count.step()
def add(work: Work[Numbered]) -> None:
    with _guard:
        _running[work.resource or ""] += 1
        if _running[work.resource or ""] > 1:
            overlaps.append(work.resource or "")
    try:
        threading.Event().wait(0.005)
        done.append((work.resource or "", work.arguments.number))
    finally:
        with _guard:
            _running[work.resource or ""] -= 1


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningCloud, RunningCloud]]:
    """The second has a machine of its own, and the keys and the database of the first."""
    first = RunningCloud(tmp_path_factory.mktemp("first"))
    first.start()
    folder = tmp_path_factory.mktemp("second")
    (folder / "database-name").write_text((first.folder / "database-name").read_text())
    (folder / "control").mkdir()
    (folder / "control" / "fernet-keys").symlink_to(first.paths.fernet_keys)
    second = RunningCloud(folder, {"host": {"name": "host-2"}})
    second.start()
    yield first, second
    second.stop()
    first.stop()


def at_once(*work: Callable[[], Any]) -> list[Any]:
    barrier = threading.Barrier(len(work))

    def run(one: Callable[[], Any]) -> Any:
        barrier.wait()
        return one()

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(run, work))


def test_a_revocation_holds_everywhere_at_once(pair: tuple[RunningCloud, RunningCloud]) -> None:
    first, second = pair
    with first.http() as admin, second.http(None) as there:
        user = admin.post("/identity/v3/users", json={"user": {"name": "shortly", "password": "pw", "domain_id": "default"}}
                          ).json()["user"]
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": user["id"], "password": "pw"}}}}}
        token = there.post("/identity/v3/auth/tokens", json=body).headers["X-Subject-Token"]

        def holds() -> int:
            return there.get("/identity/v3/auth/projects", headers={"X-Auth-Token": token}).status_code

        assert holds() == 200
        assert admin.patch(f"/identity/v3/users/{user['id']}", json={"user": {"enabled": False}}).status_code == 200
        assert holds() == 401


def test_tasks_of_one_resource_never_run_side_by_side(pair: tuple[RunningCloud, RunningCloud]) -> None:
    clouds: list[Cloud] = [each.cloud for each in pair]

    def submit(cloud: Cloud, base: int) -> None:
        for number in range(10):
            with cloud.database.write() as tx:
                count.submit(tx, Numbered(base + number), resource=f"test:{number % 3}")

    at_once(*(lambda cloud=cloud, base=base: submit(cloud, base) for base, cloud in zip((0, 100, 200, 300), clouds * 2,
                                                                                     strict=True)))
    wait_until(lambda: len(done) >= 40, 30, "the end of all tasks")
    pair[0].settle()
    assert sorted(number for _, number in done) == sorted(base + number for base in (0, 100, 200, 300) for number in range(10))
    assert not overlaps


def test_a_name_is_given_once(pair: tuple[RunningCloud, RunningCloud]) -> None:
    with pair[0].http() as one, pair[1].http() as two:
        for number in range(5):
            body = {"project": {"name": f"wanted-{number}", "domain_id": "default"}}
            found = at_once(*(lambda http=http, body=body: http.post("/identity/v3/projects", json=body).status_code
                              for http in (one, two, one, two)))
            assert sorted(found) == [201, 409, 409, 409]


def test_a_quota_is_not_passed_by_many_at_once(pair: tuple[RunningCloud, RunningCloud]) -> None:
    with pair[0].http() as one, pair[1].http() as two:
        project = one.get("/identity/v3/auth/projects").json()["projects"][0]["id"]
        network = one.post("/network/v2.0/networks", json={"network": {"name": "narrow"}}).json()["network"]["id"]
        ports = len(one.get(f"/network/v2.0/ports?project_id={project}").json()["ports"])
        answer = one.put(f"/network/v2.0/quotas/{project}", json={"quota": {"port": ports + 3}})
        assert answer.status_code == 200, answer.text
        found = at_once(*(lambda http=http: http.post("/network/v2.0/ports", json={"port": {"network_id": network}}).status_code
                          for http in (one, two) * 4))
        assert Counter(found) == {201: 3, 409: 5}
        one.delete(f"/network/v2.0/quotas/{project}")


def test_a_default_security_group_is_made_once(pair: tuple[RunningCloud, RunningCloud]) -> None:
    with pair[0].http() as one:
        project = one.post("/identity/v3/projects", json={"project": {"name": "fresh"}}).json()["project"]["id"]
        role = one.get("/identity/v3/roles?name=member").json()["roles"][0]["id"]
        me = one.get("/identity/v3/users?name=admin").json()["users"][0]["id"]
        assert one.put(f"/identity/v3/projects/{project}/users/{me}/roles/{role}").status_code == 204
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": me, "password": ADMIN_PASSWORD}}},
                         "scope": {"project": {"id": project}}}}
        token = one.post("/identity/v3/auth/tokens", json=body).headers["X-Subject-Token"]
        with pair[1].http(None) as two, pair[0].http(None) as three:
            two.headers["X-Auth-Token"] = three.headers["X-Auth-Token"] = token
            at_once(*(lambda http=http: http.get("/network/v2.0/security-groups").status_code for http in (two, three) * 3))
            groups = two.get(f"/network/v2.0/security-groups?project_id={project}").json()["security_groups"]
        assert [group["name"] for group in groups] == ["default"]


def test_of_two_actions_at_once_one_is_refused(pair: tuple[RunningCloud, RunningCloud]) -> None:
    with pair[0].http() as one, pair[1].http() as two:
        headers = {"X-OpenStack-Nova-API-Version": "2.37"}
        image = one.post("/image/v2/images", json={"name": "disk", "disk_format": "raw", "container_format": "bare"}).json()["id"]
        one.put(f"/image/v2/images/{image}/file", content=b"\0" * 65536, headers={"Content-Type": "application/octet-stream"})
        flavor = one.get("/compute/v2.1/flavors").json()["flavors"][0]["id"]
        body = {"server": {"name": "twice", "imageRef": image, "flavorRef": flavor, "networks": "none"}}
        answer = one.post("/compute/v2.1/servers", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        server = f"/compute/v2.1/servers/{answer.json()['server']['id']}"
        wait_until(lambda: one.get(server).json()["server"]["status"] in ("ACTIVE", "ERROR"), 20, "the server")
        assert one.get(server).json()["server"]["status"] == "ACTIVE", one.get(server).text
        for action, status in (("os-stop", "SHUTOFF"), ("os-start", "ACTIVE")) * 2:
            found = at_once(*(lambda http=http, action=action: http.post(f"{server}/action", json={action: None}).status_code
                              for http in (one, two)))
            assert sorted(found) == [202, 409], action
            wait_until(lambda wanted=status: one.get(server).json()["server"]["status"] == wanted, 20, status)
        assert one.delete(server).status_code == 204
        wait_until(lambda: one.get(server).status_code == 404, 20, "the end")


def test_what_another_deletes_meanwhile_is_not_there(pair: tuple[RunningCloud, RunningCloud]) -> None:
    """A row that was read, and gone when it was to be written, is an error of nobody's: the next try does not find it."""
    database = pair[0].cloud.database
    with database.write() as tx:
        tx.add(LeakRow(id="test/gone", kind="test", host=None, name="gone", found=0.0))
    tries: list[bool] = []

    def change(tx: Transaction) -> bool:
        row = tx.get(LeakRow, "test/gone")
        tries.append(row is not None)
        if row is None:
            return False
        with database.write() as other:
            other.execute(delete(LeakRow).where(LeakRow.id == "test/gone"))
        row.what = "changed"
        tx.flush()
        return True

    assert database.transact(change) is False and tries == [True, False]
