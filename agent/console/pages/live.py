"""The live board: a card for every running call."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from agent.console.markup import Child, Markup, badge, empty, icon, join, tag
from agent.console.parts import Parts
from agent.console.shell import frame, show
from agent.console.tables import figure
from agent.console.visitor import Visitor
from agent.console.words import caller, clock, count, entry, length, state
from agent.errors import NotSignedInError, SessionStoreError, VitaError
from agent.supervisor.statistics import Statistics
from agent.supervisor.views import LiveCall

EVERY_S = 1.0
FIGURES_EVERY = 15
"""Looks at the board between two looks at the day's figures."""
NO_REDIS = (
    "Live events do not come in: Redis is out of reach, or no agent has run yet. "
    "Running calls go on, and are logged."
)
FAST_MS, SLOW_MS = 800, 1500


def add(parts: Parts) -> None:
    """The page `/`."""

    @ui.page("/")
    async def board(request: Request) -> None:
        visitor = parts.visitor(request)
        with frame(visitor, parts.about, "Live", here="/"):
            await Board(parts, visitor).build()


class Board:
    """One open board. It looks once a second and draws what has changed."""

    def __init__(self, parts: Parts, visitor: Visitor) -> None:
        self._parts = parts
        self._visitor = visitor
        self._looks = 0
        self._calls: list[LiveCall] = []
        self._trouble = ""

    async def build(self) -> None:
        """Put the board on the page."""
        self._figures = show(Markup(""), "figures")
        self._notice = show(Markup(""), "notice")
        self._cards = show(Markup(""))
        await self._look()
        self._timer = ui.timer(EVERY_S, self._look)

    async def _look(self) -> None:
        try:
            await self._visitor.check()
            self._calls = list(await self._parts.watch.calls(self._visitor.actor))
            self._trouble = ""
        except NotSignedInError:
            self._timer.cancel()
            ui.navigate.to("/sign-in")
            return
        except SessionStoreError:
            self._trouble = NO_REDIS
        except VitaError as error:
            self._trouble = str(error)
        if self._looks % FIGURES_EVERY == 0:
            await self._count()
        self._looks += 1
        self._draw()

    async def _count(self) -> None:
        since, until = self._visitor.today()
        try:
            found = await self._parts.desk.statistics.between(self._visitor.actor, since, until)
        except VitaError:
            return
        self._figures.set_content(_figures(found, len(self._calls)))

    def _draw(self) -> None:
        # What was shown last stays, and says that it is old.
        self._notice.set_content(join(badge("Stale", "warn"), tag("span", self._trouble)))
        self._notice.set_visibility(bool(self._trouble))
        if self._calls:
            cards = [_card(call) for call in self._calls]
            self._cards.set_content(
                tag("div", *cards, cls="board stale" if self._trouble else "board")
            )
        else:
            self._cards.set_content(tag("div", _nobody(), cls="paper"))
        self._cards.set_visibility(bool(self._calls) or not self._trouble)


def _figures(found: Statistics, running: int) -> Markup:
    share = f"{100 * found.answered / found.calls:.0f}" if found.calls else "–"
    wait, talk = found.latency_ms, found.duration_ms
    return join(
        figure("Now", str(running), "on the phone"),
        figure("Today", f"{found.calls:,}", count(found.answered, "call") + " answered"),
        figure("Answered", share, "of today's calls", unit="%" if found.calls else ""),
        figure("Time to answer", length(wait.p50), f"9 in 10 within {length(wait.p90)}"),
        figure(
            "Typical length", clock(talk.p50) if talk.p50 is not None else "–", "half are shorter"
        ),
    )


def _nobody() -> Markup:
    return empty(
        "sensors",
        "Nobody is on the phone",
        "A call shows up here the moment it comes in, and its words as they are said.",
        tag("a", "Look at past calls", href="/calls", cls="link"),
    )


def _card(call: LiveCall) -> Markup:
    words, colour = state(call.state)
    said: tuple[Child, ...] = ("No word yet.",)
    if call.last_text:
        name = "Caller" if call.last_role == "caller" else "Agent"
        said = (tag("b", name, cls=call.last_role), " ", call.last_text)
    age = tag("time", "", cls="age", data_since=call.started_at.isoformat())
    way = icon("call_made") if call.direction == "outbound" else None
    return tag(
        "a",
        tag(
            "div", tag("span", call.business or entry(call.line), cls="strong clip"), age, cls="top"
        ),
        tag("div", *said, cls="said"),
        tag(
            "div",
            badge(words, colour, dot="beat"),
            tag("span", way, caller(call.caller, call.line), cls="num"),
            _light(call.latency_ms),
            cls="foot",
        ),
        href=f"/calls/{call.call_id}",
        cls="card-call",
        id=f"call-{call.call_id}",
    )


def _light(latency_ms: int | None) -> Markup | None:
    """How fast the last answer came, in a colour."""
    if latency_ms is None:
        return None
    colour = "good" if latency_ms <= FAST_MS else "warn" if latency_ms <= SLOW_MS else "bad"
    return tag(
        "span", tag("i", cls="dot"), length(latency_ms), cls=f"light {colour}", title="Last answer"
    )
