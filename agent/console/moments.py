"""What happens in a call beside words and tools, drawn between the lines. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from agent.console.markup import tag
from agent.console.transcript import Entry
from agent.console.words import clock, length
from agent.supervisor.views import EventView

Payload = Mapping[str, Any]


def _disclosure(payload: Payload) -> str:
    about = (
        "an assistant answers" if payload.get("about") == "assistant" else "the call is recorded"
    )
    heard = "was told" if payload.get("heard", True) else "was not fully told"
    return f"The caller {heard} that {about}"


def _answered_by(payload: Payload) -> str:
    verdict = str(payload.get("verdict", "")).replace("_", " ")
    return f"Answered by: {verdict or 'unknown'}"


def _silence(payload: Payload) -> str:
    acts = {
        "hold": "The agent asked for a moment",
        "reprompt": "The caller was silent and was asked again",
        "give_up": "The caller stayed silent: the agent gave up",
    }
    return acts.get(str(payload.get("act")), "The caller was silent")


def _voicemail(payload: Payload) -> str:
    seconds = payload.get("duration_s")
    long = f" of {length(1000 * seconds)}" if isinstance(seconds, int) else ""
    return f"The caller left a message{long} with the carrier"


def _plain(payload: Payload) -> str:
    return str(payload.get("reason") or "no reason given").replace("_", " ")


_TEXTS: Mapping[str, tuple[str, Callable[[Payload], str]]] = MappingProxyType(
    {
        "noise": ("hearing_disabled", lambda _: "A sound that was not meant for the agent"),
        "digit": ("dialpad", lambda _: "The caller pressed a key"),
        "disclosure": ("campaign", _disclosure),
        "consent": ("verified_user", lambda _: "Consent to be called was checked"),
        "do_not_call": ("do_not_disturb_on", lambda _: "Wants no more calls"),
        "answered_by": ("record_voice_over", _answered_by),
        "silence": ("hourglass_empty", _silence),
        "voicemail": ("voicemail", _voicemail),
        "hang_up": ("call_end", lambda payload: f"The agent hung up: {_plain(payload)}"),
        "transfer": ("phone_forwarded", lambda payload: f"Handed to a person: {_plain(payload)}"),
        "transfer_failed": ("phone_missed", lambda _: "Nobody took the caller"),
        "fault": ("error_outline", lambda payload: str(payload.get("message", "A fault"))),
    }
)
_BAD = frozenset({"fault", "transfer_failed"})
_LINKS = MappingProxyType(
    {
        "lost": "The model server was lost",
        "resumed": "The model server is back, with the conversation",
        "gone": "The model server did not come back",
    }
)


def moments(events: Iterable[EventView]) -> list[Entry]:
    """The moments of a whole call."""
    answered: datetime | None = None
    found = []
    for event in events:
        if event.kind == "call_state" and event.payload.get("state") == "connected":
            answered = answered or event.at
        at_ms = _ms(answered, event.at)
        entry = moment(event.kind, event.payload, at_ms, event.seq)
        if entry is not None:
            found.append(entry)
    return found


def moment(kind: str, payload: Payload, at_ms: int, seq: int) -> Entry | None:
    """One event as an entry; None for those that say nothing to a reader."""
    if kind == "model_link":
        text = _LINKS.get(str(payload.get("state")))
        return _entry("cloud_off", text, at_ms, seq, bad=True) if text else None
    known = _TEXTS.get(kind)
    if known is None:
        return None
    pictogram, words = known
    at = payload.get("at_ms")
    place = at if isinstance(at, int) else at_ms
    return _entry(pictogram, words(payload), place, seq, bad=kind in _BAD)


def _entry(pictogram: str, text: str, at_ms: int, seq: int, *, bad: bool) -> Entry:
    content = tag(
        "div",
        tag("span", clock(at_ms), cls="at"),
        tag("span", tag("i", pictogram, cls="material-icons", aria_hidden="true"), cls="name"),
        tag("span", text, cls="words"),
        cls="line event bad" if bad else "line event",
    )
    return Entry(f"moment-{seq}", (at_ms, seq), content)


def _ms(start: datetime | None, at: datetime) -> int:
    return max(int((at - start).total_seconds() * 1000), 0) if start is not None else 0
