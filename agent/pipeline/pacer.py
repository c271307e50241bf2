"""When to send which piece of reply audio. Pure: time is handed in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from agent.audio import TELEPHONE, AudioFormat

LEAD_S = 0.16
"""Audio the far side should hold ahead of its playback."""
STEPS = 50
"""Pieces a second."""
MARKS = 5
"""Marks a second."""

_TOLERANCE_S = 1e-6


@dataclass(frozen=True, slots=True)
class Chunk:
    """Audio to send now. `plays_at` is when the far side starts to play it, in seconds."""

    item_id: str
    payload: bytes
    samples: int
    plays_at: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark to send now: everything of the reply up to here has been sent."""

    item_id: str
    name: str


@dataclass(slots=True)
class _Reply:
    item_id: str
    number: int
    audio: bytearray = field(default_factory=bytearray)
    ended: bool = False
    sent: int = 0
    marked: int = 0


class Pacer:
    """Keeps the far side `LEAD_S` ahead of its playback, on an absolute clock.

    The far side is taken to play without pause as long as it holds audio. After a stall of this
    process the missing pieces are due at once; when the far side has run dry meanwhile, the lead
    is built up anew. So a stall costs the caller at most one gap and never adds lasting delay.
    """

    def __init__(self, audio: AudioFormat = TELEPHONE) -> None:
        self._audio = audio
        self._step = audio.rate // STEPS * audio.width
        self._mark_every = audio.rate // MARKS
        self._replies: deque[_Reply] = deque()
        self._mark: Mark | None = None
        self._dry_at = float("-inf")
        self._count = 0

    def add(self, item_id: str, payload: bytes) -> None:
        """Queue audio of a reply."""
        self._reply(item_id).audio += payload

    def end(self, item_id: str) -> None:
        """No more audio of this reply will come."""
        self._reply(item_id).ended = True

    def clear(self, now: float) -> None:
        """Drop everything queued; the far side has been told to do the same."""
        self._replies.clear()
        self._mark = None
        self._dry_at = now

    def next(self, now: float) -> Chunk | Mark | None:
        """What has to be sent at `now`, one thing at a time; None when nothing is due."""
        reply = self._head()
        if self._mark is not None:
            mark, self._mark = self._mark, None
            return mark
        if reply is None or self._wait(now) > _TOLERANCE_S:
            return None
        payload = bytes(reply.audio[: self._step])
        del reply.audio[: len(payload)]
        samples = self._audio.samples(payload)
        reply.sent += samples
        finished = not reply.audio and self._is_over(reply)
        if finished or reply.sent - reply.marked >= self._mark_every:
            self._set_mark(reply)
        plays_at = max(self._dry_at, now)
        self._dry_at = plays_at + samples / self._audio.rate
        return Chunk(reply.item_id, payload, samples, plays_at)

    def wait_s(self, now: float) -> float | None:
        """Seconds until `next` has something to send; None when more has to be queued first."""
        reply = self._head()
        if self._mark is not None:
            return 0.0
        return None if reply is None else self._wait(now)

    def _wait(self, now: float) -> float:
        """Seconds until the far side's lead has room for one more piece."""
        lead = max(self._dry_at - now, 0.0)
        return max(lead + 1 / STEPS - LEAD_S, 0.0)

    def _head(self) -> _Reply | None:
        """The reply whose audio goes next, if a whole piece or a last rest of it is there."""
        while self._replies:
            reply = self._replies[0]
            over = self._is_over(reply)
            if len(reply.audio) >= self._step or (over and reply.audio):
                return reply
            if not over:
                return None
            if reply.marked < reply.sent:
                self._set_mark(reply)
            self._replies.popleft()
        return None

    def _is_over(self, reply: _Reply) -> bool:
        return reply.ended or reply is not self._replies[-1]

    def _set_mark(self, reply: _Reply) -> None:
        reply.marked = reply.sent
        self._mark = Mark(reply.item_id, f"{reply.number}:{reply.sent}")

    def _reply(self, item_id: str) -> _Reply:
        for reply in self._replies:
            if reply.item_id == item_id:
                return reply
        self._count += 1
        self._replies.append(_Reply(item_id, self._count))
        return self._replies[-1]
