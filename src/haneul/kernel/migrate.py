"""Brings a database to the schema of this release, after a copy of it.

The common case, a database that is up to date, costs one query: Alembic is loaded only when there is something to do.
"""

from __future__ import annotations

from pathlib import Path

import structlog
from sqlalchemy import inspect, text

from haneul.kernel import clock
from haneul.kernel.config import Paths
from haneul.kernel.database import Base, Database

log = structlog.get_logger("migrate")
VERSIONS = Path(__file__).parent / "migrations" / "versions"


def head() -> str | None:
    """The newest revision: files are named <number>_<words>.py, the revision is the number."""
    numbers = sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py"))
    return numbers[-1] if numbers else None


def current(database: Database) -> str | None:
    with database.read() as tx:
        if not inspect(tx.connection()).has_table("alembic_version"):
            return None
        return tx.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(database: Database, paths: Paths) -> None:
    """To `head()`. A SQLite database that holds data is copied beside itself first; PostgreSQL is the operator's to back up."""
    newest = head()
    if newest is None:
        Base.metadata.create_all(database.engine)
        return
    present = current(database)
    if present == newest:
        return
    if present is not None and database.sqlite and paths.database.exists():
        copy = paths.database.with_suffix(f".{present}-{clock.now():%Y%m%dT%H%M%S}.db")
        with database.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("VACUUM INTO ?", (str(copy),))
        log.info("database copied", path=str(copy))
    from haneul.kernel.migrations import run
    run(database, newest)
    log.info("database migrated", before=present, now=newest)
