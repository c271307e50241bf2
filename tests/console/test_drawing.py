"""What the console draws from what the services hand out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.console.live_entries import LiveEntries
from agent.console.markup import join, tag
from agent.console.moments import moment
from agent.console.pages.call import bars
from agent.console.remarks import moment as moment_of_note
from agent.console.transcript import spoken, used
from agent.console.words import caller, clock, initials, length, when, zone
from agent.errors import InvalidRequestError
from agent.supervisor.recordings import Peaks
from agent.supervisor.views import LiveEvent, ToolCallView, UtteranceView

pytestmark = pytest.mark.unit

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
EVIL = '<script>alert("x")</script>'


def utterance(text: str, **changes: Any) -> UtteranceView:
    given: dict[str, Any] = {
        "seq": 7, "role": "agent", "text": text, "heard": None, "start_ms": 1200, "end_ms": 3400,
        "interrupted": False, "at": AT,
    }  # fmt: skip
    return UtteranceView(**{**given, **changes})


def test_text_is_escaped_and_markup_is_not():
    assert tag("b", EVIL, title='"') == (
        '<b title="&quot;">&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;</b>'
    )
    assert tag("p", tag("b", "x")) == "<p><b>x</b></p>"
    assert join("<", tag("br"), None, 3) == "&lt;<br>3"
    assert tag("input", disabled=True, hidden=False, data_at_ms=0) == (
        '<input disabled data-at-ms="0">'
    )


def test_what_callers_and_tools_say_stays_text():
    assert "<script" not in spoken(utterance(EVIL), playable=True).content
    tool = ToolCallView(3, EVIL, EVIL, EVIL, EVIL, AT, 0, 12)
    assert "<script" not in used(tool).content


def test_a_cut_reply_shows_what_nobody_heard():
    line = utterance("We open at nine and close at five.", heard="We open at", interrupted=True)
    content = spoken(line, 640, playable=True).content
    assert "<span>We open at</span>" in content
    assert " nine and close at five.</del>" in content
    assert "640 ms" in content
    assert 'data-seek-ms="1200"' in content


def test_a_line_that_cannot_be_played_is_not_offered():
    assert "data-seek-ms" not in spoken(utterance("Hello"), playable=False).content


class Feed:
    """Events of one call, one after another."""

    def __init__(self) -> None:
        self.entries = LiveEntries("c1")
        self.seen: dict[str, str] = {}
        self._seq = 0

    def __call__(self, kind: str, payload: Mapping[str, Any], after_s: float = 0) -> None:
        self._seq += 1
        at = AT + timedelta(seconds=after_s)
        event = LiveEvent(f"{self._seq}-0", self._seq, kind, at, payload)
        for change in self.entries.take(event):
            if change.content is None:
                self.seen.pop(change.key, None)
            else:
                self.seen[change.key] = change.content


def test_captions_grow_and_become_a_line():
    feed = Feed()
    feed("caption", {"role": "caller", "item_id": "i", "pii_text": "What time", "final": False})
    feed("caption", {"role": "caller", "item_id": "i", "pii_text": "What time do", "final": False})
    assert list(feed.seen) == ["caption-caller"]
    assert "What time do" in feed.seen["caption-caller"]
    said = {"role": "caller", "pii_text": "What time do you open?", "start_ms": 0, "end_ms": 900}
    feed("utterance", said)
    assert list(feed.seen) == ["line-3"]


def test_a_turns_latency_stands_beside_its_reply_only():
    feed = Feed()
    feed("turn", {"latency_ms": 512})
    for seq in (2, 3):
        said = {"role": "agent", "pii_text": "At nine.", "start_ms": seq, "end_ms": 900}
        feed("utterance", said)
    assert "512 ms" in feed.seen["line-2"]
    assert "waited" not in feed.seen["line-3"]


def test_a_tool_runs_and_then_has_its_result():
    feed = Feed()
    feed("call_state", {"state": "connected", "attempt": 1, "reason": ""})
    about = {"tool_call_id": "t", "tool": "lookup_order"}
    feed("tool_intent", {**about, "pii_arguments": '{"order_id": "48213"}'}, 4.2)
    assert "Running" in feed.seen["tool-2"]
    assert "0:04" in feed.seen["tool-2"]
    result = {"status": "ok", "pii_result": '{"status": "ready"}', "duration_ms": 80}
    feed("tool_result", {**about, **result}, 5)
    assert list(feed.seen) == ["tool-2"]
    assert "Running" not in feed.seen["tool-2"]
    assert "ready" in feed.seen["tool-2"]


def test_events_nobody_knows_are_passed_over():
    feed = Feed()
    feed("something_new", {})
    assert feed.seen == {}


def test_what_was_taken_for_speech_is_taken_back():
    feed = Feed()
    feed("caption", {"role": "caller", "item_id": "i", "pii_text": "", "final": False})
    assert list(feed.seen) == ["caption-caller"]
    feed("caption", {"role": "caller", "item_id": "i", "pii_text": "", "final": True})
    assert feed.seen == {}


def test_the_end_of_the_call_is_seen():
    feed = Feed()
    assert not feed.entries.over
    feed("call_state", {"state": "ended", "attempt": 1, "reason": "agent_ended"})
    assert feed.entries.over


def test_a_transfer_is_told_without_the_number():
    entry = moment("transfer", {"target": "+15550199", "reason": "wants_a_person"}, 4000, 9)
    assert entry is not None
    assert "wants a person" in entry.content
    assert "0199" not in entry.content


@pytest.mark.parametrize(
    ("kind", "payload", "said"),
    [
        ("silence", {"act": "give_up", "at_ms": 9000}, "gave up"),
        ("voicemail", {"url": "https://carrier/x", "duration_s": 12}, "a message of 12.0 s"),
        ("model_link", {"state": "lost"}, "was lost"),
        ("disclosure", {"about": "recording", "at_ms": 10, "heard": False}, "was not fully told"),
        ("fault", {"code": "tool", "message": EVIL}, "&lt;script&gt;"),
    ],
)
def test_what_else_happened_is_told_in_words(kind: str, payload: dict[str, Any], said: str):
    entry = moment(kind, payload, 0, 1)
    assert entry is not None
    assert said in entry.content
    assert "https://" not in entry.content


def test_times_are_those_of_the_visitor():
    paris = ZoneInfo("Europe/Paris")
    now = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
    assert when(now, now, paris) == "Today 00:30"
    assert when(now - timedelta(hours=1), now, paris) == "Yesterday 23:30"
    assert when(AT - timedelta(days=400), now, UTC) == "26 Jan 2025 09:30"
    assert zone("Mars/Olympus") is UTC
    assert zone("../../etc/passwd") is UTC


def test_words_of_lengths_and_people():
    assert [clock(ms) for ms in (0, 65_400, 3_723_000)] == ["0:00", "1:05", "1:02:03"]
    assert [length(ms) for ms in (None, 640, 1530, 125_000)] == [
        "–",
        "640 ms",
        "1.5 s",
        "2 min 05 s",
    ]
    assert [initials(name) for name in ("Ana Pereira", "x@y.org", "")] == ["AP", "XY", "?"]
    assert caller("", "+15550100") == "Number withheld"
    assert caller("", "web:kiln") == "From the call page"


@pytest.mark.parametrize(("typed", "ms"), [("", None), ("65", 65_000), (" 1:05 ", 65_000)])
def test_the_moment_of_a_note(typed: str, ms: int | None):
    assert moment_of_note(typed) == ms


def test_a_moment_that_is_none_is_refused():
    with pytest.raises(InvalidRequestError, match="1:05"):
        moment_of_note("later")


def test_a_long_recording_is_drawn_with_few_bars():
    found = bars(Peaks(50, 600_000, [[10] * 29_999 + [200], [0] * 30_000]))
    assert [len(channel) for channel in found] == [1200, 1200]
    assert max(found[0]) == 1.0
    assert max(found[1]) == 0.0
