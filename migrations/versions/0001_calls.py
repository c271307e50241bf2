"""Calls and what happened in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def row_id() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("id", kind, primary_key=True)


def call_id() -> sa.Column[str]:
    return sa.Column("call_id", sa.String(32), nullable=False)


def seq() -> sa.Column[int]:
    return sa.Column("seq", sa.BigInteger(), nullable=False)


def time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def json(name: str) -> sa.Column[object]:
    kind = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    op.create_table(
        "line_versions",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("number", sa.String(16), nullable=False),
        time("first_used_at"),
        json("snapshot"),
        sa.PrimaryKeyConstraint("id", name="pk_line_versions"),
    )
    op.create_index("ix_line_versions_number", "line_versions", ["number"])

    op.create_table(
        "calls",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("carrier", sa.Text()),
        sa.Column("carrier_call_id", sa.Text()),
        sa.Column("direction", sa.Text()),
        sa.Column("to_number", sa.String(16)),
        sa.Column("pii_from_number", sa.Text()),
        sa.Column("business", sa.Text()),
        sa.Column("line_version_id", sa.String(64)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("state_seq", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("end_reason", sa.String(32), nullable=False),
        time("started_at"),
        time("answered_at", nullable=True),
        time("ended_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    op.create_index("ix_calls_carrier_carrier_call_id", "calls", ["carrier", "carrier_call_id"])
    op.create_index("ix_calls_pii_from_number", "calls", ["pii_from_number"])
    op.create_index("ix_calls_started_at", "calls", ["started_at"])
    op.create_index("ix_calls_to_number_started_at", "calls", ["to_number", "started_at"])

    op.create_table(
        "call_events",
        row_id(),
        call_id(),
        seq(),
        time("at"),
        sa.Column("kind", sa.String(32), nullable=False),
        json("payload"),
        sa.PrimaryKeyConstraint("id", name="pk_call_events"),
        sa.UniqueConstraint("call_id", "seq", name="uq_call_events_call_id_seq"),
    )
    op.create_index("ix_call_events_kind_at", "call_events", ["kind", "at"])

    op.create_table(
        "utterances",
        row_id(),
        call_id(),
        seq(),
        time("at"),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("pii_text", sa.Text(), nullable=False),
        sa.Column("pii_heard", sa.Text()),
        sa.Column("start_ms", sa.Integer(), nullable=False),
        sa.Column("end_ms", sa.Integer(), nullable=False),
        sa.Column("interrupted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_utterances"),
        sa.UniqueConstraint("call_id", "seq", name="uq_utterances_call_id_seq"),
    )

    op.create_table(
        "tool_invocations",
        row_id(),
        call_id(),
        sa.Column("tool_call_id", sa.Text(), nullable=False),
        seq(),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.String(64), nullable=False),
        sa.Column("pii_arguments", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("pii_result", sa.Text()),
        time("started_at"),
        time("finished_at", nullable=True),
        sa.Column("duration_ms", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_tool_invocations"),
        sa.UniqueConstraint(
            "call_id", "tool_call_id", name="uq_tool_invocations_call_id_tool_call_id"
        ),
    )
    op.create_index(
        "ix_tool_invocations_tool_started_at", "tool_invocations", ["tool", "started_at"]
    )

    op.create_table(
        "recordings",
        row_id(),
        call_id(),
        seq(),
        time("at"),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recordings"),
        sa.UniqueConstraint("call_id", "seq", name="uq_recordings_call_id_seq"),
    )


def downgrade() -> None:
    for table in (
        "recordings",
        "tool_invocations",
        "utterances",
        "call_events",
        "calls",
        "line_versions",
    ):
        op.drop_table(table)
