"""How a call's events are told."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from agent.demo.conversation import Teller, Told
from agent.demo.show import Screen
from agent.transcripts.events import KINDS
from tests.demo.records import event, record, said, used

pytestmark = pytest.mark.unit


def test_an_answer_is_told_with_its_latency_once() -> None:
    teller = Teller()
    assert teller.tell("turn", {"latency_ms": 480}) is None
    said_by = {"role": "agent", "start_ms": 7000, "end_ms": 8000}
    first = teller.tell("utterance", {**said_by, "pii_text": "We open at 9 am."})
    second = teller.tell("utterance", {**said_by, "pii_text": "Anything else?"})
    assert first == Told("agent", "We open at 9 am.", 7000, 480)
    assert second == Told("agent", "Anything else?", 7000, None)


@pytest.mark.parametrize(
    ("kind", "payload", "text"),
    [
        ("tool_intent", {"tool": "lookup_order", "pii_arguments": '{"id": "48213"}'}, "lookup_order(48213)"),
        ("tool_intent", {"tool": "lookup_order", "pii_arguments": "{"}, "lookup_order({)"),
        ("tool_result", {"status": "ok", "pii_result": "{}"}, "ok: {}"),
        ("noise", {"at_ms": 1}, "not addressed to the agent"),
        ("interruption", {"at_ms": 1, "heard_ms": 2}, "the caller interrupts"),
        ("transfer", {"target": "+15550199", "reason": "x"}, "handed over to +15550199"),
        ("fault", {"code": "pipeline", "message": "broke"}, "pipeline: broke"),
        ("model_link", {"state": "lost"}, "model server lost"),
        ("call_state", {"state": "ended", "reason": "caller_hung_up"}, "call over: caller hung up"),
    ],
)  # fmt: skip
def test_events_in_words(kind: str, payload: dict[str, object], text: str) -> None:
    assert kind in KINDS
    told = Teller().tell(kind, payload)
    assert told is not None
    assert told.text == text


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("model_link", {"state": "connected"}),
        ("call_state", {"state": "connected", "reason": ""}),
        ("recording", {"path": "x"}),
    ],
)
def test_what_says_nothing_to_a_person_is_left_out(kind: str, payload: dict[str, object]) -> None:
    assert Teller().tell(kind, payload) is None


def _shown(show: object) -> str:
    console = Console(file=io.StringIO(), width=110)
    show(Screen(console))  # type: ignore[operator]
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_words_with_brackets_are_shown_as_they_are() -> None:
    text = _shown(lambda screen: screen.told(Told("caller", "[bold]hi[/bold]", 61_000)))
    assert "[bold]hi[/bold]" in text
    assert "1:01" in text


def test_a_stored_call_is_shown_in_order() -> None:
    stored = record(
        [said("caller", 1, 2, "where is my order"), said("agent", 4, 5, "On its way.")],
        tools=[used("lookup_order", 3, {"order_id": "48213"})],
        events=[event("turn", 3.5, latency_ms=700)],
    )
    text = _shown(lambda screen: screen.stored_call(stored))
    order = [text.index(part) for part in ("where is my order", "lookup_order", "On its way.")]
    assert order == sorted(order)
    assert "700 ms" in text
