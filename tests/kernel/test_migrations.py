"""A migrated database is what the models say, and data is copied before a migration touches it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.util import CommandError
from sqlalchemy import inspect

import haneul.rooms  # noqa: F401 - the models of every room
from haneul.kernel import migrate, migrations
from haneul.kernel.config import Paths
from haneul.kernel.database import Base, Database
from running import database_url


def migrated(folder: Path) -> tuple[Database, Paths]:
    paths = Paths(folder)
    paths.control.mkdir()
    database = Database(database_url(folder) or f"sqlite:///{paths.database}")
    migrate.upgrade(database, paths)
    return database, paths


def test_migrations_lead_to_the_models(tmp_path: Path) -> None:
    database, _ = migrated(tmp_path)
    assert migrate.current(database) == migrate.head()
    assert migrations.difference(database) == []
    database.close()


def test_no_index_is_forgotten(tmp_path: Path) -> None:
    """By name: Alembic compares no expressions on SQLite."""
    database, _ = migrated(tmp_path)
    inspector = inspect(database.engine)
    found = {index["name"] for table in inspector.get_table_names() for index in inspector.get_indexes(table)}
    with sqlite3.connect(tmp_path / "control" / "haneul.db") as raw:
        found |= {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert {index.name for table in Base.metadata.tables.values() for index in table.indexes} <= found
    database.close()


def test_a_database_that_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    database, paths = migrated(tmp_path)
    migrate.upgrade(database, paths)
    assert list(paths.control.glob("*.*.db")) == []
    database.close()


def test_data_is_copied_before_a_migration(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.control.mkdir()
    database = Database.at(paths.database)
    migrate.upgrade(database, paths)
    database.close()
    with sqlite3.connect(paths.database) as raw:  # as an older release left it: its revision comes before this one's
        raw.execute("UPDATE alembic_version SET version_num = '0000'")
        raw.execute("INSERT INTO quota_limits VALUES ('p', 'compute', 'cores', 7)")
    database = Database.at(paths.database)
    with pytest.raises(CommandError, match="0000"):  # no such revision to go on from: the copy is made all the same
        migrate.upgrade(database, paths)
    (copy,) = paths.control.glob("haneul.0000-*.db")
    with sqlite3.connect(copy) as raw:
        assert raw.execute("SELECT * FROM quota_limits").fetchall() == [("p", "compute", "cores", 7)]
    database.close()
