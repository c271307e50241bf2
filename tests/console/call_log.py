"""A call log that looks like a busy week: about forty calls on two lines, one of them recorded."""

from __future__ import annotations

import hashlib
import json
import random
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from PIL import Image, ImageDraw

from agent.calls.call import call_id_for
from agent.calls.line import Line
from agent.calls.lines_file import read_lines
from agent.store.engine import Database
from agent.store.projection import store_events
from agent.store.spool import SpooledEvent
from agent.store.unit_of_work import writing

DEMO = Path(__file__).parents[2] / "agent" / "demo"
CALLERS = DEMO / "callers"
RATE = 8000
PER_EPOCH = 1 << 20

CALLER, AGENT = "caller", "agent"


@dataclass
class Tool:
    name: str
    arguments: dict[str, Any]
    result: dict[str, Any]
    status: str = "ok"
    ms: int = 140


@dataclass
class Story:
    """One kind of call: what is said, in turn, with tools between the lines."""

    line: int
    steps: Sequence[tuple[str, str] | Tool]
    outcome: str = "caller_hung_up"
    cut: int = -1
    target: str = ""


ORDER = Tool("lookup_order", {"order_id": "48213"}, {"status": "ready", "collect": "from 2 pm"})
STORIES = [
    Story(0, [
        (CALLER, "What time do you open on Monday?"),
        (AGENT, "We open at 9 am on Monday and close at half past five."),
        (CALLER, "And is there parking?"),
        (AGENT, "Yes, parking is free behind the building."),
        (CALLER, "Lovely, thank you. Bye."),
    ]),
    Story(0, [
        (CALLER, "Hello, I'd like to book a check-up for next Thursday, please."),
        (AGENT, "Of course. Which time suits you best, morning or afternoon?"),
        (CALLER, "Morning, around ten. My number is 0 7 7 0 0 9 0 0 1 2 3."),
        Tool("book_appointment", {"day": "Thursday", "time": "10:00", "service": "check-up"},
             {"booked": True, "reference": "BD-2291"}, ms=310),
        (AGENT, "You are booked for Thursday at ten. Your reference is BD 2291."),
        (CALLER, "Perfect."),
        (AGENT, "See you on Thursday. Goodbye."),
    ], "agent_ended"),
    Story(0, [
        (CALLER, "How much is a cleaning?"),
        (AGENT, "A cleaning is 80 dollars, and a check-up is 45 dollars. You can pay by card or in cash, "
                "and if you like I can book you an appointment."),
        (CALLER, "Sorry, I meant whitening."),
        (AGENT, "Whitening is 250 dollars."),
        (CALLER, "That is more than I thought. Thanks."),
    ], cut=1),
    Story(0, [
        (CALLER, "I have terrible toothache, can I speak to a real person please?"),
        Tool("transfer_to_human", {"reason": "toothache, wants a person"}, {"transferring": True}, ms=60),
        (AGENT, "I am putting you through to a colleague. One moment, please."),
    ], "transferred", target="+15550199"),
    Story(1, [
        (CALLER, "Hi, is my bike ready? The order number is four eight two one three."),
        ORDER,
        (AGENT, "Yes, order 48213 is ready. You can collect it from 2 pm."),
        (CALLER, "Great, I'll come by after work."),
        (AGENT, "We are open until seven. Goodbye."),
    ], "agent_ended"),
    Story(1, [
        (CALLER, "How much would it be to fix a puncture?"),
        (AGENT, "A puncture repair is 15 dollars, and a repair takes two days."),
        (CALLER, "Two days for a puncture? Okay. Do you hire out bikes meanwhile?"),
        (AGENT, "Yes, bike hire is 25 dollars a day."),
        (CALLER, "Thanks, bye."),
    ]),
    Story(1, [
        (CALLER, "Where is my order? The number is nine one seven seven."),
        Tool("lookup_order", {"order_id": "9177"}, {"error": "no such order"}, "failed", 8000),
        (AGENT, "I am sorry, I cannot find that order right now. Please try again later."),
        (CALLER, "That is the third time. I will write an e-mail."),
    ]),
    Story(1, [
        (CALLER, "Hello? Hello?"),
    ], "failed"),
    Story(1, [
        (CALLER, "Do you have a warranty on new bikes?"),
        (AGENT, "Every new bike has a warranty of one year."),
        (CALLER, "Good. You can reach me under 5 5 5 2 3 9 8 1 0 if my bike comes in."),
        (AGENT, "I have noted that. Is there anything else?"),
        (CALLER, "No, that is all."),
    ]),
]  # fmt: skip


@dataclass
class Log:
    """What was put into the log."""

    lines: list[Line]
    recorded: str = ""
    calls: list[str] = field(default_factory=list)


class _Writer:
    """Writes one call's events."""

    def __init__(self, key: str, line: Line, caller: str, at: datetime) -> None:
        self.call_id = call_id_for("twilio", key)
        self.events: list[SpooledEvent] = []
        self._at = at
        self._start = at + timedelta(milliseconds=600)
        self._seq = PER_EPOCH
        self.add("call_admitted", {
            "carrier": "twilio", "carrier_call_id": key, "direction": "inbound", "to": line.entry,
            "pii_from": caller, "line_version": line.version(), "line": line.model_dump(mode="json"),
        }, at)  # fmt: skip
        self.state("admitted", at)
        self.state("connected", self._start)
        self.state("in_progress", self._start)

    def state(self, state: str, at: datetime, reason: str = "") -> None:
        self.add("call_state", {"state": state, "attempt": 1, "reason": reason}, at)

    def at(self, ms: int) -> datetime:
        return self._start + timedelta(milliseconds=ms)

    def add(self, kind: str, payload: dict[str, Any], at: datetime) -> None:
        self.events.append(SpooledEvent(self.call_id, self._seq, at, kind, payload))
        self._seq += 1


async def fill(
    database: Database, data_dir: Path, *, calls: int = 42, now: datetime | None = None
) -> Log:
    """Write the log; recordings and pictures go below `data_dir`."""
    now = now or datetime.now(UTC)
    chance = random.Random(11)
    log = Log(list(read_lines(DEMO / "lines.yaml", lambda _: None)))
    events: list[SpooledEvent] = []
    for number in range(calls):
        story = STORIES[number % len(STORIES)]
        day = timedelta(days=chance.choice([0, 0, 1, 1, 2, 3, 4, 5, 6, 8]))
        hour = chance.choice([9, 9, 10, 10, 10, 11, 11, 12, 14, 14, 15, 16, 16, 17])
        at = (now - day).replace(
            hour=hour, minute=chance.randrange(60), second=chance.randrange(60)
        )
        if at > now - timedelta(minutes=10):
            at -= timedelta(days=1)
        caller = f"+1555{chance.randrange(2000000, 9999999)}"
        writer = _Writer(f"CA{number:032x}", log.lines[story.line], caller, at)
        _tell(writer, story, chance)
        log.calls.append(writer.call_id)
        events += writer.events
    recorded = _recorded(log, data_dir, now - timedelta(minutes=25))
    log.recorded = recorded.call_id
    log.calls.append(recorded.call_id)
    async with writing(database) as db:
        await store_events(db, events + recorded.events)
    return log


def _tell(writer: _Writer, story: Story, chance: random.Random) -> None:
    ms = _say(writer, AGENT, "Hello, how can I help you?", 300)
    spoken = -1
    for step in story.steps:
        if isinstance(step, Tool):
            ms = _use(writer, step, ms)
            continue
        spoken += 1
        role, text = step
        if role == CALLER:
            ms = _say(writer, CALLER, text, ms + chance.randrange(500, 2400))
        else:
            wait = int(min(2600, max(320, chance.gauss(640, 190))))
            writer.add("turn", {"latency_ms": wait, "metadata": {}}, writer.at(ms + wait))
            ms = _say(writer, AGENT, text, ms + wait, cut=spoken == story.cut)
    if story.outcome == "transferred":
        writer.state("transferring", writer.at(ms))
        writer.add("transfer", {"target": story.target, "reason": "wants a person"}, writer.at(ms))
    if story.outcome == "failed":
        fault = {"code": "model_unavailable", "message": "The model server did not answer."}
        writer.add("fault", fault, writer.at(ms))
    writer.state("ended", writer.at(ms + 900), story.outcome)


def _say(writer: _Writer, role: str, text: str, at: int, *, cut: bool = False) -> int:
    end = at + 180 + 62 * len(text)
    heard = text[: int(len(text) * 0.55)].rsplit(" ", 1)[0] if cut else text
    if cut:
        end = at + 180 + 62 * len(heard)
        writer.add("interruption", {"at_ms": end, "heard_ms": end - at}, writer.at(end))
    payload: dict[str, Any] = {"role": role, "pii_text": text, "start_ms": at, "end_ms": end}
    if role == AGENT:
        payload |= {"pii_heard": heard, "interrupted": cut}
    writer.add("utterance", payload, writer.at(end))
    return end


def _use(writer: _Writer, tool: Tool, ms: int) -> int:
    key = f"t{ms}"
    writer.add("tool_intent", {
        "tool_call_id": key, "tool": tool.name, "pii_arguments": json.dumps(tool.arguments),
        "idempotency_key": hashlib.sha256(f"{writer.call_id}{key}".encode()).hexdigest(),
    }, writer.at(ms + 200))  # fmt: skip
    writer.add("tool_result", {
        "tool_call_id": key, "tool": tool.name, "status": tool.status,
        "pii_result": json.dumps(tool.result), "duration_ms": tool.ms,
    }, writer.at(ms + 200 + tool.ms))  # fmt: skip
    return ms + 200 + tool.ms


# The recorded call: the demonstration's callers on the left, another voice as the agent


TALK = (
    (CALLER, "1-open-monday.wav", "What time do you open on Monday?"),
    (AGENT, "2-saturday.wav", "We open at 9 am on Monday and close at half past five."),
    (CALLER, "5-order.wav", "Where is my order?"),
    (AGENT, "6-parking.wav", "What is your order number?"),
    (CALLER, "5b-order-number.wav", "four eight two one three"),
    (AGENT, "3-price.wav", "Your order 48213 is ready. You can collect it from 2 pm."),
    (CALLER, "4-address.wav", "Where are you located? You can call me back on 555 239 8107."),
    (AGENT, "2-saturday.wav", "We are at 14 Mill Lane in Harrow."),
    (CALLER, "7-person.wav", "Can I speak to a real person, please?"),
)


def _recorded(log: Log, data_dir: Path, at: datetime) -> _Writer:
    writer = _Writer("CAfeedfacefeedfacefeedfacefeedface", log.lines[0], "+15552398107", at)
    sound = np.zeros((2, RATE * 120), dtype=np.float32)
    ms = 600
    for number, (role, file, text) in enumerate(TALK):
        if number == 5:
            ms = _use(writer, ORDER, ms)
        samples = _speech(CALLERS / file)
        start = ms * RATE // 1000
        sound[0 if role == CALLER else 1, start : start + len(samples)] = samples
        end = ms + len(samples) * 1000 // RATE
        if role == AGENT:
            writer.add("turn", {"latency_ms": 540 + 90 * number, "metadata": {}}, writer.at(ms))
        payload: dict[str, Any] = {"role": role, "pii_text": text, "start_ms": ms, "end_ms": end}
        writer.add("utterance", payload, writer.at(end))
        if number == 6:
            writer.add("still", _still(data_dir, writer.call_id, end), writer.at(end))
        ms = end + 700
    transfer = Tool(
        "transfer_to_human", {"reason": "wants a person"}, {"transferring": True}, ms=45
    )
    ms = _use(writer, transfer, ms)
    writer.state("transferring", writer.at(ms))
    writer.add("transfer", {"target": "+15550199", "reason": "wants a person"}, writer.at(ms))
    path = data_dir / "recordings" / f"{writer.call_id}.wav"
    writer.add("recording", _wave(path, sound[:, : ms * RATE // 1000]), writer.at(ms + 10))
    writer.state("ended", writer.at(ms + 20), "transferred")
    return writer


def _speech(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(samples[:, 0], rate, RATE), dtype=np.float32)


def _wave(path: Path, sound: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = (np.clip(sound.T, -1, 1) * 32000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(frames.tobytes())
    content = path.read_bytes()
    return {
        "path": str(path), "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content),
        "duration_ms": len(frames) * 1000 // RATE,
    }  # fmt: skip


def _still(data_dir: Path, call_id: str, at_ms: int) -> dict[str, Any]:
    picture = Image.new("RGB", (320, 240), "#cfd8df")
    drawing = ImageDraw.Draw(picture)
    drawing.rectangle((0, 170, 320, 240), fill="#9a7b5b")
    drawing.ellipse((105, 60, 215, 170), fill="#c0392b")
    path = data_dir / "stills" / call_id / "0.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=80)
    content = path.read_bytes()
    return {
        "path": str(path), "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content),
        "width": 320, "height": 240, "at_ms": at_ms,
    }  # fmt: skip
