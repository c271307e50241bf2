"""Calls that run now, and one of them as it goes on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from agent.errors import InvalidRequestError, NotFoundError
from agent.session.live import LiveEvent as FeedEvent
from agent.session.live import LiveFeed
from agent.session.live_calls import LiveCallList
from agent.session.session import Sessions
from agent.session.store import SessionStore
from agent.supervisor.access import Actor
from agent.supervisor.audit import AuditLog
from agent.supervisor.views import LiveCall, LiveEvent
from agent.transcripts.redact import mask_number, redact, redact_payload

WAIT_S = 2.0
GONE_AFTER_S = 20.0
"""A call that nobody serves any more may be taken up by another worker; then it is over."""
START = "0-0"
_POSITION = re.compile(r"[0-9]{1,18}-[0-9]{1,18}")


class LiveCalls:
    """Looks at running calls. Needs `read`.

    `waiting` is a connection of its own to the same store: its commands wait for what comes.
    """

    def __init__(self, store: SessionStore, waiting: SessionStore, audit: AuditLog) -> None:
        self._store = store
        self._waiting = waiting
        self._audit = audit
        self._running = LiveCallList(store)
        self._sessions = Sessions(store)
        self._feed = LiveFeed(store)

    async def list(self, actor: Actor) -> Sequence[LiveCall]:
        """The calls that run now, the newest first.

        Raises:
            PermissionDeniedError: The actor may not.
            SessionStoreError: Redis is out of reach.
        """
        actor.need("read")
        found = [await self._look(call_id) for call_id in await self._running.running()]
        calls = [call for call in found if call is not None]
        return sorted(calls, key=lambda call: (call.started_at, call.call_id), reverse=True)

    async def follow(
        self, actor: Actor, call_id: str, *, after: str = START, reveal: bool = False
    ) -> AsyncIterator[LiveEvent]:
        """Events of a call from a position on, as they come, until the call is over.

        Raises:
            PermissionDeniedError: The actor may not.
            NotFoundError: The call is unknown to the live view, or over for hours.
            InvalidRequestError: The position is none of ours.
            SessionStoreError: Redis is out of reach.
        """
        batches = self.batches(actor, call_id, after=after, reveal=reveal)
        async for batch in batches:
            for event in batch:
                yield event

    async def batches(
        self, actor: Actor, call_id: str, *, after: str = START, reveal: bool = False
    ) -> AsyncIterator[Sequence[LiveEvent]]:
        """As `follow`, several events at a time; an empty one every two seconds of silence.

        Raises:
            As `follow`.
        """
        await self.check(actor, call_id, after=after, reveal=reveal)
        quiet_since: float | None = None
        ended = False
        loop = asyncio.get_running_loop()
        while True:
            events = await self._feed.wait(
                self._waiting, call_id, after=after, wait_s=WAIT_S / 8 if ended else WAIT_S
            )
            for event in events:
                after = event.position
                if event.kind == "call_state":
                    ended = event.payload.get("state") == "ended"
            yield [_shown(event, reveal=reveal) for event in events]
            if events:
                quiet_since = None
                continue
            if call_id in await self._running.running():
                quiet_since = None
                continue
            quiet_since = loop.time() if quiet_since is None else quiet_since
            if ended or loop.time() - quiet_since > GONE_AFTER_S:
                return

    async def check(
        self, actor: Actor, call_id: str, *, after: str = START, reveal: bool = False
    ) -> None:
        """Whether a call can be followed from a position; a revealing look is kept.

        Raises:
            As `follow`.
        """
        actor.need("read")
        if reveal:
            actor.need("reveal")
        if not _POSITION.fullmatch(after):
            raise InvalidRequestError(f"A position looks like 1700000000000-0; start with {START}.")
        if not await self._feed.read(call_id, limit=1):
            raise NotFoundError(f"The call {call_id} is not running, and has not been for hours.")
        if reveal:
            await self._audit.record(actor, "call.reveal", f"call/{call_id}")

    async def _look(self, call_id: str) -> LiveCall | None:
        session = await self._sessions.load(call_id)
        if session is None:
            return None
        first = await self._feed.read(call_id, limit=1)
        last = await self._feed.tail(call_id)
        said = next((event for event in last if event.kind in ("utterance", "caption")), None)
        turn = next((event for event in last if event.kind == "turn"), None)
        words: Mapping[str, Any] = said.payload if said else {}
        return LiveCall(
            call_id=call_id,
            line=session.line.entry,
            business=session.line.business,
            direction=session.incoming.direction,
            caller=mask_number(session.incoming.from_number),
            state=session.call.state,
            started_at=first[0].at if first else datetime.now(UTC),
            last_role=str(words.get("role", "")),
            last_text=redact(str(words.get("pii_text", ""))),
            latency_ms=int(turn.payload["latency_ms"]) if turn else None,
        )


def _shown(event: FeedEvent, *, reveal: bool) -> LiveEvent:
    payload = event.payload if reveal else redact_payload(event.payload)
    return LiveEvent(event.position, event.seq, event.kind, event.at, payload)
