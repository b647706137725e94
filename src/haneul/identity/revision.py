"""The revision that every cached answer of identity hangs on, read at each request by the cheapest statement there is."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haneul.kernel.database import Database

_READ = "SELECT revision FROM identity_state WHERE id = 1"


class Revision:
    """A driver connection of its own for each thread, in autocommit: no session, no pool, no BEGIN.

    Read from the database and not kept in memory because a user disabled through one control process must be refused by
    the others with their next request. SQLite answers in about 10 µs.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = threading.local()

    def read(self) -> int:
        try:
            return self._read(self._local.connection)
        except AttributeError:
            pass
        except Exception:  # a connection that PostgreSQL closed: once more with a new one, whose errors are the caller's
            self._local.__dict__.clear()
        self._local.connection = connection = self._connect()
        return self._read(connection)

    def _connect(self) -> Any:
        pooled = self._database.engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()  # the pool forgets it; it ends with the thread
        if not self._database.sqlite:
            connection.autocommit = True
        return connection

    @staticmethod
    def _read(connection: Any) -> int:
        row = connection.execute(_READ).fetchone()
        return int(row[0])
