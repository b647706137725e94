"""Run by Alembic: the connection comes from `haneul.kernel.migrations`, never from a file."""

from alembic import context

from haneul.kernel.database import Base, Database

database: Database = context.config.attributes["database"]
engine = database.engine.execution_options(haneul_write=True) if database.sqlite else database.engine
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=database.sqlite,
                      compare_type=True, transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
