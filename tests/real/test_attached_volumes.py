"""Volumes of real guests: data that goes from one server to another, and whatever is killed on the way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from real.ground import Ground, Guest, Tenant, until

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="a cloud needs root"), pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def pair(blue: Tenant) -> Iterator[list[Guest]]:
    with blue.guests("one", "two") as guests:
        yield guests


@pytest.fixture
def volume(blue: Tenant) -> Iterator[str]:
    storage = blue.cloud.block_storage
    made = storage.create_volume(name="data", size=1)
    until(lambda: storage.get_volume(made.id).status == "available", 60, "a volume")
    yield made.id
    until(lambda: storage.get_volume(made.id).status == "available", 60, "the volume's freedom")
    storage.delete_volume(made.id)


def status(blue: Tenant, volume: str) -> str:
    return str(blue.cloud.block_storage.get_volume(volume).status)


def attach(blue: Tenant, guest: Guest, volume: str) -> str:
    """The disk's name in the guest."""
    blue.cloud.compute.create_volume_attachment(guest.id, volume_id=volume)
    until(lambda: status(blue, volume) == "in-use", 60, "a volume in use")
    return until(lambda: disk_of(guest, volume), 60, "the disk in the guest")


def disk_of(guest: Guest, volume: str) -> str:
    """Found by its serial."""
    found = guest.run(f"for d in /sys/block/vd*; do [ \"$(cat $d/serial)\" = {volume[:20]} ] && basename $d; done; true").split()
    return f"/dev/{found[0]}" if found else ""


def detach(blue: Tenant, guest: Guest, volume: str, seconds: float = 90.0) -> None:
    blue.cloud.compute.delete_volume_attachment(guest.id, volume, ignore_missing=False)
    until(lambda: status(blue, volume) == "available", seconds, "a free volume")


def opened(ground: Ground, volume: str) -> list[int]:
    """Processes that have its file open: what the kernel says, not a table."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        if any(f"volume-{volume}" in link for link in links):
            found.append(int(pid))
    return found


def test_a_pattern_goes_from_one_server_to_another(ground: Ground, blue: Tenant, pair: list[Guest], volume: str) -> None:
    one, two = pair
    disk = attach(blue, one, volume)
    one.run(f"yes pattern | head -c 1000000 | sudo dd of={disk} bs=4096 conv=fsync 2>/dev/null")
    assert opened(ground, volume) == ground.qemu(one.id)
    with pytest.raises(Exception, match="status must be available"):
        blue.cloud.compute.create_volume_attachment(two.id, volume_id=volume)
    detach(blue, one, volume)
    assert disk_of(one, volume) == "" and opened(ground, volume) == []
    disk = attach(blue, two, volume)
    assert opened(ground, volume) == ground.qemu(two.id)
    assert int(two.run(f"sudo head -c 1000000 {disk} | grep -c pattern").strip()) >= 124_000
    detach(blue, two, volume)


def test_qemu_is_killed_and_the_next_start_has_the_volume(ground: Ground, blue: Tenant, pair: list[Guest], volume: str) -> None:
    one = pair[0]
    disk = attach(blue, one, volume)
    one.run(f"echo kept | sudo dd of={disk} conv=fsync 2>/dev/null")
    os.kill(ground.qemu(one.id)[0], signal.SIGKILL)
    one.until("SHUTOFF", 60)
    assert status(blue, volume) == "in-use" and opened(ground, volume) == []
    blue.cloud.compute.start_server(one.id)
    one.until("ACTIVE")
    one.until_login()
    assert one.run(f"sudo head -c 4 {disk_of(one, volume)}") == "kept"
    detach(blue, one, volume)


@pytest.mark.parametrize("victim", ["control", "agent"])
@pytest.mark.parametrize("wait", [0.0, 0.05, 0.2])
def test_a_process_is_killed_during_attach_and_detach(ground: Ground, blue: Tenant, pair: list[Guest], volume: str, victim: str,
                                                      wait: float) -> None:
    """In use with a guest that has it, or available with none that has; then what was asked for has happened."""
    one = pair[0]

    def told(word: str) -> None:
        until(lambda: status(blue, volume) == word, 90, word)

    blue.cloud.compute.create_volume_attachment(one.id, volume_id=volume)
    time.sleep(wait)
    until(lambda: _kill(ground, victim), 30, f"a {victim} to kill")
    until(lambda: _answers(blue, volume), 60, "an answer")
    told("in-use")
    assert opened(ground, volume) == ground.qemu(one.id)
    blue.cloud.compute.delete_volume_attachment(one.id, volume, ignore_missing=False)
    time.sleep(wait)
    until(lambda: _kill(ground, victim), 30, f"a {victim} to kill")
    until(lambda: _answers(blue, volume), 60, "an answer")
    told("available")
    assert opened(ground, volume) == []


def _kill(ground: Ground, victim: str) -> bool:
    """One that was killed just before may not be back yet."""
    try:
        os.kill(ground.pids()[victim], signal.SIGKILL)
    except (KeyError, ProcessLookupError):
        return False
    return True


def _answers(blue: Tenant, volume: str) -> bool:
    try:
        return bool(status(blue, volume))
    except Exception:  # the control plane is not back yet
        return False


def test_a_guest_that_does_not_listen_keeps_its_volume(ground: Ground, blue: Tenant, volume: str) -> None:
    """An image without a system: nothing answers the request to let go, and the volume is not free."""
    with_nothing = blue.create("deaf", image_id=ground.empty_image, flavor_id=ground.tiny_flavor, floating=False)
    try:
        with_nothing.until("ACTIVE")
        blue.cloud.compute.create_volume_attachment(with_nothing.id, volume_id=volume)
        until(lambda: status(blue, volume) == "in-use", 60, "a volume in use")
        blue.cloud.compute.delete_volume_attachment(with_nothing.id, volume, ignore_missing=False)
        until(lambda: status(blue, volume) != "in-use", 30, "an attempt")
        until(lambda: status(blue, volume) in ("in-use", "available"), 180, "its end")
        has_it = opened(ground, volume) == ground.qemu(with_nothing.id)
        assert has_it == (status(blue, volume) == "in-use")
    finally:
        with_nothing.delete()
    until(lambda: status(blue, volume) == "available", 60, "a free volume")
    assert opened(ground, volume) == []
