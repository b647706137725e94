"""The scheduler's decisions and the books behind them, on a database of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from haneul.fleet.model import HostRow
from haneul.host.contract import HostFacts
from haneul.kernel import clock, ids
from haneul.kernel.cloud import Cloud
from haneul.kernel.config import Config, Paths
from haneul.kernel.database import Base, Database
from haneul.placement import allocations, hosts
from haneul.placement.model import Allocation, Consumer, Inventory
from haneul.placement.scheduler import Ask, NoValidHost, Within, claim

SMALL = {"VCPU": 1, "MEMORY_MB": 1024, "DISK_GB": 1}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    from running import database_url

    cloud = Cloud(Config(), Paths(tmp_path))
    cloud.database = Database(database_url(tmp_path) or f"sqlite:///{tmp_path}/books.db")
    cloud.database.cloud = cloud
    Base.metadata.create_all(cloud.database.engine)
    yield cloud
    cloud.database.close()


def add(cloud: Cloud, name: str, *, memory: int = 4096, cpus: int = 4, features: tuple[str, ...] = (), **row: object) -> None:
    facts = HostFacts(name=name, hypervisor="fake", virt="fake", hypervisor_version=1, architecture="x86_64", cpu_model="m",
                      cpu_features=list(features), cpus=cpus, memory_mib=memory, disk_gib=100, fabric="fake")
    with cloud.database.write() as tx:
        number = tx.execute(select(func.count()).select_from(HostRow)).scalar_one() + 1
        values: dict[str, object] = {"state": "up", **row}
        host = HostRow(name=name, id=ids.new(), endpoint="unix:/x", facts={}, heartbeat=0.0, number=number,
                       created_at=clock.now(), updated_at=clock.now(), **values)
        tx.add(host)
        tx.flush()
        hosts.enrolled(tx, host, facts)


def ask(**more: object) -> Ask:
    values: dict[str, object] = {"consumer_id": ids.new(), "project_id": "p", "user_id": "u", "resources": dict(SMALL), **more}
    return Ask(**values)  # type: ignore[arg-type]


def chosen(cloud: Cloud, question: Ask) -> str:
    with cloud.database.write() as tx:
        return claim(tx, question).host


def refused(cloud: Cloud, question: Ask) -> dict[str, str]:
    with pytest.raises(NoValidHost) as caught, cloud.database.write() as tx:
        claim(tx, question)
    return caught.value.reasons


def books_agree(cloud: Cloud) -> bool:
    with cloud.database.read() as tx:
        used = {(provider, name): amount for provider, name, amount in tx.execute(
            select(Inventory.provider_id, Inventory.resource_class, Inventory.used)) if amount}
        held = {(provider, name): int(amount) for provider, name, amount in tx.execute(
            select(Allocation.provider_id, Allocation.resource_class, func.sum(Allocation.used))
            .group_by(Allocation.provider_id, Allocation.resource_class))}
    return used == held


def test_servers_spread_by_free_memory(cloud: Cloud) -> None:
    for name in ("a", "b", "c"):
        add(cloud, name)
    assert sorted(chosen(cloud, ask()) for _ in range(6)) == ["a", "a", "b", "b", "c", "c"]
    assert books_agree(cloud)


def test_a_host_that_is_full_is_refused_with_its_reason(cloud: Cloud) -> None:
    add(cloud, "small", memory=1536)  # 1024 after the reserve, 1536 with the ratio
    chosen(cloud, ask())
    assert refused(cloud, ask()) == {"small": "not enough MEMORY_MB"}
    assert refused(cloud, ask(resources={"VCPU": 5, "MEMORY_MB": 1})) == {"small": "does not give 5 VCPU at once"}
    assert refused(cloud, ask(resources={"VGPU": 1})) == {"small": "has no VGPU"}
    assert books_agree(cloud)


def test_every_filter_says_why(cloud: Cloud) -> None:
    add(cloud, "down", state="down")
    add(cloud, "forced", forced_down=True)
    add(cloud, "disabled", disabled=True)
    add(cloud, "east", availability_zone="east")
    add(cloud, "plain")
    add(cloud, "avoided")
    reasons = refused(cloud, ask(availability_zone="nova", avoid={"avoided": "a member of the group is there"},
                                 required_traits=frozenset({"HW_CPU_X86_AVX2"})))
    assert reasons == {"down": "the host is down", "forced": "the host is down", "disabled": "the host is disabled",
                       "east": "not in availability zone nova", "avoided": "a member of the group is there",
                       "plain": "lacks HW_CPU_X86_AVX2"}


def test_traits_zones_and_sets_of_hosts(cloud: Cloud) -> None:
    add(cloud, "old")
    add(cloud, "new", features=("avx2", "sse4_2"))
    add(cloud, "east", availability_zone="east")
    assert chosen(cloud, ask(required_traits=frozenset({"HW_CPU_X86_AVX2", "HW_CPU_X86_SSE42"}))) == "new"
    assert chosen(cloud, ask(availability_zone="east")) == "east"
    assert chosen(cloud, ask(forbidden_traits=frozenset({"HW_CPU_X86_AVX2"}), availability_zone="nova")) == "old"
    both = [Within(frozenset({"old", "east"}), "aggregate"), Within(frozenset({"old"}), "group")]
    assert chosen(cloud, ask(within=both)) == "old"
    assert refused(cloud, ask(within=[Within(frozenset(), "no host of the group")]))["old"] == "no host of the group"
    assert chosen(cloud, ask(physnets=frozenset({"public"}), avoid={"old": "", "new": ""})) == "east"
    assert refused(cloud, ask(physnets=frozenset({"elsewhere"})))["old"] == "lacks CUSTOM_PHYSNET_ELSEWHERE"


def test_a_named_host_may_be_disabled_but_not_down(cloud: Cloud) -> None:
    add(cloud, "off", disabled=True)
    add(cloud, "on")
    assert chosen(cloud, ask(host="off")) == "off"
    with cloud.database.write() as tx:
        tx.get_one(HostRow, "off").state = "down"
    assert refused(cloud, ask(host="off")) == {"off": "the host is down", "on": "another host was asked for"}


def test_claiming_again_replaces_and_release_is_idempotent(cloud: Cloud) -> None:
    add(cloud, "a", memory=65536)
    question = ask()
    for _ in range(3):
        chosen(cloud, question)
    with cloud.database.read() as tx:
        assert allocations.of(tx, question.consumer_id) == {"a": SMALL}
    assert books_agree(cloud)
    for _ in range(2):
        with cloud.database.write() as tx:
            allocations.release(tx, question.consumer_id)
    with cloud.database.read() as tx:
        assert allocations.of(tx, question.consumer_id) == {}
        assert allocations.used_of(tx, "a")["VCPU"] == (0, 4)
        assert tx.execute(select(func.count()).select_from(Consumer)).scalar_one() == 0


def test_a_migration_keeps_the_room_while_the_server_claims_elsewhere(cloud: Cloud) -> None:
    add(cloud, "a")
    question, migration = ask(), ids.new()
    chosen(cloud, question)
    add(cloud, "b")
    for _ in range(2):
        with cloud.database.write() as tx:
            allocations.move(tx, question.consumer_id, migration)
    assert chosen(cloud, question) == "b"
    with cloud.database.read() as tx:
        assert allocations.of(tx, migration) == {"a": SMALL}
        assert allocations.of(tx, question.consumer_id) == {"b": SMALL}
        assert allocations.unknown(tx, [question.consumer_id], older_than=0.0) == [migration]
    assert books_agree(cloud)


def test_claims_at_once_never_take_the_same_room(cloud: Cloud) -> None:
    for name in ("a", "b"):
        add(cloud, name, memory=8704, cpus=64)  # 8192 after the reserve, 12288 with the ratio: twelve servers each

    def one(_: int) -> str:
        try:
            return chosen(cloud, ask())
        except NoValidHost:
            return "none"

    with ThreadPoolExecutor(8) as pool:
        answers = Counter(pool.map(one, range(30)))
    assert answers == {"a": 12, "b": 12, "none": 6}
    assert books_agree(cloud)


def test_a_wrong_sum_is_mended(cloud: Cloud) -> None:
    add(cloud, "a")
    chosen(cloud, ask())
    with cloud.database.write() as tx:
        for row in tx.execute(select(Inventory)).scalars():
            row.used += 7
    assert allocations.recount(cloud) == 3
    assert allocations.recount(cloud) == 0
    assert books_agree(cloud)


def test_new_facts_change_inventories_and_keep_what_operators_set(cloud: Cloud) -> None:
    add(cloud, "a", features=("avx2",))
    chosen(cloud, ask())
    facts = HostFacts(name="a", hypervisor="fake", virt="fake", hypervisor_version=1, architecture="x86_64", cpu_model="m",
                      cpu_features=[], cpus=8, memory_mib=8192, disk_gib=100, fabric="fake")
    with cloud.database.write() as tx:
        hosts.enrolled(tx, tx.get_one(HostRow, "a"), facts)
    with cloud.database.read() as tx:
        assert allocations.used_of(tx, "a") == {"VCPU": (1, 8), "MEMORY_MB": (1024, 8192), "DISK_GB": (1, 100)}
    assert "lacks" in refused(cloud, ask(required_traits=frozenset({"HW_CPU_X86_AVX2"})))["a"]
    assert chosen(cloud, ask(physnets=frozenset({"public"}))) == "a"
