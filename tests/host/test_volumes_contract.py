"""What every back end does alike. A store that cannot be had on this machine is skipped, with the reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stores import KEY, MIB, Bench, converted, flattened

from haneul.host.contract import Conflict, HostError, NotThere, Refused
from haneul.host.storage import VolumeSource

GIB = 1 << 30
SIZE = 8 * MIB


@pytest.fixture(params=["file-raw", "file-qcow2", pytest.param("ceph-raw", marks=pytest.mark.real)])
def bench(request: pytest.FixtureRequest, state: Path) -> Iterator[Bench]:
    driver, _, format = request.param.partition("-")
    if driver == "file":
        yield Bench(state, {"driver": driver}, format)  # type: ignore[arg-type]
        return
    cluster = request.getfixturevalue("ceph_cluster")
    yield Bench(state, cluster.options(), format)  # type: ignore[arg-type]
    cluster.empty()


@pytest.fixture
def store(bench: Bench) -> Any:
    return bench.store


def makes(bench: Bench, name: str = "a", key: str | None = None) -> None:
    bench.store.create(name, "raw" if key else bench.format, SIZE, key)


def names(bench: Bench) -> dict[str, list[str]]:
    return {volume.name: volume.snapshots for volume in bench.store.volumes()}


# ---------------------------------------------------------------- volumes


def test_state(bench: Bench) -> None:
    state = bench.store.state()
    assert not state.problem and 0 < state.free_bytes <= state.total_bytes
    assert bench.format in state.formats and "raw" in state.formats


def test_a_volume_from_its_making_to_its_end(bench: Bench) -> None:
    for size in (GIB, 2 * GIB):  # one that exists is left as it is
        made = bench.store.create("volume-1", bench.format, size)
        assert (made.name, made.format, made.size_bytes, made.snapshots) == ("volume-1", bench.format, GIB, [])
    assert bench.has("volume-1", 0)
    bench.write("volume-1", 7, GIB - MIB)
    bench.restart()
    assert [(each.name, each.size_bytes) for each in bench.store.volumes()] == [("volume-1", GIB)]
    assert bench.has("volume-1", 7, GIB - MIB) and bench.has("volume-1", 0, 0)
    for _ in range(2):
        bench.store.delete("volume-1")
        assert bench.store.volumes() == []
    with pytest.raises(NotThere):
        bench.store.volume("volume-1")
    bench.store.create("volume-1", bench.format, GIB)
    assert bench.has("volume-1", 0, GIB - MIB)  # nothing of the one before


def test_a_volume_grows(bench: Bench) -> None:
    makes(bench)
    bench.write("a", 7, SIZE - MIB)
    for _ in range(2):
        assert bench.store.extend("a", 2 * SIZE).size_bytes == 2 * SIZE
    assert bench.has("a", 7, SIZE - MIB) and bench.has("a", 0, SIZE, SIZE)
    with pytest.raises(Refused):
        bench.store.extend("a", SIZE)
    bench.guests.open = {"a"}
    with pytest.raises(Conflict):
        bench.store.extend("a", 3 * SIZE)
    assert bench.store.volume("a").size_bytes == 2 * SIZE
    assert bench.store.grow("a", 3 * SIZE).size_bytes == 3 * SIZE


@pytest.mark.parametrize("size", [0, -1, 1 << 57, 1 << 62])
def test_sizes_that_cannot_be(bench: Bench, size: int) -> None:
    makes(bench)
    for attempt in (lambda: bench.store.create("x", bench.format, size), lambda: bench.store.extend("a", size),
                    lambda: bench.store.clone("x", bench.format, size, "a")):
        with pytest.raises(Refused):
            attempt()
    assert names(bench) == {"a": []} and bench.store.volume("a").size_bytes == SIZE


@pytest.mark.parametrize("name", ["", "..", "../a", "/etc/passwd", "a/b", ".partial-1", "a@b", "-a", "a\nb", "a\0b", "é",
                                  "x" * 81])
def test_names_that_lead_elsewhere(bench: Bench, name: str) -> None:
    makes(bench)
    store, format = bench.store, bench.format
    bench.transfers.begin("t", MIB)
    attempts: list[Callable[[], Any]] = [
        lambda: store.create(name, format, SIZE), lambda: store.volume(name), lambda: store.extend(name, 2 * SIZE),
        lambda: store.delete(name), lambda: store.snapshot(name, "s"), lambda: store.snapshot("a", name),
        lambda: store.delete_snapshot("a", name), lambda: store.delete_snapshot(name, "s"), lambda: store.revert("a", name),
        lambda: store.clone(name, format, SIZE, "a"), lambda: store.clone("b", format, SIZE, name),
        lambda: store.clone("b", format, SIZE, "a", name), lambda: store.rename("a", name), lambda: store.rename(name, "b"),
        lambda: store.create_from_transfer(name, format, SIZE, "t"), lambda: store.create_from_transfer("b", format, SIZE, name),
        lambda: store.export("a", name), lambda: store.export(name, "t2"), lambda: bench.transfers.begin(name, 1),
        lambda: bench.transfers.transfer(name), lambda: bench.transfers.drop(name), lambda: bench.transfers.read(name),
        lambda: store.node(VolumeSource(backend="store", volume=name, format=format))]
    for attempt in attempts:
        with pytest.raises(Refused):
            attempt()
    store.snapshot("a", "s")
    with pytest.raises(Refused):
        store.rename_snapshot("a", "s", name)
    assert names(bench) == {"a": ["s"]} and [each.id for each in bench.transfers.transfers()] == ["t"]


def test_what_is_not_there(bench: Bench) -> None:
    store, format = bench.store, bench.format
    makes(bench)
    for attempt in (lambda: store.extend("x", SIZE), lambda: store.snapshot("x", "s"), lambda: store.revert("x", "s"),
                    lambda: store.revert("a", "s"), lambda: store.clone("b", format, SIZE, "x"),
                    lambda: store.clone("b", format, SIZE, "a", "s"), lambda: store.rename("x", "y"),
                    lambda: store.rename_snapshot("a", "s", "t"), lambda: store.export("x", "t"),
                    lambda: store.export("a", "t", "s"), lambda: store.create_from_transfer("b", format, SIZE, "none"),
                    lambda: store.node(VolumeSource(backend="store", volume="x", format=format))):
        with pytest.raises(NotThere):
            attempt()
    store.delete("x")
    store.delete_snapshot("a", "s")
    store.delete_snapshot("x", "s")
    assert names(bench) == {"a": []} and bench.transfers.transfers() == []


# ---------------------------------------------------------------- snapshots and clones


def test_snapshots_keep_what_was(bench: Bench) -> None:
    makes(bench)
    bench.write("a", 1)
    for _ in range(2):
        bench.store.snapshot("a", "_snapshot-1")
        bench.write("a", 2)  # the second time nothing is taken anew
    bench.store.snapshot("a", "2")
    bench.write("a", 3)
    assert sorted(bench.store.volume("a").snapshots) == ["2", "_snapshot-1"]
    with pytest.raises(Conflict):
        bench.store.delete("a")
    bench.restart()
    for snapshot, pattern in (("_snapshot-1", 1), ("2", 2), (None, 3)):
        for _ in range(2):
            clone = bench.store.clone(f"c{pattern}", bench.format, 2 * SIZE, "a", snapshot)
            assert clone.size_bytes == 2 * SIZE and clone.snapshots == []
        assert bench.has(f"c{pattern}", pattern) and bench.has(f"c{pattern}", 0, MIB, 2 * SIZE - MIB)
    for _ in range(2):
        bench.store.revert("a", "_snapshot-1")
        assert bench.has("a", 1)
    for _ in range(2):
        bench.store.delete_snapshot("a", "_snapshot-1")
        assert bench.store.volume("a").snapshots == ["2"]
    bench.store.delete_snapshot("a", "2")
    assert bench.has("a", 1) and all(bench.has(f"c{pattern}", pattern) for pattern in (1, 2, 3))
    bench.store.delete("a")
    assert all(bench.has(f"c{pattern}", pattern) for pattern in (1, 2, 3))  # clones stand on their own


def test_a_snapshot_is_smaller_than_a_volume_that_grew(bench: Bench) -> None:
    makes(bench)
    bench.write("a", 1)
    bench.store.snapshot("a", "s")
    bench.store.extend("a", 4 * SIZE)
    bench.write("a", 2, 3 * SIZE)
    bench.store.clone("same", bench.format, SIZE, "a", "s")
    assert bench.store.volume("same").size_bytes == SIZE and bench.has("same", 1)
    with pytest.raises(Refused):
        bench.store.clone("less", bench.format, SIZE, "a")
    with pytest.raises(Refused):
        bench.store.clone("less", bench.format, SIZE // 2, "a", "s")
    assert bench.store.export("a", "t", "s").bytes == SIZE
    bench.store.revert("a", "s")
    assert bench.store.volume("a").size_bytes == 4 * SIZE and bench.has("a", 1) and bench.has("a", 0, 3 * SIZE)
    assert "less" not in names(bench)


def test_a_volume_in_use(bench: Bench) -> None:
    makes(bench)
    bench.write("a", 1)
    bench.store.snapshot("a", "s")
    bench.guests.open = {"a"}  # suspended, or a guest that writes nothing
    bench.write("a", 2)
    for attempt in (lambda: bench.store.delete("a"), lambda: bench.store.revert("a", "s"), lambda: bench.store.rename("a", "b"),
                    lambda: bench.store.extend("a", 2 * SIZE)):
        with pytest.raises(Conflict):
            attempt()
    bench.guests.writing = {"a"}
    bench.store.snapshot("a", "t")
    bench.store.clone("c", bench.format, 2 * SIZE, "a")
    bench.store.clone("cs", bench.format, SIZE, "a", "s")
    bench.store.export("a", "out")
    bench.guests.open, bench.guests.writing = set(), set()
    assert bench.has("c", 2) and bench.store.volume("c").size_bytes == 2 * SIZE and bench.has("cs", 1)
    assert bench.content("out") == b"\2" * MIB + bytes(SIZE - MIB)
    bench.guests.writing = {"a"}
    bench.store.delete_snapshot("a", "s")
    bench.guests.writing = set()
    assert sorted(bench.store.volume("a").snapshots) == ["t"]
    bench.store.revert("a", "t")
    assert bench.has("a", 2)


def test_names_change(bench: Bench) -> None:
    makes(bench)
    bench.write("a", 1)
    for snapshot in ("s", "t"):
        bench.store.snapshot("a", snapshot)
    makes(bench, "other")
    with pytest.raises(Conflict):
        bench.store.rename("a", "other")
    for _ in range(2):
        bench.store.rename("a", "volume-1")
        assert {name: sorted(found) for name, found in names(bench).items()} == {"volume-1": ["s", "t"], "other": []}
    for _ in range(2):
        bench.store.rename_snapshot("volume-1", "s", "_snapshot-" + "x" * 60)
    with pytest.raises(Conflict):
        bench.store.rename_snapshot("volume-1", "t", "_snapshot-" + "x" * 60)
    assert sorted(bench.store.volume("volume-1").snapshots) == ["_snapshot-" + "x" * 60, "t"]
    bench.write("volume-1", 2)
    bench.store.clone("c", bench.format, SIZE, "volume-1", "_snapshot-" + "x" * 60)
    assert bench.has("c", 1)
    bench.store.delete_snapshot("volume-1", "_snapshot-" + "x" * 60)
    bench.store.delete_snapshot("volume-1", "t")
    bench.store.rename("volume-1", "volume-1")
    bench.store.delete("volume-1")


# ---------------------------------------------------------------- encryption


@pytest.fixture
def secret(bench: Bench) -> Bench:
    """With an encrypted volume that holds a pattern."""
    if bench.format != "raw":
        with pytest.raises(Refused):
            bench.store.create("a", bench.format, SIZE, KEY)
        pytest.skip("only raw volumes can be encrypted")
    makes(bench, key=KEY)
    bench.write("a", 1, key=KEY)
    return bench


def test_an_encrypted_volume(secret: Bench) -> None:
    store = secret.store
    assert store.volume("a").size_bytes == SIZE
    secret.write("a", 5, SIZE - MIB, key=KEY)  # all of it is there
    store.snapshot("a", "s")
    secret.write("a", 2, key=KEY)
    store.clone("c", "raw", 2 * SIZE, "a", "s", KEY)
    store.clone("d", "raw", SIZE, "a")
    assert secret.has("c", 1, key=KEY) and secret.has("d", 2, key=KEY) and secret.has("c", 5, SIZE - MIB, key=KEY)
    assert store.volume("c").size_bytes == 2 * SIZE
    secret.write("c", 4, 2 * SIZE - MIB, key=KEY)
    assert store.extend("d", 2 * SIZE, KEY).size_bytes == 2 * SIZE
    secret.write("d", 4, 2 * SIZE - MIB, key=KEY)
    store.revert("a", "s")
    assert secret.has("a", 1, key=KEY)
    assert b"\1" * 4096 not in secret.content(store.export("a", "out").id)
    secret.restart()
    assert {volume.name: volume.size_bytes for volume in secret.store.volumes()} == {"a": SIZE, "c": 2 * SIZE, "d": 2 * SIZE}


def test_a_key_is_wanted_and_none_is_guessed(secret: Bench) -> None:
    secret.store.create("plain", "raw", SIZE)
    for volume, key in (("a", None), ("plain", KEY)):
        with pytest.raises(Refused):
            secret.store.node(VolumeSource(backend="store", volume=volume, key=key))
    with pytest.raises(Refused):
        secret.store.clone("q", "qcow2", SIZE, "a")


def test_an_encrypted_volume_comes_back_from_its_backup(secret: Bench) -> None:
    secret.store.export("a", "backup")
    content = secret.content("backup")
    secret.transfers.begin("restore", len(content))
    secret.transfers.write("restore", 0, content)
    secret.store.create_from_transfer("b", "raw", 2 * SIZE, "restore", KEY)
    assert secret.has("b", 1, key=KEY) and secret.store.volume("b").size_bytes == 2 * SIZE
    with pytest.raises(Refused):
        secret.store.create_from_transfer("small", "raw", SIZE // 2, "restore", KEY)
    assert secret.put("upload", content, "raw").bytes == len(content)


def test_an_image_becomes_encrypted(secret: Bench, tmp_path: Path) -> None:
    content = b"\3" * MIB + bytes(MIB) + b"\4" * MIB
    for format in ("raw", "qcow2"):
        secret.put(f"image-{format}", content if format == "raw" else converted(content, format, tmp_path), format)
        secret.store.create_from_transfer(f"v-{format}", "raw", SIZE, f"image-{format}", KEY)
        for at, pattern in enumerate((3, 0, 4)):
            assert secret.has(f"v-{format}", pattern, at * MIB, key=KEY)


# ---------------------------------------------------------------- transfers


@pytest.mark.parametrize("format", ["raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx"])
def test_out_and_in_again(bench: Bench, tmp_path: Path, format: str) -> None:
    makes(bench)
    bench.write("a", 1)
    bench.store.snapshot("a", "s")
    bench.write("a", 2, 2 * MIB)
    for snapshot, second in (("s", 0), (None, 2)):
        id = f"t{second}"
        for _ in range(2):
            state = bench.store.export("a", id, snapshot, format)  # type: ignore[arg-type]
            assert (state.id, state.format, state.bytes) == (id, format, len(bench.content(id)))
        flat = flattened(bench.content(id), format, tmp_path)
        assert flat[:SIZE] == b"\1" * MIB + bytes(MIB) + bytes([second]) * MIB + bytes(SIZE - 3 * MIB)
        bench.put(f"again{second}", bench.content(id), format)
        for _ in range(2):
            made = bench.store.create_from_transfer(f"v{second}", bench.format, 2 * SIZE, f"again{second}")
            assert made.size_bytes == 2 * SIZE and made.format == bench.format
        assert bench.has(f"v{second}", 1) and bench.has(f"v{second}", second, 2 * MIB)
        assert bench.has(f"v{second}", 0, 3 * MIB, 2 * SIZE - 3 * MIB)
        with pytest.raises(Refused):
            bench.store.create_from_transfer("small", bench.format, MIB, f"again{second}")
    assert set(names(bench)) == {"a", "v0", "v2"}
    assert sorted(each.id for each in bench.transfers.transfers()) == ["again0", "again2", "t0", "t2"]


def test_a_transfer_is_written_by_ranges(bench: Bench) -> None:
    transfers = bench.transfers
    for _ in range(2):
        assert transfers.begin("t", SIZE).bytes == SIZE
    assert transfers.extents("t") == []
    transfers.write("t", 2 * MIB, b"\5" * MIB)
    transfers.write("t", 3 * MIB, b"\6" * MIB)
    transfers.begin("t", SIZE)
    assert [(each.offset, each.length) for each in transfers.extents("t")] == [(2 * MIB, 2 * MIB)]
    for offset in (SIZE, SIZE - 1, -1):
        with pytest.raises(Refused):
            transfers.write("t", offset, b"ab")
    bench.store.create_from_transfer("v", bench.format, SIZE, "t")
    assert bench.has("v", 5, 2 * MIB) and bench.has("v", 6, 3 * MIB) and bench.has("v", 0, 4 * MIB)
    for _ in range(2):
        transfers.drop("t")
    with pytest.raises(NotThere):
        transfers.transfer("t")


def test_a_transfer_that_lies_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    image = converted(b"\3" * MIB, "qcow2", tmp_path)
    backed = bytearray(image)
    backed[8:20] = (1024).to_bytes(8, "big") + (11).to_bytes(4, "big")
    backed[1024:1035] = b"/etc/passwd"
    for content, format in ((image, "raw"), (b"\3" * MIB, "qcow2"), (bytes(backed), "qcow2"), (image, "ami"), (image, "../x")):
        with pytest.raises(Refused):
            bench.put("t", content, format)
    upload = bench.transfers.take("t", "raw", "0" * 128)
    upload.write(b"x")
    with pytest.raises(Refused):
        upload.finish()
    upload.abort()
    assert bench.transfers.transfers() == [] and not list(bench.state.rglob(".partial-*"))


# ---------------------------------------------------------------- what goes wrong


def test_a_copy_that_fails_leaves_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    makes(bench)
    bench.guests.writing = {"a"}

    def fails(*_: Any) -> None:
        raise HostError("the guest's process is gone")

    monkeypatch.setattr(bench.guests, "copy", fails)
    monkeypatch.setattr(bench.guests, "take_snapshot", fails)
    if bench.store.state().driver == "ceph":
        pytest.skip("its snapshots need no guest")
    for attempt in (lambda: bench.store.snapshot("a", "s"), lambda: bench.store.clone("b", bench.format, SIZE, "a"),
                    lambda: bench.store.export("a", "t")):
        with pytest.raises(HostError, match="gone"):
            attempt()
    assert names(bench) == {"a": []} and bench.transfers.transfers() == []
    assert not [path for path in bench.state.rglob("*") if os.path.basename(path).startswith(".partial")]


def test_everything_at_once(bench: Bench) -> None:
    """Who asks twice at the same time gets the same; who wants the same two volumes crosswise does not wait for ever."""
    from concurrent.futures import ThreadPoolExecutor

    makes(bench, "a")
    makes(bench, "b")
    bench.write("a", 1)
    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(bench.store.clone, f"c{number % 2}", bench.format, SIZE, "ab"[number % 2]) for number in range(6)]
        work += [pool.submit(bench.store.clone, "a", bench.format, SIZE, "b"), pool.submit(bench.store.clone, "b", bench.format,
                                                                                            SIZE, "a")]
        work += [pool.submit(bench.store.create, "d", bench.format, SIZE) for _ in range(4)]
        assert {each.result(60).name for each in work} == {"a", "b", "c0", "c1", "d"}
    assert set(names(bench)) == {"a", "b", "c0", "c1", "d"} and bench.has("c0", 1) and bench.has("c1", 0)
