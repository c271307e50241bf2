"""One sound of the caller while the agent speaks: looked at again and again until it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vita_model.engine.voice import Heard, Samples
from vita_model.serving.effects import CancelHearing, Effect, Hear
from vita_model.serving.overlap import CallerLevel, Evidence, Verdict, judge, loudness
from vita_model.serving.vad import WINDOW

SELDOM_MS = 120
"""Once the agent goes on, what still sounds is looked at again after so much more speech."""


class Talkover:
    """Gathers the evidence about one sound.

    Attributes:
        verdict: What it is taken for so far. `STOP` is final, `GO_ON` is not.
    """

    def __init__(self, level: CallerLevel, new_id: Callable[[str], str]) -> None:
        self.verdict = Verdict.OPEN
        self._level = level
        self._new_id = new_id
        self._look: tuple[str, Evidence] | None = None
        self._looked_ms = 0

    def look(self, samples: Samples, spoken_ms: int, elapsed_ms: int) -> list[Effect]:
        """The caller has spoken a little more: have the model listen to it, if that may tell more."""
        seldom = self.verdict is Verdict.GO_ON and spoken_ms - self._looked_ms < SELDOM_MS
        if self.verdict is Verdict.STOP or self._look is not None or seldom:
            return []
        self._looked_ms = spoken_ms
        evidence = self._evidence(samples, spoken_ms, elapsed_ms=elapsed_ms)
        self.verdict = judge(evidence)
        if self.verdict is not Verdict.OPEN:
            return []
        hearing_id = self._new_id("look")
        self._look = hearing_id, evidence
        return [Hear(hearing_id, samples)]

    def looked(self, hearing_id: str, result: Heard | str) -> bool:
        """The model has listened to what a look asked for. False when it was not such a look."""
        if self._look is None or self._look[0] != hearing_id:
            return False
        _, evidence = self._look
        self._look = None
        if isinstance(result, Heard):
            self.verdict = judge(_with(evidence, result))
        return True

    def paused(self, samples: Samples, spoken_ms: int, result: Heard | str | None) -> None:
        """The caller fell silent, and the model may have heard what there is."""
        evidence = self._evidence(samples, spoken_ms, over=True)
        if isinstance(result, Heard):
            evidence = _with(evidence, result)
        self.verdict = judge(evidence)

    def drop(self) -> list[Effect]:
        """Nobody waits for a look any more."""
        look, self._look = self._look, None
        return [] if look is None else [CancelHearing(look[0])]

    def _evidence(
        self, samples: Samples, spoken_ms: int, *, over: bool = False, elapsed_ms: int = 0
    ) -> Evidence:
        below = self._level.below(loudness(samples, WINDOW))
        return Evidence(None, spoken_ms, over, below, elapsed_ms=elapsed_ms)


def _with(evidence: Evidence, heard: Heard) -> Evidence:
    return replace(evidence, transcript=heard.transcript, query=heard.query)
