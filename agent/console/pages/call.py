"""The page of one call: heard, read and scored; or, while it runs, followed."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from agent.console.following import Following
from agent.console.journal import Journal
from agent.console.markup import Markup, badge, empty, icon, join, tag
from agent.console.moments import moments
from agent.console.parts import Parts
from agent.console.player import Player
from agent.console.remarks import Remarks
from agent.console.revealing import Revealing
from agent.console.scoring import Scoring
from agent.console.shell import frame, show
from agent.console.tables import facts
from agent.console.transcript import Entry, entries, many
from agent.console.visitor import Visitor
from agent.console.words import caller, clock, count, entry, length, outcome, size, state
from agent.errors import NotFoundError, SessionStoreError, VitaError
from agent.supervisor.recordings import Peaks
from agent.supervisor.views import CallDetails, CallSummary, LiveCall

MOST_BARS = 1200
QUIET = 40
"""Peaks of a recording that is all but silent are not blown up beyond this."""


def add(parts: Parts) -> None:
    """The page `/calls/ID`."""

    @ui.page("/calls/{call_id}")
    async def call(request: Request, call_id: str, at: int = -1, seq: int = -1) -> None:
        visitor = parts.visitor(request)
        running = await _running(parts, visitor, call_id)
        details = await _details(parts, visitor, call_id)
        if details is None and running is None:
            with frame(visitor, parts.about, "Not found", here="/calls", over="Calls"):
                back = tag("a", "Back to all calls", href="/calls", cls="link")
                why = "It may be over its time to be kept, or the address is wrong."
                show(empty("search_off", "There is no such call", why, back), "paper")
            return
        title = _title(details.summary if details else None, running)
        with frame(visitor, parts.about, title, here="/calls", over="Calls"):
            view = CallView(parts, visitor, call_id, details, running)
            await view.build(at, seq)


async def _running(parts: Parts, visitor: Visitor, call_id: str) -> LiveCall | None:
    try:
        calls = await parts.watch.calls(visitor.actor)
    except SessionStoreError:
        return None
    return next((call for call in calls if call.call_id == call_id), None)


async def _details(parts: Parts, visitor: Visitor, call_id: str) -> CallDetails | None:
    """None also for a call that is so new that the log does not have it yet."""
    try:
        return await parts.desk.calls.get(visitor.actor, call_id)
    except NotFoundError:
        return None


def _title(summary: CallSummary | None, running: LiveCall | None) -> str:
    about = summary or running
    return (about.business or entry(about.line)) if about else ""


class CallView:
    """One open call page."""

    def __init__(
        self,
        parts: Parts,
        visitor: Visitor,
        call_id: str,
        details: CallDetails | None,
        running: LiveCall | None,
    ) -> None:
        self._parts = parts
        self._visitor = visitor
        self._call_id = call_id
        self._details = details
        self._running = running
        self._moments: list[Entry] = []

    async def build(self, at_ms: int, seq: int) -> None:
        """Put the call on the page; playback stands at `at_ms`, the line `seq` is marked."""
        self._head = show(Markup(""), "call-head")
        with ui.element("div").classes("call-grid"):
            with ui.element("div").classes("main-col"):
                if self._running is not None:
                    self._follow()
                else:
                    await self._review(at_ms, seq)
            with ui.element("div").classes("side-col"):
                await self._side()
        self._draw_head(self._details)

    def _follow(self) -> None:
        Following(self._parts, self._visitor, self._call_id).build()

    async def _review(self, at_ms: int, seq: int) -> None:
        details = self._details
        if details is None:
            return
        events = await self._parts.desk.calls.events(self._visitor.actor, self._call_id)
        self._moments = moments(events)
        await self._player(details, at_ms)
        with ui.element("section").classes("paper"):
            with ui.element("div").classes("tab-row"):
                with ui.tabs().props("dense align=left no-caps indicator-color=primary") as tabs:
                    said = ui.tab("Transcript")
                    happened = ui.tab("Events")
                ui.space()
                Revealing(self._parts, self._visitor, self._call_id, self._draw).build()
            with ui.tab_panels(tabs, value=said).props("animated=false"):
                with ui.tab_panel(said):
                    self._transcript = show(Markup(""), "transcript")
                with ui.tab_panel(happened):
                    Journal(self._parts, self._visitor, self._call_id).build(tabs, "Events")
        self._draw(details)
        if seq >= 0:
            _ = ui.run_javascript(f"vitaFound('line-{seq}')")

    async def _player(self, details: CallDetails, at_ms: int) -> None:
        if not details.recordings:
            what = "This call was not recorded: its line has recording off, or it never connected."
            show(join(icon("mic_off"), tag("span", what)), "paper quiet")
            return
        if not self._visitor.actor.may("listen"):
            show(
                join(icon("lock"), tag("span", "Your role may not listen to recordings.")),
                "paper quiet",
            )
            return
        for recording in details.recordings:
            source = f"/media/{self._call_id}/recordings/{recording.number}"
            try:
                peaks = await self._parts.desk.recordings.peaks(
                    self._visitor.actor, self._call_id, recording.number
                )
            except VitaError as error:
                show(join(icon("error_outline"), tag("span", str(error))), "paper quiet")
                continue
            with ui.element("div").classes("paper player-box"):
                Player(
                    source,
                    peaks=bars(peaks),
                    duration_ms=recording.duration_ms,
                    start_ms=at_ms,
                    leads=recording.number == 0,
                )

    def _draw(self, details: CallDetails) -> None:
        self._details = details
        playable = bool(details.recordings) and self._visitor.actor.may("listen")
        found = sorted(
            entries(details, playable=playable) + self._moments, key=lambda entry: entry.order
        )
        if found:
            self._transcript.set_content(many(found))
        else:
            self._transcript.set_content(
                empty(
                    "speaker_notes_off",
                    "Nothing was said",
                    "The caller hung up before a word fell.",
                )
            )
        self._draw_head(details)

    def _draw_head(self, details: CallDetails | None) -> None:
        if self._running is not None:
            words, colour = state(self._running.state)
            running = self._running
            who, begun = caller(running.caller, running.line), running.started_at
            age = tag("time", "", data_since=begun.isoformat(), cls="num")
            parts = [badge(words, colour, dot="beat"), age]
        elif details is not None:
            words, colour = outcome(details.summary.outcome)
            summary = details.summary
            who, begun = caller(summary.caller, summary.line), summary.started_at
            talked = details.summary.duration_ms
            parts = (
                [badge(words, colour), tag("span", clock(talked), cls="num")]
                if talked
                else [badge(words, colour)]
            )
        else:
            return
        if details is not None and details.summary.flagged:
            parts.append(badge("Flagged", "bad"))
        if details is not None and details.revealed:
            parts.append(badge("Revealed", "warn"))
        self._head.set_content(
            join(
                tag("span", who, cls="big num"),
                *parts,
                tag("span", self._visitor.when(begun), cls="muted"),
                self._download(details),
            )
        )

    def _download(self, details: CallDetails | None) -> Markup | None:
        if details is None or not details.recordings or not self._visitor.actor.may("listen"):
            return None
        links = [
            tag(
                "a",
                icon("download"),
                "Recording",
                href=f"/media/{self._call_id}/recordings/{each.number}?download=1",
                cls="button",
                title=f"WAV, {size(each.bytes)}: caller left, agent right",
            )
            for each in details.recordings
        ]
        return tag("span", *links, cls="acts")

    async def _side(self) -> None:
        if self._details is not None:
            about = tag("div", self._facts(self._details), cls="body")
            show(join(tag("div", tag("h2", "About"), cls="head"), about), "paper")
            await Remarks(self._parts, self._visitor, self._call_id).build()
            if self._running is None:
                await Scoring(self._parts, self._visitor, self._call_id).build()

    def _facts(self, details: CallDetails) -> Markup:
        summary = details.summary
        waits = sorted(turn.latency_ms for turn in details.turns)
        middle = length(waits[(len(waits) - 1) // 2]) if waits else "–"
        cut = sum(line.interrupted for line in details.utterances)
        if self._running is not None:
            return facts(
                ("Line", entry(summary.line)),
                ("Direction", summary.direction.capitalize() or "–"),
                ("Started", self._visitor.exactly(summary.started_at)),
                ("Call", tag("span", summary.id[:12], cls="mono", title=summary.id)),
            )
        return facts(
            ("Line", entry(summary.line)),
            ("Direction", summary.direction.capitalize() or "–"),
            ("Started", self._visitor.exactly(summary.started_at)),
            ("Length", length(summary.duration_ms)),
            ("Turns", str(len(details.turns))),
            ("Typical answer", middle),
            ("Slowest answer", length(waits[-1]) if waits else "–"),
            ("Interrupted", count(cut, "time")),
            ("Tools", ", ".join(summary.tools) or "none"),
            ("Call", tag("span", summary.id[:12], cls="mono", title=summary.id)),
        )


def bars(peaks: Peaks) -> list[list[float]]:
    """Peaks as the waveform draws them: at most `MOST_BARS` a channel, the loudest is 1."""
    loudest = max((max(channel, default=0) for channel in peaks.channels), default=0)
    found = []
    for channel in peaks.channels[:2]:
        step = max(-(-len(channel) // MOST_BARS), 1)
        found.append(
            [
                round(max(channel[start : start + step]) / max(loudest, QUIET), 2)
                for start in range(0, len(channel), step)
            ]
        )
    return found
