"""Tables of the people who look into the call log, and of what they write beside it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Float, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from agent.store.tables import CALL_ID, Table
from agent.store.types import Json, RowId, UtcDateTime

ID = String(32)
HASH = String(64)


class UserRow(Table):
    """A person with a password. `failures` in a row lead to `locked_until`."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    pii_email: Mapped[str] = mapped_column(String(254), unique=True)
    pii_name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_sign_in_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    locked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class UserSessionRow(Table):
    """A signed-in browser. Its token is kept as a hash only."""

    __tablename__ = "user_sessions"

    token_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    user_id: Mapped[str] = mapped_column(ID, index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ApiKeyRow(Table):
    """A key for programs. Its secret is kept as a hash only."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    prefix: Mapped[str] = mapped_column(String(16), unique=True)
    secret_hash: Mapped[str] = mapped_column(HASH)
    name: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(String(16))
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AuditRow(Table):
    """One thing somebody did. Rows are only added; `hash` covers the row and the one before."""

    __tablename__ = "audit_log"

    seq: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    actor_kind: Mapped[str] = mapped_column(String(8))
    actor_id: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(32))
    object: Mapped[str] = mapped_column(Text)
    pii_ip: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(Json)
    previous: Mapped[str] = mapped_column(HASH)
    hash: Mapped[str] = mapped_column(HASH)


class NoteRow(Table):
    """A remark on a call, or on a moment of it; it may flag the call."""

    __tablename__ = "notes"
    __table_args__ = (Index(None, "call_id", "start_ms"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    call_id: Mapped[str] = mapped_column(CALL_ID)
    start_ms: Mapped[int | None] = mapped_column(Integer)
    pii_text: Mapped[str] = mapped_column(Text)
    flag: Mapped[bool] = mapped_column(Boolean)
    author_id: Mapped[str] = mapped_column(ID)
    author: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    edited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ScorecardRow(Table):
    """One version of a scorecard. Never changed."""

    __tablename__ = "scorecards"
    __table_args__ = (UniqueConstraint("name", "version"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    version: Mapped[int] = mapped_column(Integer)
    items: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ReviewRow(Table):
    """What one reviewer made of a call. `values` maps a scorecard's items to answers."""

    __tablename__ = "reviews"
    __table_args__ = (UniqueConstraint("call_id", "scorecard_id", "reviewer_id"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    call_id: Mapped[str] = mapped_column(CALL_ID)
    scorecard_id: Mapped[str] = mapped_column(ID)
    reviewer_id: Mapped[str] = mapped_column(ID)
    reviewer: Mapped[str] = mapped_column(Text)
    values: Mapped[dict[str, Any]] = mapped_column(Json)
    pii_comment: Mapped[str] = mapped_column(Text)
    total: Mapped[float] = mapped_column(Float)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    edited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
