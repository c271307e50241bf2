"""Who a caller can be connected to besides a media stream: a prompt, or another person."""

from __future__ import annotations

import asyncio

from connectors.twilio.twin.audio import is_voice
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
