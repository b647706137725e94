"""The supervisor: starts the agent and the control plane of one cloud, and starts them again when they end.

Run by path, with nothing but built-in modules, so that it stays small: `python -I -S supervise.py <run directory>`. It
reads `<run>/supervisor.spec` (JSON: the children's names, argument lists and log files, in the order in which they are
stopped) and writes `<run>/<name>.process` (pid and start time) for itself and each child. SIGTERM stops the children, one after
the other, then itself. They are its own children: it waits for them without polling.
"""

import json
import os
import signal
import sys
import time

PATIENCE = 10.0  # seconds between SIGTERM and SIGKILL
STEADY = 60.0  # a child that ran this long is started again at once
LARGEST_LOG = 64 << 20
LOOK_AT_LOGS = 600  # seconds
# Forty threads that take turns need no forty heaps: what one frees the next may use, and more than 4 MiB goes back to the system.
# Answers of long lists stay below the threshold of mmap: mapping each anew made them an eighth slower.
ALLOCATOR = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "4194304"}


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since boot: with the pid it names a process for good."""
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[19])


class Child:
    def __init__(self, name: str, argv: list[str], log: str) -> None:
        self.name, self.argv, self.log = name, argv, log
        self.pid = 0
        self.began = 0.0
        self.failures = 0
        self.due = 0.0


class Supervisor:
    def __init__(self, run: str) -> None:
        self.run = run
        with open(f"{run}/supervisor.spec") as file:
            self.children = [Child(**child) for child in json.load(file)["children"]]
        self.stopping = False

    def say(self, text: str) -> None:
        print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, file=sys.stderr, flush=True)

    def record(self, name: str, pid: int) -> None:
        path = f"{self.run}/{name}.process"
        with open(path + ".new", "w") as file:
            json.dump({"pid": pid, "start": start_ticks(pid)}, file)
        os.replace(path + ".new", path)

    def forget(self, name: str) -> None:
        try:
            os.unlink(f"{self.run}/{name}.process")
        except FileNotFoundError:
            pass

    def start(self, child: Child) -> None:
        child.pid = os.fork()
        if child.pid == 0:
            try:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGCHLD))
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                os.setsid()
                log = os.open(child.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                os.dup2(log, 1)
                os.dup2(log, 2)
                os.execve(child.argv[0], child.argv, os.environ | ALLOCATOR)
            finally:
                os._exit(127)
        child.began = time.monotonic()
        self.record(child.name, child.pid)

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self.children:
                if child.pid == pid:
                    self.ended(child, os.waitstatus_to_exitcode(status))

    def ended(self, child: Child, code: int) -> None:
        child.pid = 0
        self.forget(child.name)
        if self.stopping:
            return
        ran = time.monotonic() - child.began
        child.failures = 0 if ran > STEADY else child.failures + 1
        wait = 0.0 if child.failures == 0 else min(30.0, 0.25 * 2 ** (child.failures - 1))
        child.due = time.monotonic() + wait
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        self.say(f"{child.name} {how} after {ran:.0f} s; starting it again in {wait:g} s")

    def stop(self, child: Child) -> None:
        if not child.pid:
            return
        os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while child.pid and time.monotonic() < deadline:
            signal.sigtimedwait((signal.SIGCHLD,), deadline - time.monotonic())
            self.reap()
        if child.pid:
            self.say(f"{child.name} did not end within {PATIENCE:g} s of SIGTERM: killed")
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            self.ended(child, -signal.SIGKILL)

    def trim_logs(self) -> None:
        """A log that grew too large becomes `<log>.1`; its writers go on, because they append."""
        for path in [child.log for child in self.children]:
            if os.path.exists(path) and os.path.getsize(path) > LARGEST_LOG:
                with open(path, "r+b") as log, open(path + ".1", "wb") as old:
                    while os.sendfile(old.fileno(), log.fileno(), None, 1 << 20):
                        pass
                    log.truncate(0)

    def forever(self) -> None:
        signals = (signal.SIGTERM, signal.SIGCHLD)
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        self.record("supervisor", os.getpid())
        self.trim_logs()
        looked = time.monotonic()
        while True:
            now = time.monotonic()
            for child in self.children:
                if not child.pid and child.due <= now:
                    self.start(child)
            due = [child.due for child in self.children if not child.pid]
            got = signal.sigtimedwait(signals, max(0.01, min([looked + LOOK_AT_LOGS, *due]) - time.monotonic()))
            if got is not None and got.si_signo == signal.SIGTERM:
                self.stopping = True
                for child in self.children:
                    self.stop(child)
                self.forget("supervisor")
                return
            self.reap()
            if time.monotonic() - looked > LOOK_AT_LOGS:
                self.trim_logs()
                looked = time.monotonic()


if __name__ == "__main__":
    Supervisor(sys.argv[1]).forever()
