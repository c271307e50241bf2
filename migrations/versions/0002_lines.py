"""Versions of lines, and room for names of call pages where a number was expected."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def entry() -> sa.Column[str]:
    return sa.Column("entry", sa.String(64), nullable=False)


def change(*, length: int, before: int) -> None:
    with op.batch_alter_table("calls") as table:
        table.alter_column(
            "to_number", type_=sa.String(length), existing_type=sa.String(before), nullable=True
        )
    with op.batch_alter_table("line_versions") as table:
        table.alter_column(
            "number", type_=sa.String(length), existing_type=sa.String(before), nullable=False
        )


def upgrade() -> None:
    change(length=64, before=16)
    op.create_table(
        "line_configs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        entry(),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column(
            "snapshot",
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_line_configs"),
        sa.UniqueConstraint("entry", "version", name="uq_line_configs_entry_version"),
    )
    op.create_table(
        "applied_lines",
        entry(),
        sa.Column("version", sa.Integer()),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("entry", name="pk_applied_lines"),
    )


def downgrade() -> None:
    op.drop_table("applied_lines")
    op.drop_table("line_configs")
    change(length=16, before=64)
