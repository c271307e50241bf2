"""The scripted caller: hears 20 ms, answers with 20 ms. No clock of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from connectors.twilio.twin.audio import FRAME_MS, SILENT_FRAME, Pcm, frames, is_voice, load_audio

_KEY_MS = 200


class Step:
    """One thing a caller does."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class WaitForAgent(Step):
    """Until the agent has spoken and then been silent for `silence_ms`."""

    silence_ms: int = 700
    limit_s: float = 30.0


@dataclass(frozen=True, slots=True)
class WaitForSpeech(Step):
    """Until the agent has been speaking for `for_ms` in all: the moment to interrupt."""

    for_ms: int = 500
    limit_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Pause(Step):
    """Say nothing for `ms`."""

    ms: int


@dataclass(frozen=True, slots=True)
class Speak(Step):
    """Say this, 8 kHz mono."""

    pcm: Pcm = field(repr=False)
    label: str = ""

    @classmethod
    def file(cls, path: Path) -> Speak:
        """What an audio file says.

        Raises:
            BadAudioError: The file cannot be read.
        """
        return cls(load_audio(path), path.name)


@dataclass(frozen=True, slots=True)
class Press(Step):
    """Press these keys, one after the other."""

    digits: str


@dataclass(frozen=True, slots=True)
class HangUp(Step):
    """End the call."""


@dataclass(frozen=True, slots=True)
class WaitForEnd(Step):
    """Stay on the line, silent, until the other side ends the call."""

    limit_s: float = 60.0


Script = Sequence[Step]


def questions(
    paths: Iterable[Path],
    *,
    then: Literal["hang_up", "wait"] = "hang_up",
    silence_ms: int = 700,
    limit_s: float = 30.0,
) -> list[Step]:
    """Hear the greeting, then ask each recorded question and hear its answer.

    Args:
        paths: Audio files, in order.
        then: What to do after the last answer: hang up, or wait for the agent to.
        silence_ms: Silence that tells that the agent has finished.
        limit_s: Longest wait for each answer.

    Raises:
        BadAudioError: A file cannot be read.
    """
    wait = WaitForAgent(silence_ms, limit_s)
    script: list[Step] = [wait]
    for path in paths:
        script += [Speak.file(path), wait]
    script.append(HangUp() if then == "hang_up" else WaitForEnd(limit_s))
    return script


@dataclass(frozen=True, slots=True)
class CallerTick:
    """20 ms of the caller: what goes into the mouthpiece, keys, and whether the phone is down."""

    frame: bytes = SILENT_FRAME
    speaking: bool = False
    digits: str = ""
    hung_up: bool = False


class ScriptedCaller:
    """Follows a script. At its end the caller hangs up."""

    def __init__(self, script: Script) -> None:
        self._steps: deque[Step] = deque(script)
        self._current: Step | None = None
        self._ticks = 0
        self._heard_ticks = 0
        self._silent_ticks = 0
        self._out: deque[CallerTick] = deque()
        self._hung_up = False
        self.gave_up = ""
        """Why the caller lost patience; empty while it has not."""

    def interject(self, step: Step) -> None:
        """Drop what is being done and do `step` now; then the script goes on."""
        self._out.clear()
        self._current = None
        self._steps.appendleft(step)

    def go_silent(self) -> None:
        """Forget the script: stay on the line and say nothing more."""
        self._steps.clear()
        self.interject(WaitForEnd(limit_s=float("inf")))

    def tick(self, agent_voiced: bool) -> CallerTick:
        """Let 20 ms pass in which the agent was, or was not, heard speaking."""
        self._ticks += 1
        self._heard_ticks += agent_voiced
        self._silent_ticks = 0 if agent_voiced else self._silent_ticks + 1
        while not self._out and not self._hung_up:
            if self._current is None:
                self._begin(self._steps.popleft() if self._steps else HangUp())
            elif self._is_done(self._current):
                self._current = None
            else:
                return CallerTick()
        return CallerTick(hung_up=True) if self._hung_up else self._out.popleft()

    def _begin(self, step: Step) -> None:
        self._current = step
        self._ticks = self._heard_ticks = self._silent_ticks = 0
        if isinstance(step, Speak):
            spoken = frames(step.pcm)
            last_voice = max((n for n, frame in enumerate(spoken) if is_voice(frame)), default=-1)
            self._out.extend(
                CallerTick(frame, speaking=n <= last_voice) for n, frame in enumerate(spoken)
            )
        elif isinstance(step, Press):
            for digit in step.digits:
                self._out.append(CallerTick(digits=digit))
                self._out.extend([CallerTick()] * (_KEY_MS // FRAME_MS - 1))
        elif isinstance(step, HangUp):
            self._hung_up = True

    def _is_done(self, step: Step) -> bool:
        elapsed_ms = self._ticks * FRAME_MS
        match step:
            case Pause(ms):
                return elapsed_ms >= ms
            case WaitForAgent(silence_ms, limit_s):
                finished = self._heard_ticks > 0 and self._silent_ticks * FRAME_MS >= silence_ms
                return finished or self._lose_patience(limit_s, "the agent did not finish")
            case WaitForSpeech(for_ms, limit_s):
                spoken = self._heard_ticks * FRAME_MS >= for_ms
                return spoken or self._lose_patience(limit_s, "the agent did not speak")
            case WaitForEnd(limit_s):
                return self._lose_patience(limit_s, "the agent did not end the call")
            case _:
                return True

    def _lose_patience(self, limit_s: float, reason: str) -> bool:
        if self._ticks * FRAME_MS < limit_s * 1000:
            return False
        self.gave_up = f"{reason} within {limit_s:g} s"
        self._hung_up = True
        return True
