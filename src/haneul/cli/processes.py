"""The processes of a cloud as the machine shows them: which run, since when, how large; ending recorded ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

import haneul
from haneul.cli.supervise import start_ticks as start_ticks
from haneul.kernel.config import Paths

NAMES = ("supervisor", "control", "agent")
STOP_ORDER = ("control", "agent")


class Process(Struct):
    name: str
    pid: int
    start: int  # clock ticks since boot
    pss_mib: float | None = None  # None: the reader may not look
    uptime: float = 0.0  # seconds


def alive(pid: int, start: int) -> bool:
    """Whether this very process runs: a pid that was given to another one since, or a zombie, does not count."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return False
    return int(fields[19]) == start and fields[0] not in "ZX"


def recorded(paths: Paths, name: str) -> Process | None:
    """The process of that name, if it runs."""
    try:
        found = msgspec.json.decode((paths.run / f"{name}.process").read_bytes(), type=dict[str, int])
    except (OSError, msgspec.DecodeError):
        return None
    if not alive(found["pid"], found["start"]):
        return None
    return Process(name, found["pid"], found["start"])


def running(paths: Paths) -> list[Process]:
    return [process for name in NAMES if (process := recorded(paths, name))]


def pss_mib(pid: int) -> float | None:
    """Proportional set size; None when it may not be read or the process is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None


def measured(process: Process) -> Process:
    """With memory, the process's own children's included, and uptime."""
    sizes = [pss_mib(pid) for pid in (process.pid, *(descendants(process.pid) if process.name != "supervisor" else []))]
    process.pss_mib = None if sizes[0] is None else round(sum(size or 0.0 for size in sizes), 1)
    with open("/proc/uptime") as file:
        process.uptime = round(float(file.read().split()[0]) - process.start / os.sysconf("SC_CLK_TCK"), 1)
    return process


def descendants(pid: int) -> list[int]:
    """Children and theirs that stayed in the session of `pid`: workers, not guests or daemons that left it."""
    found: list[int] = []
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = [int(word) for word in file.read().split()]
    except OSError:
        return []
    for child in children:
        try:
            if os.getsid(child) == os.getsid(pid):
                found += [child, *descendants(child)]
        except ProcessLookupError:
            continue
    return found


def spec(paths: Paths) -> bytes:
    """What the supervisor is to run; equal bytes mean that a running one runs the right thing."""
    state = str(paths.state)
    children = [
        {"name": "control", "argv": [sys.executable, "-m", "haneul.control", "--state", state],
         "log": str(paths.logs / "control.log")},
        {"name": "agent", "argv": [sys.executable, "-m", "haneul.host.agent", "--state", state, "--socket-group", "haneul"],
         "log": str(paths.logs / "agent.log")}]
    settings = [file.read_text() if file.exists() else "" for file in (paths.config, paths.chosen)]
    return msgspec.json.encode({"children": children, "source": os.environ.get("PYTHONPATH", ""), "version": _version(),
                                "settings": settings})


def _version() -> str:
    """Changes with the sources, so that `up` after an update starts the new ones."""
    files = sorted(Path(haneul.__file__).parent.rglob("*.py"))
    return sha256(repr([(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]).encode()).hexdigest()[:16]


def launch(paths: Paths) -> None:
    """Starts the supervisor, which starts the rest; returns at once."""
    (paths.run / "supervisor.spec").write_bytes(spec(paths))
    program = str(Path(__file__).with_name("supervise.py"))
    with open(paths.logs / "supervisor.log", "ab") as log:
        subprocess.Popen([sys.executable, "-I", "-S", program, str(paths.run)], stdin=subprocess.DEVNULL, stdout=log,
                         stderr=log, start_new_session=True, cwd="/")


def end(process: Process, patience: float = 10.0) -> None:
    """SIGTERM, and SIGKILL after `patience` seconds; returns when it is gone."""
    for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0)):
        if not alive(process.pid, process.start):
            return
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + wait
        while alive(process.pid, process.start) and time.monotonic() < deadline:
            time.sleep(0.02)


def stop(paths: Paths) -> list[str]:
    """Ends what runs, the supervisor first when there is one (it ends the others in order); answers their names."""
    ended = [process.name for process in running(paths)]
    if supervisor := recorded(paths, "supervisor"):
        end(supervisor, patience=25.0)
    for name in STOP_ORDER:
        if process := recorded(paths, name):
            end(process)
    for name in NAMES:
        (paths.run / f"{name}.process").unlink(missing_ok=True)
    return ended
