"""The recording holds what each side heard, when they heard it."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.audio import WIDEBAND
from agent.pipeline.recorder import AGENT, CALLER, Recorder, StereoTimeline
from agent.store.recordings import abandoned, part_of, salvage

pytestmark = pytest.mark.integration


def level(value: int, samples: int) -> NDArray[np.int16]:
    return np.full(samples, value, dtype=np.int16)


def read(path: Path) -> NDArray[np.int16]:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        frames = file.readframes(file.getnframes())
    return np.frombuffer(frames, dtype="<i2").reshape(-1, 2)


async def test_both_sides_lie_where_they_were_heard(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "deep" / "call.wav")
    for step in range(250):
        recorder.caller(step * 160, level(100 + step, 160))
    recorder.agent(24000, level(7, 4000))
    recording = await recorder.close()
    assert recording is not None
    samples = read(recording.path)
    assert samples.shape == (40000, 2)
    assert samples[::160, CALLER].tolist() == list(range(100, 350))
    assert np.flatnonzero(samples[:, AGENT]).tolist() == list(range(24000, 28000))
    assert recording.duration_ms == 5000
    assert recording.size == recording.path.stat().st_size
    assert recording.sha256 == hashlib.sha256(recording.path.read_bytes()).hexdigest()


async def test_what_an_interruption_cleared_is_not_in_the_recording(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.wav")
    recorder.caller(0, level(1, 8000))
    recorder.agent(1000, level(9, 6000))
    recorder.cut(3000)
    recorder.agent(5000, level(5, 100))
    recording = await recorder.close()
    assert recording is not None
    agent = read(recording.path)[:, AGENT]
    assert np.flatnonzero(agent == 9).tolist() == list(range(1000, 3000))
    assert np.flatnonzero(agent == 5).tolist() == list(range(5000, 5100))


async def test_a_missing_stretch_of_the_caller_is_silence_of_the_same_length(
    tmp_path: Path,
) -> None:
    recorder = Recorder(tmp_path / "call.wav")
    recorder.caller(0, level(3, 160))
    recorder.caller(80000, level(4, 160))
    recording = await recorder.close()
    assert recording is not None
    caller = read(recording.path)[:, CALLER]
    assert len(caller) == 80160
    assert np.flatnonzero(caller).tolist() == [*range(160), *range(80000, 80160)]


async def test_a_disk_that_fails_ends_the_recording_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    recorder = Recorder(tmp_path / "file" / "call.wav")
    recorder.caller(0, level(3, 160))
    assert await recorder.close() is None


def test_a_killed_process_leaves_a_file_that_can_be_played_and_made_whole(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    part = part_of(path)
    script = f"""
import os, time, pathlib, numpy as np
from agent.pipeline.recorder import Recorder
recorder = Recorder(pathlib.Path({str(path)!r}))
path = pathlib.Path({str(part)!r})
for step in range(300):
    recorder.caller(step * 160, np.full(160, 12, dtype=np.int16))
while not path.exists() or path.stat().st_size < 4 * 32000:
    time.sleep(0.01)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == -9
    samples = read(part)
    assert len(samples) >= 24000, "at most the block being written may be missing"
    assert (samples[:, CALLER] == 12).all()
    with part.open("ab") as file:  # a block whose header was not written any more
        file.write(bytes([13, 0, 0, 0]) * 80 + b"hal")
    assert abandoned([tmp_path]) == [part]
    recording = salvage(part)
    assert recording is not None
    assert recording.path == path
    whole = read(path)
    assert whole[-81:, CALLER].tolist() == [12, *[13] * 80]
    assert recording.duration_ms == len(whole) * 1000 // 8000
    assert recording.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert recording.size == path.stat().st_size
    assert (abandoned([tmp_path]), salvage(part)) == ([], None)


async def test_a_recording_that_still_grows_is_left_alone(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.wav")
    recorder.caller(0, level(3, 160))
    while not part_of(tmp_path / "call.wav").exists():  # noqa: ASYNC110 - a thread makes it
        await asyncio.sleep(0.01)
    assert abandoned([tmp_path]) == []
    assert salvage(part_of(tmp_path / "call.wav")) is None
    recording = await recorder.close()
    assert recording is not None
    assert recording.path == tmp_path / "call.wav"
    assert len(read(recording.path)) == 160


def test_an_abandoned_recording_without_sound_is_removed(tmp_path: Path) -> None:
    part = tmp_path / "call.wav.part"
    part.write_bytes(b"RIFF")
    assert abandoned([tmp_path]) == [part]
    assert salvage(part) is None
    assert not part.exists()


def test_pieces_one_sample_apart_by_rounding_are_joined() -> None:
    timeline = StereoTimeline()
    timeline.put(AGENT, 100, level(1, 160))
    timeline.put(AGENT, 261, level(2, 160))
    samples = np.frombuffer(timeline.take(timeline.end), dtype="<i2").reshape(-1, 2)
    assert samples[100:420, AGENT].tolist() == [1] * 160 + [2] * 160


def test_a_broken_timestamp_does_not_fill_the_memory() -> None:
    timeline = StereoTimeline()
    timeline.put(CALLER, 8000 * 3600 * 24, level(1, 160))
    assert timeline.end == 0


async def test_a_wideband_call_is_recorded_at_its_own_rate(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.wav", WIDEBAND)
    for step in range(150):
        recorder.caller(step * 480, level(9, 480))
    recording = await recorder.close()
    assert recording is not None
    assert recording.duration_ms == 3000
    with wave.open(str(recording.path), "rb") as file:
        assert (file.getframerate(), file.getnframes()) == (24_000, 72_000)
