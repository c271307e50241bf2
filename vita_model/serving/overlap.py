"""Somebody makes a sound while the agent speaks: does the agent stop for it? Pure rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from vita_model.engine.voice import Samples
from vita_model.serving.words import BACKCHANNELS, telling, words_of

FAR_DB = 7.5
"""So far below the caller's usual level somebody else is speaking, or not to the phone."""
FAR_IN_SILENCE_DB = 15.0
"""The same while the agent is silent: a browser's gain control alone moves a caller by 7.4, and a
question without an answer is worse than an answer nobody asked for."""
PLAIN_MS = 400
"""From here on one word that is no backchannel is enough."""
LATE_MS = 500
"""A decision is due: who still speaks and was not understood wants to say something."""
SOON_MS = 440
"""The same for a model that tells by the sound alone whether it is meant for the agent."""
SURE = 0.7
"""From this probability of a query on there is no need to hear more of it."""
LIKELY = 0.3
"""When the decision is due so much is enough: an interruption costs less than a question."""
SHORT_MS = 700
"""Sounds up to here that hold no clear word are hums."""
FEW = 3
"""So many words are more than a backchannel, whatever they are."""


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
    """

    transcript: str | None
    spoken_ms: int
    over: bool = False
    below_db: float | None = None
    query: float | None = None


def judge(evidence: Evidence) -> Verdict:
    """What the evidence says."""
    if evidence.below_db is not None and evidence.below_db > FAR_DB:
        return Verdict.GO_ON
    if evidence.transcript is None:
        # A model too busy to have listened costs an interruption, not a question.
        return Verdict.STOP if evidence.over and evidence.spoken_ms > SHORT_MS else Verdict.OPEN
    words = words_of(evidence.transcript)
    clear = telling(words)
    if evidence.over:
        return _at_the_end(evidence, words, clear)
    late = evidence.spoken_ms >= (LATE_MS if evidence.query is None else SOON_MS)
    if clear >= 2 or (clear and evidence.spoken_ms >= PLAIN_MS):
        return Verdict.STOP
    if evidence.query is None:
        stop = late and len(words) >= FEW
    elif not clear and words and (len(words) > 1 or words[0] in BACKCHANNELS):
        stop = False  # the words are a backchannel's, whatever it sounds like
    else:
        stop = evidence.query >= (LIKELY if late else SURE)
    if stop:
        return Verdict.STOP
    return Verdict.GO_ON if late else Verdict.OPEN


def _at_the_end(evidence: Evidence, words: tuple[str, ...], clear: int) -> Verdict:
    passing = not clear and (evidence.spoken_ms <= SHORT_MS or len(words) < FEW)
    return Verdict.GO_ON if not words or passing else Verdict.STOP


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
