"""The recording of a call: caller on the left, agent as played on the right, true to time."""

from __future__ import annotations

import asyncio
import wave
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agent.audio import TELEPHONE, AudioFormat
from agent.log import get_logger
from agent.store.recordings import Recording, RecordingFile

log = get_logger(__name__)

Side = Literal[0, 1]
CALLER: Side = 0
AGENT: Side = 1

_HOLD_S = 1
"""Newest seconds kept in memory: an interruption may still take some of them back."""
_BLOCK_S = 1
"""Seconds handed to the writer at a time."""
_HORIZON_S = 60
"""Audio further ahead than this is a broken timestamp and is dropped."""
_CLOSE_S = 10.0


class StereoTimeline:
    """Two channels of 16-bit samples, placed by position since the start of the call."""

    def __init__(self, rate: int = TELEPHONE.rate) -> None:
        self._rate = rate
        self._start = 0
        self._ends = [0, 0]
        self._window: NDArray[np.int16] = np.zeros((2 * rate, 2), dtype=np.int16)

    @property
    def end(self) -> int:
        """Position behind the last sample of either side."""
        return max(self._ends)

    @property
    def start(self) -> int:
        """Position of the first sample that was not taken yet."""
        return self._start

    def put(self, side: Side, position: int, samples: NDArray[np.int16]) -> None:
        """Place samples. What lies before `start` or absurdly far ahead is dropped.

        Two samples of drift against the side's own end are rounding: they are joined seamlessly.
        """
        if abs(position - self._ends[side]) <= 2:
            position = self._ends[side]
        late = max(self._start - position, 0)
        samples = samples[late:]
        offset = position + late - self._start
        if not len(samples) or offset > _HORIZON_S * self._rate:
            return
        end = offset + len(samples)
        if end > len(self._window):
            more = np.zeros((max(end - len(self._window), self._rate), 2), dtype=np.int16)
            self._window = np.concatenate([self._window, more])
        self._window[offset:end, side] = samples
        self._ends[side] = max(self._ends[side], self._start + end)

    def cut(self, side: Side, position: int) -> None:
        """Take back everything of a side from `position` on."""
        if position < self._ends[side]:
            self._window[max(position - self._start, 0) :, side] = 0
            self._ends[side] = max(position, self._start)

    def take(self, until: int) -> bytes:
        """Remove and return the interleaved little-endian samples up to `until`."""
        length = until - self._start
        if length <= 0:
            return b""
        taken = np.zeros((length, 2), dtype="<i2")
        held = min(length, len(self._window))
        taken[:held] = self._window[:held]
        self._window = np.concatenate([self._window[held:], np.zeros((held, 2), dtype=np.int16)])
        self._start = until
        self._ends = [max(end, until) for end in self._ends]
        return taken.tobytes()


class Recorder:
    """Writes a call to a WAV file while it runs, on a thread of its own.

    A disk that fails ends the recording, never the call.
    """

    def __init__(self, path: Path, audio: AudioFormat = TELEPHONE) -> None:
        self._path = path
        self._rate = audio.rate
        self._timeline = StereoTimeline(audio.rate)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")
        self._file: RecordingFile | None = None
        self._failed = False
        self._submit(self._thread.submit(self._open))

    def caller(self, position: int, samples: NDArray[np.int16]) -> None:
        """Caller audio, `position` samples after the start of the call."""
        self._timeline.put(CALLER, position, samples)
        settled = position - _HOLD_S * self._rate
        if settled - self._timeline.start >= _BLOCK_S * self._rate:
            block = self._timeline.take(settled)
            self._submit(self._thread.submit(self._write, block))

    def agent(self, position: int, samples: NDArray[np.int16]) -> None:
        """Agent audio that starts to play `position` samples after the start of the call."""
        self._timeline.put(AGENT, position, samples)

    def cut(self, position: int) -> None:
        """Playback was cleared: nothing of the agent is heard from `position` on."""
        self._timeline.cut(AGENT, position)

    async def close(self) -> Recording | None:
        """Write the rest and finish the file. None when recording failed."""
        self._submit(self._thread.submit(self._write, self._timeline.take(self._timeline.end)))
        finished = self._thread.submit(self._finish)
        self._thread.shutdown(wait=False)
        try:
            async with asyncio.timeout(_CLOSE_S):
                return await asyncio.wrap_future(finished)
        except (OSError, wave.Error, TimeoutError) as error:
            log.warning("recording_not_finished", error=repr(error))
            return None

    def _submit(self, job: Future[None]) -> None:
        job.add_done_callback(self._check)

    def _check(self, job: Future[None]) -> None:
        error = job.exception()
        if error is not None and not self._failed:
            self._failed = True
            log.error("recording_stopped", error=repr(error))

    def _open(self) -> None:
        self._file = RecordingFile(self._path, self._rate)

    def _write(self, block: bytes) -> None:
        if self._file is not None and not self._failed:
            self._file.write(block)

    def _finish(self) -> Recording | None:
        if self._file is None:
            return None
        if self._failed:
            self._file.abandon()
            return None
        return self._file.finish()
