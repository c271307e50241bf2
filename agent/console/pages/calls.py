"""The list of calls: filters, figures, sorting, paging, and search in what was said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from nicegui import ui
from starlette.requests import Request

from agent.console.controls import choice, day_range, plain_button
from agent.console.filters import PERIODS, Period, line_options, outcome_options, period
from agent.console.markup import Markup, badge, empty, icon, join, tag
from agent.console.parts import Parts
from agent.console.shell import frame, show
from agent.console.tables import figure, table
from agent.console.visitor import Visitor, handled
from agent.console.words import caller, clock, count, entry, length, outcome, state
from agent.errors import InvalidRequestError
from agent.supervisor.views import CallFilter, CallSummary, Page, SearchHit

PAGE = 50
COLUMNS = (
    ("started", "Started"),
    ("line", "Line"),
    ("caller", "Caller"),
    ("outcome", "Outcome"),
    ("length", "Length"),
    ("", "Tools"),
    ("score", "Score"),
)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
SORTS: dict[str, Callable[[CallSummary], tuple[float | str, ...]]] = {
    "started": lambda call: (call.started_at.timestamp(),),
    "line": lambda call: (call.business or call.line,),
    "caller": lambda call: (call.caller,),
    "outcome": lambda call: (call.outcome or call.state,),
    "length": lambda call: (call.duration_ms or 0,),
    "score": lambda call: (call.score if call.score is not None else -1,),
}


def add(parts: Parts) -> None:
    """The page `/calls`."""

    @ui.page("/calls")
    async def calls(request: Request) -> None:
        visitor = parts.visitor(request)
        asked = {name: value[:200] for name, value in request.query_params.items()}
        listing = Listing(parts, visitor, asked)
        with frame(visitor, parts.about, "Calls", here="/calls", find=listing.text):
            await listing.build()


class Listing:
    """One open list: what it is filtered by, and what it has loaded."""

    def __init__(self, parts: Parts, visitor: Visitor, asked: dict[str, str]) -> None:
        self.parts = parts
        self.visitor = visitor
        self.asked = asked
        self.calls: list[CallSummary] = []
        self.hits: list[SearchHit] = []
        self.next: str | None = None
        self.sort = "started"
        self.down = True

    @property
    def text(self) -> str:
        """The words that are looked for; empty for none."""
        return self.asked.get("q", "").strip()

    @property
    def searching(self) -> bool:
        """Whether lines of transcripts are listed, not calls."""
        return bool(self.text) and self.asked.get("show") != "calls"

    @property
    def period(self) -> Period:
        """The stretch of time that is looked at."""
        asked = self.asked
        return period(
            asked.get("when", "all"), self.visitor.place, asked.get("from", ""), asked.get("to", "")
        )

    def filter(self) -> CallFilter:
        """What the filters stand at."""
        return CallFilter(
            line=self.asked.get("line", ""),
            outcome=self.asked.get("outcome", ""),
            since=self.period.since,
            until=self.period.until,
            tool=self.asked.get("tool", ""),
            flagged=True if self.asked.get("flagged") else None,
            text=self.text,
        )

    async def build(self) -> None:
        """Put filters, figures and rows on the page."""
        await self._filters()
        self.figures = show(Markup(""), "figures")
        with ui.element("div").classes("paper"):
            self.rows = show(Markup(""), "table-box")
            self.rows.on("click", handled(self.visitor, self._sorted), js_handler=SORT_CLICK)
        self.more = plain_button("Load more", handled(self.visitor, self._load_more))
        await self._load()

    async def _filters(self) -> None:
        with ui.element("div").classes("filters"):
            lines = await line_options(self.parts, self.visitor)
            self._select("line", {"": "All lines", **lines}, "Line")
            if not self.searching:
                self._select("outcome", {"": "All outcomes", **outcome_options()}, "Outcome")
                tools = {tool.name: tool.name for tool in self.parts.registry}
                self._select("tool", {"": "All tools", **tools}, "Tool")
                self._select("when", dict(PERIODS), "Started", default="all")
                self.range = day_range(self.asked, self._changer)
                self.range.set_visibility(self.asked.get("when") == "range")
                flagged = ui.checkbox("Flagged", value=bool(self.asked.get("flagged")))
                flagged.props("dense").on_value_change(
                    handled(self.visitor, lambda e: self._change("flagged", "1" if e.value else ""))
                )
            if self.text:
                ui.space()
                show(self._views())

    def _views(self) -> Markup:
        """Lines or calls: two ways to look at what a search found."""
        calls = "?" + urlencode({**self.asked, "show": "calls"})
        lines = "?" + urlencode({"q": self.text, "line": self.asked.get("line", "")})
        here = "on" if self.searching else ""
        return tag(
            "span",
            tag("a", "Lines", href=lines, cls=here),
            tag("a", "Calls", href=calls, cls="" if here else "on"),
            tag("a", icon("close"), href="/calls", title="Leave the search"),
            cls="pair",
        )

    def _select(self, name: str, options: dict[str, str], label: str, default: str = "") -> None:
        value = self.asked.get(name, default)
        box = choice(options, label, value if value in options else default)
        box.on_value_change(
            handled(
                self.visitor, lambda e: self._change(name, "" if e.value == default else e.value)
            )
        )

    def _changer(self, name: str) -> Callable[..., Awaitable[None]]:
        return handled(self.visitor, lambda e: self._change(name, e.value or ""))

    async def _change(self, name: str, value: str) -> None:
        self.asked = {key: kept for key, kept in {**self.asked, name: value}.items() if kept}
        if name == "when":
            self.range.set_visibility(value == "range")
        ui.navigate.history.replace("/calls?" + urlencode(self.asked))
        await self._load()

    async def _load(self) -> None:
        self.calls, self.hits, self.next = [], [], None
        self.figures.set_visibility(not self.text)
        if not self.text:
            self.figures.set_content(await self._figures())
        await self._load_more()

    async def _load_more(self) -> None:
        actor = self.visitor.actor
        if self.searching:
            self._take_hits(await self._find())
        else:
            page = await self.parts.desk.calls.list(
                actor, self.filter(), limit=PAGE, cursor_after=self.next
            )
            self.calls += page.items
            self.next = page.next
        self._draw()

    async def _find(self) -> Page[SearchHit]:
        try:
            return await self.parts.desk.search.find(
                self.visitor.actor,
                self.text,
                line=self.asked.get("line", ""),
                limit=PAGE,
                cursor_after=self.next,
            )
        except InvalidRequestError:
            return Page([])

    def _take_hits(self, page: Page[SearchHit]) -> None:
        self.hits += page.items
        self.next = page.next

    async def _sorted(self, event: object) -> None:
        name = str(getattr(event, "args", ""))
        if name not in SORTS:
            return
        self.down = not self.down if name == self.sort else name in {"started", "length", "score"}
        self.sort = name
        self._draw()

    def _draw(self) -> None:
        self.more.set_visibility(self.next is not None)
        if self.searching:
            self.rows.set_content(self._found())
        else:
            self.rows.set_content(self._table())

    def _found(self) -> Markup:
        if not self.hits:
            return empty(
                "search_off",
                f"Nobody said “{self.text}”",
                "All words have to be in one line. Numbers that are masked cannot be found.",
                "Try fewer words, or the beginning of one with a * behind it.",
            )
        return join(*(_hit(hit, self.visitor) for hit in self.hits))

    def _table(self) -> Markup:
        if not self.calls:
            if self.filter() == CallFilter():
                return empty(
                    "call",
                    "No call yet",
                    "Calls are listed here as soon as the first one has come in.",
                    join("Try it on this machine: ", tag("code", "vita demo")),
                )
            return empty(
                "filter_alt_off",
                "No call fits these filters",
                tag("a", "Show all calls", href="/calls", cls="link"),
            )
        rows = sorted(self.calls, key=SORTS[self.sort], reverse=self.down)
        heads = [_head(name, title, self.sort, down=self.down) for name, title in COLUMNS]
        return table(heads, [_row(call, self.visitor) for call in rows], cls="open")

    async def _figures(self) -> Markup:
        looked = self.period
        now = datetime.now(UTC)
        until = looked.until or now + timedelta(seconds=1)
        since = max(looked.since or EARLIEST, until - timedelta(days=92))
        found = await self.parts.desk.statistics.between(
            self.visitor.actor, since, until, line=self.asked.get("line", "")
        )
        share = f"{100 * found.answered / found.calls:.0f}" if found.calls else "–"
        handed = found.outcomes.get("transferred", 0)
        failed = found.outcomes.get("failed", 0)
        wait, talk = found.latency_ms, found.duration_ms
        within = looked.name if looked.since else "Last 92 days"
        return join(
            figure("Calls", f"{found.calls:,}", within),
            figure("Answered", share, count(found.answered, "call"), unit="%"),
            figure(
                "Typical length",
                clock(talk.p50) if talk.p50 is not None else "–",
                "half are shorter",
            ),
            figure("Time to answer", length(wait.p50), f"9 in 10 within {length(wait.p90)}"),
            figure("Handed to a person", f"{handed:,}", count(failed, "call") + " failed"),
        )


SORT_CLICK = """(event) => {
  const head = event.target.closest("[data-sort]");
  if (head) emit(head.dataset.sort);
}"""


def _head(name: str, title: str, sort: str, *, down: bool) -> Markup:
    right = "right" if name in {"length", "score"} else ""
    if not name:
        return tag("th", title, cls="extra", scope="col")
    arrow = icon("arrow_downward" if down else "arrow_upward") if name == sort else None
    link = tag(
        "a",
        title,
        arrow,
        cls="on" if name == sort else "",
        data_sort=name,
        role="button",
        tabindex=0,
    )
    order = ("descending" if down else "ascending") if name == sort else None
    return tag("th", link, cls=right, scope="col", aria_sort=order)


def _row(call: CallSummary, visitor: Visitor) -> Sequence[Markup]:
    words, colour = outcome(call.outcome) if call.outcome else state(call.state)
    running = call.ended_at is None and call.state != "ended"
    flag = icon("flag") if call.flagged else None
    started = tag("a", visitor.when(call.started_at), href=f"/calls/{call.id}", cls="over")
    way = icon("call_made") if call.direction == "outbound" else None
    return [
        tag("td", started, cls="nowrap num"),
        tag("td", tag("span", call.business or entry(call.line), cls="strong"), cls="clip"),
        tag("td", way, caller(call.caller, call.line), cls="nowrap num soft"),
        tag("td", badge(words, colour, dot="beat" if running else "")),
        tag(
            "td", clock(call.duration_ms) if call.duration_ms is not None else "–", cls="right num"
        ),
        tag("td", *(tag("span", name, cls="tagline mono") for name in call.tools), cls="extra"),
        tag(
            "td",
            tag("span", flag, cls="flagged") if flag else None,
            f"{call.score:.0f}" if call.score is not None else tag("span", "–", cls="muted"),
            cls="right num",
        ),
    ]


def _hit(hit: SearchHit, visitor: Visitor) -> Markup:
    name = "Caller" if hit.role == "caller" else "Agent"
    words = [tag("mark", part.text) if part.hit else join(part.text) for part in hit.snippet]
    about = tag(
        "div",
        badge(name, "caller" if hit.role == "caller" else "accent"),
        tag("span", hit.business or entry(hit.line), cls="strong"),
        tag("span", visitor.when(hit.at)),
        cls="about",
    )
    at = tag("span", "at ", clock(hit.start_ms), cls="muted num small")
    address = f"/calls/{hit.call_id}?at={hit.start_ms}&seq={hit.seq}"
    return tag("a", about, at, tag("div", *words, cls="snippet"), href=address, cls="hit")
