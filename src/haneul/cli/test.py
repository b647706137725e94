"""`haneul test`: static checks, then pytest by marker, on SQLite and on a PostgreSQL of its own, a worker on each core."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from haneul.cli.state import Stop

WITHOUT_DATABASE = ("cli", "fabric", "host", "image_guest", "samples")  # of tests/: they say the same on every database
MARKS = {"fast": "not faults and not real", "faults": "faults", "real": "real"}
TEMPEST = "tests/real/test_tempest.py"  # the whole machine's: after the other tests with guests


class Parts:
    """What ran, how it ended and how long it took."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ran: list[tuple[str, int, float]] = []

    def run(self, name: str, *command: str, environment: dict[str, str] | None = None) -> None:
        print(f"\n── {name}", flush=True)
        began = time.monotonic()
        code = subprocess.run(command, cwd=self.root, env=os.environ | (environment or {})).returncode
        self.ran.append((name, code, time.monotonic() - began))
        print(f"── {name}: {_outcome(code)} in {self.ran[-1][2]:.1f} s", flush=True)

    def summary(self) -> int:
        print()
        for name, code, seconds in self.ran:
            print(f"{_outcome(code):8} {seconds:8.1f} s  {name}")
        codes = {code for _, code, _ in self.ran}
        return 0 if codes <= {0, 5} and 0 in codes else 1  # a part may have no test that -k names, not all of them


def _outcome(code: int) -> str:
    return {0: "passed", 5: "no tests"}.get(code, "FAILED")


def run(suite: str, database: str, select: str) -> None:
    root = Path(os.environ["HANEUL_ROOT"])
    databases = ("sqlite", "postgresql") if database == "both" else (database,)
    if not set(databases) <= {"sqlite", "postgresql"}:
        raise Stop(f"--database is sqlite, postgresql or both, not {database}.")
    parts = Parts(root)
    programs = Path(sys.executable).parent
    os.environ["PATH"] = f"{programs}:{os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}"
    chosen = list(MARKS) if suite == "all" else [suite]
    pytest = [sys.executable, "-m", "pytest", "-q", "--durations=10", "--durations-min=2", *(["-k", select] if select else [])]
    if "fast" in chosen and not select:
        parts.run("ruff", str(programs / "ruff"), "check", "src", "tests")
        parts.run("imports run downwards", str(programs / "lint-imports"), "--no-cache", "--no-logo")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_folder(parts))
        server = stack.enter_context(postgresql()) if "postgresql" in databases and chosen != ["real"] else ""
        for name in chosen:
            for kind in databases if name != "real" else ("sqlite",):
                left_out = [f"tests/{room}" for room in WITHOUT_DATABASE if kind == "postgresql"] + [TEMPEST]
                parts.run(f"{name} on {kind}", *pytest, "-m", MARKS[name], *([] if select else _workers(name)),
                          f"--basetemp={folder / f'{name}-{kind}'}", *(f"--ignore={path}" for path in left_out),
                          environment={"HANEUL_TEST_DATABASE": server if kind == "postgresql" else "sqlite"})
        if "real" in chosen:
            parts.run("Tempest", *pytest, TEMPEST, f"--basetemp={folder / 'tempest'}")
    sys.exit(parts.summary())


@contextlib.contextmanager
def _folder(parts: Parts) -> Iterator[Path]:
    """Where tests keep their state. Not pytest's own: any other run of pytest closes that to a cloud's unprivileged users."""
    folder = Path(tempfile.mkdtemp(prefix="hn-test-"))
    folder.chmod(0o755)
    yield folder
    if parts.ran and not any(code for _, code, _ in parts.ran):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"\nThe tests' files are kept in {folder}.")


def _workers(part: str) -> list[str]:
    """A worker a core. Each starts with a stretch of the tests, so that what a file's tests share is made once or twice, and
    takes from the others' when it is done; guests and their clouds are costlier to make, and stay with their file. Every
    worker has a cloud, a port, a state directory and a database of its own."""
    return ["-n", str(len(os.sched_getaffinity(0))), "--dist", "loadfile" if part == "real" else "worksteal"]


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a private server on a Unix socket, without the durability that tests do not need; gone afterwards."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if not programs:
        raise Stop("PostgreSQL's server is not below /usr/lib/postgresql; install the package postgresql.")
    folder = Path(tempfile.mkdtemp(prefix="haneul-postgresql-"))
    data, log = folder / "data", folder / "log"
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    shutil.chown(folder, account.pw_uid, account.pw_gid)
    identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    try:
        subprocess.run([programs[-1].with_name("initdb"), "-D", data, "-U", "haneul", "-A", "trust", "-E", "UTF8",
                        "--locale=C.UTF-8", "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd="/", **identity)  # type: ignore[call-overload]
        options = {"listen_addresses": "", "unix_socket_directories": str(folder), "unix_socket_permissions": "0777",
                   "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "300",
                   "shared_buffers": "128MB"}
        with open(log, "wb") as output:
            server = subprocess.Popen([programs[-1], "-D", data, *(f"--{key}={value}" for key, value in options.items())],
                                      stdout=output, stderr=output, cwd="/", **identity)  # type: ignore[call-overload]
        try:
            folder.chmod(0o755)
            deadline = time.monotonic() + 30
            while b"ready to accept connections" not in log.read_bytes():
                if server.poll() is not None or time.monotonic() > deadline:
                    raise Stop(f"PostgreSQL does not start:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.05)
            yield f"postgresql+psycopg://haneul@/postgres?host={folder}"
        finally:
            server.send_signal(2)  # SIGINT: a fast shutdown, whoever is connected
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
