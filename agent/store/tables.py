"""Tables of the call log.

Of a call nothing but `call_events` is written first hand: its other tables are projections of its
events and could be filled again from them. Events of one call may come from two workers in any
order, so none of them refers to the row of another by a foreign key.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from agent.store.types import Json, RowId, UtcDateTime

CALL_ID = String(32)
ENTRY = String(64)

CONSTRAINT_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=CONSTRAINT_NAMES)


class LineVersionRow(Table):
    """A line's configuration as some call used it. Never changed."""

    __tablename__ = "line_versions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[str] = mapped_column(ENTRY, index=True)
    first_used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    snapshot: Mapped[dict[str, Any]] = mapped_column(Json)


class CallRow(Table):
    """One call. `state` is what the event with number `state_seq` says; later ones replace it."""

    __tablename__ = "calls"
    __table_args__ = (
        Index(None, "carrier", "carrier_call_id"),
        Index(None, "started_at"),
        Index(None, "to_number", "started_at"),
    )

    id: Mapped[str] = mapped_column(CALL_ID, primary_key=True)
    carrier: Mapped[str | None] = mapped_column(Text)
    carrier_call_id: Mapped[str | None] = mapped_column(Text)
    direction: Mapped[str | None] = mapped_column(Text)
    to_number: Mapped[str | None] = mapped_column(ENTRY)
    pii_from_number: Mapped[str | None] = mapped_column(Text, index=True)
    business: Mapped[str | None] = mapped_column(Text)
    line_version_id: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    state_seq: Mapped[int] = mapped_column(BigInteger)
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    end_reason: Mapped[str] = mapped_column(String(32), default="")
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class CallEventRow(Table):
    """One event of a call's journal, as it was written."""

    __tablename__ = "call_events"
    __table_args__ = (UniqueConstraint("call_id", "seq"), Index(None, "kind", "at"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    call_id: Mapped[str] = mapped_column(CALL_ID)
    seq: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(32))
    payload: Mapped[dict[str, Any]] = mapped_column(Json)


class UtteranceRow(Table):
    """One stretch of speech; `pii_heard` is the part of a reply that was played.

    `search_text` is the text without what is personal, as `agent.transcripts.folding` makes it.
    """

    __tablename__ = "utterances"
    __table_args__ = (UniqueConstraint("call_id", "seq"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    call_id: Mapped[str] = mapped_column(CALL_ID)
    seq: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    role: Mapped[str] = mapped_column(String(8))
    pii_text: Mapped[str] = mapped_column(Text)
    pii_heard: Mapped[str | None] = mapped_column(Text)
    search_text: Mapped[str] = mapped_column(Text, server_default="")
    start_ms: Mapped[int] = mapped_column(Integer)
    end_ms: Mapped[int] = mapped_column(Integer)
    interrupted: Mapped[bool] = mapped_column(Boolean, default=False)


class DoNotCallRow(Table):
    """A person who asked not to be called."""

    __tablename__ = "dnc_numbers"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    number_hash: Mapped[str] = mapped_column(String(64), unique=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(Text)


class DialAttemptRow(Table):
    """A call placed, the `count`-th to its number on that person's `day`. Written first hand."""

    __tablename__ = "dial_attempts"
    __table_args__ = (UniqueConstraint("number_hash", "day", "count"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    number_hash: Mapped[str] = mapped_column(String(64))
    day: Mapped[date] = mapped_column(Date)
    count: Mapped[int] = mapped_column(Integer)
    line: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    purpose: Mapped[str] = mapped_column(Text)
    consent: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    call_id: Mapped[str] = mapped_column(CALL_ID, default="")


class ConsentRow(Table):
    """What shows that someone agreed to something."""

    __tablename__ = "consents"
    __table_args__ = (UniqueConstraint("call_id", "seq"), Index(None, "number_hash", "line"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    call_id: Mapped[str] = mapped_column(CALL_ID)
    seq: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    about: Mapped[str] = mapped_column(Text)
    reference: Mapped[str] = mapped_column(Text)
    number_hash: Mapped[str] = mapped_column(String(64))
    line: Mapped[str] = mapped_column(Text)


class ToolInvocationRow(Table):
    """One tool call: `started` until its result is known."""

    __tablename__ = "tool_invocations"
    __table_args__ = (
        UniqueConstraint("call_id", "tool_call_id"),
        Index(None, "tool", "started_at"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    call_id: Mapped[str] = mapped_column(CALL_ID)
    tool_call_id: Mapped[str] = mapped_column(Text)
    seq: Mapped[int] = mapped_column(BigInteger)
    tool: Mapped[str] = mapped_column(Text)
    idempotency_key: Mapped[str] = mapped_column(String(64))
    pii_arguments: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16))
    pii_result: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    duration_ms: Mapped[int | None] = mapped_column(Integer)


class RecordingRow(Table):
    """One closed recording file."""

    __tablename__ = "recordings"
    __table_args__ = (UniqueConstraint("call_id", "seq"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    call_id: Mapped[str] = mapped_column(CALL_ID)
    seq: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int] = mapped_column(BigInteger)
    duration_ms: Mapped[int] = mapped_column(Integer)


class LineConfigRow(Table):
    """One version of a line as an operator applied it. Never changed, never deleted."""

    __tablename__ = "line_configs"
    __table_args__ = (UniqueConstraint("entry", "version"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    entry: Mapped[str] = mapped_column(ENTRY)
    version: Mapped[int] = mapped_column(Integer)
    hash: Mapped[str] = mapped_column(String(64))
    snapshot: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(Text)


class AppliedLineRow(Table):
    """Which version of a line counts; none after the line was removed."""

    __tablename__ = "applied_lines"

    entry: Mapped[str] = mapped_column(ENTRY, primary_key=True)
    version: Mapped[int | None] = mapped_column(Integer)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_by: Mapped[str] = mapped_column(Text)


class StillRow(Table):
    """One picture of the caller's camera that was shown to the model, `at_ms` into the call."""

    __tablename__ = "stills"
    __table_args__ = (UniqueConstraint("call_id", "seq"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    call_id: Mapped[str] = mapped_column(CALL_ID)
    seq: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    at_ms: Mapped[int] = mapped_column(Integer)
