"""Tempest's smoke tests, in an environment of Tempest's own: of the APIs with servers that only seem to run, and its scenarios
with real ones; and of its tests of volumes, of which few are smoke, those that copy and move data. Nothing is excused: what
fails, fails."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import free_port

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="a cloud needs root"), pytest.mark.timeout(3600)]
HANEUL = Path(__file__).parents[2] / "haneul"
APIS = r"^tempest\.api\.(identity|image|compute|network|volume)\..*\[.*\bsmoke\b"
VOLUMES = (r"^tempest\.api\.volume\.(test_volumes_(backup|clone|extend|snapshots)|test_volume_(delete_cascade|transfers)|admin\."
           r"test_(multi_backend|snapshot_manage|user_messages|volume_(manage|pools|retype|services)|volumes_backup))\.")
SCENARIOS = r"^tempest\.scenario\..*\[.*\bsmoke\b"
_LINE = re.compile(r"^\{\d+\} (setUpClass \((?P<setup>\S+)\)|(?P<name>\S+)).* \.\.\. "
                   r"(?P<word>ok|FAILED|SKIPPED)(: (?P<why>.*))?$")


@pytest.fixture(scope="module")
def programs() -> Path:
    made = subprocess.run([HANEUL, "--make", "tempest"], check=True, stdout=subprocess.PIPE, text=True)
    return Path(made.stdout.strip()) / "bin"


@pytest.fixture(scope="module")
def seeming_cloud() -> Iterator[Path]:
    """The state directory of a cloud of two hosts whose servers only seem to run, with two back ends of volumes."""
    state = Path(f"/tmp/haneul-real-{secrets.token_hex(4)}")
    state.mkdir()
    (state / "config.toml").write_text("[identity]\nbcrypt_rounds = 4\n\n[host]\nfake_hosts = 2\n\n"
                                        "[volume.backends.one]\ndriver = \"file\"\n\n"
                                        "[volume.backends.two]\ndriver = \"file\"\n")
    try:
        subprocess.run([HANEUL, "up", "--detach", "--no-demo", "--hypervisor", "fake", "--state", state, "--port",
                        str(free_port())], check=True)
        yield state
    finally:
        subprocess.run([HANEUL, "down", "--purge", "--state", state], check=True)


def _run(programs: Path, state: Path, workspace: Path, chosen: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs what the expression chooses, says what became of it in any case, and fails with Tempest's own account."""
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore"}
    subprocess.run([programs / "tempest", "init", "--workspace-path", workspace.with_name("known.yaml"), workspace], check=True,
                   env=environment, stdout=subprocess.DEVNULL)  # else the user's own list of workspaces would learn of it
    subprocess.run([HANEUL, "tempest-config", "--state", state, "-o", workspace / "etc" / "tempest.conf"], check=True)
    run = subprocess.run([programs / "tempest", "run", "--regex", chosen, "--concurrency", "1"], cwd=workspace, env=environment,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = [match for match in map(_LINE.match, run.stdout.splitlines()) if match]
    failed = [match["setup"] or match["name"] for match in found if match["word"] == "FAILED"]
    skipped = Counter(match["why"] for match in found if match["word"] == "SKIPPED")
    passed = sum(match["word"] == "ok" for match in found)
    with capsys.disabled():
        print(f"\nTempest: {passed} passed, {len(failed)} failed, {skipped.total()} skipped")
        for why, count in skipped.most_common():
            print(f"  {count:3} skipped: {why}")
        for name in failed:
            print(f"  FAILED {name}")
    if failed or run.returncode:
        print(run.stdout[-30_000:])
    assert passed > 0, "nothing ran"
    assert not failed and run.returncode == 0, f"{len(failed)} failed: {', '.join(failed)}"


def test_smoke_of_the_apis(programs: Path, seeming_cloud: Path, tmp_path: Path,
                           capsys: pytest.CaptureFixture[str]) -> None:
    _run(programs, seeming_cloud, tmp_path / "workspace", APIS, capsys)


def test_volumes(programs: Path, seeming_cloud: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run(programs, seeming_cloud, tmp_path / "workspace", VOLUMES, capsys)


def test_smoke_of_the_scenarios(programs: Path, real_cloud: Path, tmp_path: Path,
                                capsys: pytest.CaptureFixture[str]) -> None:
    _run(programs, real_cloud, tmp_path / "workspace", SCENARIOS, capsys)
