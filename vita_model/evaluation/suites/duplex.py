"""Duplex: whether the agent, while it speaks, stops for the right sounds, and how soon."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

from vita_model.engine.voice import Heard, ReplyEvent, Samples, VoiceModel
from vita_model.evaluation import duplex
from vita_model.evaluation.duplex_report import IGNORE_BAR, YIELD_BAR
from vita_model.evaluation.duplex_set import CASES, KINDS, Case, Kind, cases
from vita_model.evaluation.figures import Measure, Row
from vita_model.evaluation.suite import EvaluationError, Shelf

_STOPS = ("query", "late query")


@dataclass(frozen=True, slots=True)
class Over:
    """One sound over the agent's speech: which of its kind."""

    key: str
    kind: Kind
    number: int


class DuplexSuite:
    """The set of `vita model duplex`, its half for reports, over an answer."""

    name = "duplex"
    small = 48
    about = (
        "While the agent answers at length, something comes over the caller's line: a question "
        "(`query`), a backchannel and then a question (`late query`), a backchannel, a cough, music, "
        "or somebody who speaks to somebody else; each with noise 30, 20 or 10 dB below the caller. "
        f"Right if the agent stops within {1_000 * duplex.IN_TIME_S:.0f} ms of a question's onset, "
        "or goes on with anything else. Real turns in virtual time: computing takes as long as its "
        "CPU time. The bar of what should be passed over is asked of every kind by itself."
    )
    measures = (
        Measure(
            "right",
            bars={
                "query": 100 * YIELD_BAR,
                **{kind: 100 * IGNORE_BAR for kind in KINDS if kind not in _STOPS},
            },
        ),
        Measure("stopped after", "ms", "at most", how="median"),
    )

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._speaker: _SaysOnce | None = None

    def items(self, count: int | None) -> Sequence[Over]:
        """The kinds in turn, as long as there are more of each."""
        found = [
            Over(f"{kind.replace(' ', '-')}-{number:02d}", kind, number)
            for number in range(max(CASES.values()))
            for kind in KINDS
            if number < CASES[kind]
        ]
        return found[:count]

    async def run(self, model: VoiceModel, item: Over, shelf: Shelf) -> Row:
        """Play one sound into a call."""
        case = _made(self._seed)[item.kind][item.number]
        if self._speaker is None or self._speaker.model is not model:
            self._speaker = _SaysOnce(model)
        speaker = cast(VoiceModel, self._speaker)  # the scorer hears and says, and no more
        async for outcome in duplex.run(speaker, [case], "answer"):
            counts = {"right": (float(outcome.right), 1.0)}
            if outcome.stopped_s is not None and item.kind in _STOPS:
                counts["stopped after"] = (1_000 * outcome.stopped_s, 1.0)
            stopped = "goes on" if outcome.stopped_s is None else f"stops at {outcome.stopped_s} s"
            return Row(
                item.key,
                item.kind,
                counts,
                wanted="stops" if case.to_answer else "goes on",
                got=stopped,
                said=case.text,
                heard=outcome.heard,
                files={"input": shelf.sound(item.key, "input", case.sound, model.input_rate)},
            )
        raise EvaluationError(f"The call of {item.key} gave no outcome; run it again.")


class _SaysOnce:
    """A model that keeps what it said: the agent's speech is the same in every call."""

    def __init__(self, model: VoiceModel) -> None:
        self.model = model
        self.output_rate = model.output_rate
        self._said: dict[str, list[ReplyEvent]] = {}

    async def hear(self, samples: Samples) -> Heard:
        """What the model hears."""
        return await self.model.hear(samples)

    async def say(self, text: str) -> AsyncIterator[ReplyEvent]:
        """The same events as before, if it was said before."""
        if text not in self._said:
            self._said[text] = [event async for event in self.model.say(text)]
        for event in self._said[text]:
            yield event


@cache
def _made(seed: int) -> dict[Kind, list[Case]]:
    """All cases by kind.

    Raises:
        EvaluationError: A voice is missing.
    """
    found: dict[Kind, list[Case]] = {kind: [] for kind in KINDS}
    try:
        for case in cases("report", seed):
            found[case.kind].append(case)
    except FileNotFoundError as error:
        message = f"A voice is missing ({error}); install espeak-ng and flite."
        raise EvaluationError(message) from error
    return found
