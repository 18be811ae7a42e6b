"""Alembic's entry: migrations run on the connection that `migrate` hands over."""

from __future__ import annotations

from alembic import context

from server.storage import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.TenantRow.metadata,
    # SQLite changes a column by copying its table.
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
