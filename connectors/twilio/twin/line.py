"""An answered phone: every 20 ms the caller hears a frame and says a frame, on an absolute clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from connectors.twilio.twin.audio import FRAME_MS, SILENT_FRAME, is_voice
from connectors.twilio.twin.caller import ScriptedCaller
from connectors.twilio.twin.heard import Recorder
from connectors.twilio.twin.playout import Played
from connectors.twilio.twin.timeline import Timeline

FRAME_S = FRAME_MS / 1000
LONGEST_BURST = 50
"""Frames made up for at once after a stall; what was due before them is lost."""

_NOTHING = Played(SILENT_FRAME, fed=0)


class Mouth(Protocol):
    """Whoever speaks to the caller."""

    def pull(self) -> Played:
        """The next 20 ms."""
        ...


class Ear(Protocol):
    """Whoever listens to the caller."""

    def hear(self, frame: bytes) -> None:
        """20 ms of caller audio."""
        ...

    def miss(self) -> None:
        """20 ms of caller audio that got lost."""
        ...

    def press(self, digit: str) -> None:
        """A key."""
        ...

    def played(self, marks: tuple[str, ...]) -> None:
        """Marks that playback passed."""
        ...


class FrameClock:
    """Says how many frames are due. Never drifts: frame n belongs to `start + n * 20 ms`."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._count = 0

    @property
    def next_at(self) -> float:
        """When the next frame is due."""
        return self._start + self._count * FRAME_S

    def due(self, now: float) -> tuple[int, int]:
        """Frames that are lost and frames to play now, both counted as done from here on."""
        behind = max(0, int((now - self._start) / FRAME_S + 1e-6) + 1 - self._count)
        self._count += behind
        lost = max(0, behind - LONGEST_BURST)
        return lost, behind - lost


class Line:
    """One phone from answer to hang-up."""

    def __init__(self, caller: ScriptedCaller, recorder: Recorder, timeline: Timeline) -> None:
        self._caller = caller
        self._recorder = recorder
        self._timeline = timeline
        self._mouth: Mouth | None = None
        self._ear: Ear | None = None

    @contextmanager
    def connected(self, mouth: Mouth, ear: Ear) -> Iterator[None]:
        """Connect the caller to someone for a while."""
        before = self._mouth, self._ear
        self._mouth, self._ear = mouth, ear
        try:
            yield
        finally:
            self._mouth, self._ear = before

    async def run(self) -> None:
        """Let time pass until the caller hangs up."""
        loop = asyncio.get_running_loop()
        clock = FrameClock(loop.time())
        while True:
            lost, due = clock.due(loop.time())
            if lost:
                self._timeline.add("warning", code=31930, reason=f"{lost} frames lost in a stall")
            for number in range(lost + due):
                if not self.tick(lost=number < lost):
                    return
                await asyncio.sleep(0)  # what came in during a stall plays in this burst
            await asyncio.sleep(max(0.0, clock.next_at - loop.time()))

    def tick(self, *, lost: bool = False) -> bool:
        """Let 20 ms pass; False once the caller has hung up."""
        played = _NOTHING if self._mouth is None else self._mouth.pull()
        voiced = played.fed > 0 and is_voice(played.frame)
        said = self._caller.tick(voiced)
        if said.hung_up:
            return False
        self._recorder.add(
            said.frame,
            played.frame,
            fed=played.fed > 0,
            voiced=voiced,
            speaking=said.speaking,
        )
        if self._ear is not None:
            self._serve(self._ear, played, said.frame, lost=lost)
            for digit in said.digits:
                self._ear.press(digit)
        for digit in said.digits:
            self._timeline.add("caller", pressed=digit)
        return True

    @staticmethod
    def _serve(ear: Ear, played: Played, frame: bytes, *, lost: bool) -> None:
        if lost:
            ear.miss()
        else:
            ear.hear(frame)
        if played.marks:
            ear.played(played.marks)
