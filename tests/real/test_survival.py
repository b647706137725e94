"""Bad days: processes killed, machines restarted, clouds side by side. Guests must not notice, nothing may be left over."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ground import Ground, Guest, Pinger, Tenant, processes, traces, until
from keystoneauth1.exceptions import ConnectionError as NotConnected
from openstack.exceptions import SDKException

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="a cloud needs root"), pytest.mark.timeout(900)]
ENDED = ("ACTIVE", "ERROR")


@pytest.fixture(scope="module")
def guest(blue: Tenant) -> Iterator[Guest]:
    with blue.guests("steadfast") as made:
        yield made[0]


def boot_id(guest: Guest) -> str:
    return guest.run("cat /proc/sys/kernel/random/boot_id")


def test_down_and_up_pass_unnoticed(ground: Ground, guest: Guest) -> None:
    before, pids = boot_id(guest), ground.qemu(guest.id)
    with Pinger(guest.address) as pinger:
        ground.down()
        assert ground.pids() == {} and ground.qemu(guest.id) == pids
        time.sleep(1)
        ground.up()
    assert pinger.sent > 10 and pinger.lost <= 1
    assert guest.until("ACTIVE") and ground.qemu(guest.id) == pids and boot_id(guest) == before
    guest.compute.pause_server(guest.id)  # the new agent holds what it adopted
    guest.until("PAUSED")
    guest.compute.unpause_server(guest.id)
    guest.until("ACTIVE")
    assert boot_id(guest) == before and "login:" in guest.console()


def test_killed_in_the_middle_of_twenty_creations_and_deletions(ground: Ground, blue: Tenant, guest: Guest) -> None:
    compute = blue.cloud.compute
    kills = Kills(ground)
    doomed: set[str] = set()
    with Pinger(guest.address) as pinger, kills:
        for number in range(20):
            made = insist(lambda n=number: compute.create_server(
                name=f"mass-{n}", image_id=ground.empty_image, flavor_id=ground.tiny_flavor, networks=[{"uuid": blue.network}]))
            if number % 2:
                insist(lambda id=made.id: compute.delete_server(id))
                doomed.add(made.id)
        kills.finished.wait(60)
    assert kills.done >= 4 and pinger.lost <= 2

    def mass() -> list[Any]:
        return [server for server in insist(lambda: list(compute.servers(details=True))) if server.name.startswith("mass-")]

    def settled() -> bool:
        return all(server.task_state is None and server.status in ENDED for server in mass())

    until(settled, 180, "every server ACTIVE, gone or in ERROR", 0.5)
    left = mass()
    assert not doomed & {server.id for server in left} and len(left) >= 10
    assert all(server.fault and server.fault["message"] for server in left if server.status == "ERROR")
    running = {server.id for server in left if server.status == "ACTIVE"}
    assert {id for id in (server.id for server in left) if ground.qemu(id)} == running
    for server in left:
        compute.delete_server(server.id)
    until(lambda: not mass(), 120, "all of them gone")
    assert_nothing_leaked(ground, blue, guest)


def assert_nothing_leaked(ground: Ground, tenant: Tenant, guest: Guest) -> None:
    """What there is belongs to the one server that lives."""
    mine = [line for line in processes().values() if line.startswith("qemu-system") and f"{ground.state}/" in line]
    assert len(mine) == 1 and guest.id in mine[0]
    assert [port.device_id for port in tenant.cloud.network.ports(network_id=tenant.network)
            if port.device_owner.startswith("compute:")] == [guest.id]
    assert ground.status()["hosts"][0]["servers"] == 1
    provider = ground.admin.placement.get("/resource_providers").json()["resource_providers"][0]["uuid"]
    used = ground.admin.placement.get(f"/resource_providers/{provider}/usages").json()["usages"]
    assert used["VCPU"] == 1 and used["MEMORY_MB"] == 192
    disks = {path.name for path in (ground.state / "host").glob("*/*") if path.parent.name in ("servers", "disks")}
    assert {name for name in disks if len(name) == 36} == {guest.id}
    inside = subprocess.run(["ip", "-n", f"hn-{ground.cloud_id}", "-o", "link"], capture_output=True, text=True, check=True)
    taps = [line for line in inside.stdout.splitlines() if line.split(": ")[1].startswith(f"t{ground.cloud_id[:4]}")]
    assert len(taps) == 1
    assert not ground.status()["tasks"]["active"]


def links() -> list[str]:
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.splitlines()


class Kills:
    """Kills control plane and agent in turn; the supervisor starts them again."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.done = ground, 0
        self.finished = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Kills:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        for name in ("control", "agent", "agent", "control"):
            time.sleep(1.5)
            pid = until(lambda wanted=name: self.ground.pids().get(wanted), 60, f"a {name} to kill")
            os.kill(pid, signal.SIGKILL)
            self.done += 1
        until(lambda: {"control", "agent"} <= set(self.ground.pids()), 60, "both again")
        self.finished.set()


def insist(ask: Any, seconds: float = 90.0) -> Any:
    """As a client with patience: tries again while the control plane is away."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (SDKException, NotConnected, OSError) as error:
            if getattr(error, "status_code", None) not in (None, 502, 503, 504) or time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def test_a_qemu_that_dies_shows_and_starts_again(ground: Ground, blue: Tenant) -> None:
    server = blue.create("mortal", image_id=ground.empty_image, flavor_id=ground.tiny_flavor, floating=False)
    try:
        server.until("ACTIVE")
        (pid,) = ground.qemu(server.id)
        os.kill(pid, signal.SIGKILL)
        found = server.until("SHUTOFF", 30)
        assert found.power_state == 6, "CRASHED, as libvirt would say"
        server.compute.start_server(server.id)
        server.until("ACTIVE")
        assert ground.qemu(server.id) not in ([], [pid])
    finally:
        server.delete()


def test_a_killed_dnsmasq_comes_back(ground: Ground, guest: Guest) -> None:
    before = ground.dnsmasq()
    assert before
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(ground.dnsmasq()) == len(before) and not set(ground.dnsmasq()) & set(before), 90, "another dnsmasq")
    until(lambda: "lease of" in guest.attempt("sudo udhcpc -n -q -t 5 -i eth0 2>&1").stdout, 60, "a lease")
    assert guest.ip in guest.run("ip -o -4 addr show dev eth0")


@pytest.fixture
def another() -> Iterator[Ground]:
    made = Ground()
    try:
        yield made
    finally:
        made.purge()
        shutil.rmtree(made.state.with_name(made.state.name + "-keys"), ignore_errors=True)


def test_two_clouds_a_restart_of_the_machine_and_a_purge(ground: Ground, guest: Guest, another: Ground) -> None:
    from haneul.cli import guest as image
    with Pinger(guest.address) as pinger:
        another.up()
        another.furnish(image.cached())
        tenant = another.tenant("green", "10.31.0.0/24")  # the first cloud's addresses, too
        (other,) = tenant.boot("elsewhere")
        before = boot_id(other)
        assert other.address != guest.address

        lose_everything(another)
        assert traces(another.cloud_id, another.state) == []
        another.up()
        other.until("ACTIVE")
        other.until_login()
        assert boot_id(other) != before and other.run("hostname").split(".")[0] == "elsewhere"

        cloud_id = another.cloud_id
        another.purge()
        assert traces(cloud_id, another.state) == [] and not another.state.exists()
    assert pinger.lost <= 2, "the first cloud's guest noticed nothing of all that"
    assert boot_id(guest) and ground.qemu(guest.id)


def lose_everything(cloud: Ground) -> None:
    """What a restart of the machine takes: every process, namespace, link, table and mount of this cloud, but no file."""
    namespaces = cloud.namespaces()
    for pid in cloud.pids().values():
        _kill(pid)
    for name in namespaces:
        inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True).stdout
        for pid in inside.split():
            _kill(int(pid))
    for pid, line in processes().items():
        if f"{cloud.state}/" in line and line.startswith(("qemu-", "/usr/sbin/dnsmasq", "dnsmasq")):
            _kill(pid)
    until(lambda: not [line for line in processes().values() if f"{cloud.state}/" in line], 10, "no process")
    for name in namespaces:
        subprocess.run(["ip", "netns", "delete", name], check=True)
    for line in links():
        if cloud.cloud_id in line:
            name = line.split(": ")[1].partition("@")[0]
            subprocess.run(["ip", "link", "delete", name], stderr=subprocess.DEVNULL)  # a pair goes together
    for line in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.splitlines():
        if cloud.cloud_id in line:
            subprocess.run(["nft", "delete", *line.split()], check=True)
    shutil.rmtree(f"/run/hn-{cloud.cloud_id}", ignore_errors=True)
    for path in sorted(Path("/sys/fs/cgroup").rglob("haneul-*"), key=lambda path: -len(str(path))):
        if cloud.cloud_id in str(path):
            until(lambda path=path: _removed(path), 10, "no cgroup")


def _removed(path: Path) -> bool:
    for below in sorted((each for each in path.rglob("*") if each.is_dir()), key=lambda each: -len(str(each))):
        with contextlib.suppress(OSError):
            below.rmdir()
    with contextlib.suppress(OSError):
        path.rmdir()
    return not path.exists()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
