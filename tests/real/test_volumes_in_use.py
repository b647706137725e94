"""What guests see of volumes that are snapshotted, grown, backed up, moved, limited, encrypted and shared while they write to
them; and what is left of a store that is full or goes away. Two guests, booted once; four back ends."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from real.ground import Ground, Guest, Tenant, until

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="a cloud needs root"), pytest.mark.timeout(1200)]

MIB = 1 << 20
CONFIG = """volumes = -1
gigabytes = -1

[volume]
max_over_subscription_ratio = 1000.0

[volume.backends.file]
driver = "file"

[volume.backends.second]
driver = "file"

[volume.backends.third]
driver = "file"
volume_backend_name = "second"

[volume.backends.small]
driver = "file"
path = "{path}"
"""


class SmallDisk:
    """A file system of 64 MiB, in a file: a store's own, that can be full and can go away."""

    def __init__(self, folder: Path) -> None:
        self.path, self._file = folder / "mounted", folder / "disk"
        self.path.mkdir(parents=True)
        folder.chmod(0o711)
        with open(self._file, "wb") as file:
            file.truncate(64 * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", self._file], check=True)
        found = subprocess.run(["losetup", "--find", "--show", self._file], check=True, capture_output=True, text=True)
        self._loop = found.stdout.strip()
        self.mount()

    def mount(self) -> None:
        subprocess.run(["mount", "-t", "ext4", self._loop, self.path], check=True)

    def go(self) -> None:
        """Nobody finds it any more; who has files of it open keeps them."""
        subprocess.run(["umount", "--lazy", self.path], check=True)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        filler = self.path / "filler"
        with open(filler, "wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(MIB))
                file.flush()
        with open(filler, "ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        try:
            yield
        finally:
            filler.unlink(missing_ok=True)

    def end(self) -> None:
        if os.path.ismount(self.path):
            self.go()
        subprocess.run(["losetup", "--detach", self._loop], check=True)


class Site:
    """The cloud, its two guests, and short ways to ask for what the tests are about."""

    def __init__(self, ground: Ground, tenant: Tenant, guests: list[Guest], small: SmallDisk) -> None:
        self.ground, self.tenant, self.small = ground, tenant, small
        self.one, self.two = guests
        self.storage: Any = tenant.cloud.block_storage
        self.admin: Any = ground.admin.block_storage
        self.types: dict[str, str] = {}

    def kind(self, name: str, backend: str = "file", **specs: str) -> None:
        made = self.admin.create_type(name=name, extra_specs={"volume_backend_name": backend, **specs})
        self.types[name] = made.id

    def call(self, method: str, path: str, body: Any = None, *, admin: bool = False, version: str = "3.70") -> Any:
        proxy = self.admin if admin else self.storage
        answer = proxy.request(path, method, json=body, headers={"OpenStack-API-Version": f"volume {version}"})
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def action(self, volume: str, name: str, arguments: Any, **options: Any) -> Any:
        return self.call("POST", f"/volumes/{volume}/action", {name: arguments}, **options)

    def status(self, volume: str) -> str:
        return str(self.storage.get_volume(volume).status)

    def reach(self, volume: str, status: str, seconds: float = 120.0) -> None:
        def there() -> bool:
            now = self.status(volume)
            assert not now.startswith("error") or now == status, f"volume is {now}\n{self.ground.noted()}"
            return now == status

        until(there, seconds, f"volume {status}", 0.1)

    def create(self, kind: str, **wishes: Any) -> str:
        made = self.storage.create_volume(size=1, volume_type=kind, **wishes)
        self.reach(made.id, "available")
        return str(made.id)

    def attach(self, guest: Guest, volume: str, **wishes: Any) -> str:
        """The disk's name in the guest."""
        guest.compute.create_volume_attachment(guest.id, volume_id=volume, **wishes)
        self.reach(volume, "in-use")
        return str(until(lambda: disk_of(guest, volume), 60, "the disk in the guest"))

    def detach(self, guest: Guest, volume: str, then: str = "available") -> None:
        guest.compute.delete_volume_attachment(guest.id, volume, ignore_missing=False)
        self.reach(volume, then)

    def delete(self, *volumes: str) -> None:
        for volume in volumes:
            self.storage.delete_volume(volume)
        left = set(volumes)
        until(lambda: left.isdisjoint(each.id for each in self.storage.volumes(details=False)), 60, "the end of volumes", 0.1)

    def snapshot(self, volume: str, status: str = "available") -> str:
        made = self.storage.create_snapshot(volume_id=volume, is_forced=True)
        until(lambda: self.storage.get_snapshot(made.id).status != "creating", 60, "a snapshot", 0.1)
        assert self.storage.get_snapshot(made.id).status == status, self.ground.noted()
        return str(made.id)

    def drop_snapshot(self, snapshot: str) -> None:
        self.storage.delete_snapshot(snapshot)
        until(lambda: not any(each.id == snapshot for each in self.storage.snapshots()), 60, "the end of a snapshot", 0.1)

    def file(self, volume: str) -> Path:
        """Where its bytes lie: after a move under another name."""
        name = self.admin.get_volume(volume).migration_id or volume
        found = [path for folder in (self.ground.state, self.small.path) for path in folder.rglob(f"volume-{name}.*")]
        assert len(found) == 1, found
        return found[0]


def disk_of(guest: Guest, volume: str) -> str:
    """Found by its serial."""
    found = guest.run(f"for d in /sys/block/vd*; do [ \"$(cat $d/serial)\" = {volume[:20]} ] && basename $d; done; true").split()
    return f"/dev/{found[0]}" if found else ""


def checksum(guest: Guest, disk: str, mib: int, at: int = 0) -> str:
    """Past the guest's own memory of the disk."""
    command = f"echo 1 > /proc/sys/vm/drop_caches; dd if={disk} bs=1M skip={at} count={mib} 2>/dev/null | sha256sum"
    return guest.run(f"sudo sh -c '{command}'").split()[0]


def fill(guest: Guest, disk: str, mib: int, at: int = 0) -> None:
    guest.run(f"sudo dd if=/dev/urandom of={disk} bs=1M count={mib} seek={at} conv=fsync 2>/dev/null")


def mount(guest: Guest, disk: str, folder: str, make: bool = True) -> None:
    command = f"sudo mke2fs -q -t ext4 {disk} && " if make else ""
    guest.run(f"{command}sudo mkdir -p {folder} && sudo mount -t ext4 {disk} {folder} && sudo chmod 777 {folder}")


def assert_sound(file: Path, kind: str, *, replay: bool) -> None:
    """A copy of the volume is a file system without a fault, once its journal was replayed."""
    copy = file.with_name("copy-to-check")
    try:
        subprocess.run(["qemu-img", "convert", "-f", kind, "-O", "raw", file, copy], check=True)
        if replay:
            subprocess.run(["e2fsck", "-E", "journal_only", "-y", copy], check=False, capture_output=True)
        done = subprocess.run(["e2fsck", "-f", "-n", copy], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    finally:
        copy.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(guest: Guest, folder: str) -> Iterator[None]:
    """Numbered lines, each of them synced before the next is begun, and files that come and go."""
    guest.run(f"""cat > writer <<'END'
i=0
while [ ! -e {folder}/stop ]; do
  i=$((i+1)); echo $i >> {folder}/lines; dd if=/dev/urandom of={folder}/f$((i%7)) bs=64k count=2 conv=fsync 2>/dev/null
  rm -f {folder}/f$(((i+3)%7)); sync
done
touch {folder}/stopped
END
setsid sh writer >/dev/null 2>&1 </dev/null &
""")
    until(lambda: lines(guest, folder) > 1, 60, "a guest that writes")
    yield
    before = lines(guest, folder)
    until(lambda: lines(guest, folder) > before, 60, "a guest that still writes")
    guest.run(f"touch {folder}/stop; while [ ! -e {folder}/stopped ]; do sleep 0.1; done; rm {folder}/stop {folder}/stopped")


def lines(guest: Guest, folder: str) -> int:
    return int(guest.run(f"cat {folder}/lines 2>/dev/null | wc -l"))


@pytest.fixture(scope="module")
def small() -> Iterator[SmallDisk]:
    folder = Path(f"/tmp/haneul-small-{os.getpid()}")
    disk = SmallDisk(folder)
    try:
        yield disk
    finally:
        disk.end()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def site(small: SmallDisk) -> Iterator[Site]:
    from haneul.cli import guest
    from haneul.cli.up import Steps
    image = guest.ensure(Steps())
    ground = Ground(CONFIG.format(path=small.path))
    try:
        ground.up()
        ground.furnish(image)
        tenant = ground.tenant("users", "10.41.0.0/24")
        made = Site(ground, tenant, tenant.boot("writer", "reader"), small)
        for name, specs in {"raw": {}, "qcow2": {"volume:format": "qcow2"}, "luks": {}, "limited": {},
                            "shared": {"multiattach": "<is> True"}}.items():
            made.kind(name, **specs)
        made.kind("elsewhere", "second")
        made.kind("small", "small")
        yield made
    finally:
        ground.purge()
        shutil.rmtree(ground.state.with_name(ground.state.name + "-keys"), ignore_errors=True)


# ---------------------------------------------------------------- while the guest writes


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_a_mounted_volume_is_snapshotted_and_grows(site: Site, kind: str) -> None:
    volume = site.create(kind)
    disk = site.attach(site.one, volume)
    mount(site.one, disk, "/snapped")
    site.one.run("echo before > /snapped/kept && sync")
    with writing(site.one, "/snapped"):
        synced = lines(site.one, "/snapped") - 1
        snapshot = site.snapshot(volume)
        site.action(volume, "os-extend", {"new_size": 2}, version="3.42")
        site.reach(volume, "in-use")
        assert site.storage.get_volume(volume).size == 2
        until(lambda: site.one.run(f"cat /sys/block/{disk[5:]}/size") == str(2 * 2**30 // 512), 30, "the new size in the guest")
        site.one.run(f"sudo resize2fs {disk}")
        assert int(site.one.run("df -m /snapped | tail -1").split()[1]) > 1500
    clone = site.create(kind, snapshot_id=snapshot)
    assert_sound(site.file(clone), kind, replay=True)
    copied = site.attach(site.two, clone)
    assert site.two.run(f"cat /sys/block/{copied[5:]}/size") == str(2**30 // 512)
    mount(site.two, copied, "/cloned", make=False)
    found = site.two.run("cat /cloned/kept /cloned/lines").split()
    assert found[0] == "before" and synced <= len(found) - 1 < lines(site.one, "/snapped")
    whole = found[1:-1]  # ext4 may have noted how long the last line is before the line itself
    assert whole == [str(number + 1) for number in range(len(whole))]
    site.two.run("sudo umount /cloned")
    site.one.run("sudo umount /snapped")
    site.detach(site.two, clone)
    site.drop_snapshot(snapshot)
    site.detach(site.one, volume)
    assert_sound(site.file(volume), kind, replay=False)
    site.delete(volume, clone)


def test_a_volume_moves_to_another_back_end_under_its_guest(site: Site) -> None:
    volume = site.create("qcow2")
    old = site.file(volume)
    mount(site.one, site.attach(site.one, volume), "/moved")
    with writing(site.one, "/moved"):
        site.action(volume, "os-retype", {"new_type": "elsewhere", "migration_policy": "on-demand"})
        site.reach(volume, "in-use")
        first = site.file(volume)
        assert (first.suffix, old.parent.name) == (".raw", "file")
        until(lambda: not old.exists(), 60, "the end of the old file")
        there = site.admin.get_volume(volume)
        now, other = ("second", "third") if "@second" in there.host else ("third", "second")
        assert (there.volume_type, first.parent.name) == ("elsewhere", now)
        site.action(volume, "os-migrate_volume", {"host": there.host.replace(f"@{now}", f"@{other}")}, admin=True)
        until(lambda: f"@{other}" in site.admin.get_volume(volume).host, 120, "the volume in the third store")
        site.reach(volume, "in-use")
        until(lambda: not first.exists(), 60, "the end of the copy")
    found = site.one.run("cat /moved/lines").split()
    assert found == [str(number + 1) for number in range(len(found))]
    site.one.run("sudo umount /moved")
    site.detach(site.one, volume)
    assert_sound(site.file(volume), "raw", replay=False)
    site.delete(volume)


def test_a_backup_of_a_volume_in_use_comes_back(site: Site) -> None:
    volume = site.create("raw")
    disk = site.attach(site.one, volume)
    fill(site.one, disk, 6)
    whole = site.storage.create_backup(volume_id=volume, name="whole", force=True)
    until(lambda: site.storage.get_backup(whole.id).status == "available", 120, "a backup")
    first = checksum(site.one, disk, 20)
    fill(site.one, disk, 3, at=9)
    second = checksum(site.one, disk, 20)
    more = site.storage.create_backup(volume_id=volume, name="more", force=True, is_incremental=True)
    until(lambda: site.storage.get_backup(more.id).status == "available", 120, "an increment")
    assert site.status(volume) == "in-use"
    sums, restored = [], []
    for backup in (whole, more):
        made = site.call("POST", f"/backups/{backup.id}/restore", {"restore": {"name": f"back-{backup.name}"}})["restore"]
        restored.append(made["volume_id"])
        site.reach(made["volume_id"], "available")
        sums.append(checksum(site.two, site.attach(site.two, made["volume_id"]), 20))
    assert sums == [first, second] and first != second
    for id in restored:
        site.detach(site.two, id)
    site.detach(site.one, volume)
    for backup in (more, whole):
        site.storage.delete_backup(backup)
        until(lambda b=backup: site.storage.find_backup(b.id, ignore_missing=True) is None, 60, "the end of a backup")  # type: ignore[misc]
    site.delete(volume, *restored)


# ---------------------------------------------------------------- what a disk is


def test_a_limited_volume_is_slow(site: Site) -> None:
    specs = site.call("POST", "/qos-specs", {"qos_specs": {"name": "slow", "consumer": "front-end", "write_bytes_sec": str(MIB)}},
                      admin=True)["qos_specs"]
    site.call("GET", f"/qos-specs/{specs['id']}/associate?vol_type_id={site.types['limited']}", admin=True)
    volume, free = site.create("limited"), site.create("raw")

    def seconds(volume: str) -> float:
        disk = site.attach(site.one, volume)
        return float(site.one.run(f"a=$(cut -d' ' -f1 /proc/uptime); sudo dd if=/dev/zero of={disk} bs=64k count=80 oflag=direct "
                                  "2>/dev/null; b=$(cut -d' ' -f1 /proc/uptime); echo $a $b | awk '{print $2 - $1}'"))

    slow = seconds(volume)
    assert slow > 2.5
    assert seconds(free) < slow  # 5 MiB
    for each in (volume, free):
        site.detach(site.one, each)
    site.delete(volume, free)


def test_an_encrypted_volume_is_plain_in_the_guest_only(site: Site) -> None:
    site.admin.create_type_encryption(site.types["luks"], provider="luks", cipher="aes-xts-plain64", key_size=256,
                                      control_location="front-end")
    volume = site.create("luks")
    disk = site.attach(site.one, volume)
    site.one.run(f"yes a-plain-pattern | head -c 2000000 | sudo dd of={disk} bs=4096 conv=fsync 2>/dev/null")
    assert site.one.run(f"cat /sys/block/{disk[5:]}/size") == str(2**30 // 512)
    file = site.file(volume)
    with open(file, "rb") as opened:
        bytes_there = opened.read(8 * MIB)
    assert bytes_there.startswith(b"LUKS\xba\xbe") and b"a-plain-pattern" not in bytes_there
    snapshot = site.snapshot(volume)
    clone = site.create("luks", snapshot_id=snapshot)
    site.detach(site.one, volume)
    shown = site.attach(site.two, volume)
    assert site.two.run(f"sudo head -c 2000000 {shown} | grep -c a-plain-pattern") == str(2000000 // 16)
    other = site.attach(site.two, clone)
    assert site.two.run(f"sudo head -c 2000000 {other} | grep -c a-plain-pattern") == str(2000000 // 16)
    site.detach(site.two, volume)
    site.detach(site.two, clone)
    site.drop_snapshot(snapshot)
    site.delete(volume, clone)


def test_a_volume_of_two_guests_one_that_is_read_only_and_a_tag(site: Site) -> None:
    compute = site.one.compute
    compute.default_microversion = "2.79"
    try:
        shared, still = site.create("shared"), site.create("raw")
        mine = site.attach(site.one, shared, tag="the-shared-one")
        theirs = site.attach(site.two, shared)
        site.one.run(f"echo hello | sudo dd of={mine} conv=fsync 2>/dev/null")
        assert site.two.run(f"sudo sh -c 'echo 1 > /proc/sys/vm/drop_caches'; sudo head -c 5 {theirs}") == "hello"
        listed = json.loads(site.one.run("wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json"))["devices"]
        assert [device["serial"] for device in listed if "the-shared-one" in device["tags"]] in ([shared], [shared[:20]])
        site.action(still, "os-update_readonly_flag", {"readonly": True})
        disk = site.attach(site.one, still)
        assert site.one.run(f"cat /sys/block/{disk[5:]}/ro") == "1"
        assert site.one.attempt(f"echo no | sudo dd of={disk} conv=fsync").returncode != 0
        assert site.file(still).stat().st_blocks == 0
        site.detach(site.two, shared, then="in-use")
        assert site.one.run(f"sudo head -c 5 {mine}") == "hello"
        for each in (shared, still):
            site.detach(site.one, each)
        site.delete(shared, still)
    finally:
        compute.default_microversion = None


# ---------------------------------------------------------------- stores that fail


def test_a_store_that_is_full(site: Site) -> None:
    """The guest waits at the write that found no room, as QEMU's guests do: paused. Nothing of it is lost once there is room."""
    volume = site.create("small")
    disk = site.attach(site.one, volume)
    fill(site.one, disk, 2)
    before = checksum(site.one, disk, 2)
    done: list[str] = []
    command = (f"dd if=/dev/urandom of=random bs=1M count=8 2>/dev/null; sudo dd if=random of={disk} bs=1M seek=2 oflag=direct "
               "conv=fsync 2>/dev/null; sha256sum random")
    with site.small.full():
        writer = threading.Thread(target=lambda: done.append(site.one.run(command, seconds=300).split()[0]))
        writer.start()
        until(lambda: site.one.show().status == "PAUSED", 90, "a guest that waits for room")
        assert site.status(volume) == "in-use" and not done
        refused = site.storage.create_volume(size=1, volume_type="small", image_id=site.ground.image)
        until(lambda: site.status(refused.id) == "error", 60, "a volume without room", 0.1)
        site.delete(refused.id)
    site.one.compute.unpause_server(site.one.id)
    site.one.until("ACTIVE")
    writer.join(120)
    assert done, "the guest did not go on"
    assert checksum(site.one, disk, 2) == before
    assert checksum(site.one, disk, 8, at=2) == done[0]
    site.drop_snapshot(site.snapshot(volume))  # of 1 GiB: it takes the room of what was written
    site.detach(site.one, volume)
    site.delete(volume)


def test_a_store_that_goes_away_and_comes_back(site: Site) -> None:
    """Who has a volume keeps it; nothing is made, opened or believed to be gone; then everything is as it was."""
    held, lying = site.create("small"), site.create("small")
    disk = site.attach(site.one, held)
    fill(site.one, disk, 2)
    site.small.go()
    try:
        fill(site.one, disk, 2, at=2)
        written = checksum(site.one, disk, 4)
        made = site.storage.create_volume(size=1, volume_type="small")
        until(lambda: site.status(made.id) == "error", 60, "a volume that cannot be made", 0.1)
        site.two.compute.create_volume_attachment(site.two.id, volume_id=lying)
        site.reach(lying, "available")
        assert lying not in [each["id"] for each in site.two.show().attached_volumes]
        snapshot = site.storage.create_snapshot(volume_id=held, is_forced=True).id
        until(lambda: not _is_up(site), 60, "the service's word that its store is away")
        assert (site.status(held), site.status(lying)) == ("in-use", "available")
    finally:
        site.small.mount()
    until(lambda: _is_up(site), 60, "a store that is back")
    until(lambda: site.storage.get_snapshot(snapshot).status == "error", 150, "the end of the attempt")
    site.drop_snapshot(snapshot)
    assert checksum(site.one, disk, 4) == written
    shown = site.attach(site.two, lying)
    fill(site.two, shown, 1)
    site.detach(site.two, lying)
    site.detach(site.one, held)
    assert checksum(site.two, site.attach(site.two, held), 4) == written
    site.detach(site.two, held)
    site.delete(held, lying, made.id)


def _is_up(site: Site) -> bool:
    services = site.call("GET", "/os-services?binary=cinder-volume", admin=True)["services"]
    return next(each for each in services if each["host"].endswith("@small"))["state"] == "up"
