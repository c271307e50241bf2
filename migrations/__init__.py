"""Alembic revisions of the call log, in one line."""
