"""Calls: which there were, what was said and done in each, and placing one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from agent.api_http.parts import PAGE, Cursor, Limit, Parts, Reveal, TaggedRoute, Time, Who
from agent.calls.outbound import OutboundRequest
from agent.supervisor.views import (
    CallDetails,
    CallFilter,
    CallSummary,
    EventView,
    Page,
    SearchHit,
    ToolCallView,
    UtteranceView,
)

router = APIRouter(route_class=TaggedRoute, tags=["calls"])

State = Literal["admitted", "connected", "in_progress", "transferring", "ended"]
When = Annotated[Time | None, Query(description="With a time zone: 2026-03-02T09:30:00Z.")]
Word = Annotated[str, Query(max_length=200)]


@router.get("/calls")
async def list_calls(
    parts: Parts,
    who: Who,
    *,
    line: Annotated[str, Query(max_length=64, description="A number, or `web:NAME`.")] = "",
    state: State | None = None,
    outcome: Annotated[str, Query(max_length=32, description="Such as `caller_hung_up`.")] = "",
    since: When = None,
    until: When = None,
    tool: Annotated[str, Query(max_length=64, description="A tool that was used.")] = "",
    flagged: Annotated[bool | None, Query(description="Whether a note flags the call.")] = None,
    text: Annotated[Word, Query(description="Words that were said, as in `/search`.")] = "",
    caller: Annotated[str, Query(max_length=16, description="Exact number; needs `reveal`.")] = "",
    limit: Limit = PAGE,
    cursor: Cursor = None,
    reveal: Reveal = False,
) -> Page[CallSummary]:
    """Calls, newest first."""
    which = CallFilter(
        line=line,
        state=state or "",
        outcome=outcome,
        since=since,
        until=until,
        tool=tool,
        flagged=flagged,
        text=text,
        caller=caller,
    )
    return await parts.desk.calls.list(who, which, limit=limit, cursor_after=cursor, reveal=reveal)


@router.get("/calls/{call_id}")
async def get_call(parts: Parts, who: Who, call_id: str, *, reveal: Reveal = False) -> CallDetails:
    """One call with its utterances, tools, latencies, recordings and pictures."""
    return await parts.desk.calls.get(who, call_id, reveal=reveal)


@router.get("/calls/{call_id}/transcript")
async def get_transcript(
    parts: Parts, who: Who, call_id: str, *, reveal: Reveal = False
) -> Sequence[UtteranceView]:
    """What was said in a call, in order."""
    return (await parts.desk.calls.get(who, call_id, reveal=reveal)).utterances


@router.get("/calls/{call_id}/tools")
async def get_tool_calls(
    parts: Parts, who: Who, call_id: str, *, reveal: Reveal = False
) -> Sequence[ToolCallView]:
    """The tools a call used, with what they were asked and what they answered."""
    return (await parts.desk.calls.get(who, call_id, reveal=reveal)).tools


@router.get("/calls/{call_id}/events")
async def get_events(
    parts: Parts, who: Who, call_id: str, *, reveal: Reveal = False
) -> Sequence[EventView]:
    """The journal of a call: everything that happened, in order."""
    return await parts.desk.calls.events(who, call_id, reveal=reveal)


@router.get("/search", tags=["search"])
async def search(
    parts: Parts,
    who: Who,
    q: Annotated[
        str,
        Query(min_length=1, max_length=200, description='All of: words, "a phrase", beginn*.'),
    ],
    *,
    line: Annotated[str, Query(max_length=64)] = "",
    limit: Limit = PAGE,
    cursor: Cursor = None,
    reveal: Reveal = False,
) -> Page[SearchHit]:
    """Utterances with these words, newest first."""
    return await parts.desk.search.find(
        who, q, line=line, limit=limit, cursor_after=cursor, reveal=reveal
    )


class CallOrder(BaseModel):
    """Somebody to call."""

    line: str = Field(max_length=64, description="Number of the line that calls.")
    to: str = Field(max_length=16, description="Number to call, E.164.")
    consent: str = Field(
        "", max_length=200, description="What shows that the person agreed, such as a form's id."
    )
    purpose: str = Field("", max_length=200, description="Why, for the log.")
    time_zone: str = Field("", max_length=64, description="Where the person lives.")


class PlacedCall(BaseModel):
    """A call that was placed; it is in the log under `call_id`."""

    call_id: str
    state: Literal["placed"]


@router.post("/calls", status_code=201)
async def place_call(parts: Parts, who: Who, order: CallOrder) -> PlacedCall:
    """Call somebody who agreed to be called. Needs `place_calls`."""
    who.need("place_calls")
    wish = OutboundRequest(order.line, order.to, order.consent, order.purpose, order.time_zone)
    placed = await parts.outbound.place(wish)
    await parts.desk.audit.record(who, "call.place", f"call/{placed.call_id}")
    return PlacedCall(call_id=placed.call_id, state=placed.state)
