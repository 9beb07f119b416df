"""How Alembic meets the store: on the connection that `orchestrator.store.engine` hands over.

A new migration: `versions/NNNN_what_it_does.py` with the next four-digit revision, and `HEAD` in `tables.py` moved
along with it. A test compares what the migrations make with the tables.
"""

from alembic import context

from orchestrator.store.tables import metadata

# Batch mode: SQLite cannot alter a table in place. No transaction here: the caller's spans the check and the upgrade.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
