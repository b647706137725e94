"""`haneul tempest`: Tempest in an environment of its own, against the running cloud or one that is made for it."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from haneul.cli import api, demo, guest, state, status
from haneul.cli.state import Stop
from haneul.cli.tempest import config as configuration
from haneul.cli.tempest import selection
from haneul.cli.tempest.results import Outcome, Results
from haneul.cli.up import Steps
from haneul.kernel.config import Paths, load

LAUNCHER = Path(os.environ.get("HANEUL_ROOT", Path(__file__).parents[4])) / "haneul"
# Configuration of a cloud that is made for the tests: choices of an operator that Tempest looks at.
CHOICES = Path(__file__).with_name("cloud.toml")


class Report(Struct):
    """What `--report` writes, as JSON."""

    selection: str
    cloud: str
    hypervisor: str
    concurrency: int
    seconds: float
    passed: int
    failed: int
    skipped: int
    memory_mib: tuple[float, float]  # before and after
    leaks: int
    tests: list[Outcome]


def run(word: str, directory: Path, concurrency: int, report: Path | None, hypervisor: str | None) -> None:
    state.need_root("tempest")
    with ExitStack() as stack:
        workspace = Path(tempfile.mkdtemp(prefix="haneul-tempest-"))
        stack.callback(_leave, workspace)
        programs = _programs()
        paths = _cloud(stack, directory, hypervisor, workspace)
        tests = _prepare(programs, workspace, paths, stack.enter_context(_served_image(paths)))
        chosen, remarks = selection.choose(word, tests, _offered(paths))
        done = _measure(programs, workspace, paths, word, chosen, remarks, concurrency)
        if report is not None:
            report.write_bytes(msgspec.json.format(msgspec.json.encode(done)) + b"\n")
        if not done.failed:
            (workspace / "well").touch()
    sys.exit(1 if done.failed else 0)


def _programs() -> Path:
    """Where Tempest's own environment has its commands; made at first use."""
    made = subprocess.run([LAUNCHER, "--make", "tempest"], stdout=subprocess.PIPE, text=True)
    if made.returncode:
        raise Stop("Tempest's environment could not be made; the reason is above.")
    return Path(made.stdout.strip()) / "bin"


def _leave(workspace: Path) -> None:
    if (workspace / "well").exists():
        shutil.rmtree(workspace, ignore_errors=True)
    else:
        print(f"\nTempest's output and logs: {workspace}")


def _cloud(stack: ExitStack, directory: Path, hypervisor: str | None, workspace: Path) -> Paths:
    """The one that answers there, else one of its own, which is gone afterwards."""
    there = Paths(directory.absolute())
    if hypervisor is None and there.cloud_id.exists() and api.answers(load(there.state)):
        return there
    own = Path(tempfile.mkdtemp(prefix="haneul-cloud-"))
    own.chmod(0o755)
    shutil.copy(CHOICES, own / "config.toml")
    stack.callback(_end, own, workspace)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kind = ["--hypervisor", hypervisor] if hypervisor else []
    if subprocess.run([LAUNCHER, "up", "--detach", "--no-demo", "--state", own, "--port", str(port), *kind]).returncode:
        raise Stop("the cloud for the tests does not start; the reason is above.")
    return Paths(own)


def _end(own: Path, workspace: Path) -> None:
    if (own / "log").exists() and not (workspace / "well").exists():
        shutil.copytree(own / "log", workspace / "cloud-log")
    subprocess.run([LAUNCHER, "down", "--purge", "--state", own], stdout=subprocess.DEVNULL)


def _offered(paths: Paths) -> set[str]:
    found = api.Api.of(paths, load(paths.state)).get(f"{demo.KEYSTONE}/services")
    return {service["type"] for service in found["services"]}


@contextmanager
def _served_image(paths: Paths) -> Iterator[str | None]:
    """The URL of a folder with the guest image, when the cloud's imports may fetch from this machine's loopback."""
    config = load(paths.state)
    if "127.0.0.1/32" not in config.image.web_download_allow:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="haneul-tempest-web-") as folder:
        image = guest.ensure(Steps())
        (Path(folder) / "guest.qcow2").symlink_to(image)
        handler = functools.partial(_Quiet, directory=folder)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_address[1]}/guest.qcow2"
            server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def _prepare(programs: Path, workspace: Path, paths: Paths, web: str | None) -> list[str]:
    """Tempest's workspace with its configuration; the ids of all its tests."""
    _tempest(programs, workspace, "init", "--workspace-path", str(workspace / "known.yaml"), str(workspace))
    configuration.run(paths.state, workspace / "etc" / "tempest.conf", web, workspace)
    listed = _tempest(programs, workspace, "run", "--list-tests")
    return [line for line in listed.splitlines() if line.startswith("tempest.")]


def _tempest(programs: Path, workspace: Path, *words: str) -> str:
    done = subprocess.run([programs / "tempest", *words], cwd=workspace, env=_environment(programs), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise Stop(f"`tempest {words[0]}` ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


def _environment(programs: Path) -> dict[str, str]:
    return os.environ | {"PATH": f"{programs}:{os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}",
                         "PYTHONWARNINGS": "ignore", "PYTHONPATH": ""}


def _measure(programs: Path, workspace: Path, paths: Paths, word: str, chosen: list[str], remarks: list[str],
             concurrency: int) -> Report:
    config = load(paths.state)
    (workspace / "chosen").write_text("\n".join(chosen) + "\n")
    print(f"Tempest: {len(chosen)} tests ({word}), {concurrency} at once, against {state.url(config)}", flush=True)
    for remark in remarks:
        print(f"  {remark}", flush=True)
    before = status.gather(paths)
    began = time.monotonic()
    results = _run(programs, workspace, chosen, concurrency)
    seconds = time.monotonic() - began
    after = status.gather(paths)
    done = Report(word, state.url(config), config.host.hypervisor, concurrency, round(seconds, 1), results.count("passed"),
                  results.count("failed"), results.count("skipped"), (before["memory_mib"], after["memory_mib"]),
                  len(after["leaks"] or []), results.outcomes)
    _tell(done, results)
    return done


def _run(programs: Path, workspace: Path, chosen: list[str], concurrency: int) -> Results:
    """Shows what is not passed as it happens, and how far it is."""
    shown = sys.stdout.isatty()

    def tell(outcome: Outcome) -> None:
        done = len(chosen) - len(results.waiting)
        if outcome.outcome == "failed":
            print(f"{clear}  FAILED   {outcome.name}", flush=True)
        if shown or done % 50 == 0:
            counts = ", ".join(f"{results.count(word)} {word}" for word in ("passed", "failed", "skipped"))
            print(f"{clear}  {done} of {len(chosen)}: {counts}", end="" if shown else "\n", flush=True)

    clear = "\r\x1b[K" if shown else ""
    results = Results(chosen, tell)
    command = [programs / "tempest", "run", "--concurrency", str(concurrency), "--load-list", "chosen"]
    with (workspace / "output.txt").open("w") as output, subprocess.Popen(
            command, cwd=workspace, env=_environment(programs), text=True, errors="replace", stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            output.write(line)
            results.read(line.rstrip("\n"))
    results.close()
    print(clear, end="", flush=True)
    return results


def _tell(done: Report, results: Results) -> None:
    if done.skipped:
        print("\nSkipped:")
        for why, count in results.reasons():
            print(f"  {count:4}  {why}")
    if done.failed:
        print("\nFailed:")
        for each in results.outcomes:
            if each.outcome == "failed":
                print(f"  {each.name}\n      {each.why}")
    before, after = done.memory_mib
    print(f"\n{done.passed} passed, {done.failed} failed, {done.skipped} skipped in {done.seconds / 60:.1f} min. "
          f"The cloud's memory: {before:.0f} MiB before, {after:.0f} after; leaks: {done.leaks or 'none'}.", flush=True)
