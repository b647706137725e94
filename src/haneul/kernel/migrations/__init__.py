"""Alembic's environment. `python -m haneul.kernel.migrations "what changes"` writes the next revision from the models.

Revisions go forwards only: the way back is the copy that is made before one runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Column

from haneul.kernel.database import Base, Database

FOLDER = Path(__file__).parent


def _config(database: Database) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["database"] = database
    return config


def run(database: Database, revision: str) -> None:
    """Upgrades to a revision, in one transaction."""
    command.upgrade(_config(database), revision)


def write(database: Database, message: str) -> None:
    """The next revision file: the difference between a migrated database and the models."""
    number = len(list((FOLDER / "versions").glob("[0-9]*.py"))) + 1
    command.revision(_config(database), message, autogenerate=True, rev_id=f"{number:04d}")


def difference(database: Database) -> list[Any]:
    """What the models have and a migrated database has not, or the other way round; indexes on expressions left out, which
    databases spell in their own ways."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={
            "compare_type": True, "include_object": lambda thing, name, kind, reflected, other:
                kind != "index" or all(isinstance(part, Column) for part in thing.expressions)})
        return [entry for entry in compare_metadata(context, Base.metadata)]
