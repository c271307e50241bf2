"""How a transcript is drawn: speech, tools between the lines, pictures, and what happened. Pure.

Each entry carries its times as `data-from-ms` and `data-to-ms`, and `data-seek-ms` where a click plays
from: the player looks for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.console.markup import Child, Markup, badge, icon, join, tag
from agent.console.words import clock, length, pretty, status
from agent.supervisor.views import CallDetails, StillView, ToolCallView, TurnView, UtteranceView

SLOW_MS = 1500
NAMES = {"caller": "Caller", "agent": "Agent"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: `key` is unique in its call, `order` is its place in it."""

    key: str
    order: tuple[int, int]
    content: Markup


def entries(details: CallDetails, *, playable: bool) -> list[Entry]:
    """Everything said and done in a call, in the order it happened."""
    latencies = _latencies(details.utterances, details.turns)
    found = [
        spoken(line, latencies.get(line.seq), playable=playable) for line in details.utterances
    ]
    found += [used(tool) for tool in details.tools]
    found += [shown(still, details.summary.id) for still in details.stills]
    return sorted(found, key=lambda entry: entry.order)


def spoken(line: UtteranceView, latency_ms: int | None = None, *, playable: bool) -> Entry:
    """One stretch of speech."""
    extra: list[Child] = []
    if line.interrupted:
        extra.append(badge("Cut off by the caller", "warn"))
    text = tag("div", *_words(line), *extra, cls="words")
    late = " slow" if latency_ms is not None and latency_ms > SLOW_MS else ""
    waited = (
        tag("span", length(latency_ms), cls=f"waited{late}", title="From the caller's last sound")
        if latency_ms is not None
        else None
    )
    content = tag(
        "div",
        tag("span", clock(line.start_ms), cls="at"),
        tag("span", NAMES.get(line.role, line.role), cls="name"),
        text,
        waited,
        cls=f"line {line.role}",
        id=f"line-{line.seq}",
        data_from_ms=line.start_ms,
        data_to_ms=line.end_ms,
        data_seek_ms=line.start_ms if playable else None,
        tabindex=0 if playable else None,
    )
    return Entry(f"line-{line.seq}", (line.start_ms, line.seq), content)


def hearing(role: str, text: str, key: str) -> Markup:
    """Words that are being said right now."""
    return tag(
        "div",
        tag("span", "", cls="at"),
        tag("span", NAMES.get(role, role), cls="name"),
        tag("div", text, tag("span", cls="caret"), cls="words"),
        cls=f"line {role} now",
        id=key,
    )


def used(tool: ToolCallView) -> Entry:
    """One use of a tool, its arguments and result folded away."""
    words, colour = status(tool.status)
    head = tag(
        "summary",
        tag("span", clock(tool.at_ms), cls="at"),
        tag("span", icon("construction"), cls="name"),
        tag("span", tag("b", tool.tool), tag("code", _brief(tool.arguments)), cls="words"),
        badge(words, colour, dot="beat" if tool.status == "started" else ""),
        tag("span", length(tool.duration_ms) if tool.duration_ms is not None else "", cls="waited"),
    )
    result = pretty(tool.result) if tool.result is not None else "No result yet."
    body = tag(
        "div",
        tag("div", tag("h4", "Arguments"), tag("pre", pretty(tool.arguments))),
        tag("div", tag("h4", "Result"), tag("pre", result)),
        cls="inside",
    )
    content = tag("details", head, body, cls="used", id=f"tool-{tool.seq}")
    return Entry(f"tool-{tool.seq}", (tool.at_ms, tool.seq), content)


def shown(still: StillView, call_id: str) -> Entry:
    """A picture the model was shown with the caller's turn."""
    address = f"/media/{call_id}/stills/{still.number}"
    picture = tag("img", src=address, alt="What the caller's camera showed", loading="lazy")
    content = tag(
        "div",
        tag("span", clock(still.at_ms), cls="at"),
        tag("span", icon("photo_camera"), cls="name"),
        tag("a", picture, href=address, target="_blank", cls="still"),
        cls="line picture",
    )
    return Entry(f"still-{still.number}", (still.at_ms, 0), content)


def _words(line: UtteranceView) -> Iterator[Child]:
    """The words; of a reply that was cut, those nobody heard are struck."""
    if line.heard is None or not line.interrupted:
        yield tag("span", line.text)
        return
    heard = line.heard.rstrip()
    rest = line.text[len(heard) :] if line.text.startswith(heard) else ""
    yield tag("span", heard)
    if rest.strip():
        yield tag("del", rest, title="Generated, but not heard")
    yield " "


def _brief(arguments: str) -> str:
    text = " ".join(arguments.split())
    return "" if text in {"{}", ""} else text[:90] + ("…" if len(text) > 90 else "")


def _latencies(lines: Sequence[UtteranceView], turns: Sequence[TurnView]) -> dict[int, int]:
    """Which reply each turn's latency belongs to: the first of the agent's lines that ends after it."""
    replies = [line for line in lines if line.role == "agent"]
    found: dict[int, int] = {}
    for turn in turns:
        reply = next((line for line in replies if line.seq >= turn.seq), None) or next(
            (line for line in reversed(replies) if line.start_ms <= turn.at_ms), None
        )
        if reply is not None:
            found.setdefault(reply.seq, turn.latency_ms)
    return found


def many(found: Sequence[Entry]) -> Markup:
    """Entries one after another."""
    return join(*(entry.content for entry in found))
