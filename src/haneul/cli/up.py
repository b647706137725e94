"""`haneul up`: from whatever is there to a running cloud."""

from __future__ import annotations

import ast
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from haneul.cli import api, machine, processes, state
from haneul.cli.state import Stop
from haneul.kernel.config import Config, Paths, load


class Steps:
    """What was done and how long each took, the launcher's steps included; a line at each end, on a terminal also at each
    beginning. Steps of several threads may overlap."""

    def __init__(self) -> None:
        self.began = float(os.environ.pop("HANEUL_BEGAN", time.monotonic()))
        self.took: list[tuple[str, float]] = ast.literal_eval(os.environ.pop("HANEUL_TOOK", "[]"))

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        began = self.begin(what)
        yield
        self.end(what, began)

    def begin(self, what: str) -> float:
        if sys.stderr.isatty():
            print(f"  {what} …", file=sys.stderr, flush=True)
        return time.monotonic()

    def end(self, what: str, began: float) -> None:
        self.took.append((what, time.monotonic() - began))
        print(f"  {what}  {self.took[-1][1]:.2f} s", file=sys.stderr, flush=True)

    def total(self) -> float:
        return time.monotonic() - self.began


def start(paths: Paths, config: Config) -> bool:
    """Agent and control plane run and answer; False when they did already."""
    right = processes.spec(paths)
    spec = paths.run / "supervisor.spec"
    running = {process.name for process in processes.running(paths)}
    if "supervisor" in running and spec.exists() and spec.read_bytes() == right:
        if {"control", "agent"} <= running and api.answers(config) and api.agent_answers(paths):
            return False
    else:
        processes.stop(paths)  # of another version or with other choices, or what outlived its supervisor
        processes.launch(paths)
    marks = {log: log.stat().st_size if log.exists() else 0 for log in paths.logs.glob("*.log")}
    deadline = time.monotonic() + 60
    waiting = {"control": lambda: api.answers(config), "agent": lambda: api.agent_answers(paths)}
    while waiting:
        for name in [name for name, answers in waiting.items() if answers()]:
            del waiting[name]
        if waiting and (time.monotonic() > deadline or _crashes(paths, marks) >= 3):
            name = next(iter(waiting))
            processes.stop(paths)
            raise Stop(f"the {name} process does not come up. The end of {paths.logs / name}.log:\n"
                       f"{_tail(paths.logs / f'{name}.log', marks)}")
        if waiting:
            time.sleep(0.02)
    return True


def _crashes(paths: Paths, marks: dict[Path, int]) -> int:
    log = paths.logs / "supervisor.log"
    with log.open() as file:
        file.seek(marks.get(log, 0))
        return file.read().count("starting it again")


def _tail(log: Path, marks: dict[Path, int], lines: int = 15) -> str:
    if not log.exists():
        return "(empty)"
    with log.open(errors="replace") as file:
        file.seek(marks.get(log, 0))
        return "".join(file.readlines()[-lines:]) or "(empty)"


def run(directory: Path, detach: bool, port: int | None, demo: bool, hypervisor: str | None) -> None:
    state.need_root("up")
    os.umask(0o022)  # unprivileged processes read what root's umask might hide; secrets get their modes one by one
    steps = Steps()
    paths = Paths(directory.absolute())
    with state.locked(paths.state):
        config = prepare(paths, port, hypervisor)
        if demo and config.host.hypervisor != "fake":
            from haneul.cli import guest
            guest.begin(steps)  # beside all that follows
        with steps.step("control plane and agent answer"):
            started = start(paths, config)
        state.write_clouds(paths, config)
        shown = None
        if demo:
            from haneul.cli import demo as demonstration
            shown = demonstration.ensure(paths, config, steps)
            state.write_clouds(paths, config)
    _report(paths, config, steps, started, shown)
    if not detach:
        follow(paths)


def prepare(paths: Paths, port: int | None, hypervisor: str | None) -> Config:
    """State directory and choices; the machine is able. Nothing runs yet."""
    before = load(paths.state).api
    wanted = before.port if port is None else port
    if wanted != before.port or not processes.recorded(paths, "control"):
        machine.refuse_taken_port(before.bind, wanted)
    state.prepare(paths)
    if port is not None:
        state.choose(paths, "api", "port", port)
    if hypervisor is not None:
        state.choose(paths, "host", "hypervisor", hypervisor)
    config = load(paths.state)
    if config.host.hypervisor != "fake":
        machine.check(paths)
    if "public_cidr" not in state.choices(paths).get("network", {}):
        cidr = machine.free_public_cidr(config.network.public_cidr, paths.cloud_id.read_text().strip(), paths.state)
        state.choose(paths, "network", "public_cidr", cidr)
    return load(paths.state)


def _report(paths: Paths, config: Config, steps: Steps, started: bool, shown: list[tuple[str, str]] | None) -> None:
    from rich.console import Console
    from rich.table import Table
    console = Console(highlight=False)
    where = "" if paths.state == state.DEFAULT else f" --state {paths.state}"
    console.print(f"\n[bold green]The cloud is up[/] at [bold]{state.url(config)}[/]"
                  f"{'' if started else ' (it was already)'} after {steps.total():.1f} s.\n")
    rows = [("use it", f'eval "$(./haneul env{where})"'), ("then", "openstack server list"), *(shown or []),
            ("look", f"./haneul status{where}"), ("stop", f"./haneul down{where}   (servers keep running)")]
    for left, right in rows:
        console.print(f"  [dim]{left:<12}[/] {right}", soft_wrap=True)  # lines to copy are not broken
    table = Table("step", "seconds", title="What it took", title_justify="left", box=None, padding=(0, 3))
    table.columns[1].justify = "right"
    for what, seconds in steps.took:
        table.add_row(what, f"{seconds:.2f}")
    console.print()
    console.print(table)


def follow(paths: Paths) -> None:
    """Prints what needs attention from the logs until Ctrl-C or SIGTERM, which stop the cloud (servers run on)."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    print("\nCtrl-C stops the cloud; its servers keep running.", flush=True)
    files = {log: log.stat().st_size if log.exists() else 0
             for log in (paths.logs / f"{name}.log" for name in ("supervisor", "control", "agent"))}
    while not ended.wait(0.5):
        for log, position in files.items():
            files[log] = _important(log, position)
        if not processes.recorded(paths, "supervisor"):
            print("The cloud was stopped by another command.", flush=True)
            return
    print("stopping …", flush=True)
    with state.locked(paths.state):
        processes.stop(paths)


def _important(log: Path, position: int) -> int:
    """Prints warnings and errors behind `position`; answers where it came to."""
    size = log.stat().st_size if log.exists() else 0
    if size == position:
        return size
    with log.open("rb") as file:
        file.seek(position if position < size else 0)
        text = file.read()
    complete = text[:text.rfind(b"\n") + 1]
    for line in complete.decode(errors="replace").splitlines():
        if log.stem == "supervisor":
            print(line, flush=True)
            continue
        try:
            entry = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue  # of a log in text form
        if isinstance(entry, dict) and entry.get("level") in ("warning", "error", "critical"):
            print(log.stem, entry["level"], entry.get("event", ""), entry.get("exception", ""), flush=True)
    return (position if position < size else 0) + len(complete)
