"""`haneul config`: the effective configuration, as a file that could be used."""

from __future__ import annotations

from pathlib import Path

from haneul.cli.state import Stop
from haneul.kernel.config import ConfigError, dump, load


def run(directory: Path) -> None:
    try:
        print(dump(load(directory)))
    except ConfigError as error:
        raise Stop(str(error)) from error
