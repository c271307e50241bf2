"""Somebody makes a sound while the agent speaks: does the agent stop for it? Pure rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from vita_model.engine.voice import Samples
from vita_model.serving.words import ASKING, BACKCHANNELS, telling, words_of

FAR_DB = 7.5
"""So far below the caller's usual level somebody else is speaking, or not to the phone."""
FAR_IN_SILENCE_DB = 15.0
"""The same while the agent is silent: a browser's gain control alone moves a caller by 7.4, and a
question without an answer is worse than an answer nobody asked for."""
PLAIN_MS = 400
"""From here on one word that is no backchannel is enough."""
LATE_MS = 500
"""A decision is due: who still speaks and was not understood wants to say something."""
WORD = 2.0
"""So much more likely is a query with a word that is no backchannel, in log odds."""
ASKED = 3.0
"""And so much more when it is a word that asks or interrupts: few backchannels are misheard so."""
PASSED = -1.0
"""With nothing but backchannels a query is less likely, though one may follow "okay"."""
DOUBT = -4.0
"""No sound alone speaks more against a query."""
DUE_MS = 480
"""So long after the first hint of a sound it is decided: the agent should stop within 600 ms."""
NEEDED = ((340, -1.0), (0, 1.0))
"""The log odds from which the agent stops, by milliseconds since the first hint: an interruption costs
less than a question."""
SHORT_MS = 700
"""Sounds up to here that hold no clear word are hums."""
FEW = 3
"""So many words are more than a backchannel, whatever they are."""
_LEAST = 1e-6


class Verdict(Enum):
    """What to do about a sound over the agent's speech."""

    OPEN = auto()
    """Listen on."""
    STOP = auto()
    """The agent stops: it is asked something."""
    GO_ON = auto()
    """The agent speaks on."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the sound so far.

    Attributes:
        transcript: What the model heard; None while it has not listened.
        spoken_ms: Speech until then.
        over: It has fallen silent.
        below_db: How far it is below the caller's usual level; None while that is unknown.
        query: Probability by its sound that it is meant for the agent; None where nobody can tell.
        elapsed_ms: Since the first hint of it, pauses and all; less than `spoken_ms` while unknown.
    """

    transcript: str | None
    spoken_ms: int
    over: bool = False
    below_db: float | None = None
    query: float | None = None
    elapsed_ms: int = 0


def judge(evidence: Evidence) -> Verdict:
    """What the evidence says."""
    if evidence.below_db is not None and evidence.below_db > FAR_DB:
        return Verdict.GO_ON
    if evidence.transcript is None:
        # A model too busy to have listened costs an interruption, not a question.
        return Verdict.STOP if evidence.over and evidence.spoken_ms > SHORT_MS else Verdict.OPEN
    words = words_of(evidence.transcript)
    if evidence.query is None:
        return _by_words(evidence, words)
    return _by_sound_and_words(evidence, evidence.query, words)


def _by_words(evidence: Evidence, words: tuple[str, ...]) -> Verdict:
    clear, late = telling(words), evidence.spoken_ms >= LATE_MS
    if evidence.over:
        passing = not clear and (evidence.spoken_ms <= SHORT_MS or len(words) < FEW)
        return Verdict.GO_ON if not words or passing else Verdict.STOP
    plain = clear >= 2 or (clear and evidence.spoken_ms >= PLAIN_MS)
    if plain or (late and len(words) >= FEW):
        return Verdict.STOP
    return Verdict.GO_ON if late else Verdict.OPEN


def _by_sound_and_words(evidence: Evidence, query: float, words: tuple[str, ...]) -> Verdict:
    """Both speak for or against a query, and what they say is added."""
    clear = telling(words)
    odds = max(DOUBT, math.log(max(query, _LEAST) / max(1 - query, _LEAST)))
    if clear:
        odds += WORD if ASKING.isdisjoint(words) else WORD + ASKED
    elif len(words) > 1 or BACKCHANNELS.intersection(words):
        odds += PASSED
    if evidence.over:
        return Verdict.STOP if clear and odds > 0 else Verdict.GO_ON
    clock = max(evidence.elapsed_ms, evidence.spoken_ms)
    if odds > next(needed for ms, needed in NEEDED if clock >= ms):
        return Verdict.STOP
    return Verdict.GO_ON if clock >= DUE_MS else Verdict.OPEN


class CallerLevel:
    """How loud the caller usually is."""

    def __init__(self) -> None:
        self._usual_db: float | None = None

    def note(self, loudness_db: float) -> None:
        """A turn of the caller was this loud."""
        usual = self._usual_db
        self._usual_db = loudness_db if usual is None else 0.6 * usual + 0.4 * loudness_db

    def below(self, loudness_db: float) -> float | None:
        """How far a sound is below the usual level; None while that is unknown."""
        return None if self._usual_db is None else self._usual_db - loudness_db

    def forget(self) -> None:
        """The usual level has changed."""
        self._usual_db = None


def loudness(samples: Samples, window: int) -> float:
    """Mean level of the loudest third of an utterance's windows, in decibels of full scale."""
    count = max(1, len(samples) // window)
    rows = np.resize(samples, (count, window))
    powers = np.sort(np.square(rows, dtype=np.float64).mean(1))
    return 10 * math.log10(float(powers[-max(1, count // 3) :].mean()) + 1e-10)
