"""Figures over a stretch of time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from agent.api_http.parts import Parts, TaggedRoute, Time, Who
from agent.supervisor.statistics import Statistics

router = APIRouter(route_class=TaggedRoute, tags=["statistics"])


@router.get("/statistics")
async def statistics(
    parts: Parts,
    who: Who,
    since: Annotated[Time, Query(description="With a time zone.")],
    until: Annotated[Time, Query(description="At most 92 days later; not included.")],
    line: Annotated[str, Query(max_length=64)] = "",
) -> Statistics:
    """Calls by hour, how they ended, how fast the answers came, how tools were used."""
    return await parts.desk.statistics.between(who, since, until, line=line)
