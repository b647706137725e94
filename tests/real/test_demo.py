"""What the README promises: up, a login, the `openstack` command as typed there, and a purge that leaves nothing."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from pathlib import Path

import pytest

from running import free_port

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="a cloud needs root"), pytest.mark.timeout(900)]
HANEUL = Path(__file__).parents[2] / "haneul"


def openstack(state: Path, *words: str, json_output: bool = True) -> object:
    text = subprocess.run([HANEUL, "env", "--state", state], check=True, capture_output=True, text=True).stdout
    names = ("OS_CLIENT_CONFIG_FILE", "OS_CLOUD", "PATH")
    script = f'{text}\nexec openstack "$@"' + (" -f json" if json_output else "")
    assert all(name in text for name in names)
    done = subprocess.run(["sh", "-c", script, "openstack", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout) if json_output else done.stdout


def ssh(state: Path, address: str, *command: str) -> str:
    done = subprocess.run(["ssh", "-i", state / "demo" / "id_ed25519", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
                           "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10",
                           f"cirros@{address}", *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def logged_in(state: Path, address: str, seconds: float = 180) -> str:
    """The guest's host name, once it answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ssh(state, address, "hostname")
        except (AssertionError, subprocess.TimeoutExpired):
            assert time.monotonic() < deadline, f"no login at {address}"
            time.sleep(1)


def test_the_first_server_answers(real_cloud: Path) -> None:
    server = openstack(real_cloud, "server", "show", "hello")
    assert server["status"] == "ACTIVE"
    floating = [address for address in server["addresses"]["private"] if not address.startswith("10.0.0.")]
    assert logged_in(real_cloud, floating[0]).split(".")[0] == "hello"


def test_the_commands_of_the_readme(real_cloud: Path) -> None:
    openstack(real_cloud, "server", "create", "--image", "guest", "--flavor", "m1.tiny", "--network", "private", "--key-name",
              "demo", "--wait", "web")
    address = openstack(real_cloud, "floating", "ip", "create", "public")["floating_ip_address"]
    openstack(real_cloud, "server", "add", "floating", "ip", "web", address, json_output=False)
    assert logged_in(real_cloud, address).split(".")[0] == "web"
    assert "login:" in openstack(real_cloud, "console", "log", "show", "web", json_output=False)
    for action, status in (("pause", "PAUSED"), ("unpause", "ACTIVE"), ("suspend", "SUSPENDED"), ("resume", "ACTIVE")):
        openstack(real_cloud, "server", action, "web", json_output=False)
        until_status(real_cloud, "web", status)
    openstack(real_cloud, "server", "stop", "web", json_output=False)
    until_status(real_cloud, "web", "SHUTOFF")
    openstack(real_cloud, "server", "start", "web", json_output=False)
    until_status(real_cloud, "web", "ACTIVE")
    openstack(real_cloud, "server", "reboot", "--hard", "--wait", "web", json_output=False)
    logged_in(real_cloud, address)
    openstack(real_cloud, "server", "delete", "--wait", "web", json_output=False)
    openstack(real_cloud, "floating", "ip", "delete", address, json_output=False)
    assert [host["State"] for host in openstack(real_cloud, "hypervisor", "list")] == ["up"]


def until_status(state: Path, server: str, status: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while (now := openstack(state, "server", "show", server)["status"]) != status:
        assert time.monotonic() < deadline and now != "ERROR", f"{server} is {now}, not {status}"
        time.sleep(0.5)


def traces(cloud_id: str, state: Path) -> list[str]:
    """Everything on the machine that carries the cloud's id or lies in its state directory."""
    found = []
    for command in (["ip", "-o", "link"], ["ip", "netns"], ["nft", "list", "tables"], ["ip", "rule"], ["ip", "-o", "addr"]):
        found += subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found += [str(path) for path in Path("/sys/fs/cgroup").rglob("haneul-*")]
    found += Path("/proc/self/mountinfo").read_text().splitlines()
    found += _commands().splitlines()
    return [line for line in found if cloud_id in line or str(state) in line]


def test_purge_leaves_nothing_while_servers_run() -> None:
    state = Path(f"/tmp/haneul-real-{secrets.token_hex(4)}")
    try:
        subprocess.run([HANEUL, "up", "--detach", "--state", state, "--port", str(free_port())], check=True)
        cloud_id = (state / "cloud-id").read_text().strip()
        subprocess.run([HANEUL, "down", "--state", state], check=True)
        assert "qemu" in _commands(str(state)), "servers keep running without a control plane"
        assert len(traces(cloud_id, state)) > 3
    finally:
        subprocess.run([HANEUL, "down", "--purge", "--state", state], check=True)
    assert not state.exists()
    assert traces(cloud_id, state) == []


def _commands(needle: str = "") -> str:
    """Every process's command line, one a line; only those with `needle`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(line for line in found if needle in line)
