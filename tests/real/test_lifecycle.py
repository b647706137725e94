"""The command itself, as a user types it: up, status, down, purge, and what happens after everything was killed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from running import free_port

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="a cloud needs root"), pytest.mark.timeout(180)]
HANEUL = str(Path(__file__).parents[2] / "haneul")


class Commands:
    """`./haneul` for one state directory, which lies where the unprivileged control plane can reach it."""

    def __init__(self) -> None:
        self.state = Path(f"/tmp/haneul-test-{secrets.token_hex(4)}")
        self.port = free_port()

    def __call__(self, *words: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([HANEUL, *words, "--state", str(self.state)], capture_output=True, text=True)
        assert (done.returncode == 0) == ok, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self, *words: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        return self("up", "--detach", "--no-demo", "--hypervisor", "fake", "--port", str(self.port), *words, ok=ok)

    def status(self) -> dict:
        done = subprocess.run([HANEUL, "status", "--json", "--state", str(self.state)], capture_output=True, text=True)
        return json.loads(done.stdout)

    def pids(self) -> dict[str, int]:
        return {process["name"]: process["pid"] for process in self.status()["processes"]}

    def answers(self) -> bool:
        return httpx.get(f"http://127.0.0.1:{self.port}/identity/v3").status_code == 200


@pytest.fixture
def haneul() -> Iterator[Commands]:
    commands = Commands()
    yield commands
    if commands.state.exists():
        commands("down", "--purge")


@pytest.fixture
def another() -> Iterator[Commands]:
    commands = Commands()
    yield commands
    if commands.state.exists():
        commands("down", "--purge")


def gone(pids: dict[str, int]) -> bool:
    """None runs; one that its parent has not looked after yet (a zombie) does not."""
    for pid in pids.values():
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                return False
        except OSError:
            continue
    return True


def test_a_cloud_comes_up_and_goes_without_a_trace(haneul: Commands) -> None:
    haneul.up()
    assert haneul.answers()
    pids = haneul.pids()
    assert set(pids) == {"supervisor", "control", "agent"}
    control = Path(f"/proc/{pids['control']}/status").read_text()
    assert "Uid:\t0" not in control and "CapEff:\t0000000000000000" in control
    haneul.up()
    assert haneul.pids() == pids
    haneul("down")
    assert gone(pids) and haneul.state.exists()
    assert haneul.status()["problems"]
    haneul("down", "--purge")
    assert not haneul.state.exists()


def test_the_environment_reaches_the_openstack_command(haneul: Commands) -> None:
    haneul.up()
    script = f'eval "$({HANEUL} env --state {haneul.state})" && exec openstack token issue -f value -c project_id'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0 and len(done.stdout.strip()) == 32, done.stderr


def test_everything_killed_comes_back(haneul: Commands) -> None:
    haneul.up()
    before = haneul.pids()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    haneul.up()
    after = haneul.pids()
    assert haneul.answers() and set(after) == set(before) and not set(after.values()) & set(before.values())


def test_a_killed_process_is_started_again_by_itself(haneul: Commands) -> None:
    haneul.up()
    before = haneul.pids()
    os.kill(before["control"], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while True:
        assert time.monotonic() < deadline
        now = haneul.pids()
        if now.get("control") not in (None, before["control"]):
            break
        time.sleep(0.1)
    assert now["agent"] == before["agent"]


def test_two_clouds_side_by_side(haneul: Commands, another: Commands) -> None:
    haneul.up()
    another.up()
    cidrs = [json.loads((each.state / "chosen.json").read_text())["network"]["public_cidr"] for each in (haneul, another)]
    assert cidrs[0] != cidrs[1]
    pids = haneul.pids()
    another("down", "--purge")
    assert haneul.answers() and haneul.pids() == pids


def test_a_taken_port_is_told_and_nothing_changes(haneul: Commands, another: Commands) -> None:
    haneul.up()
    another.port = haneul.port
    refused = another.up(ok=False)
    assert f"port {haneul.port} on 127.0.0.1 is in use by" in refused.stderr and "--port N" in refused.stderr
    assert haneul.answers()
    port, haneul.port = haneul.port, free_port()
    haneul.up()
    assert haneul.answers()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/")


def test_without_root_a_plain_sentence(haneul: Commands) -> None:
    haneul.state.mkdir(mode=0o777)
    readable = Path("/tmp") / f"haneul-checkout-{secrets.token_hex(4)}"
    try:
        shutil.copytree(Path(HANEUL).parent, readable, ignore=shutil.ignore_patterns(".git", "__pycache__"))
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(readable / "haneul"), "up",
                               "--state", str(haneul.state)], capture_output=True, text=True)
    finally:
        shutil.rmtree(readable)
    assert done.returncode == 1 and "root" in done.stderr and "Traceback" not in done.stderr
    haneul.state.rmdir()


def test_interrupted_in_the_foreground_it_stops(haneul: Commands) -> None:
    command = [HANEUL, "up", "--no-demo", "--hypervisor", "fake", "--port", str(haneul.port), "--state", str(haneul.state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout
        for line in running.stdout:
            if "Ctrl-C" in line:
                break
        pids = haneul.pids()
        assert len(pids) == 3
        running.send_signal(signal.SIGINT)
        assert running.wait(40) == 0
    assert gone(pids) and haneul.state.exists()
