"""`haneul env`: what a shell needs for the `openstack` command to reach this cloud."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from haneul.cli import state


def run(directory: Path) -> None:
    paths = state.existing(directory)
    clouds = paths.state / "clouds.yaml"
    if not clouds.exists():
        raise state.Stop(f"the cloud in {paths.state} was never up; `./haneul up` starts it.")
    if not os.access(clouds, os.R_OK):
        raise state.Stop(f"{clouds} holds passwords and is root's; use the cloud in a root shell, or give a user a copy.")
    programs = str(Path(sys.executable).parent)
    path = [part for part in os.environ.get("PATH", "/usr/bin:/bin").split(":") if part != programs]
    for name, value in (("OS_CLIENT_CONFIG_FILE", str(clouds)), ("OS_CLOUD", "haneul"), ("PATH", ":".join([programs, *path]))):
        print(f"export {name}={shlex.quote(value)}")
