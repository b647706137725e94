"""The supervisor and what is recorded about processes: real processes, nothing imitated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from haneul.cli import processes, supervise
from haneul.kernel.config import Paths

SLEEPER = "import signal, sys, time\nsignal.signal(signal.SIGTERM, {on_term})\nwhile True: time.sleep(60)"
POLITE = "lambda *_: (print(sys.argv[1], 'ended', flush=True), sys.exit(0))"


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def child(name: str, log: Path, on_term: str = POLITE) -> dict[str, object]:
    return {"name": name, "argv": [sys.executable, "-I", "-S", "-c", SLEEPER.format(on_term=on_term), name], "log": str(log)}


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    made = Paths(tmp_path)
    made.run.mkdir()
    made.logs.mkdir()
    yield made
    processes.stop(made)


def supervisor(paths: Paths, children: list[dict[str, object]]) -> subprocess.Popen[bytes]:
    (paths.run / "supervisor.spec").write_text(json.dumps({"children": children}))
    with open(paths.logs / "supervisor.log", "ab") as log:
        started = subprocess.Popen([sys.executable, "-I", "-S", supervise.__file__, str(paths.run)], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)
    until(lambda: len(processes.running(paths)) == len(children) + 1)
    time.sleep(0.3)  # the children's own handlers are in place
    return started


def test_children_end_one_after_the_other(paths: Paths) -> None:
    log = paths.logs / "both.log"
    started = supervisor(paths, [child("control", log), child("agent", log)])
    assert processes.stop(paths) == ["supervisor", "control", "agent"]
    assert started.wait(5) == 0
    assert log.read_text().split() == ["control", "ended", "agent", "ended"]
    assert processes.running(paths) == []


def test_a_killed_child_is_started_again(paths: Paths) -> None:
    started = supervisor(paths, [child("control", paths.logs / "control.log"), child("agent", paths.logs / "agent.log")])
    first = processes.recorded(paths, "agent")
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: (again := processes.recorded(paths, "agent")) and again.pid != first.pid)
    assert "agent was killed by signal 9" in (paths.logs / "supervisor.log").read_text()
    control = processes.recorded(paths, "control")
    processes.stop(paths)
    started.wait(5)
    assert control and not processes.alive(control.pid, control.start)


def test_children_that_outlived_their_supervisor_are_ended(paths: Paths) -> None:
    started = supervisor(paths, [child("control", paths.logs / "control.log"), child("agent", paths.logs / "agent.log")])
    started.kill()
    started.wait()
    assert [process.name for process in processes.running(paths)] == ["control", "agent"]
    left = processes.running(paths)
    assert processes.stop(paths) == ["control", "agent"]
    assert not any(processes.alive(process.pid, process.start) for process in left)


def test_one_that_does_not_listen_is_killed() -> None:
    deaf = subprocess.Popen([sys.executable, "-I", "-S", "-c", SLEEPER.format(on_term="signal.SIG_IGN")])
    time.sleep(0.3)
    processes.end(processes.Process("deaf", deaf.pid, supervise.start_ticks(deaf.pid)), patience=0.3)
    assert deaf.wait(5) == -signal.SIGKILL


def test_a_recycled_pid_is_not_ours(paths: Paths) -> None:
    ours = os.getpid()
    (paths.run / "agent.process").write_text(json.dumps({"pid": ours, "start": supervise.start_ticks(ours) - 1}))
    assert processes.recorded(paths, "agent") is None
    assert processes.stop(paths) == []


def test_memory_and_uptime_of_a_process() -> None:
    found = processes.measured(processes.Process("agent", os.getpid(), supervise.start_ticks(os.getpid())))
    assert found.pss_mib and found.pss_mib > 5
    assert found.uptime > 0


def test_the_supervisor_is_small(paths: Paths) -> None:
    started = supervisor(paths, [child("control", paths.logs / "c.log"), child("agent", paths.logs / "a.log")])
    size = processes.pss_mib(started.pid)
    assert size and size < 12
    processes.stop(paths)
    started.wait(5)


def test_a_log_that_grew_is_cut(paths: Paths) -> None:
    log = paths.logs / "agent.log"
    with log.open("wb") as file:
        file.truncate(supervise.LARGEST_LOG + 1)
    started = supervisor(paths, [child("agent", log)])
    until(lambda: log.stat().st_size < 100)
    assert log.with_name("agent.log.1").stat().st_size == supervise.LARGEST_LOG + 1
    processes.stop(paths)
    started.wait(5)
