"""What goes wrong on purpose. Switches of a twin that may be turned while calls run."""

from __future__ import annotations

import json
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

StatusOrder = Literal["in_order", "reversed"]
"""`reversed`: reports are kept until the call is over, and the last one is sent first."""

Bad = Literal[
    "not_json", "binary", "oversize", "unknown_event", "wrong_stream", "bad_audio", "start"
]
"""A message Twilio should not send. `start` comes a second time."""

OVERSIZE: Final = 80 * 1024


@dataclass(slots=True)
class FrameFaults:
    """What happens to the caller's audio on its way to the agent.

    Attributes:
        loss: Share of frames that get lost; their time stamps are missing.
        jitter: Frames that are held back and then come at once.
        half_open: Nothing is sent any more, and nobody says so.
        bad: Messages to send before the next frame.
    """

    loss: float = 0.0
    jitter: int = 0
    half_open: bool = False
    bad: deque[Bad] = field(default_factory=deque)
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    def sow(self, seed: int) -> None:
        """Begin the row of losses that belongs to this number."""
        self._random = random.Random(seed)

    def is_lost(self) -> bool:
        """Whether the next frame gets lost: the same ones every time."""
        return self._random.random() < self.loss


@dataclass(slots=True)
class Faults:
    """All switches of a twin.

    Attributes:
        rest: HTTP statuses the next REST requests are answered with, such as 429 or 500.
        lost_answers: So many of the documents the agent answers with do not arrive here.
        status_order: In which order status reports are sent.
        status_copies: How often each of them is sent; 0 for never.
        status_delay_s: How late.
        frames: What happens to media streams.
    """

    rest: deque[int] = field(default_factory=deque)
    lost_answers: int = 0
    status_order: StatusOrder = "in_order"
    status_copies: int = 1
    status_delay_s: float = 0.0
    frames: FrameFaults = field(default_factory=FrameFaults)

    def loses_an_answer(self) -> bool:
        """Whether the next answer gets lost; counts it."""
        self.lost_answers -= 1
        return self.lost_answers >= 0


def bad_message(kind: Bad, stream_sid: str) -> str | bytes:
    """A message no stream should carry."""
    if kind == "binary":
        return b"\x00\xff" * 80
    if kind == "not_json":
        return '{"event": "media", '
    media = {"track": "inbound", "chunk": "1", "timestamp": "0", "payload": "*"}
    bodies: dict[Bad, dict[str, object]] = {
        "oversize": {"event": "media", "pad": "x" * OVERSIZE},
        "unknown_event": {"event": "teleport"},
        "wrong_stream": {"event": "mark", "mark": {"name": "1"}, "streamSid": "MZ0"},
        "bad_audio": {"event": "media", "media": media},
        "start": {"event": "start", "start": {}},
    }
    return json.dumps({"streamSid": stream_sid} | bodies[kind])
