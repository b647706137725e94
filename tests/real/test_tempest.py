"""Tempest, as `haneul tempest` runs it, against a cloud with real servers: the interop lists whole, and of the rest what copies
and moves volumes and a server's first scenarios. Nothing is excused: what fails, fails, and of the lists nothing is skipped."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from haneul.cli.tempest.command import CHOICES
from running import free_port

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="a cloud needs root"), pytest.mark.timeout(3600)]
HANEUL = Path(__file__).parents[2] / "haneul"
VOLUMES = (r"^tempest\.api\.volume\.(test_volumes_(backup|clone|extend)|test_volume_(delete_cascade|transfers)|admin\."
           r"test_(multi_backend|snapshot_manage|user_messages|volume_(manage|retype)|volumes_backup))\.")
SCENARIOS = r"^tempest\.scenario\..*\[.*\bsmoke\b"


@pytest.fixture(scope="module")
def tested_cloud() -> Iterator[Path]:
    """The state directory of a cloud as `haneul tempest` makes one."""
    state = Path(f"/tmp/haneul-real-{secrets.token_hex(4)}")
    state.mkdir()
    (state / "config.toml").write_text(CHOICES.read_text())
    try:
        subprocess.run([HANEUL, "up", "--detach", "--no-demo", "--state", state, "--port", str(free_port())], check=True)
        yield state
    finally:
        subprocess.run([HANEUL, "down", "--purge", "--state", state], check=True)


def _run(state: Path, selection: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Its account is shown in any case; nothing has failed, nothing is left behind."""
    report = tmp_path / "report.json"
    with capsys.disabled():
        print()
        code = subprocess.run([HANEUL, "tempest", selection, "--state", state, "--report", report]).returncode
    found: dict[str, Any] = json.loads(report.read_bytes())
    assert [test for test in found["tests"] if test["outcome"] == "failed"] == [] and code == 0
    assert found["passed"] > 0 and found["leaks"] == 0
    return found


def test_the_interop_lists(tested_cloud: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _run(tested_cloud, "interop", tmp_path, capsys)
    assert (found["passed"], found["skipped"]) == (282, 0)


def test_volumes_that_are_copied_and_moved(tested_cloud: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run(tested_cloud, VOLUMES, tmp_path, capsys)


def test_smoke_of_the_scenarios(tested_cloud: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run(tested_cloud, SCENARIOS, tmp_path, capsys)
