"""Volumes of real guests: what QEMU has open, what it writes there, and what is left when something dies in the middle."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
from guests import DISK_BYTES, IDLE, LET_GO, WRITE_ITSELF, Machine, boot_sector, wait
from msgspec import structs

from haneul.cli import guest
from haneul.cli.up import Steps
from haneul.host.contract import ConfigDrive, Conflict, DiskSpec, HostError, Refused, ServerSpec
from haneul.host.disks.file.tools import own
from haneul.host.hypervisor.qemu import moves, volumes
from haneul.host.hypervisor.qemu.monitor import Monitor, MonitorError
from haneul.host.storage import DiskLimits

pytestmark = pytest.mark.real

KEY = "a-passphrase-that-nobody-finds"


def monitor_of(machine: Machine, spec: ServerSpec) -> Monitor:
    return machine.hypervisor._machines[spec.id].connected()  # type: ignore[attr-defined]


def opened(machine: Machine, spec: ServerSpec) -> set[str]:
    """The files that QEMU has open."""
    folder = Path(f"/proc/{machine.hypervisor.server(spec.id).pid}/fd")
    return {os.readlink(entry) for entry in folder.iterdir()}


def nodes(machine: Machine, spec: ServerSpec) -> set[str]:
    """The nodes that were given a name."""
    found = monitor_of(machine, spec).execute("query-named-block-nodes", {"flat": True})
    return {node["node-name"] for node in found if not node["node-name"].startswith("#")}


def secrets(machine: Machine, spec: ServerSpec) -> list[str]:
    return [each["name"] for each in monitor_of(machine, spec).execute("qom-list", {"path": "/objects"})
            if each["name"].startswith("key")]


def decrypted(file: Path) -> bytes:
    target = file.with_name("decrypted")
    options = f"driver=luks,key-secret=key,file.driver=file,file.filename={file}"
    subprocess.run(["qemu-img", "convert", "-U", "--object", f"secret,id=key,data={KEY}", "--image-opts", options, "-O", "raw",
                    str(target)], check=True)
    return target.read_bytes()


WATCH = r"""#!/bin/sh
exec >/dev/console 2>&1
echo watching
seen="" n=0
while :; do
  now=$(cat /sys/block/vdb/size /sys/block/vdb/serial 2>/dev/null | tr '\n' ' ')
  [ "$now" = "$seen" ] || echo "volume: $now"
  seen=$now
  if [ -n "$now" ]; then
    n=$((n + 1))
    echo "line-$n" | dd of=/dev/vdb bs=512 count=1 conv=sync,fsync 2>/dev/null
    dd if=/dev/vdb bs=512 count=1 iflag=direct 2>/dev/null | head -n 1
  fi
  sleep 0.1
done
"""


def linux(machine: Machine) -> ServerSpec:
    """A guest of Linux, which says what it finds at its second virtio disk and writes to it all the time."""
    id = str(uuid.uuid4())
    machine.put_image(guest.ensure(Steps()).read_bytes(), "qcow2", "guest")
    machine.disks.create(id, "root", "qcow2", 1 << 30, "guest", "qcow2")
    machine.disks.create_config_drive(id, ConfigDrive(files={
        "openstack/latest/meta_data.json": f'{{"uuid": "{id}", "hostname": "guest"}}', "openstack/latest/user_data": WATCH}))
    disks = [DiskSpec(name="root", format="qcow2", boot_index=0),
             DiskSpec(name="config", format="raw", bus="ide", device="cdrom")]
    spec = ServerSpec(id=id, name="x", vcpus=1, memory_mib=256, disks=disks)
    machine.hypervisor.create(spec)
    machine.hypervisor.run(id)
    wait(lambda: "watching" in machine.hypervisor.console_log(id), "boot", 120)
    return spec


class Killed(BaseException):
    """The agent, at this very place."""


# ---------------------------------------------------------------- in and out


def test_a_volume_is_open_for_as_long_as_it_is_a_disk(qemu: Machine) -> None:
    spec, disk = qemu.running(LET_GO), qemu.volume("a", key=KEY)
    wait(lambda: qemu.hypervisor.console_log(spec.id), "boot")
    file = str(qemu.file_of(disk))
    qemu.hypervisor.attach(spec.id, disk)
    assert file in opened(qemu, spec) and {"node-vol-a", "data-vol-a"} <= nodes(qemu, spec)
    assert secrets(qemu, spec) == []
    qemu.hypervisor.detach(spec.id, "vol-a")
    qemu.until(spec.id, lambda state: state.disks == ["root"])
    assert file not in opened(qemu, spec) and nodes(qemu, spec) == {"node-root"}
    for _ in range(3):  # slots and names are free again
        qemu.hypervisor.attach(spec.id, disk)
        qemu.hypervisor.detach(spec.id, "vol-a")
        qemu.until(spec.id, lambda state: state.disks == ["root"])


def test_a_guest_that_does_not_answer_keeps_its_volume(qemu: Machine) -> None:
    spec, disk = qemu.running(IDLE), qemu.volume("a")
    qemu.hypervisor.attach(spec.id, disk)
    for _ in range(3):
        assert qemu.hypervisor.detach(spec.id, "vol-a").disks == ["root", "vol-a"]
    assert str(qemu.file_of(disk)) in opened(qemu, spec)
    qemu.hypervisor.kill(spec.id)
    qemu.store.delete("volume-a")


def test_a_request_that_the_guest_was_too_young_for_is_repeated(qemu: Machine) -> None:
    spec, disk = qemu.spec(LET_GO), qemu.volume("a")
    qemu.hypervisor.create(spec)
    qemu.hypervisor.attach(spec.id, disk)
    qemu.hypervisor.detach(spec.id, "vol-a")
    qemu.hypervisor.run(spec.id)
    qemu.until(spec.id, lambda state: qemu.hypervisor.detach(spec.id, "vol-a").disks == ["root"])


def test_other_buses(qemu: Machine) -> None:
    for chipset in ("pc", "q35"):
        spec = qemu.spec(machine=chipset)
        [root] = spec.disks
        first = [qemu.volume(f"{chipset}-{bus}", bus=bus) for bus in ("ide", "usb", "scsi")]
        spec = structs.replace(spec, disks=[structs.replace(root, bus="scsi"), *first])
        names = [disk.name for disk in spec.disks]
        assert qemu.hypervisor.create(spec).disks == names
        qemu.hypervisor.run(spec.id)
        for bus in ("scsi", "usb"):  # these go without the guest's word
            disk = qemu.volume(f"{chipset}-{bus}2", bus=bus, limits=DiskLimits(total_iops_sec=50))
            assert qemu.hypervisor.attach(spec.id, disk).disks == [*names, disk.name]
            throttles = volumes.frontend(monitor_of(qemu, spec), disk.name)["inserted"]
            assert throttles["iops"] == 50
            qemu.hypervisor.detach(spec.id, disk.name)
            qemu.until(spec.id, lambda state, names=names: state.disks == names)  # type: ignore[misc]
        qemu.hypervisor.detach(spec.id, f"vol-{chipset}-scsi")  # the bus is not renumbered afterwards
        names.remove(f"vol-{chipset}-scsi")
        qemu.until(spec.id, lambda state, names=names: state.disks == names)  # type: ignore[misc]
        qemu.hypervisor.suspend(spec.id)
        assert qemu.hypervisor.resume(spec).disks == names
        qemu.hypervisor.forget(spec.id)


def test_no_controller_no_disk(qemu: Machine) -> None:
    spec = qemu.running()
    for bus in ("scsi", "usb"):
        with pytest.raises(Conflict):
            qemu.hypervisor.attach(spec.id, qemu.volume(bus, bus=bus))
    assert nodes(qemu, spec) == {"node-root"}


def test_a_full_machine_opens_nothing(qemu: Machine) -> None:
    spec, attached = qemu.running(), 0
    with pytest.raises(Conflict):
        for attached in range(30):
            qemu.hypervisor.attach(spec.id, qemu.volume(str(attached), DISK_BYTES))
    assert 20 < attached < 26
    assert len(qemu.hypervisor.server(spec.id).disks) == len(nodes(qemu, spec)) == attached + 1
    assert not [file for file in opened(qemu, spec) if file.endswith(f"volume-{attached}")]


def test_a_shared_volume_may_be_read_only_for_one(qemu: Machine) -> None:
    first, second = qemu.running(), qemu.running()
    disk = qemu.volume("a", shared=True)
    qemu.hypervisor.attach(first.id, disk)
    qemu.hypervisor.attach(second.id, structs.replace(disk, read_only=True))
    info = {each["node-name"]: each for each in
            monitor_of(qemu, second).execute("query-named-block-nodes", {"flat": True})}
    assert info["node-vol-a"]["ro"]
    with pytest.raises(Refused):  # two that write a qcow2 destroy it
        qemu.hypervisor.attach(first.id, qemu.volume("b", format="qcow2", shared=True))
    with pytest.raises(Conflict):
        qemu.hypervisor.copy("file", "volume-a", qemu.state / "copy", "raw")  # type: ignore[attr-defined]


# ---------------------------------------------------------------- encrypted


def test_what_a_guest_writes_is_encrypted_and_boots(qemu: Machine) -> None:
    spec, disk = qemu.spec(WRITE_ITSELF), qemu.volume("a", key=KEY, boot_index=1)  # the firmware shows no others
    spec = structs.replace(spec, disks=[*spec.disks, disk])
    qemu.hypervisor.create(spec)
    pid = qemu.hypervisor.server(spec.id).pid
    assert secrets(qemu, spec) == []
    qemu.hypervisor.run(spec.id)
    wait(lambda: qemu.hypervisor.console_log(spec.id) == "AB", "a guest that wrote")
    assert KEY not in Path(f"/proc/{pid}/cmdline").read_text()
    assert KEY not in (qemu.state / "host" / "servers" / spec.id / "record.json").read_text()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if "memfd:key" in os.readlink(entry):
            assert entry.read_bytes() == b""
    qemu.hypervisor.kill(spec.id)
    file = qemu.file_of(disk)
    assert file.read_bytes().startswith(b"LUKS\xba\xbe") and boot_sector(WRITE_ITSELF) not in file.read_bytes()
    assert decrypted(file).startswith(boot_sector(WRITE_ITSELF))
    second = ServerSpec(id=str(uuid.uuid4()), name="x", vcpus=1, memory_mib=32, disks=[structs.replace(disk, boot_index=0)])
    qemu.hypervisor.create(second)
    qemu.hypervisor.run(second.id)
    wait(lambda: qemu.hypervisor.console_log(second.id).startswith("A"), "boot from the volume")


def test_a_wrong_key_opens_nothing(qemu: Machine) -> None:
    spec, disk = qemu.running(), qemu.volume("a", key=KEY)
    assert disk.source
    wrong = structs.replace(disk, source=structs.replace(disk.source, key="wrong"))
    with pytest.raises(HostError) as error:
        qemu.hypervisor.attach(spec.id, wrong)
    assert "wrong" not in str(error.value)
    assert nodes(qemu, spec) == {"node-root"} and secrets(qemu, spec) == []
    assert str(qemu.file_of(disk)) not in opened(qemu, spec)
    qemu.hypervisor.kill(spec.id)
    with pytest.raises(HostError):
        qemu.hypervisor.create(structs.replace(spec, disks=[*spec.disks, wrong]))
    assert qemu.hypervisor.server(spec.id).power == "off"


def test_a_suspended_server_does_not_resume_without_its_keys(qemu: Machine) -> None:
    disk = qemu.volume("a", key=KEY)
    spec = qemu.spec()
    spec = structs.replace(spec, disks=[*spec.disks, disk])
    qemu.hypervisor.create(spec)
    qemu.hypervisor.run(spec.id)
    qemu.hypervisor.suspend(spec.id)
    assert disk.source
    keyless = structs.replace(disk, source=structs.replace(disk.source, key=None))
    with pytest.raises(Refused):
        qemu.hypervisor.resume(structs.replace(spec, disks=[spec.disks[0], keyless]))
    assert qemu.hypervisor.server(spec.id).power == "suspended"
    assert qemu.hypervisor.resume(spec).power == "running"
    qemu.hypervisor.suspend(spec.id)
    other = structs.replace(qemu.volume("b", key=KEY), name="vol-a")  # it was moved meanwhile
    qemu.hypervisor.resume(structs.replace(spec, disks=[spec.disks[0], other]))
    assert str(qemu.file_of(other)) in opened(qemu, spec)
    qemu.store.delete("volume-a")


def test_what_linux_makes_of_it(qemu: Machine) -> None:
    spec, disk = linux(qemu), qemu.volume("a", key=KEY)

    def said(text: str) -> None:
        wait(lambda: text in qemu.hypervisor.console_log(spec.id), text)

    def last() -> int:
        """What the guest read back of what it wrote."""
        lines = qemu.hypervisor.console_log(spec.id).splitlines()[:-1]
        return int(next((line for line in reversed(lines) if line.startswith("line-")), "line-0")[5:])

    qemu.hypervisor.attach(spec.id, disk)
    said("volume: 2048 0123456789abcdef0123")
    qemu.hypervisor.resize_disk(spec.id, disk.name, 2 * DISK_BYTES)
    said("volume: 4096 0123456789abcdef0123")
    before = wait(last, "lines")
    target = structs.replace(qemu.volume("b", 2 * DISK_BYTES, key=KEY), name="vol-a")
    qemu.hypervisor.replace_disk(spec.id, target)
    qemu.store.delete("volume-a")
    moved = last()
    wait(lambda: last() > max(before, moved) + 3, "a guest that goes on")
    qemu.hypervisor.detach(spec.id, "vol-a")
    qemu.until(spec.id, lambda state: "vol-a" not in state.disks)
    assert int(decrypted(qemu.file_of(target)).split(b"\n")[0][5:]) > moved + 3


# ---------------------------------------------------------------- limits


def test_limits(qemu: Machine) -> None:
    limits = DiskLimits(read_bytes_sec=1 << 20, read_bytes_sec_max=2 << 20, total_iops_sec=100, size_iops_sec=4096)
    spec = qemu.spec()
    spec = structs.replace(spec, disks=[*spec.disks, qemu.volume("a", limits=limits)])
    qemu.hypervisor.create(spec)
    seen = volumes.frontend(monitor_of(qemu, spec), "vol-a")["inserted"]
    assert (seen["bps_rd"], seen["bps_rd_max"], seen["bps_wr"], seen["iops"], seen["iops_size"]) == (
        1 << 20, 2 << 20, 0, 100, 4096)
    qemu.hypervisor.attach(spec.id, qemu.volume("a", limits=DiskLimits(write_iops_sec=7)))
    seen = volumes.frontend(monitor_of(qemu, spec), "vol-a")["inserted"]
    assert (seen["bps_rd"], seen["iops"], seen["iops_wr"]) == (0, 0, 7)
    qemu.hypervisor.attach(spec.id, qemu.volume("a"))
    assert volumes.frontend(monitor_of(qemu, spec), "vol-a")["inserted"]["iops_wr"] == 0
    qemu.hypervisor.suspend(spec.id)
    qemu.hypervisor.resume(spec)


# ---------------------------------------------------------------- copies


def test_copies_and_snapshots_of_a_volume_in_use(qemu: Machine) -> None:
    plain, inside, locked = qemu.volume("a"), qemu.volume("b", format="qcow2"), qemu.volume("c", key=KEY)
    qemu.file_of(plain).write_bytes(b"what was written".ljust(DISK_BYTES, b"."))
    spec = qemu.running()
    for disk in (plain, inside, locked):
        qemu.hypervisor.attach(spec.id, disk)
    for disk in (plain, locked):
        assert disk.source
        size = qemu.file_of(disk).stat().st_size
        folder = qemu.state / disk.name
        folder.mkdir()
        folder.chmod(0o755)
        target = folder / "copy"
        target.touch()
        os.truncate(target, size)
        own(target, 0o600)
        qemu.hypervisor.copy("file", disk.source.volume, target, "raw")  # type: ignore[attr-defined]
        assert target.read_bytes() == qemu.file_of(disk).read_bytes()
    for _ in range(2):
        qemu.hypervisor.take_snapshot("file", "volume-b", "one")  # type: ignore[attr-defined]
    shown = subprocess.run(["qemu-img", "snapshot", "-U", "-l", str(qemu.file_of(inside))], capture_output=True, text=True)
    assert " one " in shown.stdout
    for _ in range(2):
        qemu.hypervisor.drop_snapshot("file", "volume-b", "one")  # type: ignore[attr-defined]
    shown = subprocess.run(["qemu-img", "snapshot", "-U", "-l", str(qemu.file_of(inside))], capture_output=True, text=True)
    assert " one " not in shown.stdout
    qemu.hypervisor.suspend(spec.id)
    assert qemu.hypervisor.uses("file", "volume-a") and not qemu.hypervisor.writes("file", "volume-a")  # type: ignore[attr-defined]
    with pytest.raises(Conflict):
        qemu.hypervisor.take_snapshot("file", "volume-b", "two")  # type: ignore[attr-defined]


# ---------------------------------------------------------------- moves


def test_a_moved_disk_keeps_its_place_and_its_encryption(qemu: Machine) -> None:
    spec, disk = qemu.spec(WRITE_ITSELF), qemu.volume("a", key=KEY, boot_index=1)  # the firmware shows no others
    spec = structs.replace(spec, disks=[*spec.disks, disk])
    qemu.hypervisor.create(spec)
    target = structs.replace(qemu.volume("b", key=KEY), name="vol-a", limits=DiskLimits(total_iops_sec=1000))
    assert qemu.hypervisor.replace_disk(spec.id, target).disks == ["root", "vol-a"]
    assert str(qemu.file_of(disk)) not in opened(qemu, spec) and str(qemu.file_of(target)) in opened(qemu, spec)
    seen = volumes.frontend(monitor_of(qemu, spec), "vol-a")
    assert seen["inserted"]["iops"] == 1000 and len(nodes(qemu, spec)) == 3
    qemu.store.delete("volume-a")
    qemu.hypervisor.suspend(spec.id)
    qemu.hypervisor.resume(structs.replace(spec, disks=[spec.disks[0], target]))
    wait(lambda: qemu.hypervisor.console_log(spec.id) == "AB", "a guest that wrote")
    qemu.hypervisor.kill(spec.id)
    assert decrypted(qemu.file_of(target)).startswith(boot_sector(WRITE_ITSELF))


# ---------------------------------------------------------------- an agent that dies


def test_an_agent_killed_in_the_middle_of_an_attach(qemu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, disk = qemu.running(), qemu.volume("a", key=KEY)

    def die(at: str) -> None:
        def execute(self: Monitor, command: str, arguments: dict[str, Any] | None = None, **more: Any) -> Any:
            if command == at:
                raise Killed
            return real(self, command, arguments, **more)

        real = Monitor.execute
        with monkeypatch.context() as patch:
            patch.setattr(Monitor, "execute", execute)
            with pytest.raises(Killed):
                qemu.hypervisor.attach(spec.id, disk)
        qemu.restart()

    for at in ("blockdev-add", "object-del", "device_add"):
        die(at)
        assert qemu.hypervisor.server(spec.id).disks == ["root"], at
        assert nodes(qemu, spec) == {"node-root"} and secrets(qemu, spec) == []
    assert qemu.hypervisor.attach(spec.id, disk).disks == ["root", "vol-a"]
    qemu.restart()
    assert qemu.hypervisor.server(spec.id).disks == ["root", "vol-a"]
    assert qemu.hypervisor.attach(spec.id, disk).disks == ["root", "vol-a"]


def test_a_guest_that_let_go_while_no_agent_watched(qemu: Machine) -> None:
    spec, disk = qemu.running(LET_GO), qemu.volume("a")
    wait(lambda: qemu.hypervisor.console_log(spec.id), "boot")
    qemu.hypervisor.attach(spec.id, disk)
    qemu.hypervisor.pause(spec.id)
    qemu.hypervisor.detach(spec.id, "vol-a")
    own_machine = qemu.hypervisor._machines[spec.id]  # type: ignore[attr-defined]
    monitor = own_machine.connected()
    own_machine._report = lambda *_: None  # the agent is deaf from here on
    monitor.execute("cont")
    wait(lambda: "disk-vol-a" not in monitor.devices(), "the guest")
    assert "node-vol-a" in nodes(qemu, spec)
    qemu.restart()
    assert qemu.hypervisor.server(spec.id).disks == ["root"] and nodes(qemu, spec) == {"node-root"}


@pytest.mark.parametrize("ready", [True, False])
def test_an_agent_killed_in_the_middle_of_a_move(qemu: Machine, monkeypatch: pytest.MonkeyPatch, ready: bool) -> None:
    spec, first = qemu.running(), qemu.volume("a")
    qemu.file_of(first).write_bytes(b"what was written".ljust(DISK_BYTES, b"."))
    target = structs.replace(qemu.volume("b"), name="vol-a")
    qemu.hypervisor.attach(spec.id, first)
    real, wait_for = Monitor.execute, moves.wait_for

    def slowly(self: Monitor, command: str, arguments: dict[str, Any] | None = None, **more: Any) -> Any:
        if command == "blockdev-mirror" and not ready:
            arguments = {**(arguments or {}), "speed": 1, "buf-size": 65536}
        return real(self, command, arguments, **more)

    def die(monitor: Monitor, job: str, wanted: tuple[str, ...]) -> None:
        if ready:
            wait_for(monitor, job, wanted)
        raise Killed

    def dead(*_: Any) -> None:
        pass

    with monkeypatch.context() as patch:
        patch.setattr(Monitor, "execute", slowly)
        patch.setattr(moves, "wait_for", die)
        patch.setattr(moves, "_finish", dead)
        with pytest.raises(Killed):
            qemu.hypervisor.replace_disk(spec.id, target)
    assert qemu.hypervisor.uses("file", "volume-a") and qemu.hypervisor.uses("file", "volume-b")  # type: ignore[attr-defined]
    qemu.restart()
    assert len(nodes(qemu, spec)) == 2 and monitor_of(qemu, spec).execute("query-jobs") == []
    there, gone = (target, first) if ready else (first, target)
    assert str(qemu.file_of(there)) in opened(qemu, spec) and str(qemu.file_of(gone)) not in opened(qemu, spec)
    assert qemu.hypervisor.replace_disk(spec.id, target).disks == ["root", "vol-a"]
    qemu.store.delete("volume-a")
    qemu.hypervisor.kill(spec.id)
    assert qemu.file_of(target).read_bytes().startswith(b"what was written....")


def test_a_qemu_that_dies_while_a_disk_is_moved(qemu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, first, second = qemu.running(), qemu.volume("a"), qemu.volume("b")
    qemu.hypervisor.attach(spec.id, first)
    real = moves.wait_for

    def die(monitor: Monitor, job: str, wanted: tuple[str, ...]) -> None:
        os.kill(qemu.hypervisor.server(spec.id).pid or 0, 9)
        qemu.until(spec.id, lambda state: state.power == "crashed")
        real(monitor, job, wanted)

    monkeypatch.setattr(moves, "wait_for", die)
    with pytest.raises((Conflict, MonitorError)):
        qemu.hypervisor.replace_disk(spec.id, structs.replace(second, name="vol-a"))
    for disk in (first, second):
        assert isinstance(disk, DiskSpec) and disk.source
        qemu.store.delete(disk.source.volume)


def test_a_guest_that_lets_go_of_a_disk_that_is_moved(qemu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, first, second = qemu.running(LET_GO), qemu.volume("a"), qemu.volume("b")
    wait(lambda: qemu.hypervisor.console_log(spec.id), "boot")
    qemu.hypervisor.attach(spec.id, first)
    qemu.hypervisor.pause(spec.id)
    qemu.hypervisor.detach(spec.id, "vol-a")
    real = moves.wait_for

    def meanwhile(monitor: Monitor, job: str, wanted: tuple[str, ...]) -> None:
        with pytest.raises(Conflict):
            qemu.hypervisor.detach(spec.id, "vol-a")
        with pytest.raises(Conflict):
            qemu.hypervisor.copy("file", "volume-b", qemu.state / "copy", "raw")  # type: ignore[attr-defined]
        monitor.execute("cont")
        wait(lambda: "disk-vol-a" not in monitor.devices(), "the guest")
        monkeypatch.setattr(moves, "wait_for", real)
        real(monitor, job, wanted)

    monkeypatch.setattr(moves, "wait_for", meanwhile)
    with pytest.raises(HostError):
        qemu.hypervisor.replace_disk(spec.id, structs.replace(second, name="vol-a"))
    qemu.until(spec.id, lambda state: state.disks == ["root"])
    assert nodes(qemu, spec) == {"node-root"}
    for name in "ab":
        qemu.store.delete(f"volume-{name}")
