"""What both ends of a call sounded like, true to time, and what can be measured on it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from agent import mulaw
from connectors.twilio.twin.audio import FRAME_MS, Pcm

LONGEST_GAP_MS = 500
"""A shorter pause inside the agent's audio is a stutter; a longer one separates replies."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stutter: the agent's audio ran dry and went on soon after."""

    start_ms: int
    length_ms: int


@dataclass(frozen=True, slots=True)
class Heard:
    """One call's sound from the moment it was answered.

    Attributes:
        agent: What the caller heard, 8 kHz.
        caller: What the caller said, same length.
        first_audio_ms: From the answer to the first thing heard; None if nothing was.
        answer_delays_ms: For each thing the caller said: from its end to the next thing heard.
        gaps: Stutters in what was heard.
        overlap_ms: How long both were speaking.
    """

    agent: Pcm
    caller: Pcm
    first_audio_ms: int | None
    answer_delays_ms: tuple[int, ...]
    gaps: tuple[Gap, ...]
    overlap_ms: int

    @property
    def length_ms(self) -> int:
        """Length of the call."""
        return len(self.agent) * 1000 // mulaw.SAMPLE_RATE

    def save(self, path: Path) -> None:
        """Write a stereo WAV: left the caller, right what the caller heard."""
        both = np.stack([self.caller, self.agent], axis=1)
        soundfile.write(path, both, mulaw.SAMPLE_RATE, format="WAV", subtype="PCM_16")


class Recorder:
    """Keeps every 20 ms of a call."""

    def __init__(self) -> None:
        self._agent = bytearray()
        self._caller = bytearray()
        self._fed: list[bool] = []
        self._voiced: list[bool] = []
        self._speaking: list[bool] = []

    def add(self, caller: bytes, agent: bytes, *, fed: bool, voiced: bool, speaking: bool) -> None:
        """Append one frame of both sides.

        Args:
            caller: 160 µ-law bytes the caller said.
            agent: 160 µ-law bytes the caller heard.
            fed: The far side had audio queued for this frame.
            voiced: The heard frame is loud enough to be a voice.
            speaking: The caller was speaking.
        """
        self._caller += caller
        self._agent += agent
        self._fed.append(fed)
        self._voiced.append(voiced)
        self._speaking.append(speaking)

    def heard(self) -> Heard:
        """Everything so far, measured."""
        voiced = np.flatnonzero(self._voiced)
        both = np.array(self._voiced, dtype=bool) & np.array(self._speaking, dtype=bool)
        return Heard(
            agent=mulaw.decode(bytes(self._agent)),
            caller=mulaw.decode(bytes(self._caller)),
            first_audio_ms=int(voiced[0]) * FRAME_MS if len(voiced) else None,
            answer_delays_ms=self._answer_delays(voiced),
            gaps=self._gaps(),
            overlap_ms=int(np.count_nonzero(both)) * FRAME_MS,
        )

    def _gaps(self) -> tuple[Gap, ...]:
        fed = [int(frame) for frame in np.flatnonzero(self._fed)]
        runs = ((before + 1, after - before - 1) for before, after in pairwise(fed))
        return tuple(
            Gap(start * FRAME_MS, length * FRAME_MS)
            for start, length in runs
            if 0 < length * FRAME_MS <= LONGEST_GAP_MS
        )

    def _answer_delays(self, voiced: NDArray[np.intp]) -> tuple[int, ...]:
        speaking = np.array([*self._speaking, False], dtype=np.int8)
        ends = np.flatnonzero(np.diff(speaking) == -1) + 1
        answers = np.searchsorted(voiced, ends)
        return tuple(
            int(voiced[answer] - end) * FRAME_MS
            for end, answer in zip(ends, answers, strict=True)
            if answer < len(voiced)
        )
