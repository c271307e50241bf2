"""Search over what was said; people, keys, the audit log, notes and reviews."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from agent.transcripts.folding import fold
from agent.transcripts.redact import redact

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BATCH = 1000

# A revision that rebuilds `utterances` on SQLite drops its triggers: it has to make them again.
SQLITE_SEARCH = (
    """CREATE VIRTUAL TABLE utterance_words USING fts5(
        search_text, content='utterances', content_rowid='id',
        tokenize='unicode61 remove_diacritics 0')""",
    """CREATE TRIGGER utterance_words_insert AFTER INSERT ON utterances BEGIN
        INSERT INTO utterance_words(rowid, search_text) VALUES (new.id, new.search_text);
    END""",
    """CREATE TRIGGER utterance_words_delete AFTER DELETE ON utterances BEGIN
        INSERT INTO utterance_words(utterance_words, rowid, search_text)
        VALUES ('delete', old.id, old.search_text);
    END""",
    """CREATE TRIGGER utterance_words_update AFTER UPDATE OF search_text ON utterances BEGIN
        INSERT INTO utterance_words(utterance_words, rowid, search_text)
        VALUES ('delete', old.id, old.search_text);
        INSERT INTO utterance_words(rowid, search_text) VALUES (new.id, new.search_text);
    END""",
    "INSERT INTO utterance_words(utterance_words) VALUES ('rebuild')",
)
POSTGRES_SEARCH = (
    """CREATE INDEX ix_utterances_words ON utterances
        USING gin (to_tsvector('simple'::regconfig, search_text))""",
)


def text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def word(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def json(name: str) -> sa.Column[object]:
    kind = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    people()
    remarks()
    op.add_column(
        "utterances", sa.Column("search_text", sa.Text(), nullable=False, server_default="")
    )
    fill_search_text()
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_SEARCH if sqlite else POSTGRES_SEARCH:
        op.execute(statement)


def people() -> None:
    op.create_table(
        "users",
        word("id", 32),
        word("pii_email", 254),
        text("pii_name"),
        text("password_hash"),
        word("role", 16),
        time("created_at"),
        time("disabled_at", nullable=True),
        time("last_sign_in_at", nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        time("locked_until", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("pii_email", name="uq_users_pii_email"),
    )
    op.create_table(
        "user_sessions",
        word("token_hash", 64),
        word("user_id", 32),
        time("created_at"),
        time("seen_at"),
        time("expires_at"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_user_sessions"),
    )
    op.create_index("ix_user_sessions_user_id", "user_sessions", ["user_id"])
    op.create_table(
        "api_keys",
        word("id", 32),
        word("prefix", 16),
        word("secret_hash", 64),
        text("name"),
        word("role", 16),
        text("created_by"),
        time("created_at"),
        time("expires_at", nullable=True),
        time("revoked_at", nullable=True),
        time("last_used_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("prefix", name="uq_api_keys_prefix"),
    )
    op.create_table(
        "audit_log",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        time("at"),
        word("actor_kind", 8),
        text("actor_id"),
        word("action", 32),
        text("object"),
        text("pii_ip"),
        json("details"),
        word("previous", 64),
        word("hash", 64),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"])


def remarks() -> None:
    op.create_table(
        "notes",
        word("id", 32),
        word("call_id", 32),
        sa.Column("start_ms", sa.Integer()),
        text("pii_text"),
        sa.Column("flag", sa.Boolean(), nullable=False),
        word("author_id", 32),
        text("author"),
        time("created_at"),
        time("edited_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_notes"),
    )
    op.create_index("ix_notes_call_id_start_ms", "notes", ["call_id", "start_ms"])
    op.create_table(
        "scorecards",
        word("id", 32),
        word("name", 80),
        sa.Column("version", sa.Integer(), nullable=False),
        json("items"),
        time("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_scorecards"),
        sa.UniqueConstraint("name", "version", name="uq_scorecards_name_version"),
    )
    op.create_table(
        "reviews",
        word("id", 32),
        word("call_id", 32),
        word("scorecard_id", 32),
        word("reviewer_id", 32),
        text("reviewer"),
        json("values"),
        text("pii_comment"),
        sa.Column("total", sa.Float(), nullable=False),
        time("created_at"),
        time("edited_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
        sa.UniqueConstraint(
            "call_id",
            "scorecard_id",
            "reviewer_id",
            name="uq_reviews_call_id_scorecard_id_reviewer_id",
        ),
    )


def fill_search_text() -> None:
    """Give the utterances that are there already what they are found by."""
    connection = op.get_bind()
    table = sa.table("utterances", sa.column("id"), sa.column("pii_text"), sa.column("search_text"))
    last = 0
    while True:
        rows = connection.execute(
            sa.select(table.c.id, table.c.pii_text)
            .where(table.c.id > last)
            .order_by(table.c.id)
            .limit(BATCH)
        ).all()
        if rows:
            connection.execute(
                sa.update(table)
                .where(table.c.id == sa.bindparam("row_id"))
                .values(search_text=sa.bindparam("words")),
                [{"row_id": row_id, "words": fold(redact(said))} for row_id, said in rows],
            )
        if len(rows) < BATCH:
            return
        last = rows[-1][0]


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in ("insert", "delete", "update"):
            op.execute(f"DROP TRIGGER utterance_words_{name}")
        op.execute("DROP TABLE utterance_words")
    else:
        op.drop_index("ix_utterances_words", "utterances")
    op.drop_column("utterances", "search_text")
    for table in (
        "reviews",
        "scorecards",
        "notes",
        "audit_log",
        "api_keys",
        "user_sessions",
        "users",
    ):
        op.drop_table(table)
