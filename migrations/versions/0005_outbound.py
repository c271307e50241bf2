"""Who may be called: do-not-call list, consents, and calls placed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def row_id() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("id", kind, primary_key=True)


def time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def number_hash() -> sa.Column[str]:
    return sa.Column("number_hash", sa.String(64), nullable=False)


def upgrade() -> None:
    op.create_table(
        "dnc_numbers",
        row_id(),
        number_hash(),
        time("at"),
        text("reason"),
        sa.PrimaryKeyConstraint("id", name="pk_dnc_numbers"),
        sa.UniqueConstraint("number_hash", name="uq_dnc_numbers_number_hash"),
    )
    op.create_table(
        "dial_attempts",
        row_id(),
        number_hash(),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        text("line"),
        time("at"),
        text("purpose"),
        text("consent"),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dial_attempts"),
        sa.UniqueConstraint(
            "number_hash", "day", "count", name="uq_dial_attempts_number_hash_day_count"
        ),
    )
    op.create_table(
        "consents",
        row_id(),
        sa.Column("call_id", sa.String(32), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        time("at"),
        text("about"),
        text("reference"),
        number_hash(),
        text("line"),
        sa.PrimaryKeyConstraint("id", name="pk_consents"),
        sa.UniqueConstraint("call_id", "seq", name="uq_consents_call_id_seq"),
    )
    op.create_index("ix_consents_number_hash_line", "consents", ["number_hash", "line"])


def downgrade() -> None:
    op.drop_table("consents")
    op.drop_table("dial_attempts")
    op.drop_table("dnc_numbers")
