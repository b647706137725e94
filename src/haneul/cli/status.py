"""`haneul status`: processes, hosts, servers, back ends, volumes, tasks and leaks on one screen.

The control plane knows all of it but processes (GET /haneul/v1/status); those are looked at here, so that
a cloud that is down can say so.
"""

from __future__ import annotations

import http.client
import sys
from pathlib import Path
from typing import Any

import msgspec

from haneul.cli import processes, state
from haneul.cli.api import Api, ApiError, agent_answers, answers
from haneul.kernel.config import Paths, load


def gather(paths: Paths) -> dict[str, Any]:
    config = load(paths.state)
    running = [processes.measured(process) for process in processes.running(paths)]
    names = {process.name for process in running}
    problems = [f"{name} does not run" for name in processes.NAMES if name not in names]
    if "agent" in names and not agent_answers(paths):
        problems.append(f"the agent does not answer on {paths.agent_socket}")
    found: dict[str, Any] = {"url": state.url(config), "state": str(paths.state), "processes": running,
                             "memory_mib": round(sum(process.pss_mib or 0 for process in running), 1),
                             "hosts": None, "servers": None, "back_ends": None, "volumes": None, "tasks": None,
                             "leaks": None, "reconcilers": None, "problems": problems}
    if "control" in names and not answers(config):
        problems.append(f"the control plane does not answer at {state.url(config)}")
    elif "control" in names:
        try:
            found.update(Api.of(paths, config, timeout=10).get("/haneul/v1/status")["status"])
        except (ApiError, OSError, http.client.HTTPException) as error:
            problems.append(f"the control plane does not tell its status: {error}")
    problems += [f"host {host['name']} is {host['state']}" for host in found["hosts"] or [] if host["state"] != "up"]
    problems += [f"back end {each['name']}: {each['problem']}" for each in found["back_ends"] or [] if not each["up"]]
    problems += [f"the reconciler {each['name']} has failed for {age(each['age'])}: {each['message']}"
                 for each in found["reconcilers"] or []]
    return found


def run(directory: Path, as_json: bool) -> None:
    found = gather(state.existing(directory))
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        _show(found)
    sys.exit(1 if found["problems"] else 0)


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    console = Console(highlight=False)

    def table(*columns: str) -> Table:
        return Table(*columns, box=None, padding=(0, 3, 0, 0), header_style="dim")

    well = not found["problems"]
    console.print(f"[bold]{found['url']}[/]  {found['state']}  " + ("[green]all is well[/]" if well else "[bold red]not well[/]"))
    for problem in found["problems"]:
        console.print(f"  [red]{problem}[/]")
    if not found["processes"]:
        where = "" if found["state"] == str(state.DEFAULT) else f" --state {found['state']}"
        console.print(f"  Nothing of this cloud runs now, save for servers it may have. Start it: ./haneul up{where}",
                      soft_wrap=True)
        return
    shown = table("process", "pid", "memory", "up for")
    for process in found["processes"]:
        memory = "?" if process.pss_mib is None else f"{process.pss_mib:.1f} MiB"
        shown.add_row(process.name, str(process.pid), memory, age(process.uptime))
    console.print(shown, f"[dim]{found['memory_mib']} MiB in all[/]", "")
    if found["hosts"] is None:
        return
    shown = table("host", "state", "guests by", "CPUs", "memory", "disk", "servers", "heard")
    for host in found["hosts"][:20]:
        state_text = host["state"] + (", disabled" if host["disabled"] else "")
        shown.add_row(host["name"], state_text, host["virt"], str(host["cpus"]), f"{host['memory_mib']} MiB",
                      f"{host['disk_gib']} GiB", str(host["servers"]), f"{host['heartbeat_age']:g} s ago")
    console.print(shown, "")
    if len(found["hosts"]) > 20:
        console.print(f"[dim]… and {len(found['hosts']) - 20} more[/]")
    for host in found["hosts"]:
        for problem in host["problems"]:
            console.print(f"  [yellow]{host['name']}: {problem}[/]")
    shown = table("back end", "state", "driver", "size", "free", "volumes' sizes")
    for each in found["back_ends"] or []:
        shown.add_row(each["name"], "up" if each["up"] else "down", each["driver"] or "?", f"{each['gib']} GiB",
                      f"{each['free_gib']} GiB", f"{each['allocated_gib']} GiB")
    console.print(shown)
    servers, volumes = (" ".join(f" {status} {number}" for status, number in sorted((found[kind] or {}).items())) or " none"
                        for kind in ("servers", "volumes"))
    tasks, leaks = found["tasks"], found["leaks"]
    console.print(f"\n[dim]servers[/] {servers}\n[dim]volumes[/] {volumes}\n[dim]tasks[/]    running {tasks['running']}  "
                  f"waiting {tasks['waiting']}  failed lately {tasks['failed_lately']}")
    for task in tasks["active"][:10]:
        waiting = f" for {task['waiting_for']}" if task["waiting_for"] else ""
        console.print(f"           {task['kind']} of {task['resource']}: {task['state']}{waiting}, {age(task['age'])} old")
    for task in tasks["failures"][:5]:
        console.print(f"           [red]{task['kind']} of {task['resource']} failed {age(task['age'])} ago: {task['message']}[/]")
    console.print(f"[dim]leaks[/]    {'none' if not leaks else ''}")
    for leak in leaks[:20]:
        done = "mended" if leak["mended"] else "NOT mended"
        console.print(f"           {leak['kind']} {leak['name']} on {leak['host']}: {leak['what']} "
                      f"({done}, {age(leak['age'])} ago)")


def age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
