"""One suite for every fabric driver."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import fabric_world as world
import msgspec
import pytest

from haneul.host.contract import Fabric, FabricIds, FabricState, HostError, Refused
from haneul.host.fabric.fake import FakeFabric
from haneul.host.fabric.linux import LinuxFabric
from haneul.host.fabric.linux.driver import LinuxFabric as Driver
from haneul.kernel.config import Paths

Make = Callable[[], Fabric]


@pytest.fixture(params=["fake", pytest.param("linux", marks=pytest.mark.real)])
def make(request: pytest.FixtureRequest, tmp_path: Path, cloud_id: str) -> Iterator[Make]:
    """Opens the same fabric again each time, as an agent that starts again does."""
    if request.param == "fake":
        yield lambda: FakeFabric(tmp_path / "fabric.jsonl")
        return
    if os.geteuid() != 0:
        pytest.skip("needs root")
    request.getfixturevalue("machine")
    opened: list[Driver] = []

    def linux() -> Fabric:
        for earlier in opened:
            earlier.metadata.close()
        opened.append(LinuxFabric(cloud_id, Paths(tmp_path), "http://127.0.0.1:9", b"secret", "127.0.0.1"))
        return opened[-1]

    yield linux
    if opened:
        opened[-1].purge()


def everything() -> FabricState:
    net = world.dual_network()
    return FabricState(networks=[net, world.external()], security_groups=[world.OPEN, world.CLOSED],
                       ports=[world.port(5, net), world.port(6, net, groups=("closed",))],
                       routers=[world.router(net, {"172.30.4.50": "10.1.0.5"})])


def sizes(fabric: Fabric) -> tuple[int, int, int, int, int, int]:
    found = fabric.inventory()
    return (len(found.networks), len(found.security_groups), len(found.ports), len(found.routers),
            len(found.unhealthy), len(found.strays))


def test_empty_at_first(make: Make) -> None:
    assert sizes(make()) == (0, 0, 0, 0, 0, 0)


def test_apply_is_what_is_and_may_be_asked_twice(make: Make) -> None:
    fabric = make()
    for _ in range(2):
        fabric.apply(everything())
        assert sizes(fabric) == (2, 2, 2, 1, 0, 0)
    found = fabric.inventory()
    assert found.ports == sorted(port.id for port in everything().ports)
    assert found.routers == [world.id("router")]


def test_a_list_left_out_says_nothing(make: Make) -> None:
    fabric = make()
    fabric.apply(everything())
    fabric.apply(FabricState(ports=[world.port(7, world.dual_network())]))
    assert sizes(fabric) == (2, 2, 3, 1, 0, 0)


def test_it_is_all_there_after_a_restart(make: Make) -> None:
    make().apply(everything())
    assert sizes(make()) == (2, 2, 2, 1, 0, 0)


def test_remove_is_idempotent(make: Make) -> None:
    fabric = make()
    state = everything()
    fabric.apply(state)
    ids = FabricIds(ports=[state.ports[0].id], routers=[world.id("router")])
    for _ in range(2):
        fabric.remove(ids)
        assert sizes(fabric) == (2, 2, 1, 0, 0, 0)
    fabric.remove(FabricIds(networks=[n.id for n in state.networks], security_groups=[world.OPEN.id, world.CLOSED.id]))
    assert sizes(fabric) == (0, 0, 0, 0, 0, 0), "a network takes its ports along"


def test_remove_of_what_never_was(make: Make) -> None:
    never = [world.id("never")]
    make().remove(FabricIds(networks=never, security_groups=never, ports=never, routers=never))
    assert sizes(make()) == (0, 0, 0, 0, 0, 0)


def test_a_port_needs_its_network(make: Make) -> None:
    fabric = make()
    with pytest.raises(HostError):
        fabric.apply(FabricState(ports=[world.port(5)]))
    assert sizes(fabric) == (0, 0, 0, 0, 0, 0)


def test_ids_are_ids(make: Make) -> None:
    network = msgspec.structs.replace(world.network(), id="../../etc")
    with pytest.raises(Refused):
        make().apply(FabricState(networks=[network]))


def test_objects_change(make: Make) -> None:
    fabric = make()
    fabric.apply(everything())
    net = world.dual_network()
    fabric.apply(FabricState(ports=[world.port(5, net, port_security=False, groups=(), admin_up=False)],
                             routers=[world.router(net, {}, routes=[])],
                             networks=[msgspec.structs.replace(net, mtu=1400, dhcp_ips=[], dhcp_mac=None)]))
    assert sizes(fabric) == (2, 2, 2, 1, 0, 0)
    fabric.apply(everything())
    assert sizes(fabric) == (2, 2, 2, 1, 0, 0)


def test_strays_of_a_clean_fabric(make: Make) -> None:
    fabric = make()
    fabric.apply(everything())
    assert fabric.remove_strays() == []
    assert sizes(fabric) == (2, 2, 2, 1, 0, 0)


def test_purge(make: Make) -> None:
    fabric = make()
    fabric.apply(everything())
    for _ in range(2):
        fabric.purge()
        assert sizes(fabric) == (0, 0, 0, 0, 0, 0)
    assert sizes(make()) == (0, 0, 0, 0, 0, 0)


def test_the_fake_can_be_spoilt(tmp_path: Path) -> None:
    fake = FakeFabric(tmp_path / "fabric.jsonl")
    fake.apply(everything())
    fake.spoil(world.id("router"))
    fake.litter("link lost")
    again = FakeFabric(tmp_path / "fabric.jsonl")
    assert again.inventory().unhealthy == [world.id("router")]
    assert again.remove_strays() == ["link lost"]
    again.apply(everything())
    assert sizes(FakeFabric(tmp_path / "fabric.jsonl")) == (2, 2, 2, 1, 0, 0)
