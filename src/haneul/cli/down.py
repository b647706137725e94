"""`haneul down`: the control plane, then the agent. Servers keep running, unless all is purged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from haneul.cli import machine, processes, state
from haneul.cli.state import Stop
from haneul.kernel.config import ConfigError, Paths, load

# All that a cloud writes into its state directory; what else is there is not ours to remove.
OURS = ("config.toml", "chosen.json", "cloud-id", "policy.yaml", "control", "host", "run", "agent-secret", "admin-password",
        "log", "clouds.yaml", "demo", "backups", "tempest")
PROGRAMS = ("qemu-system", "qemu-img", "dnsmasq")


def run(directory: Path, purge: bool) -> None:
    state.need_root("down")
    paths = Paths(directory.absolute())
    if not paths.state.exists():
        print(f"There is no cloud in {paths.state}.")
        return
    if not any((paths.state / name).exists() for name in OURS) and any(paths.state.iterdir()):
        raise Stop(f"{paths.state} is not the state directory of a cloud; nothing was touched.")
    with state.locked(paths.state):
        ended = processes.stop(paths)
        print(f"Stopped: {', '.join(ended)}." if ended else "Nothing was running.", flush=True)
        if purge:
            remove_all(paths)


def remove_all(paths: Paths) -> None:
    """Servers, disks, networks and files of this cloud; goes on past what fails, and says at the end what is left."""
    problems = [*_remove_from_host(paths), *_end_strays(paths), *_unmount(paths)]
    for name in OURS:
        path = paths.state / name
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
                path.with_name(path.name + ".new").unlink(missing_ok=True)
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
    try:
        paths.state.rmdir()
    except OSError:
        problems.append(f"{paths.state} holds files that are not the cloud's: {', '.join(sorted(os.listdir(paths.state)))}")
    if problems:
        raise Stop("not everything could be removed:\n  " + "\n  ".join(problems))
    print("Purged: servers, disks, networks and files are gone.")


def _remove_from_host(paths: Paths) -> list[str]:
    if not paths.cloud_id.exists():
        return []
    problems: list[str] = []
    try:
        from haneul.host.hosts import open_hosts
        hosts = open_hosts(load(paths.state), paths)
    except (ConfigError, OSError, ValueError, ImportError) as error:
        return [f"the host's drivers cannot be opened: {error}"]
    for host in hosts:
        for server in host.hypervisor.servers():
            problems += _attempt(f"server {server.id}", host.hypervisor.forget, server.id)
        problems += _attempt("networks", host.fabric.purge)
        if hasattr(host.hypervisor, "purge"):
            problems += _attempt("hypervisor", host.hypervisor.purge)
    machine.release(paths.cloud_id.read_text().strip())
    return problems


def _attempt(what: str, work, *arguments) -> list[str]:  # type: ignore[no-untyped-def]
    try:
        work(*arguments)
    except Exception as error:  # any driver's failure: the rest is removed all the same, and this one is told
        return [f"{what}: {error}"]
    return []


def _end_strays(paths: Paths) -> list[str]:
    """Guests and daemons that no driver knows any more: ours are known by a file of this state in their arguments."""
    ours = f"{paths.state}/".encode()
    problems: list[str] = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            pid = int(folder.name)
            start = processes.start_ticks(pid)
            if (folder / "comm").read_text().startswith(PROGRAMS) and ours in (folder / "cmdline").read_bytes():
                print(f"ending {(folder / 'comm').read_text().strip()} (pid {pid})", file=sys.stderr)
                processes.end(processes.Process("stray", pid, start), patience=3.0)
        except (OSError, IndexError):
            continue
    return problems


def _unmount(paths: Paths) -> list[str]:
    problems: list[str] = []
    with open("/proc/self/mountinfo") as file:
        points = [line.split()[4].encode().decode("unicode_escape") for line in file]
    for point in sorted((p for p in points if p.startswith(f"{paths.state}/")), key=len, reverse=True):
        done = subprocess.run(["umount", point], capture_output=True, text=True)
        if done.returncode:
            problems.append(done.stderr.strip())
    return problems
