"""Tempest's smoke tests against a running cloud with real servers, in an environment of Tempest's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="a cloud needs root"), pytest.mark.timeout(3600)]
HANEUL = Path(__file__).parents[2] / "haneul"
ABSENT = r"tempest\.(api\.(volume|object_storage)|scenario\.test_volume)"  # services that are not here yet


def test_smoke(real_cloud: Path, tmp_path: Path) -> None:
    made = subprocess.run([HANEUL, "--make", "tempest"], check=True, stdout=subprocess.PIPE, text=True)
    programs = Path(made.stdout.strip()) / "bin"
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore"}
    workspace = tmp_path / "workspace"
    subprocess.run([programs / "tempest", "init", workspace], check=True, env=environment, stdout=subprocess.DEVNULL)
    subprocess.run([HANEUL, "tempest-config", "--state", real_cloud, "-o", workspace / "etc" / "tempest.conf"], check=True)
    run = subprocess.run([programs / "tempest", "run", "--smoke", "--concurrency", "2", "--exclude-regex", ABSENT],
                         cwd=workspace, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print("\n".join(run.stdout.splitlines()[-60:]))
    assert "Passed: 0" not in run.stdout, "nothing ran"
    assert run.returncode == 0, "see Tempest's own account above"
