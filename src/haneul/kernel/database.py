"""The one database: SQLite (WAL, one writer) on one machine, PostgreSQL beyond.

`Database.read()` and `Database.write()` give a `Transaction`, a SQLAlchemy session that ends with the block: committed by a
write that returns, rolled back by one that raises. Times are UTC without a zone (`kernel.clock.now`).
"""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import structlog
from sqlalchemy import JSON, CursorResult, Engine, Executable, MetaData, create_engine, event, text
from sqlalchemy.exc import DataError, DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.orm.exc import StaleDataError

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud

T = TypeVar("T")
log = structlog.get_logger("database")
# PostgreSQL: serialisation failure, deadlock; and what was unique or there when it was looked for, until another transaction
# ended: the next try finds that, and says what there is to say.
_TRY_AGAIN = ("40001", "40P01", "23505", "23503")


class Base(DeclarativeBase):
    """Every table. JSON columns hold plain objects; change one by assigning a new value."""

    metadata = MetaData(naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    })
    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, dict[str, str]: JSON, list[str]: JSON}


class Transaction(Session):
    """A session that knows its cloud and what to do once it is committed."""

    def __init__(self, *args: Any, cloud: Cloud | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cloud = cloud
        self.writing = False
        self._after: list[Callable[[], None]] = []

    @property
    def cloud(self) -> Cloud:
        assert self._cloud is not None
        return self._cloud

    def core(self, statement: Executable, **values: Any) -> CursorResult[*tuple[Any, ...]]:
        """A Core statement on tables (not entities), for hot paths: with `bindparam`s and built once at module level it costs
        50 µs where the same through the session, on entities, costs 250. Flushes nothing: pending objects are not seen."""
        return self.connection().execute(statement, values)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Runs `action` once the transaction is committed, outside of it; never if it is rolled back."""
        self._after.append(action)

    def lock(self, *key: str) -> None:
        """Serialises transactions that name the same key until their end: for counting before creating.

        SQLite has one writer at a time anyway; on PostgreSQL an advisory lock.
        """
        if self.get_bind().dialect.name == "postgresql":
            number = zlib.crc32("\0".join(key).encode())
            self.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


class Database:
    """The engine and its transactions."""

    def __init__(self, url: str, *, pool: int = 20, synchronous: str = "NORMAL", echo: bool = False) -> None:
        self.cloud: Cloud | None = None
        self.sqlite = url.startswith("sqlite")
        self.statements = 0  # executed so far, for benchmarks
        self._writer = threading.Lock()
        arguments: dict[str, Any] = {"check_same_thread": False, "timeout": 30} if self.sqlite else {}
        self.engine: Engine = create_engine(
            url, echo=echo, pool_size=pool, max_overflow=pool, connect_args=arguments, query_cache_size=4000,
            hide_parameters=True,  # errors are logged, and what they would show may be a password's hash
            json_serializer=lambda value: msgspec.json.encode(value).decode(), json_deserializer=msgspec.json.decode)
        event.listen(self.engine, "before_cursor_execute", self._count)
        if self.sqlite:
            event.listen(self.engine, "connect", lambda connection, _: _prepare_sqlite(connection, synchronous))
            event.listen(self.engine, "begin", _begin_sqlite)
        self._writing: Engine = self.engine.execution_options(haneul_write=True) if self.sqlite else self.engine
        # On PostgreSQL each statement would see another moment, and what is compared would not fit together.
        self._reading: Engine = (self.engine if self.sqlite
                                 else self.engine.execution_options(isolation_level="REPEATABLE READ"))

    @classmethod
    def at(cls, path: Path, **options: Any) -> Database:
        return cls(f"sqlite:///{path}", **options)

    def _count(self, *_: Any) -> None:
        self.statements += 1

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """A snapshot; nothing written in it is kept."""
        with Transaction(self._reading, cloud=self.cloud, autoflush=False, expire_on_commit=False) as tx:
            yield tx

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """Committed when the block ends without an exception."""
        with self._writer if self.sqlite else contextlib.nullcontext():
            with Transaction(self._writing, cloud=self.cloud, expire_on_commit=False) as tx:
                tx.writing = True
                yield tx
                tx.commit()
        for action in tx._after:
            try:
                action()
            except Exception:
                log.exception("after commit")  # what was committed stands: nobody may take this for its failure

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """`work` in a write transaction, tried again when another one came between on PostgreSQL."""
        for attempt in range(5):
            try:
                with self.write() as tx:
                    return work(tx)
            except (DBAPIError, StaleDataError) as error:
                if attempt == 4 or not _came_between(error):
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        self.engine.dispose()


def _came_between(error: BaseException) -> bool:
    """Whether another transaction was in the way. A row that was read and then deleted by it is found missing when it is
    written: the next try does not read it any more."""
    return isinstance(error, StaleDataError) or (isinstance(error, DBAPIError)
                                                 and getattr(error.orig, "sqlstate", None) in _TRY_AGAIN)


def passing(error: BaseException) -> bool:
    """Whether an error is the database's and may pass by itself: a deadlock, a lost connection, a full disk."""
    return _came_between(error) or (isinstance(error, DBAPIError)
                                    and (error.connection_invalidated or isinstance(error, OperationalError)))


def out_of_range(error: BaseException) -> bool:
    """Whether a value did not fit its column: PostgreSQL says so, SQLite only of numbers beyond 64 bits."""
    return isinstance(error, DataError) or (isinstance(error, OverflowError) and "SQLite" in str(error))


def _prepare_sqlite(connection: Any, synchronous: str) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; _begin_sqlite does
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON", "busy_timeout=30000",
                   "temp_store=MEMORY", "cache_size=-2000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Any) -> None:
    """Straight to the driver: through the engine it would cost as much as a whole statement."""
    write = connection.get_execution_options().get("haneul_write")
    connection.connection.dbapi_connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
