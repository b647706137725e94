"""The guest image built, booted without a cloud, and used the way people and Tempest use it."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from haneul.image.guest.build import build
from haneul.image.guest.programs import BuildError, require_programs

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

KEPT = Path("/var/cache/haneul/guest/packages")


def missing() -> str:
    try:
        require_programs()
    except BuildError as error:
        return str(error)
    others = [name for name in ("qemu-system-x86_64", "ssh", "ssh-keygen", "genisoimage") if not shutil.which(name)]
    return f"needs {' '.join(others)}" if others else ""


class Guest:
    """A running guest with a config drive, reached through QEMU's user networking."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.folder = folder
        self.console = folder / "console"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.disk = folder / "disk.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", self.disk, "1G"], check=True)
        self._config_drive()

    def _config_drive(self) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", self.folder / "key"], check=True)
        latest = self.folder / "drive/openstack/latest"
        latest.mkdir(parents=True)
        (latest / "meta_data.json").write_text(json.dumps({
            "uuid": "1b7eb3d0-0000-4000-8000-000000000001", "hostname": "test-guest.novalocal",
            "public_keys": {"mine": (self.folder / "key.pub").read_text()},
        }))
        (latest / "user_data").write_text("#!/bin/sh\necho user-data-of-$(hostname)-by-$(id -un)\n")
        subprocess.run(["genisoimage", "-quiet", "-R", "-J", "-V", "config-2", "-o", self.folder / "drive.iso",
                        self.folder / "drive"], check=True)

    def start(self) -> None:
        self.process = subprocess.Popen([
            "qemu-system-x86_64", "-nodefaults", "-machine", "pc,accel=tcg", "-cpu", "max", "-m", "256",
            "-display", "none", "-serial", f"file:{self.console}", "-monitor", f"unix:{self.folder}/monitor,server,nowait",
            "-drive", f"if=none,id=root,file={self.disk},format=qcow2",
            "-device", "virtio-blk-pci,drive=root,serial=0123456789abcdef0123",
            "-drive", f"if=none,id=drive,file={self.folder}/drive.iso,format=raw,readonly=on",
            "-device", "ide-cd,drive=drive", "-device", "virtio-rng-pci",
            "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.port}-:22", "-device", "virtio-net-pci,netdev=net",
        ])
        deadline = time.monotonic() + 120
        while not self._banner():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.2)

    def _banner(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
                connection.settimeout(2)
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def log(self) -> str:
        return self.console.read_text(errors="replace")

    def run(self, command: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["ssh", "-q", "-i", self.folder / "key", "-p", str(self.port), "-o", "BatchMode=yes",
             "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "cirros@127.0.0.1", command],
            input=stdin, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stdout

    def press_power_button(self) -> None:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(f"{self.folder}/monitor")
            monitor.sendall(b"system_powerdown\n")
            self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("guest")
    cache = KEPT if KEPT.is_dir() else folder / "packages"
    image = build(folder / "image.qcow2", cache, lambda line: None)
    assert image.stat().st_size < 24_000_000
    running = Guest(image, folder)
    running.start()
    yield running
    running.kill()


def test_the_metadata_is_applied(guest: Guest) -> None:
    assert guest.run("hostname").strip() == "test-guest"
    deadline = time.monotonic() + 60
    while "user-data-of-test-guest-by-root" not in guest.log() or "login:" not in guest.log():
        assert time.monotonic() < deadline, guest.log()
        time.sleep(0.2)
    assert len(guest.log().splitlines()) >= 10


def test_commands_tempest_runs(guest: Guest) -> None:
    guest.run("set -eu -o pipefail; for c in mount umount mkfs mkdir cat sh ip tee dd nc killall kill lsblk ping true curl"
              " blkid md5sum wc awk pidof start-stop-daemon ping6; do which $c >/dev/null; done")
    assert guest.run("sudo sh -eux", "id -u").strip() == "0"
    assert guest.run("sudo sh -c 'echo $1' x 'a b'").strip() == "a b"
    assert guest.run("sudo blkid -L config-2 -o device").strip() == "/dev/sr0"
    assert "vda" in guest.run("lsblk -lb --nodeps") and "TYPE" in guest.run("lsblk -lb --nodeps")
    assert guest.run("cat /sys/block/vda/serial") == "0123456789abcdef0123"
    assert " 1 received" in guest.run("ping -c1 -w5 -s56 10.0.2.2")
    guest.run("sudo mount $(sudo blkid -L config-2 -o device) /mnt && test -s /mnt/openstack/latest/meta_data.json"
              " && sudo umount /mnt")


def test_file_systems_are_made_and_mounted(guest: Guest) -> None:
    for kind in ("ext4", "vfat"):
        guest.run(f"dd if=/dev/zero of=/tmp/disk bs=1M count=16 2>/dev/null && sudo mkfs -t {kind} /tmp/disk >/dev/null"
                  f" && sudo mount /tmp/disk /mnt && mount | grep -q '/mnt type {kind}' && sudo umount /mnt")


def test_both_kinds_of_netcat(guest: Guest) -> None:
    for kind in ("", "-u"):
        answer = guest.run(
            f"(nc {kind} -p 7000 -lk -e echo 'hello you' </dev/null >/dev/null 2>&1 &); sleep 1;"
            f" echo | nc {kind} -w 1 127.0.0.1 7000; sleep 1; echo | nc {kind} -w 1 127.0.0.1 7000; pidof nc >/dev/null;"
            " killall nc")
        assert answer.splitlines() == ["hello you", "hello you"]
    got = guest.run("(nc -lp 7001 </dev/null >/tmp/got 2>&1 &); sleep 1; echo hi | nc -w 1 127.0.0.1 7001; cat /tmp/got")
    assert got == "hi\n"


def test_a_lease_is_renewed_on_signal(guest: Guest) -> None:
    guest.run("echo nameserver 192.0.2.1 | sudo tee /etc/resolv.conf >/dev/null;"
              " sudo /bin/kill -USR1 $(cat /var/run/udhcpc.eth0.pid);"
              " for i in 1 2 3 4 5 6 7 8 9 10; do grep -q 10.0.2.3 /etc/resolv.conf && exit 0; sleep 1; done; exit 1")


def test_the_root_file_system_grew(guest: Guest) -> None:
    guest.run("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do"
              " [ $(df -m / | awk 'NR == 2 {print $2}') -gt 900 ] && exit 0; sleep 1; done; exit 1")


def test_the_power_button_ends_it_and_files_in_tmp_stay(guest: Guest) -> None:
    guest.run("echo kept >/tmp/timestamp")
    keys = guest.run("sudo md5sum /etc/dropbear/dropbear_ed25519_host_key")
    guest.press_power_button()
    guest.start()
    assert guest.run("cat /tmp/timestamp") == "kept\n"
    assert guest.run("sudo md5sum /etc/dropbear/dropbear_ed25519_host_key") == keys
