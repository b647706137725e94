"""A cloud whose disk is full, whose database somebody else holds, whose port is taken: told plainly, and nothing is lost."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from running import RunningCloud, free_port, wait_until


@pytest.fixture
def small(tmp_path: Path) -> Iterator[RunningCloud]:
    """A cloud in 48 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    if os.environ.get("HANEUL_TEST_DATABASE", "").startswith("postgresql"):
        pytest.skip("PostgreSQL's disk is another one")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], check=True)
    running = RunningCloud(folder, {"log": {"level": "error"}, "tasks": {"poll_seconds": 0.05}})
    try:
        yield running.start()
    finally:
        running.stop()
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return ballast


def names(api: httpx.Client) -> set[str]:
    return {network["name"] for network in api.get("/network/v2.0/networks").json()["networks"]}


def test_a_full_disk_is_told_and_passes(small: RunningCloud) -> None:
    api = small.http()
    body = {"network": {"name": "before", "description": "x" * 200}}
    assert api.post("/network/v2.0/networks", json=body).status_code == 201
    ballast = fill(small.folder)
    made, refused = set(), None
    for number in range(3000):  # what the log has room for already is still taken
        name = f"full-{number}"
        answer = api.post("/network/v2.0/networks", json={"network": {"name": name, "description": "x" * 200}})
        if answer.status_code != 201:
            refused = answer
            break
        made.add(name)
        fill(small.folder)
    assert refused is not None and refused.status_code == 503, refused
    assert "database" in refused.text and "sqlite" not in refused.text.lower() and "Traceback" not in refused.text
    assert names(api) >= {"before", *made} and name not in names(api), "what was answered stands, what was refused is not there"
    upload = api.post("/image/v2/images", json={"name": "i", "disk_format": "raw", "container_format": "bare"})
    assert upload.status_code == 503
    ballast.unlink()
    wait_until(lambda: api.post("/network/v2.0/networks", json={"network": {"name": "after"}}).status_code == 201, 20)
    assert names(api) >= {"before", "after", *made}


def test_a_database_that_another_holds_is_waited_for(tmp_path: Path) -> None:
    if os.environ.get("HANEUL_TEST_DATABASE", "").startswith("postgresql"):
        pytest.skip("SQLite has one writer")
    running = RunningCloud(tmp_path, {"log": {"level": "error"}}).start()
    try:
        api = running.http()
        other = sqlite3.connect(running.paths.database, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        assert api.get("/network/v2.0/networks").status_code == 200, "readers need no turn"
        threading.Timer(1.0, lambda: other.execute("ROLLBACK")).start()
        assert api.post("/network/v2.0/networks", json={"network": {"name": "waited"}}).status_code == 201
    finally:
        running.stop()


def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = subprocess.run([sys.executable, "-m", "haneul.control", "--state", str(tmp_path), "--stay-root", "--port",
                                str(taken.getsockname()[1])], capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert "in use" in ended.stderr and "Traceback" not in ended.stderr, ended.stderr[-1000:]


@pytest.mark.parametrize("text", ["[api]\nprot = 1\n", "[api]\nthreads = 'x'\n", "[api\n", "[nonsense]\na = 1\n", "\xff"])
def test_a_wrong_configuration_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text, encoding="latin-1")
    ended = subprocess.run([sys.executable, "-m", "haneul.control", "--state", str(tmp_path), "--stay-root", "--port",
                            str(free_port())], capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert "config.toml" in ended.stderr and "Traceback" not in ended.stderr, ended.stderr[-1000:]


def test_a_request_that_breaks_off_leaves_nothing(cloud: RunningCloud) -> None:
    token = cloud.connect("admin").auth_token
    with socket.create_connection(("127.0.0.1", cloud.port)) as client:
        client.sendall(b"POST /network/v2.0/networks HTTP/1.1\r\nHost: x\r\nX-Auth-Token: " + token.encode()
                       + b"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n" + b'{"network": {"name": "half"')
    time.sleep(0.2)
    api = cloud.http()
    assert "half" not in names(api)
    for length in (b"-1", b"x", b"99999999999999999999"):
        with socket.create_connection(("127.0.0.1", cloud.port)) as client:
            client.settimeout(10)
            client.sendall(b"POST /network/v2.0/networks HTTP/1.1\r\nHost: x\r\nX-Auth-Token: " + token.encode()
                           + b"\r\nContent-Type: application/json\r\nContent-Length: " + length + b"\r\n\r\n{}")
            assert client.recv(64).split()[1][:1] == b"4", length
