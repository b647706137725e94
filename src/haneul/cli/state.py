"""A cloud's state directory: made, locked, its secrets and what clients need to know (clouds.yaml)."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from haneul.kernel.config import Config, Paths, load

DEFAULT = Path("/var/lib/haneul")
USER = "haneul"


class Stop(Exception):
    """Ends a command with a plain sentence for the user, and exit code 1."""


def need_root(command: str) -> None:
    if os.geteuid() != 0:
        raise Stop(f"`haneul {command}` needs root: it makes networks, users and virtual machines. Run it with sudo.")


def existing(state: Path) -> Paths:
    paths = Paths(state.absolute())
    if not paths.cloud_id.exists():
        raise Stop(f"there is no cloud in {paths.state}; `./haneul up` makes one (--state names another directory).")
    return paths


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """One command at a time changes a cloud; the next one waits and says so. The lock is on the directory itself."""
    while True:
        state.mkdir(mode=0o755, parents=True, exist_ok=True)
        directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"another haneul command is at work on {state}; waiting for it …", file=sys.stderr, flush=True)
                fcntl.flock(directory, fcntl.LOCK_EX)
            if state.exists() and os.path.samestat(os.stat(state), os.fstat(directory)):
                yield
                return
        finally:
            os.close(directory)  # else a purge took the directory away while we waited


def write(path: Path, text: str, mode: int, owner: int = 0, group: int = 0) -> None:
    """The whole file in one move, never readable for more than `mode` says."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        os.fchmod(file.fileno(), mode)
        os.fchown(file.fileno(), owner, group)
        file.write(text)
    fresh.replace(path)


def choices(paths: Paths) -> dict[str, dict[str, Any]]:
    if not paths.chosen.exists():
        return {}
    return msgspec.json.decode(paths.chosen.read_bytes(), type=dict[str, dict[str, Any]])


def choose(paths: Paths, section: str, key: str, value: Any) -> None:
    """Remembers what was given on the command line or decided once."""
    found = choices(paths)
    if found.get(section, {}).get(key) != value:
        found.setdefault(section, {})[key] = value
        write(paths.chosen, msgspec.json.encode(found).decode() + "\n", 0o644)


def prepare(paths: Paths) -> None:
    """Directories and secrets; whatever exists stays as it is."""
    user = pwd.getpwnam(USER)
    paths.state.chmod(0o755)
    for path, mode, owner in ((paths.run, 0o755, 0), (paths.logs, 0o755, 0), (paths.host, 0o711, 0),
                              (paths.control, 0o700, user.pw_uid)):
        if not path.exists():
            path.mkdir(mode=mode)
            path.chmod(mode)
            os.chown(path, owner, user.pw_gid if owner else 0)
    if not paths.cloud_id.exists():
        write(paths.cloud_id, secrets.token_hex(4) + "\n", 0o644)
    if not paths.agent_secret.exists():
        write(paths.agent_secret, secrets.token_urlsafe(32) + "\n", 0o640, group=grp.getgrnam(USER).gr_gid)
    if not paths.admin_password.exists():
        password = load(paths.state).identity.admin_password or secrets.token_urlsafe(18)
        write(paths.admin_password, password + "\n", 0o600)


def url(config: Config) -> str:
    return (config.api.public_url or f"http://{config.api.bind}:{config.api.port}").rstrip("/")


def admin_password(paths: Paths) -> str:
    try:
        return paths.admin_password.read_text().strip()
    except PermissionError:
        raise Stop(f"{paths.admin_password} is root's; run this command with sudo.") from None


def write_clouds(paths: Paths, config: Config) -> None:
    """`haneul` is the administrator, `demo` an ordinary user (when the demo exists)."""
    entries = [("haneul", "admin", "admin", admin_password(paths))]
    demo = paths.state / "demo" / "password"
    if demo.exists():
        entries.append(("demo", "demo", "demo", demo.read_text().strip()))
    lines = ["# Written by `haneul up`.", "clouds:"]
    for cloud, name, project, password in entries:
        lines += [f"  {cloud}:", "    auth:", f"      auth_url: {url(config)}/identity/v3", f"      username: {name}",
                  f"      password: {msgspec.json.encode(password).decode()}", f"      project_name: {project}",
                  "      user_domain_name: Default", "      project_domain_name: Default",
                  f"    region_name: {config.api.region}", "    identity_api_version: 3", "    volume_api_version: 3"]
    write(paths.state / "clouds.yaml", "\n".join(lines) + "\n", 0o600)
