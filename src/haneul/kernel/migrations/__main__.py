"""`python -m haneul.kernel.migrations "what changes"`: writes the next revision."""

import sys
import tempfile
from pathlib import Path

import haneul.rooms  # noqa: F401 - the models of every room
from haneul.kernel.database import Database
from haneul.kernel.migrate import head
from haneul.kernel.migrations import run, write

with tempfile.TemporaryDirectory() as folder:
    database = Database.at(Path(folder) / "new.db")
    newest = head()
    if newest is not None:
        run(database, newest)
    write(database, sys.argv[1])
