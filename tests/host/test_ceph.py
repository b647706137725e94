"""Volumes on a Ceph cluster that runs for the test: what only this back end can show, with real guests, and with a cluster that
goes away and comes back. What every back end does alike is in test_volumes_contract.py."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from guests import DISK_BYTES, LET_GO, SAY_A, WRITE_ITSELF, Machine, boot_sector, wait
from msgspec import structs

from ceph_cluster import POOL, Cluster
from haneul.host.contract import Conflict, DiskSpec, HostError, NoRoom, NotThere, Refused, ServerSpec
from haneul.host.hosts import open_hosts
from haneul.host.storage import VolumeSource
from haneul.host.volumes.ceph import Driver, cluster, driver
from haneul.host.volumes.store import Setting
from haneul.host.volumes.transfers import TransferFiles
from haneul.kernel.config import Config, Host, Paths, Volume

pytestmark = pytest.mark.real

KEY = "a-passphrase-that-nobody-finds"
ENDLESS = SAY_A + bytes.fromhex("31c0 8ec0 bb007c b80103 b90100 ba8100 cd13"  # int 13h: the boot sector to the second disk
                                "baf803 b042 7302 b043 ee ebe0")  # 'B' when it was written, 'C' when not; again


def open_store(ceph: Cluster, folder: Path, pool: str = POOL, **more: str) -> Driver:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    options = {**ceph.options(), "pool": pool, **more}
    options.pop("driver")
    setting = Setting(name="ceph", folder=folder / "ceph", transfers=TransferFiles(folder / "transfers"), users=[])
    return Driver(setting, Driver.Options(**options))


@pytest.fixture
def store(ceph_cluster: Cluster, state: Path) -> Iterator[Driver]:
    yield open_store(ceph_cluster, state / "store")
    ceph_cluster.empty()


class CephMachine(Machine):
    """A host whose only back end is the cluster."""

    def __init__(self, state: Path, ceph: Cluster) -> None:
        self.backends = {"ceph": ceph.options()}
        super().__init__(state, "qemu")

    def _open(self) -> None:
        config = Config(host=Host(name="testhost", hypervisor="qemu", fabric="fake"), volume=Volume(backends=self.backends))
        host = open_hosts(config, Paths(self.state))[0]
        self.hypervisor, self.disks = host.hypervisor, host.disks
        if "ceph" in self.backends:
            self.store = host.volumes.named("ceph")

    def disk(self, name: str, key: str | None = None, boot_index: int | None = None) -> DiskSpec:
        self.store.create(f"volume-{name}", "raw", DISK_BYTES, key)
        return DiskSpec(name=f"vol-{name}", format="raw", serial="0123456789abcdef0123", boot_index=boot_index,
                        source=VolumeSource(backend="ceph", volume=f"volume-{name}", key=key))

    def with_disk(self, code: bytes, disk: DiskSpec) -> ServerSpec:
        """Running, the volume its second disk: the firmware shows no others."""
        spec = self.spec(code)
        spec = structs.replace(spec, disks=[*spec.disks, structs.replace(disk, boot_index=1)])
        self.hypervisor.create(spec)
        self.hypervisor.run(spec.id)
        return spec

    def data(self, disk: DiskSpec) -> bytes:
        assert disk.source
        id = uuid.uuid4().hex
        self.store.export(disk.source.volume, id)
        return self.store.setting.transfers.file(id).read_bytes()


@pytest.fixture
def host(ceph_cluster: Cluster, store: Driver, state: Path) -> Iterator[CephMachine]:  # noqa: ARG001 (it cleans up)
    made = CephMachine(state, ceph_cluster)
    yield made
    made.end()


def bring(store: Driver, content: bytes, size: int) -> str:
    id = uuid.uuid4().hex
    store.setting.transfers.begin(id, size)
    store.setting.transfers.write(id, 0, content)
    return id


def content(store: Driver, name: str, snapshot: str | None = None) -> bytes:
    id = uuid.uuid4().hex
    store.export(name, id, snapshot)
    return store.setting.transfers.file(id).read_bytes()


# ---------------------------------------------------------------- images, snapshots, clones


def test_capacity(store: Driver) -> None:
    state = store.state()
    assert state.problem == "" and state.networked and state.driver == "ceph" and state.formats == ("raw",)
    assert 0 < state.free_bytes <= state.total_bytes


def test_clones_outlive_what_they_come_from(store: Driver, ceph_cluster: Cluster) -> None:
    store.create_from_transfer("first", "raw", DISK_BYTES, bring(store, b"data", DISK_BYTES))
    store.snapshot("first", "_snapshot-1")
    store.clone("of-snapshot", "raw", DISK_BYTES * 4, "first", "_snapshot-1")
    store.clone("of-volume", "raw", DISK_BYTES, "first")
    assert store.volume("first").snapshots == ["_snapshot-1"]
    with pytest.raises(Conflict):
        store.delete("first")
    store.delete_snapshot("first", "_snapshot-1")
    store.delete("first")
    assert sorted(volume.name for volume in store.volumes()) == ["of-snapshot", "of-volume"]
    store.create("first", "raw", DISK_BYTES)  # the name is free, and nothing is to be read
    assert not any(content(store, "first"))
    for name, size in (("of-snapshot", DISK_BYTES * 4), ("of-volume", DISK_BYTES)):
        data = content(store, name)
        assert data.startswith(b"data") and len(data) == size
    for name in ("of-snapshot", "of-volume", "first"):
        store.delete(name)
    wait(lambda: ceph_cluster.rbd("ls", POOL).split() == [], "what clones shared is removed after the last of them")


def test_a_long_chain_of_clones_is_deleted_from_its_start(store: Driver, ceph_cluster: Cluster) -> None:
    store.create_from_transfer("v0", "raw", DISK_BYTES, bring(store, b"data", DISK_BYTES))
    for number in range(4):
        store.clone(f"v{number + 1}", "raw", DISK_BYTES, f"v{number}")
        store.delete(f"v{number}")
    assert content(store, "v4").startswith(b"data")
    store.delete("v4")
    wait(lambda: ceph_cluster.rbd("ls", POOL).split() == [], "all of the chain is gone")


def test_a_revert_that_was_broken_off_finds_the_size_again(store: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    store.create_from_transfer("a", "raw", DISK_BYTES, bring(store, b"old", DISK_BYTES))
    store.snapshot("a", "s")
    store.extend("a", DISK_BYTES * 3)

    def die(name: str, size_bytes: int) -> None:
        raise HostError("died")

    with monkeypatch.context() as patch, pytest.raises(HostError):
        patch.setattr(store, "_resize", die)
        store.revert("a", "s")
    store.revert("a", "s")
    assert store.volume("a").size_bytes == DISK_BYTES * 3
    data = content(store, "a")
    assert data.startswith(b"old") and len(data) == DISK_BYTES * 3
    assert store._meta("a") == {}


def test_encrypted(store: Driver) -> None:
    assert store.create("a", "raw", DISK_BYTES, KEY).size_bytes == DISK_BYTES
    source = bring(store, b"plain text", DISK_BYTES)
    store.create_from_transfer("b", "raw", DISK_BYTES, source, KEY)
    data = content(store, "b")
    assert data.startswith(b"LUKS\xba\xbe") and b"plain text" not in data and len(data) > DISK_BYTES
    assert store.clone("c", "raw", DISK_BYTES * 2, "b", key=KEY).size_bytes == DISK_BYTES * 2
    assert store.extend("a", DISK_BYTES * 5, KEY).size_bytes == DISK_BYTES * 5
    assert {volume.name: volume.size_bytes for volume in store.volumes()} == {
        "a": DISK_BYTES * 5, "b": DISK_BYTES, "c": DISK_BYTES * 2}
    store.create("plain", "raw", DISK_BYTES)
    with pytest.raises(Refused):
        store.clone("d", "raw", DISK_BYTES, "plain", key=KEY)
    for name, key in (("b", None), ("plain", KEY)):
        with pytest.raises(Refused):
            store.node(VolumeSource(backend="ceph", volume=name, key=key))


def test_what_fails_half_way_leaves_nothing(store: Driver, ceph_cluster: Cluster, state: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    source = bring(store, b"data", DISK_BYTES)
    with pytest.raises(Refused):
        store.create_from_transfer("a", "raw", DISK_BYTES // 2, source)
    with pytest.raises(NotThere):
        store.create_from_transfer("a", "raw", DISK_BYTES, "none")
    with monkeypatch.context() as patch, pytest.raises(HostError):
        patch.setattr(store._copies, "write", lambda *_: (_ for _ in ()).throw(HostError("broken off")))
        store.create_from_transfer("a", "raw", DISK_BYTES, source)
    assert store.volumes() == []
    assert ceph_cluster.rbd("ls", POOL).split() == [".making-a"]
    store.create_from_transfer("a", "raw", DISK_BYTES, source)
    assert content(store, "a").startswith(b"data")
    ceph_cluster.rbd("create", f"{POOL}/.making-b", "--size", "1M")
    open_store(ceph_cluster, state / "next").state()  # an agent that is not asked for it again
    wait(lambda: ceph_cluster.rbd("ls", POOL).split() == ["a"], "what an agent left that was killed")


def test_a_full_pool(store: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store._cluster, "capacity", lambda: (10 << 30, 1 << 12))
    with pytest.raises(NoRoom):
        store.create_from_transfer("a", "raw", DISK_BYTES, bring(store, os.urandom(1 << 16), DISK_BYTES))
    assert store.volumes() == []


def test_only_raw(store: Driver) -> None:
    with pytest.raises(Refused):
        store.create("a", "qcow2", DISK_BYTES)
    store.create("a", "raw", DISK_BYTES)
    with pytest.raises(Refused):
        store.node(VolumeSource(backend="ceph", volume="a", format="qcow2"))


@pytest.mark.parametrize("wrong", [{"pool": "none"}, {"user": "nobody"}, {"conf": "/nonexistent/ceph.conf"},
                                   {"keyring": "/nonexistent/keyring"}])
def test_what_is_configured_wrongly_is_said(ceph_cluster: Cluster, state: Path, wrong: dict[str, str]) -> None:
    store = open_store(ceph_cluster, state / "wrong", **wrong)
    assert store.state().problem and store.state().free_bytes == 0
    with pytest.raises(HostError) as error:
        store.volume("volume-a")
    assert not isinstance(error.value, NotThere)  # or the control plane would believe that its volumes are gone


# ---------------------------------------------------------------- guests


@pytest.mark.parametrize("key", [None, KEY])
def test_a_guest_writes_and_another_reads(host: CephMachine, ceph_cluster: Cluster, key: str | None) -> None:
    disk = host.disk("a", key)
    first = host.with_disk(WRITE_ITSELF, disk)
    wait(lambda: host.hypervisor.console_log(first.id) == "AB", "a guest that wrote")
    with pytest.raises(Conflict):
        host.store.delete("volume-a")
    host.hypervisor.kill(first.id)
    data = host.data(disk)
    assert data.startswith(b"LUKS\xba\xbe" if key else boot_sector(WRITE_ITSELF))
    second = ServerSpec(id=str(uuid.uuid4()), name="x", vcpus=1, memory_mib=32, disks=[structs.replace(disk, boot_index=0)])
    host.hypervisor.create(second)
    host.hypervisor.run(second.id)
    wait(lambda: host.hypervisor.console_log(second.id).startswith("A"), "boot from the volume")
    _nothing_secret_lies_about(host, ceph_cluster, second.id)


def _nothing_secret_lies_about(host: CephMachine, ceph: Cluster, id: str) -> None:
    pid = host.hypervisor.server(id).pid
    cephx = ceph.keyring.read_text().partition("key = ")[2].split()[0]
    monitor = host.hypervisor._machines[id].connected()  # type: ignore[attr-defined]
    assert not [each for each in monitor.execute("qom-list", {"path": "/objects"}) if each["name"].startswith("key")]
    assert cephx not in Path(f"/proc/{pid}/cmdline").read_text()
    for path in (host.state / "host").rglob("*"):
        if path.is_file():
            assert cephx.encode() not in path.read_bytes(), path
    guest_conf = host.state / "host" / "volumes" / "ceph" / "guest.conf"
    assert guest_conf.stat().st_mode & 0o007 == 0
    assert os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
    for namespace in ("ipc", "uts"):
        assert os.readlink(f"/proc/{pid}/ns/{namespace}") != os.readlink(f"/proc/self/ns/{namespace}")
    assert "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()


def test_in_and_out_of_a_running_guest(host: CephMachine) -> None:
    spec, disk = host.running(LET_GO), host.disk("a")
    wait(lambda: host.hypervisor.console_log(spec.id), "boot")
    for _ in range(2):
        assert host.hypervisor.attach(spec.id, disk).disks == ["root", "vol-a"]
        host.store.snapshot("volume-a", "_snapshot-1")
        host.hypervisor.resize_disk(spec.id, "vol-a", host.store.volume("volume-a").size_bytes + DISK_BYTES)
        for verb in (host.store.delete, lambda name: host.store.revert(name, "_snapshot-1")):
            with pytest.raises(Conflict):
                verb("volume-a")
        host.store.delete_snapshot("volume-a", "_snapshot-1")
        host.hypervisor.detach(spec.id, "vol-a")
        host.until(spec.id, lambda state: state.disks == ["root"])
    assert host.store.volume("volume-a").size_bytes == DISK_BYTES * 3
    host.store.delete("volume-a")


def test_a_guest_that_was_killed_lets_go_of_its_volume(host: CephMachine) -> None:
    """Ceph counts it as there for a while: who deletes waits."""
    disk = host.disk("a")
    spec = host.with_disk(ENDLESS, disk)
    wait(lambda: "B" in host.hypervisor.console_log(spec.id), "a guest that writes")
    os.kill(host.hypervisor.server(spec.id).pid or 0, 9)
    host.until(spec.id, lambda state: state.power == "crashed")
    host.store.delete("volume-a")
    assert host.store.volumes() == []


def test_a_guest_without_the_network_is_given_no_volume_that_needs_it(host: CephMachine) -> None:
    backends, host.backends = host.backends, {"file": {"driver": "file"}}
    host.restart()
    spec = host.running()
    pid = host.hypervisor.server(spec.id).pid
    assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
    host.backends = backends
    host.restart()
    with pytest.raises(Conflict):
        host.hypervisor.attach(spec.id, host.disk("a"))
    assert host.hypervisor.server(spec.id).disks == ["root"]


def test_a_changeover_copies_while_the_guest_writes(host: CephMachine) -> None:
    first, second = host.disk("a"), host.disk("b")
    spec = host.with_disk(ENDLESS, first)
    wait(lambda: "B" in host.hypervisor.console_log(spec.id), "a guest that writes")
    host.hypervisor.replace_disk(spec.id, structs.replace(second, name="vol-a"))
    host.store.delete("volume-a")
    host.hypervisor.kill(spec.id)
    assert host.data(second).startswith(boot_sector(ENDLESS))
    assert "C" not in host.hypervisor.console_log(spec.id)


# ---------------------------------------------------------------- a cluster that goes away


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "MOUNT_SECONDS", 2)
        patch.setattr(cluster, "OPERATION_SECONDS", 2)
        patch.setattr(driver, "WATCHER_SECONDS", 5.0)
        yield patch


def returned(store: Driver) -> bool:
    try:
        store.volumes()
    except HostError:
        return False
    return store.state().problem == ""


@pytest.mark.parametrize("gone", ["freeze", "pause"])
def test_a_cluster_that_vanishes_and_returns(host: CephMachine, ceph_cluster: Cluster, gone: str,
                                             impatient: pytest.MonkeyPatch) -> None:
    disk, other = host.disk("a"), host.disk("b")
    spec, plain = host.with_disk(ENDLESS, disk), host.running(LET_GO)
    source = bring(host.store, b"data", DISK_BYTES)
    wait(lambda: "B" in host.hypervisor.console_log(spec.id), "a guest that writes")
    getattr(ceph_cluster, gone)()
    try:
        began = time.monotonic()
        assert "cannot be used" in host.store.state().problem
        verbs = [lambda: host.store.volumes(), lambda: host.store.create("new", "raw", DISK_BYTES),
                 lambda: host.store.create_from_transfer("new", "raw", DISK_BYTES, source), lambda: host.store.delete("volume-b"),
                 lambda: host.store.snapshot("volume-a", "s"), lambda: host.store.export("volume-b", "out"),
                 lambda: host.hypervisor.attach(plain.id, other)]
        for verb in verbs:
            with pytest.raises(HostError) as error:
                verb()
            assert not isinstance(error.value, (NotThere, Conflict, NoRoom)), error.value
        assert time.monotonic() - began < 120  # the bound is what is promised, not how quick it is
        assert host.hypervisor.server(plain.id).disks == ["root"] and host.hypervisor.server(plain.id).power == "running"
        written = len(host.hypervisor.console_log(spec.id))
    finally:
        ceph_cluster.thaw() if gone == "freeze" else ceph_cluster.resume()
        impatient.undo()
    wait(lambda: returned(host.store), "the cluster")
    assert {"volume-a", "volume-b"} <= {volume.name for volume in host.store.volumes()}
    wait(lambda: len(host.hypervisor.console_log(spec.id)) > written + 1, "the guest writes on")
    assert "C" not in host.hypervisor.console_log(spec.id)  # its writes were late, none failed
    host.hypervisor.attach(plain.id, other)
    host.store.create_from_transfer("new", "raw", DISK_BYTES, source)
    assert content(host.store, "new").startswith(b"data")
    assert host.data(disk).startswith(boot_sector(ENDLESS))


def test_two_who_ask_for_the_same_wait_for_each_other(store: Driver) -> None:
    source, made = bring(store, b"data", DISK_BYTES * 64), []
    asked = [threading.Thread(target=lambda: made.append(store.create_from_transfer("a", "raw", DISK_BYTES * 64, source)))
             for _ in range(3)]
    for thread in asked:
        thread.start()
    for thread in asked:
        thread.join()
    assert len(made) == 3 and len(set(map(str, made))) == 1
