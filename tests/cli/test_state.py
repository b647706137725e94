"""State directories, ports, addresses, and what the commands say to whom."""

from __future__ import annotations

import ipaddress
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from haneul.cli import down, env, machine, state
from haneul.cli.state import Stop
from haneul.kernel.config import Config, Paths, load

root = pytest.mark.skipif(os.geteuid() != 0, reason="makes files of other users")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "cloud")
    made.state.mkdir()
    return made


def test_what_was_chosen_wins_over_the_file_and_stays(paths: Paths) -> None:
    paths.config.write_text("[api]\nport = 6000\nthreads = 4\n")
    state.choose(paths, "api", "port", 7000)
    state.choose(paths, "host", "hypervisor", "fake")
    found = load(paths.state)
    assert (found.api.port, found.api.threads, found.host.hypervisor) == (7000, 4, "fake")


@root
def test_secrets_are_made_once_and_readable_by_few(paths: Paths) -> None:
    state.prepare(paths)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in
             (paths.admin_password, paths.agent_secret, paths.control, paths.run)}
    assert modes == {"admin-password": "0o600", "agent-secret": "0o640", "control": "0o700", "run": "0o755"}
    before = (paths.cloud_id.read_text(), paths.agent_secret.read_text(), paths.admin_password.read_text())
    assert len(before[0].strip()) == 8 and int(before[0], 16) >= 0
    state.prepare(paths)
    assert (paths.cloud_id.read_text(), paths.agent_secret.read_text(), paths.admin_password.read_text()) == before


@root
def test_env_is_quoted_for_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = Paths(tmp_path / "a cloud; with 'signs'")
    paths.state.mkdir()
    state.prepare(paths)
    state.write_clouds(paths, Config())
    env.run(paths.state)
    words = shlex.split(capsys.readouterr().out)
    assert f"OS_CLIENT_CONFIG_FILE={paths.state}/clouds.yaml" in words
    assert "OS_CLOUD=haneul" in words
    assert (paths.state / "clouds.yaml").stat().st_mode & 0o777 == 0o600


def test_a_second_command_waits_and_says_so(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    def second() -> None:
        with state.locked(paths.state):
            order.append("second")

    with state.locked(paths.state):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.2)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]
    assert "waiting for it" in capsys.readouterr().err


def test_a_lock_on_a_directory_that_went_away_is_taken_on_the_new_one(paths: Paths) -> None:
    entered = threading.Event()

    def second() -> None:
        with state.locked(paths.state):
            assert paths.state.exists()
            entered.set()

    with state.locked(paths.state):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.2)
        paths.state.rmdir()
    waiting.join(5)
    assert entered.is_set()


def test_a_taken_port_names_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(Stop, match=rf"port {port} on 127\.0\.0\.1 is in use by .*\(pid {os.getpid()}\).*--port N"):
            machine.refuse_taken_port("127.0.0.1", port)
    machine.refuse_taken_port("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(Stop, match="no address 192.0.2.77"):
        machine.refuse_taken_port("192.0.2.77", 5000)


@root
def test_two_clouds_get_different_external_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CLOUDS", tmp_path / "clouds")
    found = []
    for name in ("aaaaaaaa", "bbbbbbbb"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "cloud-id").write_text(name)
        found.append(ipaddress.ip_network(machine.free_public_cidr("198.18.4.0/24", name, folder)))
    assert found == [ipaddress.ip_network("198.18.4.0/24"), ipaddress.ip_network("198.18.5.0/24")]
    assert machine.free_public_cidr("198.18.4.0/24", "aaaaaaaa", tmp_path / "aaaaaaaa") == "198.18.4.0/24"
    machine.release("aaaaaaaa")
    assert machine.free_public_cidr("198.18.4.0/24", "cccccccc", tmp_path / "bbbbbbbb") == "198.18.4.0/24"


@root
def test_a_network_that_the_machine_routes_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CLOUDS", tmp_path / "clouds")
    assert machine.free_public_cidr("127.0.0.0/8", "aaaaaaaa", tmp_path) == "128.0.0.0/8"


def test_purge_touches_no_directory_that_is_not_a_clouds(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Stop, match="not the state directory of a cloud"):
        down.run(tmp_path, purge=True)
    assert (tmp_path / "thesis.txt").exists()


@root
def test_purge_leaves_foreign_files_and_says_so(paths: Paths) -> None:
    state.prepare(paths)
    paths.cloud_id.unlink()  # half broken: no driver can be opened
    (paths.state / "thesis.txt").write_text("years of work")
    with pytest.raises(Stop, match="thesis.txt"):
        down.run(paths.state, purge=True)
    assert [path.name for path in paths.state.iterdir()] == ["thesis.txt"]


@root
def test_purge_ends_programs_of_this_cloud_only(paths: Paths) -> None:
    state.prepare(paths)
    paths.cloud_id.unlink()
    program = "open('/proc/self/comm', 'w').write('dnsmasq'); print('named', flush=True); import time; time.sleep(60)"
    started = [subprocess.Popen([sys.executable, "-I", "-c", program, file], stdout=subprocess.PIPE)
               for file in (f"{paths.state}/host/x.conf", f"{paths.state}-other/host/x.conf")]
    try:
        for each in started:
            assert each.stdout and each.stdout.readline() == b"named\n"
        down.run(paths.state, purge=True)
        assert started[0].wait(5) != 0
        assert started[1].poll() is None
        assert not paths.state.exists()
    finally:
        for each in started:
            each.kill()
            each.communicate()
