"""What was said in a call before this worker took it up: from Redis, else from the call log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import cast

from sqlalchemy.exc import SQLAlchemyError

from agent.api import Direction, IncomingCall
from agent.calls.call import Call, State
from agent.calls.line import Line
from agent.calls.memory import Entry
from agent.calls.repository import CallRecord, CallRepository
from agent.errors import SessionStoreError
from agent.log import get_logger
from agent.session.conversation import Conversations
from agent.session.session import CallSession
from agent.store.journal import EVENTS_PER_EPOCH
from agent.store.tables import ToolInvocationRow, UtteranceRow
from agent.tools.runs import RunStatus, ToolRun, idempotency_key

log = get_logger(__name__)

LOG_LIMIT_S = 1.0
"""Longest wait for the call log: the caller hears nothing meanwhile."""


class Recall:
    """Remembers conversations for whoever goes on with them."""

    def __init__(self, conversations: Conversations, calls: CallRepository) -> None:
        self._conversations = conversations
        self._calls = calls

    async def conversation(self, call_id: str) -> tuple[Entry, ...]:
        """Everything said so far, oldest first; nothing when nobody knows it. Never raises."""
        try:
            kept = await self._conversations.load(call_id)
        except SessionStoreError as error:
            log.warning("conversation_not_loaded", reason=str(error))
            kept = None
        if kept is not None:
            return kept
        record = await self._from_log(call_id)
        return entries_of(record) if record is not None else ()

    async def session(self, call_id: str) -> CallSession | None:
        """A session that Redis has lost; None when the call log does not know it. Never raises."""
        record = await self._from_log(call_id)
        return session_of(record) if record is not None else None

    async def _from_log(self, call_id: str) -> CallRecord | None:
        """The call as far as it has reached the log."""
        try:
            async with asyncio.timeout(LOG_LIMIT_S):
                return await self._calls.get_call(call_id)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("call_not_recalled", reason=type(error).__name__)
            return None


def session_of(record: CallRecord) -> CallSession | None:
    """A call's session as the call log holds it; None when its admission has not arrived yet."""
    row, line = record.call, record.line
    if line is None or row.carrier is None or row.carrier_call_id is None:
        return None
    incoming = IncomingCall(
        carrier=row.carrier,
        carrier_call_id=row.carrier_call_id,
        to_number=row.to_number or "",
        from_number=row.pii_from_number or "",
        direction=cast("Direction", row.direction or "inbound"),
    )
    call = Call(
        state=cast("State", row.state),
        epoch=row.state_seq // EVENTS_PER_EPOCH,
        attempt=row.attempt,
        reason=row.end_reason,
    )
    return CallSession(incoming, Line.model_validate(line.snapshot), call)


def entries_of(record: CallRecord) -> tuple[Entry, ...]:
    """The conversation as the call log holds it."""
    both: list[UtteranceRow | ToolInvocationRow] = [*record.utterances, *record.tools]
    rows = sorted(both, key=lambda row: row.seq)
    return tuple(entry for row in rows for entry in _entries(row) if entry.text)


def _entries(row: UtteranceRow | ToolInvocationRow) -> list[Entry]:
    item_id = f"log_{row.seq}"
    if isinstance(row, UtteranceRow):
        if row.role == "caller":
            return [Entry(item_id, "caller", row.pii_text)]
        return [Entry(item_id, "agent", row.pii_heard or "")]
    call = Entry(item_id, "call", row.pii_arguments, row.tool_call_id, row.tool)
    return [call, Entry(f"{item_id}_output", "output", row.pii_result or "", row.tool_call_id)]


def tool_runs(call_id: str, entries: Sequence[Entry]) -> list[ToolRun]:
    """The tool calls of a conversation, so that what must happen once does not happen again.

    An answer that tells of an error does not say how far the tool came.
    """
    answers = {entry.call_id: entry.text for entry in entries if entry.kind == "output"}
    runs = []
    for entry in entries:
        if entry.kind == "call":
            key = idempotency_key(call_id, entry.name, entry.text)
            answer = answers.get(entry.call_id)
            if answer is None:
                runs.append(ToolRun(entry.call_id, key, "started"))
            else:
                status: RunStatus = "crashed" if _tells_of_error(answer) else "ok"
                runs.append(ToolRun(entry.call_id, key, status, answer))
    return runs


def _tells_of_error(answer: str) -> bool:
    try:
        read = json.loads(answer)
    except ValueError:
        return False
    return isinstance(read, dict) and "error" in read
