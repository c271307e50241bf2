"""Who a caller can be connected to besides a media stream: a prompt, or another person."""

from __future__ import annotations

import asyncio

from connectors.twilio.twin.audio import FRAME_MS, SILENT_FRAME, is_voice
from connectors.twilio.twin.caller import ScriptedCaller
from connectors.twilio.twin.playout import Played

PROMPT_END = "end"


class Attendant:
    """Listens while a prompt plays: collects keys, notices the prompt's end."""

    def __init__(self) -> None:
        self.keys: asyncio.Queue[str] = asyncio.Queue()
        self.marks: set[str] = set()
        self.done = asyncio.Event()
        """The prompt has ended, or a key interrupts it."""

    def hear(self, frame: bytes) -> None:
        """Nobody is listening for words."""

    def miss(self) -> None:
        """Nobody is listening for words."""

    def press(self, digit: str) -> None:
        """Keep a key."""
        self.keys.put_nowait(digit)
        self.done.set()

    def played(self, marks: tuple[str, ...]) -> None:
        """The prompt has ended."""
        self.marks.update(marks)
        self.done.set()


class Tape:
    """Records the caller, until a key or a silence."""

    def __init__(self, finish_on: str, silence_s: float, longest_s: float) -> None:
        self._finish_on = finish_on
        self._silent_limit = silence_s * 1000 / FRAME_MS
        self._longest = longest_s * 1000 / FRAME_MS
        self._silent = 0
        self.frames: list[bytes] = []
        self.voiced = False
        self.digits = ""
        self.full = asyncio.Event()
        """Enough is recorded."""

    def hear(self, frame: bytes) -> None:
        """Keep 20 ms."""
        self.frames.append(frame)
        self._silent = 0 if is_voice(frame) else self._silent + 1
        self.voiced |= self._silent == 0
        if self._silent >= self._silent_limit or len(self.frames) >= self._longest:
            self.full.set()

    def miss(self) -> None:
        """Keep 20 ms of silence."""
        self.hear(SILENT_FRAME)

    def press(self, digit: str) -> None:
        """A key that ends the recording."""
        if digit in self._finish_on:
            self.digits = digit
            self.full.set()

    def played(self, marks: tuple[str, ...]) -> None:
        """Nothing is played meanwhile."""


class Person:
    """A dialled person: speaks by a script, hears the caller."""

    def __init__(self, script: ScriptedCaller) -> None:
        self._script = script
        self._caller_voiced = False
        self.gone = asyncio.Event()
        """The person has put the phone down."""

    def pull(self) -> Played:
        """The next 20 ms the person says."""
        said = self._script.tick(self._caller_voiced)
        if said.hung_up:
            self.gone.set()
        return Played(said.frame, fed=len(said.frame) if said.speaking else 0)

    def hear(self, frame: bytes) -> None:
        """20 ms of the caller."""
        self._caller_voiced = is_voice(frame)

    def miss(self) -> None:
        """20 ms of the caller got lost."""
        self._caller_voiced = False

    def press(self, digit: str) -> None:
        """A key means nothing to a person."""

    def played(self, marks: tuple[str, ...]) -> None:
        """There are no marks in a conversation."""
