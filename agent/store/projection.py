"""How events become rows. Every step may be repeated, and steps of one call may be reordered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import func
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.ext.asyncio import AsyncSession

from agent.log import get_logger
from agent.store.spool import SpooledEvent
from agent.store.tables import (
    CallEventRow,
    CallRow,
    ConsentRow,
    DoNotCallRow,
    LineVersionRow,
    RecordingRow,
    StillRow,
    Table,
    ToolInvocationRow,
    UtteranceRow,
)
from agent.transcripts.events import KINDS
from agent.transcripts.folding import fold
from agent.transcripts.redact import redact

log = get_logger(__name__)

Insert = PostgresInsert | SqliteInsert

_SHAPES: Mapping[str, TypeAdapter[Any]] = {
    kind: TypeAdapter(shape) for kind, shape in KINDS.items()
}


async def store_events(db: AsyncSession, events: Sequence[SpooledEvent]) -> None:
    """Write events and everything that follows from them. What is there already stays."""
    writer = _Writer(db)
    await writer.keep(
        CallEventRow,
        [
            {
                "call_id": event.call_id,
                "seq": event.seq,
                "at": event.at,
                "kind": event.kind,
                "payload": dict(event.payload),
            }
            for event in events
        ],
        ("call_id", "seq"),
    )
    for event in events:
        project = _PROJECTIONS.get(event.kind)
        if project is None:
            continue
        try:
            payload = _SHAPES[event.kind].validate_python(event.payload)
        except ValidationError as error:
            # The event itself is kept; only its row in the other table is missing.
            log.error(  # noqa: TRY400 - the validation text may quote what was said
                "event_not_projected", kind=event.kind, seq=event.seq, errors=error.error_count()
            )
            continue
        await project(writer, event, payload)


@dataclass(frozen=True, slots=True)
class _Writer:
    db: AsyncSession

    async def keep(
        self, table: type[Table], rows: list[dict[str, Any]], key: tuple[str, ...]
    ) -> None:
        """Insert rows; those whose key is there already stay as they are."""
        await self.db.execute(self._insert(table).on_conflict_do_nothing(index_elements=key), rows)

    async def merge(
        self,
        table: type[Table],
        row: dict[str, Any],
        key: tuple[str, ...],
        update: Callable[[Insert], dict[str, Any]],
        where: Callable[[Insert], Any] | None = None,
    ) -> None:
        """Insert a row, or update the one with the same key."""
        statement = self._insert(table).values(row)
        await self.db.execute(
            statement.on_conflict_do_update(
                index_elements=key,
                set_=update(statement),
                where=where(statement) if where else None,
            )
        )

    def _insert(self, table: type[Table]) -> Insert:
        if self.db.get_bind().dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)


def _new_call(event: SpooledEvent) -> dict[str, Any]:
    """A call's row as far as any of its events tells."""
    return {
        "id": event.call_id,
        "state": "admitted",
        "state_seq": 0,
        "attempt": 0,
        "end_reason": "",
        "started_at": event.at,
    }


async def _admitted(writer: _Writer, event: SpooledEvent, payload: Mapping[str, Any]) -> None:
    await writer.keep(
        LineVersionRow,
        [
            {
                "id": payload["line_version"],
                "number": payload["to"],
                "first_used_at": event.at,
                "snapshot": payload["line"],
            }
        ],
        ("id",),
    )
    about = {
        "carrier": payload["carrier"],
        "carrier_call_id": payload["carrier_call_id"],
        "direction": payload["direction"],
        "to_number": payload["to"],
        "pii_from_number": payload["pii_from"],
        "business": payload["line"].get("business"),
        "line_version_id": payload["line_version"],
        "started_at": event.at,
    }
    await writer.merge(CallRow, _new_call(event) | about, ("id",), lambda _: about)


async def _state(writer: _Writer, event: SpooledEvent, payload: Mapping[str, Any]) -> None:
    state: str = payload["state"]
    change = {
        "state": state,
        "state_seq": event.seq,
        "attempt": payload["attempt"],
        "end_reason": payload["reason"],
        "answered_at": event.at if state == "connected" else None,
        "ended_at": event.at if state == "ended" else None,
    }

    def update(new: Insert) -> dict[str, Any]:
        first_answer = func.coalesce(CallRow.answered_at, new.excluded.answered_at)
        return change | {"answered_at": first_answer}

    await writer.merge(
        CallRow,
        _new_call(event) | change,
        ("id",),
        update,
        lambda new: CallRow.state_seq < new.excluded.state_seq,
    )


async def _utterance(writer: _Writer, event: SpooledEvent, payload: Mapping[str, Any]) -> None:
    row = {
        "role": payload["role"],
        "pii_text": payload["pii_text"],
        "pii_heard": payload.get("pii_heard"),
        "search_text": fold(redact(payload["pii_text"])),
        "start_ms": payload["start_ms"],
        "end_ms": payload["end_ms"],
        "interrupted": payload.get("interrupted", False),
    }
    await writer.keep(UtteranceRow, [_place(event) | row], ("call_id", "seq"))


async def _recording(writer: _Writer, event: SpooledEvent, payload: Mapping[str, Any]) -> None:
    await writer.keep(RecordingRow, [_place(event) | dict(payload)], ("call_id", "seq"))


async def _still(writer: _Writer, event: SpooledEvent, payload: Mapping[str, Any]) -> None:
    await writer.keep(StillRow, [_place(event) | dict(payload)], ("call_id", "seq"))


async def _tool_intent(writer: _Writer, event: SpooledEvent, payload: Mapping[str, Any]) -> None:
    row = {
        "call_id": event.call_id,
        "tool_call_id": payload["tool_call_id"],
        "seq": event.seq,
        "tool": payload["tool"],
        "idempotency_key": payload["idempotency_key"],
        "pii_arguments": payload["pii_arguments"],
        "status": "started",
        "started_at": event.at,
    }
    await writer.keep(ToolInvocationRow, [row], ("call_id", "tool_call_id"))


async def _tool_result(writer: _Writer, event: SpooledEvent, payload: Mapping[str, Any]) -> None:
    result = {
        "status": payload["status"],
        "pii_result": payload["pii_result"],
        "finished_at": event.at,
        "duration_ms": payload["duration_ms"],
    }
    alone = {
        "call_id": event.call_id,
        "tool_call_id": payload["tool_call_id"],
        "seq": event.seq,
        "tool": payload["tool"],
        "idempotency_key": "",
        "pii_arguments": "",
        "started_at": event.at,
    }
    key = ("call_id", "tool_call_id")
    await writer.merge(ToolInvocationRow, alone | result, key, lambda _: result)


async def _consent(writer: _Writer, event: SpooledEvent, payload: Mapping[str, Any]) -> None:
    row = {key: payload[key] for key in ("about", "reference", "number_hash", "line")}
    await writer.keep(ConsentRow, [_place(event) | row], ("call_id", "seq"))


async def _do_not_call(writer: _Writer, event: SpooledEvent, payload: Mapping[str, Any]) -> None:
    row = {"number_hash": payload["number_hash"], "at": event.at, "reason": "asked in a call"}
    await writer.keep(DoNotCallRow, [row], ("number_hash",))


def _place(event: SpooledEvent) -> dict[str, str | int | datetime]:
    return {"call_id": event.call_id, "seq": event.seq, "at": event.at}


_PROJECTIONS = {
    "call_admitted": _admitted,
    "call_state": _state,
    "utterance": _utterance,
    "recording": _recording,
    "consent": _consent,
    "do_not_call": _do_not_call,
    "still": _still,
    "tool_intent": _tool_intent,
    "tool_result": _tool_result,
}
