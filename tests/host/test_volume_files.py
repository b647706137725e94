"""Volumes as files: what is left when something dies in the middle, a store that is full or gone, links, configuration, streams,
and real guests that have them open."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from guests import Machine
from msgspec import structs
from stores import KEY, MIB, Bench

from haneul.host import volumes
from haneul.host.contract import Conflict, HostError, NoRoom, NotThere, Refused
from haneul.host.hosts import open_hosts
from haneul.host.storage import VolumeSource
from haneul.host.volumes.file import internal
from haneul.host.volumes.file.driver import Driver
from haneul.kernel.config import Config, ConfigError, Host, Paths, Volume

SIZE = 8 * MIB


@pytest.fixture
def bench(state: Path) -> Bench:
    return Bench(state, {"driver": "file"}, "raw")


def folder_of(bench: Bench) -> Path:
    return bench.state / "volumes" / "store"


# ---------------------------------------------------------------- crashes


def test_leftovers_are_swept_and_nothing_else_is(bench: Bench) -> None:
    bench.store.create("a", "raw", SIZE)
    bench.store.snapshot("a", "s")
    for leftover in (folder_of(bench) / ".partial-1", bench.state / "transfers" / ".partial-2"):
        leftover.write_bytes(b"half a copy")
    (folder_of(bench) / "notes.txt").write_text("of the operator")
    bench.transfers.begin("t", MIB)
    bench.restart()
    assert not list(bench.state.rglob(".partial-*")) and (folder_of(bench) / "notes.txt").exists()
    assert [(each.name, each.snapshots) for each in bench.store.volumes()] == [("a", ["s"])]
    assert bench.transfers.transfer("t").bytes == MIB


def test_a_rename_that_was_cut_short_goes_on(bench: Bench) -> None:
    bench.store.create("a", "raw", SIZE)
    for snapshot in ("s", "t"):
        bench.store.snapshot("a", snapshot)
    (folder_of(bench) / "a@s.raw").rename(folder_of(bench) / "b@s.raw")
    bench.store.rename("a", "b")
    assert [(each.name, each.snapshots) for each in bench.store.volumes()] == [("b", ["s", "t"])]


def test_a_revert_that_was_cut_short_gives_the_size_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.store.create("a", "qcow2", SIZE)
    bench.write("a", 1)
    bench.store.snapshot("a", "s")
    bench.store.extend("a", 2 * SIZE)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(internal, "grow", killed)
        bench.store.revert("a", "s")
    assert bench.store.volume("a").size_bytes == SIZE
    bench.restart()
    assert bench.store.volume("a").size_bytes == 2 * SIZE and bench.has("a", 1)
    assert not list(folder_of(bench).glob(".revert-*"))


def test_nobody_waits_longer_than_his_caller(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.store.create("a", "raw", SIZE)
    monkeypatch.setattr(bench.store, "setting", structs.replace(bench.store.setting, patience=0.05))
    with ThreadPoolExecutor(1) as other, bench.store.locked("a"):
        for attempt in (lambda: bench.store.delete("a"), lambda: bench.store.clone("b", "raw", SIZE, "a")):
            with pytest.raises(HostError, match="still being worked on"):
                other.submit(attempt).result()
        bench.store.snapshot("a", "s")  # who has it may go on
    assert bench.store.clone("b", "raw", SIZE, "a").name == "b"  # what was not had is not kept


# ---------------------------------------------------------------- stores that are full, gone or odd


@pytest.fixture
def small(state: Path) -> Iterator[Bench]:
    """A store of 4 MiB."""
    path = state / "mount"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0711", "tmpfs", str(path)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr}")
    yield Bench(state, {"driver": "file", "path": str(path)}, "raw")
    subprocess.run(["umount", "-l", str(path)], check=False)


def test_a_full_store(small: Bench) -> None:
    store = small.store
    for format in ("raw", "qcow2"):
        store.create(format, format, SIZE)  # thin
    small.write("raw", 1, 0, 3 * MIB)
    small.put("t", os.urandom(2 * MIB), "raw")
    kept = sorted(path.name for path in (small.state / "mount").iterdir())
    for attempt in (lambda: store.snapshot("raw", "s"), lambda: store.clone("c", "raw", SIZE, "raw"),
                    lambda: store.clone("c", "qcow2", SIZE, "raw"), lambda: store.create_from_transfer("c", "raw", SIZE, "t"),
                    lambda: store.create_from_transfer("c", "qcow2", SIZE, "t"), lambda: store.create_from_transfer(
                        "c", "raw", SIZE, "t", KEY)):
        with pytest.raises(NoRoom):
            attempt()
        assert sorted(path.name for path in (small.state / "mount").iterdir()) == kept
    assert small.has("raw", 1, 0, 3 * MIB) and store.state().free_bytes < MIB
    store.delete("raw")
    store.create_from_transfer("c", "raw", SIZE, "t")


def test_a_mount_point_without_its_file_system_is_no_store(small: Bench) -> None:
    small.store.create("a", "raw", SIZE)
    path = small.state / "mount"
    subprocess.run(["umount", "-l", str(path)], check=True)
    for _ in range(2):
        assert "mounted" in small.store.state().problem
        for attempt in (lambda: small.store.delete("a"), lambda: small.store.create("b", "raw", SIZE),
                        lambda: small.store.volumes(), lambda: small.store.node(VolumeSource(backend="store", volume="a"))):
            with pytest.raises(HostError, match="mounted"):
                attempt()
        small.restart()
    assert not list(path.iterdir())


def test_a_store_that_is_out_of_reach_comes_back(state: Path) -> None:
    bench = Bench(state, {"driver": "file", "path": str(state / "later" / "store")}, "raw")
    assert "does not exist" in bench.store.state().problem
    with pytest.raises(HostError, match="does not exist"):
        bench.store.create("a", "raw", SIZE)
    (state / "later").mkdir()
    bench.store.create("a", "raw", SIZE)
    assert not bench.store.state().problem


def test_two_back_ends_do_not_share_a_folder(state: Path) -> None:
    tables = {name: {"driver": "file", "path": str(state / "folder")} for name in ("one", "two")}
    stores = open_hosts(Config(volume=Volume(backends=tables), host=Host(name="h", hypervisor="fake")), Paths(state))[0].volumes
    stores.named("one").create("a", "raw", SIZE)
    assert stores.named("two").state().problem.endswith("is the store of back end one")
    with pytest.raises(HostError, match="back end one"):
        stores.named("two").delete("a")
    assert [each.name for each in stores.named("one").volumes()] == ["a"]


def test_a_clone_may_be_encrypted_where_its_source_is_not(bench: Bench) -> None:
    for format in ("raw", "qcow2"):
        bench.store.create(format, format, SIZE)  # type: ignore[arg-type]
        bench.write(format, 3)
        bench.store.clone(f"{format}-2", "raw", 2 * SIZE, format, None, KEY)
        assert bench.has(f"{format}-2", 3, key=KEY) and bench.has(f"{format}-2", 0, MIB, SIZE - MIB, key=KEY)
        assert bench.store.volume(f"{format}-2").size_bytes == 2 * SIZE


def test_links_lead_nowhere(bench: Bench) -> None:
    outside = bench.state / "outside"
    outside.write_bytes(b"secret".ljust(MIB))
    bench.store.create("a", "raw", SIZE)
    for kind in ("raw", "qcow2", "luks"):
        (folder_of(bench) / f"link-{kind}.{kind}").symlink_to(outside)
        for attempt in (lambda: bench.store.volume(f"link-{kind}"), lambda: bench.store.delete(f"link-{kind}"),  # noqa: B023
                        lambda: bench.store.clone("c", "raw", SIZE, f"link-{kind}"),  # noqa: B023
                        lambda: bench.store.create(f"link-{kind}", "raw", SIZE),  # noqa: B023
                        lambda: bench.store.rename("a", f"link-{kind}")):  # noqa: B023
            with pytest.raises(Refused):
                attempt()
    assert [each.name for each in bench.store.volumes()] == ["a"] and outside.read_bytes() == b"secret".ljust(MIB)


def test_a_qcow2_that_names_another_file_is_not_opened(bench: Bench) -> None:
    secret = bench.state / "secret"
    secret.write_bytes(b"secret".ljust(MIB))
    for name, words in (("backed", ["-F", "raw", "-b", str(secret)]),
                        ("data", ["-o", f"data_file={secret}.data,data_file_raw=on"])):
        path = folder_of(bench) / f"{name}.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *words, str(path), str(SIZE)], check=True)
        for attempt in (lambda: bench.store.clone("c", "raw", SIZE, name), lambda: bench.store.export(name, "t"),  # noqa: B023
                        lambda: bench.store.snapshot(name, "s"), lambda: bench.store.extend(name, 2 * SIZE),  # noqa: B023
                        lambda: bench.store.node(VolumeSource(backend="store", volume=name, format="qcow2"))):  # noqa: B023
            with pytest.raises(Refused, match="refers to another file"):
                attempt()
    assert bench.transfers.transfers() == []


def test_files_are_of_qemus_user_and_nobody_else(bench: Bench) -> None:
    from haneul.host.accounts import qemu_account

    bench.store.create("a", "raw", SIZE)
    bench.store.create("q", "qcow2", SIZE)
    bench.store.create("e", "raw", SIZE, KEY)
    bench.store.snapshot("a", "s")
    bench.store.export("q", "t")
    bench.put("u", bytes(MIB), "raw")
    files = [path for path in bench.state.rglob("*") if path.suffix in (".raw", ".qcow2", ".luks")]
    assert len(files) == 6
    for path in files:
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (qemu_account().uid, 0o600), path
    assert folder_of(bench).stat().st_uid == 0
    assert not any(KEY.encode() in path.read_bytes() for path in files)


def test_copies_have_the_holes_of_what_was_copied(bench: Bench) -> None:
    bench.store.create("a", "raw", 1 << 30)
    bench.write("a", 1, 512 * MIB)
    bench.guests.writing = {"a"}
    bench.store.snapshot("a", "s")
    bench.guests.writing = set()
    bench.store.clone("c", "raw", 1 << 30, "a")
    bench.store.export("a", "t")
    for path in (*folder_of(bench).iterdir(), bench.state / "transfers" / "t.raw"):
        assert MIB <= path.stat().st_blocks * 512 < 2 * MIB, path
    assert [(each.offset, each.length) for each in bench.transfers.extents("t")] == [(512 * MIB, MIB)]


@pytest.fixture
def sharing(state: Path) -> Iterator[Bench]:
    """A store on a file system that copies by sharing blocks."""
    path, device = state / "mount", state / "xfs"
    path.mkdir()
    device.touch()
    os.truncate(device, 512 * MIB)
    if not shutil.which("mkfs.xfs"):
        pytest.skip("no mkfs.xfs")
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(device)], check=True)
    done = subprocess.run(["mount", "-o", "loop", str(device), str(path)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no XFS can be mounted here: {done.stderr}")
    path.chmod(0o711)
    yield Bench(state, {"driver": "file", "path": str(path)}, "raw")
    subprocess.run(["umount", "-l", str(path)], check=False)


def test_copies_share_blocks_where_the_file_system_can(sharing: Bench) -> None:
    store = sharing.store
    store.create("a", "raw", 10 << 30)
    sharing.write("a", 1, 0, 128 * MIB)
    free = store.state().free_bytes
    sharing.guests.writing = {"a"}  # the file system's copy is of one moment too: no guest is asked
    for number in range(5):
        store.snapshot("a", f"s{number}")
        store.clone(f"c{number}", "raw", 11 << 30, "a")
    assert sharing.guests.copied == [] and free - store.state().free_bytes < 16 * MIB
    sharing.guests.writing = set()
    sharing.write("a", 2, 0, MIB)
    assert sharing.has("c4", 1, 0, 128 * MIB) and store.volume("c4").size_bytes == 11 << 30
    store.revert("a", "s0")
    assert sharing.has("a", 1, 0, 128 * MIB)


# ---------------------------------------------------------------- configuration


@pytest.mark.parametrize(("table", "said"), [
    ({}, "names no driver"), ({"driver": "nonsense"}, "there is no driver nonsense"), ({"driver": "file", "pth": "/x"}, "pth"),
    ({"driver": "file", "path": 5}, "path"), ({"driver": "file", "path": "here"}, "not absolute")])
def test_configurations_that_cannot_be(state: Path, table: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Bench(state, table, "raw")
    assert "[volume.backends.store]" in str(caught.value)


def test_a_third_partys_driver(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"good": "Theirs", "half": "Half", "none": "Missing"}
    monkeypatch.setattr(volumes, "entry_points", lambda group, name: [
        EntryPoint(entry, f"{__name__}:{kind}", group) for entry, kind in known.items() if entry == name])
    assert isinstance(Bench(state, {"driver": "good"}, "raw").store, Theirs)
    for name, said in (("half", "lacks clone, create"), ("none", "cannot be loaded"), ("other", "there is no driver")):
        with pytest.raises(ConfigError, match=said):
            Bench(state, {"driver": name}, "raw")


class Theirs(Driver):
    pass


class Half(volumes.Store):
    state = volume = volumes = extend = lambda self: None  # type: ignore[assignment, misc]


def test_a_host_has_its_own_back_ends_only(state: Path) -> None:
    backends = {"one": {"driver": "file"}, "two": {"driver": "file", "host": "h-0002"}, "far": {"driver": "file", "host": "no"}}
    config = Config(volume=Volume(backends=backends), host=Host(name="h", hypervisor="fake", fake_hosts=2))
    hosts = open_hosts(config, Paths(state))
    assert hosts[0].driver("volumes") is hosts[1].driver("volumes")
    stores = hosts[0].driver("volumes")
    stores.named("one").create("a", "raw", SIZE)
    assert stores.named("two").volumes() == []
    with pytest.raises(NotThere):
        stores.named("far")


# ---------------------------------------------------------------- guests that have them open


@pytest.mark.real
@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_a_volume_that_a_guest_has_open(qemu: Machine, format: str) -> None:
    """Copies are made by its process; snapshots inside a file are read beside it."""
    disk, spec = qemu.volume("a", SIZE, format=format), qemu.spec()
    qemu.store.snapshot("volume-a", "before")
    qemu.hypervisor.create(spec)
    qemu.hypervisor.attach(spec.id, disk)
    store: Any = qemu.store
    store.snapshot("volume-a", "empty")
    qemu.hypervisor.kill(spec.id)
    node = store.node(disk.source)
    written = subprocess.run(["qemu-io", "-c", "write -P 5 0 1M", f"json:{json.dumps(node)}"], capture_output=True)
    assert not written.returncode
    qemu.hypervisor.create(spec)
    qemu.hypervisor.attach(spec.id, disk)
    for attempt in (lambda: store.delete("volume-a"), lambda: store.revert("volume-a", "empty"),
                    lambda: store.rename("volume-a", "b"), lambda: store.extend("volume-a", 2 * SIZE)):
        with pytest.raises(Conflict):
            attempt()
    for _ in range(2):
        store.snapshot("volume-a", "_snapshot-1")
        store.clone("now", format, 2 * SIZE, "volume-a")
        store.clone("then", format, SIZE, "volume-a", "empty")
        store.clone("since", "raw", SIZE, "volume-a", "_snapshot-1")
        store.export("volume-a", "out")
    store.delete_snapshot("volume-a", "before")
    assert set(store.volume("volume-a").snapshots) == {"empty", "_snapshot-1"}
    transfers = store.setting.transfers
    for name in ("now", "then", "since"):
        store.export(name, name)
    for name, pattern in (("now", 5), ("then", 0), ("since", 5), ("out", 5)):
        content = transfers.file(name).read_bytes()
        assert content[:MIB] == bytes([pattern]) * MIB and not any(content[MIB:]), name
    qemu.hypervisor.kill(spec.id)
    store.delete_snapshot("volume-a", "empty")
    store.delete_snapshot("volume-a", "_snapshot-1")
    store.delete("volume-a")


def test_digests_are_those_of_the_bytes(bench: Bench) -> None:
    content = os.urandom(3 * MIB)
    upload = bench.transfers.take("t", "raw", hashlib.sha512(content).hexdigest().upper())
    for at in range(0, len(content), 700_000):
        upload.write(content[at:at + 700_000])
    assert upload.finish().bytes == len(content) and bench.content("t") == content
