"""Charts: calls by hour, how they ended, how fast answers came, which tools were used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from nicegui import ui
from starlette.requests import Request

from agent.clock import SystemClock
from agent.console.chart_options import answers, hours, outcomes, tools
from agent.console.controls import choice, day_range
from agent.console.filters import line_options, period
from agent.console.markup import Markup, empty, join, tag
from agent.console.parts import Parts
from agent.console.shell import frame, show
from agent.console.tables import figure
from agent.console.visitor import Visitor, handled
from agent.console.words import clock, count, length
from agent.supervisor.statistics import Statistics

CHOICES = {
    "today": "Today",
    "yesterday": "Yesterday",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "range": "From – to …",
}
LONGEST = timedelta(days=92)
MOST_POINTS = 31
"""Points of the curve of latencies: each is a look at the figures of its own."""


def add(parts: Parts) -> None:
    """The page `/charts`."""

    @ui.page("/charts", response_timeout=15)
    async def charts(request: Request) -> None:
        visitor = parts.visitor(request)
        asked = {name: value[:200] for name, value in request.query_params.items()}
        with frame(visitor, parts.about, "Charts", here="/charts"):
            await Charts(parts, visitor, asked).build()


class Charts:
    """One open page of charts."""

    def __init__(self, parts: Parts, visitor: Visitor, asked: dict[str, str]) -> None:
        self._parts = parts
        self._visitor = visitor
        when = asked.get("when", "")
        self._asked = {**asked, "when": when if when in CHOICES else "7d"}

    async def build(self) -> None:
        """Put filters and charts on the page."""
        lines = {"": "All lines", **await line_options(self._parts, self._visitor)}
        with ui.element("div").classes("filters"):
            self._choice("when", CHOICES, "Period")
            self._choice("line", lines, "Line")
            self._days = day_range(self._asked, self._changer)
            self._days.set_visibility(self._asked["when"] == "range")
        self._figures = show(Markup(""), "figures")
        self._place = ui.element("div").classes("w-all")
        await self._draw()

    def _choice(self, name: str, options: dict[str, str], label: str) -> None:
        value = self._asked.get(name, "")
        box = choice(options, label, value if value in options else "")
        box.on_value_change(self._changer(name))

    def _changer(self, name: str) -> Callable[..., Awaitable[None]]:
        return handled(self._visitor, lambda e: self._change(name, str(e.value or "")))

    async def _change(self, name: str, value: str) -> None:
        self._asked[name] = value
        self._days.set_visibility(self._asked["when"] == "range")
        ui.navigate.history.replace("/charts?" + urlencode(self._asked))
        await self._draw()

    def _range(self) -> tuple[datetime, datetime]:
        asked = self._asked
        first, last = asked.get("from", ""), asked.get("to", "")
        looked = period(asked["when"], self._visitor.place, first, last)
        until = looked.until or SystemClock().now()
        since = looked.since or until - timedelta(days=7)
        return max(min(since, until - timedelta(hours=1)), until - LONGEST), until

    async def _draw(self) -> None:
        since, until = self._range()
        found = await self._between(since, until)
        self._figures.set_content(_figures(found))
        self._place.clear()
        with self._place:
            if not found.calls:
                what = "Choose a longer period or another line."
                show(empty("insights", "No call in this time", what), "paper")
                return
            curve = await self._curve(since, until)
            place = self._visitor.place
            with ui.element("div").classes("charts"):
                _chart("Calls", "by the hour they came in", hours(found, place), wide=True)
                _chart("Time to answer", "from the caller's last sound", answers(curve, place))
                _chart("How calls ended", "", outcomes(found))
                if found.tools:
                    _chart("Tools", "times used", tools(found), wide=True)

    async def _between(self, since: datetime, until: datetime) -> Statistics:
        line = self._asked.get("line", "")
        return await self._parts.desk.statistics.between(
            self._visitor.actor, since, until, line=line
        )

    async def _curve(self, since: datetime, until: datetime) -> Sequence[Statistics]:
        step = timedelta(hours=1) if until - since <= timedelta(days=1) else timedelta(days=1)
        step = max(step, timedelta(days=-(-(until - since).days // MOST_POINTS)))
        points: list[Statistics] = []
        at = since
        while at < until and len(points) < MOST_POINTS:
            points.append(await self._between(at, min(at + step, until)))
            at += step
        return points


def _figures(found: Statistics) -> Markup:
    share = f"{100 * found.answered / found.calls:.0f}" if found.calls else "–"
    wait, talk = found.latency_ms, found.duration_ms
    return join(
        figure("Calls", f"{found.calls:,}", count(found.answered, "call") + " answered"),
        figure("Answered", share, "of all calls", unit="%" if found.calls else ""),
        figure(
            "Typical length", clock(talk.p50) if talk.p50 is not None else "–", "half are shorter"
        ),
        figure("Answer, half within", length(wait.p50), count(wait.count, "turn")),
        figure("Answer, 99 in 100", length(wait.p99), f"9 in 10 within {length(wait.p90)}"),
    )


def _chart(title: str, about: str, options: dict[str, Any], *, wide: bool = False) -> None:
    with ui.element("section").classes("paper wide" if wide else "paper"):
        show(join(tag("h2", title), tag("span", about, cls="muted small")), "head")
        ui.echart(options).classes("chart")
