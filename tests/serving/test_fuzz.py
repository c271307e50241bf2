"""Any events and any model, in any order: no exception, and never an event out of place.

Every run of the tests tries the same examples. `FUZZ_EXAMPLES=2000 pytest tests/serving/test_fuzz.py`
tries other ones each time, and more of them.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from tests.serving.scripted_model import DONE, NOISE, QUERY, RATE, tone
from tests.serving.talk import LevelDetector
from tests.serving.witness import Witness
from vita_model.engine.voice import Audio, Call, Done, Heard, ReplyEvent, Seen, Text
from vita_model.serving.dialogue import Dialogue
from vita_model.serving.effects import (
    CancelHearing,
    CancelReply,
    Effect,
    Hear,
    HearUpload,
    See,
    Send,
    StartReply,
    StartSaying,
)
from vita_model.serving.events import ProtocolError, parse_client_event

pytestmark = pytest.mark.unit

WANTED = os.environ.get("FUZZ_EXAMPLES")  # noqa: TID251
EXAMPLES = int(WANTED or 30)
STEPS = 40
_COMMON = {
    "deadline": None,
    "derandomize": WANTED is None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
    "database": None,
}

ANYTHING = st.recursive(
    st.none()
    | st.sampled_from([float("nan"), float("inf"), 1e300, -1, 10**30, True, "", "\x00"])
    | st.integers()
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
ITEM_IDS = st.sampled_from(["a", "b", "c", "root", "last", "", "x" * 300])
PIXEL = "data:image/png;base64," + base64.b64encode(b"pixel").decode()
SOUND = base64.b64encode(bytes(9_600)).decode()
CONTENT = st.lists(
    st.sampled_from(
        [
            {"type": "input_text", "text": "hello"},
            {"type": "output_text", "text": "hello"},
            {"type": "input_image", "image_url": PIXEL},
            {"type": "input_audio", "audio": SOUND},
            {"type": "input_audio", "transcript": "said"},
            {"type": "output_audio", "transcript": "answered"},
            {"type": "refusal"},
        ]
    ),
    max_size=3,
)
ITEMS = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("message"),
            "role": st.sampled_from(["user", "assistant", "system"]),
            "content": CONTENT,
        },
        optional={"id": ITEM_IDS},
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call"), "name": st.just("f"), "call_id": st.just("call")},
        optional={"id": ITEM_IDS, "arguments": st.just("{}")},
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call_output"), "call_id": st.just("call")},
        optional={"id": ITEM_IDS, "output": st.just("{}")},
    ),
    st.fixed_dictionaries({"type": st.just("item_reference"), "id": ITEM_IDS}),
)
FORMATS = st.sampled_from(
    [{"type": "audio/pcm", "rate": 24_000}, {"type": "audio/pcmu"}, {"type": "audio/pcma"}, {}]
)
DETECTIONS = st.none() | st.fixed_dictionaries(
    {"type": st.sampled_from(["server_vad", "semantic_vad"])},
    optional={
        "silence_duration_ms": st.sampled_from([200, 500]),
        "create_response": st.booleans(),
        "interrupt_response": st.booleans(),
        "idle_timeout_ms": st.sampled_from([None, 5_000]),
        "eagerness": st.sampled_from(["low", "high"]),
    },
)
TOOLS = st.lists(st.just({"type": "function", "name": "f"}), max_size=1)
MODALITIES = st.sampled_from([["audio"], ["text"], ["audio", "text"]])
SESSIONS = st.fixed_dictionaries(
    {"type": st.just("realtime")},
    optional={
        "instructions": st.none() | st.text(max_size=8),
        "output_modalities": MODALITIES,
        "tools": TOOLS,
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "format": FORMATS,
                        "turn_detection": DETECTIONS,
                        "transcription": st.sampled_from([None, {"model": "w"}]),
                    },
                ),
                "output": st.fixed_dictionaries({}, optional={"format": FORMATS}),
            },
        ),
    },
)
RESPONSES = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "conversation": st.sampled_from(["auto", "none"]),
        "input": st.lists(ITEMS, max_size=2),
        "output_modalities": MODALITIES,
        "metadata": st.sampled_from([{"a": "b"}, {"vita_say": "Hello there."}]),
        "max_output_tokens": st.sampled_from(["inf", 5]),
    },
)
EVENTS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"type": st.just("session.update"), "session": SESSIONS}),
    st.fixed_dictionaries(
        {"type": st.just("conversation.item.create"), "item": ITEMS},
        optional={"previous_item_id": ITEM_IDS},
    ),
    st.fixed_dictionaries({"type": st.just("conversation.item.delete"), "item_id": ITEM_IDS}),
    st.fixed_dictionaries({"type": st.just("conversation.item.retrieve"), "item_id": ITEM_IDS}),
    st.fixed_dictionaries(
        {
            "type": st.just("conversation.item.truncate"),
            "item_id": ITEM_IDS,
            "content_index": st.integers(0, 1),
            "audio_end_ms": st.sampled_from([0, 100, 700, 1e300, float("nan")]),
        }
    ),
    st.fixed_dictionaries({"type": st.just("response.create")}, optional={"response": RESPONSES}),
    st.fixed_dictionaries({"type": st.just("response.create")}, optional={"response": RESPONSES}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                [
                    "response.cancel",
                    "input_audio_buffer.commit",
                    "input_audio_buffer.clear",
                    "output_audio_buffer.clear",
                ]
            )
        }
    ),
)
PIECES: st.SearchStrategy[ReplyEvent] = st.one_of(
    st.sampled_from([QUERY, NOISE]),
    st.builds(Text, st.sampled_from(["one ", "two", "", "a long piece of text "])),
    st.builds(
        Audio,
        st.sampled_from([0.0, 0.003, 0.1, 0.7]).map(tone),
        st.integers(min_value=0, max_value=40),
    ),
    st.just(Call("f", "{}")),
    st.sampled_from([DONE, Done("length", 1, 0, 1)]),
)


@st.composite
def broken(draw: st.DrawFn) -> str:
    """An event with one thing wrong with it, or with everything."""
    event = draw(EVENTS)
    place: Any = event
    while isinstance(place, dict) and place:
        key = draw(st.sampled_from(sorted(place)))
        inner = place[key]
        if isinstance(inner, dict) and inner and draw(st.booleans()):
            place = inner
            continue
        if draw(st.booleans()):
            place = {**place}
            event = _replaced(event, key, draw(ANYTHING))
        else:
            event = {name: value for name, value in event.items() if name != key}
        break
    return json.dumps(event)


def _replaced(event: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    return {
        name: value
        if name == key
        else _replaced(inner, key, value)
        if isinstance(inner, dict)
        else inner
        for name, inner in event.items()
    }


class Session(RuleBasedStateMachine):
    """A client, a caller and a model that do what they like."""

    @initialize(session=SESSIONS)
    def begin(self, session: dict[str, Any]) -> None:
        self.now = 0.0
        counter = itertools.count(1)
        self.witness = Witness()
        self.waiting: dict[str, Effect] = {}
        self.last_item = "none yet"
        self.dialogue = Dialogue(
            model_name="any",
            output_rate=RATE,
            detector=LevelDetector(),
            clock=lambda: self.now,
            ids=lambda prefix: f"{prefix}_{next(counter)}",
        )
        self.carry_out(self.dialogue.greet())
        self.client({"type": "session.update", "session": session})

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(event=event):
                    self.witness.see(event)
                    self.last_item = event.get("item_id") or self.last_item
                case Hear(hearing_id=key) | HearUpload(hearing_id=key) | See(seeing_id=key):
                    self.waiting[key] = effect
                case StartReply(reply_id=key) | StartSaying(reply_id=key):
                    self.waiting[key] = effect
                case CancelReply(reply_id=key) | CancelHearing(hearing_id=key):
                    self.waiting.pop(key, None)

    @rule(event=EVENTS)
    def client(self, event: dict[str, Any]) -> None:
        if event.get("item_id") == "last":
            event = {**event, "item_id": self.last_item}
        self.text(json.dumps(event))

    @rule(text=broken())
    def text(self, text: str) -> None:
        try:
            event = parse_client_event(text)
        except ProtocolError:
            return
        self.carry_out(self.dialogue.handle(event))

    @rule(ms=st.sampled_from([30, 70, 400, 900]), loud=st.booleans())
    def audio(self, ms: int, *, loud: bool) -> None:
        rate = self.dialogue.bytes_per_second
        size = rate * ms // 1000
        if rate == 48_000:
            samples = np.full(size // 2, 12_000 if loud else 0, dtype="<i2")
            samples[::2] *= -1
            data = samples.tobytes()
        else:
            data = (b"\x00\x80" if loud else b"\xff\xff") * (size // 2)
        self.now += ms / 1000
        self.carry_out(self.dialogue.append(data))

    @rule(data=st.binary(max_size=50))
    def noise(self, data: bytes) -> None:
        self.carry_out(self.dialogue.append(data))

    @rule(pieces=st.lists(PIECES, max_size=5), choose=st.integers(0, 3))
    def model(self, pieces: list[ReplyEvent], choose: int) -> None:
        keys = list(self.waiting)
        if not keys:
            return
        key = keys[choose % len(keys)]
        match self.waiting[key]:
            case StartReply() | StartSaying():
                for piece in pieces:
                    if key in self.waiting:
                        self.carry_out(self.dialogue.replied(key, piece))
                        if isinstance(piece, Done):
                            self.waiting.pop(key, None)
            case Hear() | HearUpload():
                self.carry_out(self.dialogue.heard_partly(key, "hel"))
                if pieces:
                    del self.waiting[key]
                    self.carry_out(self.dialogue.heard(key, Heard("hello", None, 1.0)))
            case See():
                del self.waiting[key]
                self.carry_out(self.dialogue.seen(key, Seen(None, 4)))

    @rule(choose=st.integers(0, 3))
    def fault(self, choose: int) -> None:
        keys = list(self.waiting)
        if not keys:
            return
        key = keys[choose % len(keys)]
        match self.waiting.pop(key):
            case StartReply() | StartSaying():
                self.carry_out(self.dialogue.reply_failed(key, "no"))
            case Hear() | HearUpload():
                self.carry_out(self.dialogue.hearing_failed(key, "no"))
            case See():
                self.carry_out(self.dialogue.seeing_failed(key, ProtocolError("no")))

    @rule()
    def stale(self) -> None:
        assert self.dialogue.heard("gone", Heard("x", None, 1.0)) == []
        assert self.dialogue.heard_partly("gone", "x") == []
        assert self.dialogue.replied("gone", DONE) == []
        assert self.dialogue.reply_failed("gone", "x") == []
        assert self.dialogue.seen("gone", Seen(None, 1)) == []

    def teardown(self) -> None:
        """The caller falls silent and the model finishes: then everything has an end."""
        if not hasattr(self, "dialogue"):
            return
        for _ in range(STEPS):
            self.audio(900, loud=False)
            for choose in range(4):
                self.model([DONE], choose)
            if not self.waiting and not self.witness.open_responses:
                break
        self.witness.nothing_is_left()


def test_any_order_of_events() -> None:
    profile = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, **_COMMON)
    run_state_machine_as_test(Session, settings=profile)


@settings(max_examples=EXAMPLES * 10, **_COMMON)
@given(st.text(max_size=50) | ANYTHING.map(json.dumps) | broken())
def test_any_text_is_an_event_or_a_fault_of_the_client(text: str) -> None:
    with suppress(ProtocolError):
        parse_client_event(text)
