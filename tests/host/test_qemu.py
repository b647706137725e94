"""What only real guests can show: how they end, how they are confined, what they hold."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from guests import BABBLE, DISK_BYTES, TURN_OFF, Machine, boot_sector, wait
from msgspec import structs

from haneul.host.accounts import qemu_account
from haneul.host.contract import ConfigDrive, Conflict, CpuLimits, DiskSpec, HostError, NicSpec, NotThere, ServerSpec
from haneul.host.fabric import names
from haneul.host.hypervisor.qemu import probe, serial
from haneul.host.hypervisor.qemu.process import start_time
from haneul.host.storage import DiskLimits

pytestmark = pytest.mark.real


def gone(pid: int) -> bool:
    return start_time(pid) is None


def test_a_guest_that_turns_itself_off_is_off(qemu: Machine) -> None:
    spec = qemu.running(TURN_OFF)
    state = qemu.until(spec.id, lambda state: state.power == "off")
    assert state.pid is None and state.reason == "" and qemu.hypervisor.console_log(spec.id) == "A"
    assert qemu.hypervisor.create(spec).power == "paused"


def test_a_qemu_that_dies_has_crashed(qemu: Machine) -> None:
    spec = qemu.running()
    os.kill(qemu.hypervisor.server(spec.id).pid or 0, signal.SIGKILL)
    state = qemu.until(spec.id, lambda state: state.power == "crashed")
    assert "SIGKILL" in state.reason and state.nics == [] and state.disks == []
    qemu.restart()
    assert qemu.hypervisor.server(spec.id) == state
    assert qemu.hypervisor.create(spec).power == "paused"


def test_what_ended_while_no_agent_watched(qemu: Machine) -> None:
    spec, killed = qemu.spec(TURN_OFF), qemu.running()
    qemu.hypervisor.create(spec)
    pid = qemu.hypervisor.server(killed.id).pid or 0
    qemu.close()
    os.kill(pid, signal.SIGKILL)
    with socket.socket(socket.AF_UNIX) as monitor:  # the guest is started behind the agent's back, and ends so
        monitor.connect(str(qemu.state / "host" / "servers" / spec.id / "qmp.sock"))
        with monitor.makefile("rw") as lines:
            lines.readline()
            for command in ("qmp_capabilities", "cont"):
                lines.write(f'{{"execute": "{command}"}}')
                lines.flush()
            wait(lambda: '"SHUTDOWN"' in lines.readline(), "shutdown")
    wait(lambda: gone(pid) or os.waitpid(pid, os.WNOHANG)[0], "kill")
    qemu.restart()
    assert qemu.hypervisor.server(spec.id).power == "off"
    with pytest.raises(NotThere):  # lost with its agent, as in a restart of the machine: the control plane starts it again
        qemu.hypervisor.server(killed.id)
    assert qemu.hypervisor.create(killed).power == "paused"


def test_the_process_is_confined(qemu: Machine) -> None:
    pid = qemu.hypervisor.server(qemu.running().id).pid
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert status["Uid"].split() == [str(qemu_account().uid)] * 4 and qemu_account().uid != 0
    assert status["Gid"].split() == [str(qemu_account().gid)] * 4
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    for namespace in ("net", "ipc", "uts"):
        assert os.readlink(f"/proc/{pid}/ns/{namespace}") != os.readlink(f"/proc/self/ns/{namespace}")
    assert len(Path(f"/proc/{pid}/net/dev").read_text().splitlines()) == 3  # the heading and lo, which is down
    cloud_id = (qemu.state / "cloud-id").read_text()
    assert f"haneul-{cloud_id}/" in Path(f"/proc/{pid}/cgroup").read_text()


def test_what_a_flavor_allows_of_disk_and_processor_is_set(qemu: Machine) -> None:
    spec = qemu.spec(vcpus=2, cpu=CpuLimits(shares=512, period=50_000, quota=10_000))
    limited = structs.replace(spec.disks[0], limits=DiskLimits(read_iops_sec=300, total_bytes_sec=1 << 20))
    qemu.hypervisor.create(structs.replace(spec, disks=[limited]))
    pid = qemu.hypervisor.server(spec.id).pid
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    groups = {name: path for _, controllers, path in lines for name in controllers.split(",")}
    if "cpu" in groups:  # version 1
        folder = next(path for path in Path("/sys/fs/cgroup").glob("cpu*") if (path / groups["cpu"].lstrip("/")).is_dir())
        folder /= groups["cpu"].lstrip("/")
        assert [(folder / name).read_text().strip() for name in ("cpu.shares", "cpu.cfs_period_us", "cpu.cfs_quota_us")] == [
            "1024", "50000", "20000"]
    else:
        assert (Path("/sys/fs/cgroup") / groups[""].lstrip("/") / "cpu.max").read_text().strip() == "20000 50000"
    throttled = qemu.hypervisor._machines[spec.id].connected().execute("query-block")  # type: ignore[attr-defined]
    inserted = next(entry["inserted"] for entry in throttled if "disk-root" in entry.get("qdev", ""))
    assert (inserted["iops_rd"], inserted["bps"]) == (300, 1 << 20)


def test_nothing_is_left_of_a_server_that_is_forgotten(qemu: Machine) -> None:
    spec = qemu.running()
    pid = qemu.hypervisor.server(spec.id).pid or 0
    qemu.hypervisor.forget(spec.id)
    assert gone(pid)
    assert list((qemu.state / "host" / "servers").iterdir()) == []
    assert not [path for path in Path("/sys/fs/cgroup").glob("**/haneul-*") if spec.id in os.listdir(path)]
    assert [disk.name for disk in qemu.disks.disks()] == ["root"]


def test_every_bus_and_kind_of_disk(qemu: Machine) -> None:
    for chipset in ("pc", "q35"):
        spec = qemu.spec(machine=chipset)
        qemu.disks.create_config_drive(spec.id, ConfigDrive(files={"openstack/latest/meta_data.json": "{}"}))
        disks = [*spec.disks, DiskSpec(name="config", format="raw", bus="ide", device="cdrom")]
        for number, (bus, device) in enumerate([("virtio", "disk"), ("scsi", "disk"), ("scsi", "cdrom"), ("ide", "disk"),
                                                ("usb", "disk"), ("usb", "cdrom")]):
            qemu.disks.create(spec.id, f"d{number}", "qcow2" if number % 2 else "raw", DISK_BYTES)
            disks.append(DiskSpec(name=f"d{number}", format="qcow2" if number % 2 else "raw", bus=bus,  # type: ignore[arg-type]
                                  device=device, serial=str(uuid.uuid4())))  # type: ignore[arg-type]
        whole = ServerSpec(id=spec.id, name="x", vcpus=2, memory_mib=64, disks=disks, nics=spec.nics, machine=spec.machine)
        state = qemu.hypervisor.create(whole)
        assert state.disks == [disk.name for disk in disks]
        assert qemu.hypervisor.run(spec.id).power == "running"
        wait(lambda: qemu.hypervisor.console_log(spec.id), f"{chipset} boots from its root disk")  # noqa: B023
        assert qemu.hypervisor.resume(whole).power == "running"


def test_too_many_ide_disks_change_nothing(qemu: Machine) -> None:
    spec = qemu.spec()
    disks = []
    for number in range(5):
        qemu.disks.create(spec.id, f"d{number}", "raw", DISK_BYTES)
        disks.append(DiskSpec(name=f"d{number}", format="raw", bus="ide"))
    with pytest.raises(Conflict):
        qemu.hypervisor.create(ServerSpec(id=spec.id, name="x", vcpus=1, memory_mib=32, disks=disks))
    assert qemu.hypervisor.servers() == []


def test_a_snapshot_of_a_running_guest_boots(qemu: Machine) -> None:
    spec = qemu.running()
    wait(lambda: qemu.hypervisor.console_log(spec.id), "boot")
    qemu.disks.snapshot(spec.id, "root", "snapshot")
    file, _ = qemu.disks.open_snapshot("snapshot")  # type: ignore[attr-defined]
    with file:
        qemu.put_image(file.read(), "qcow2", "copy")
    second = str(uuid.uuid4())
    qemu.disks.create(second, "root", "qcow2", 1, "copy", "qcow2")
    qemu.hypervisor.create(ServerSpec(id=second, name="x", vcpus=1, memory_mib=32, disks=spec.disks))
    qemu.hypervisor.run(second)
    wait(lambda: qemu.hypervisor.console_log(second), "boot of the copy")


def test_the_console_is_bounded(qemu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial, "KEEP", 128 << 10)
    monkeypatch.setattr(serial, "SLACK", 0)
    spec = qemu.running(BABBLE)
    path = qemu.state / "host" / "servers" / spec.id / "console.log"
    wait(lambda: path.stat().st_size > 600 << 10, "babble")
    qemu.hypervisor.pause(spec.id)
    serial.bound(path)
    assert path.stat().st_blocks * 512 <= 256 << 10
    assert set(qemu.hypervisor.console_log(spec.id)) == {"A"}
    size = path.stat().st_size
    qemu.hypervisor.run(spec.id)
    wait(lambda: path.stat().st_size > size, "more babble")
    assert set(qemu.hypervisor.console_log(spec.id)) == {"A"}  # no hole where the beginning was


def test_the_screen_speaks_rfb(qemu: Machine) -> None:
    spec = qemu.running()
    with socket.socket(socket.AF_UNIX) as screen:
        screen.connect(qemu.hypervisor.vnc_socket(spec.id))
        assert screen.recv(4) == b"RFB "


def test_a_screen_that_is_not_qemus_is_not_given_out(qemu: Machine) -> None:
    spec = qemu.running()
    path = Path(qemu.hypervisor.vnc_socket(spec.id))
    path.unlink()
    path.symlink_to("/run/other.sock")
    with pytest.raises(HostError):
        qemu.hypervisor.vnc_socket(spec.id)


def test_no_memory_on_disk_no_suspend(qemu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    from haneul.host.hypervisor.qemu import memory

    spec = qemu.running()

    class Full:
        f_bavail, f_frsize = 1, 4096

    monkeypatch.setattr(memory.os, "statvfs", lambda path: Full)
    with pytest.raises(HostError) as error:
        qemu.hypervisor.suspend(spec.id)
    assert error.value.code == "no_room"
    assert qemu.hypervisor.server(spec.id).power == "running"


def test_kvm_is_only_believed_when_a_guest_ran(qemu: Machine) -> None:
    facts = qemu.hypervisor.facts()
    problem = probe.run_probe_guest() if os.path.exists("/dev/kvm") else "none"
    assert facts.virt == "tcg" or problem is None
    assert facts.virt == "kvm" or any("TCG" in sentence for sentence in facts.problems)
    spec = qemu.running()
    words = Path(f"/proc/{qemu.hypervisor.server(spec.id).pid}/cmdline").read_text().split("\0")
    assert words[words.index("-accel") + 1].startswith(facts.virt)


def test_the_probe_guest_runs_where_guests_run(state: Path) -> None:
    rom = state / "rom"
    rom.write_bytes(probe.firmware())
    done = subprocess.run(["qemu-system-x86_64", "-nodefaults", "-machine", "pc", "-accel", "tcg", "-display", "none",
                           "-m", "16M", "-bios", str(rom), "-device", "isa-debug-exit,iobase=0xf4,iosize=1"], timeout=60)
    assert done.returncode == probe.PASSED


# ---------------------------------------------------------------- disks that are full


@pytest.fixture
def tiny(state: Path) -> Iterator[Machine]:
    """The agent's files on a file system of 4 MiB."""
    (state / "host").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=711", "hn-test", str(state / "host")], check=True)
    made = Machine(state, "qemu")
    yield made
    made.end()
    made.close()
    subprocess.run(["umount", "-l", str(state / "host")], check=True)


def test_a_full_disk_leaves_nothing_half_made(tiny: Machine) -> None:
    with pytest.raises(OSError, match="No space left"):
        tiny.put_image(boot_sector(b"\xf4").ljust(8 << 20, b"x"), "raw")
    assert tiny.disks.images() == [] and not list(tiny.state.rglob(".partial-*"))
    tiny.put_image(boot_sector(b"\xf4").ljust(3 << 20, b"x"), "raw")
    with pytest.raises(HostError) as error:
        tiny.disks.create("server", "copy", "raw", 1, "image", "raw")
    assert error.value.code == "no_room"
    assert tiny.disks.disks() == [] and not list(tiny.state.rglob(".partial-*"))


def test_leftovers_of_a_killed_agent_are_swept(qemu: Machine) -> None:
    spec = qemu.spec()
    root = qemu.state / "host"
    for folder in (root / "images", root / "disks" / spec.id, root / "snapshots"):
        (folder / ".partial-0").write_text("half")
        shutil.copytree(root / "snapshots", folder / ".partial-1")
    qemu.restart()
    assert not list(qemu.state.rglob(".partial-*"))
    assert [disk.name for disk in qemu.disks.disks()] == ["root"]


def test_the_cache_lets_the_oldest_unused_images_go(state: Path) -> None:
    made = Machine(state, "qemu")
    made.disks._cache._limit = 5 << 19  # type: ignore[attr-defined]
    for number in range(2):
        made.put_image(boot_sector(b"\xf4").ljust(DISK_BYTES, b"x"), "raw", f"image{number}")
        os.utime(state / "host" / "images" / f"image{number}.raw", (number, number))
    made.disks.create("server", "root", "qcow2", 1, "image0", "raw")
    os.utime(state / "host" / "images" / "image0.raw", (0, 0))
    made.put_image(boot_sector(b"\xf4").ljust(2 * DISK_BYTES, b"x"), "raw", "image2")
    assert {image.id for image in made.disks.images()} == {"image0", "image2"}


# ---------------------------------------------------------------- taps


@pytest.fixture
def wired(state: Path) -> Iterator[Machine]:
    """A fabric namespace as the linux driver makes it, without anything but taps."""
    cloud_id = (state / "cloud-id").read_text()
    (state / "agent-secret").write_text("secret")
    namespace = names.fabric_namespace(cloud_id)
    made = Machine(state, "qemu", "linux")
    subprocess.run(["ip", "netns", "add", namespace], stderr=subprocess.DEVNULL)
    yield made
    made.end()
    subprocess.run(["ip", "netns", "delete", namespace], check=True)


def add_tap(machine: Machine, port_id: str) -> str:
    cloud_id = (machine.state / "cloud-id").read_text()
    tap = names.tap(cloud_id, port_id)
    subprocess.run(["ip", "-n", names.fabric_namespace(cloud_id), "tuntap", "add", "dev", tap, "mode", "tap", "vnet_hdr"],
                   check=True)
    subprocess.run(["ip", "-n", names.fabric_namespace(cloud_id), "link", "set", tap, "up"], check=True)
    return tap


def carrier(machine: Machine, tap: str) -> bool:
    namespace = names.fabric_namespace((machine.state / "cloud-id").read_text())
    shown = subprocess.run(["ip", "-n", namespace, "-o", "link", "show", tap], capture_output=True, text=True, check=True)
    return "NO-CARRIER" not in shown.stdout


def test_cards_hang_on_taps_of_the_fabric(wired: Machine) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    spec = wired.spec(nics=[NicSpec(port_id=first, mac="fa:16:3e:00:00:01")])
    with pytest.raises(NotThere):
        wired.hypervisor.create(spec)
    tap = add_tap(wired, first)
    wired.hypervisor.create(spec)
    wired.hypervisor.run(spec.id)
    assert carrier(wired, tap)
    nic = NicSpec(port_id=second, mac="fa:16:3e:00:00:02")
    with pytest.raises(NotThere):
        wired.hypervisor.plug(spec.id, nic)
    other = add_tap(wired, second)
    assert wired.hypervisor.plug(spec.id, nic).nics == [first, second]
    assert carrier(wired, other)
    wired.hypervisor.suspend(spec.id)
    assert not carrier(wired, tap) and not carrier(wired, other)
    assert wired.hypervisor.resume(spec).nics == [first, second]
    assert carrier(wired, tap) and carrier(wired, other)
    wired.hypervisor.kill(spec.id)
    assert not carrier(wired, tap)
