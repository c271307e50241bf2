"""Calls that run now; one of them as a stream of server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from agent.api_http.parts import Parts, Reveal, Who
from agent.errors import SessionStoreError
from agent.supervisor.live import START
from agent.supervisor.views import LiveCall, LiveEvent

router = APIRouter(tags=["live"])

QUIET_ROUNDS = 6
"""Rounds of two seconds without an event after which a comment keeps the connection open."""
END = ".end"
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "Events until the call ends."},
    204: {"description": "The call is over, and you have seen its end."},
}


@router.get("/live")
async def list_live_calls(parts: Parts, who: Who) -> Sequence[LiveCall]:
    """The calls that run now, newest first."""
    return await parts.desk.live.list(who)


@router.get("/calls/{call_id}/live", responses=_STREAM, response_class=StreamingResponse)
async def follow_call(
    parts: Parts,
    who: Who,
    call_id: str,
    *,
    after: Annotated[str, Query(max_length=40, description="Id of the last event seen.")] = START,
    last_event_id: Annotated[str, Header(max_length=40)] = "",
    reveal: Reveal = False,
) -> Response:
    """A call as server-sent events, from its start or after an event, until it ends.

    Every event has an id; who comes back with it as `Last-Event-ID` misses nothing. The kinds are
    those of the journal, `caption` for words while they are heard, and `end`.
    """
    position = last_event_id or after
    if position.endswith(END):
        return Response(status_code=204)
    await parts.desk.live.check(who, call_id, after=position, reveal=reveal)
    batches = parts.desk.live.batches(who, call_id, after=position, reveal=reveal)
    return StreamingResponse(
        _stream(batches, position),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(batches: AsyncIterator[Sequence[LiveEvent]], position: str) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    quiet = 0
    try:
        async for batch in batches:
            quiet = 0 if batch else quiet + 1
            if quiet == QUIET_ROUNDS:
                quiet = 0
                yield ": still here\n\n"
            for event in batch:
                position = event.position
                yield _sent(event.position, event.kind, asdict(event))
    except SessionStoreError:
        # Who follows comes back by itself, with the last id.
        return
    yield _sent(f"{position}{END}", "end", {})


def _sent(position: str, kind: str, data: dict[str, Any]) -> str:
    # JSON has no line breaks of its own, so one `data` line holds it.
    return f"id: {position}\nevent: {kind}\ndata: {json.dumps(data, default=str)}\n\n"
