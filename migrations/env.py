"""Runs revisions over the connection that `agent.store.migrate` gives, in one transaction."""

from __future__ import annotations

from alembic import context

from agent.store import supervisor_tables
from agent.store.tables import Table

__all__ = ["supervisor_tables"]  # importing it declares its tables

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Table.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
