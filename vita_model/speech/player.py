"""Plays sound on this machine while it is still being made, by the library `sounddevice`."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


class PlayerError(RuntimeError):
    """No sound can be played here; the message says what to do."""


class Player:
    """Takes sound faster than it is heard, and plays it in order."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._pieces: queue.SimpleQueue[Samples | None] = queue.SimpleQueue()

    def play(self, samples: Samples) -> None:
        """Add float samples `[n]` behind what is still to be heard; does not wait."""
        self._pieces.put(np.ascontiguousarray(samples, np.float32)[:, None])

    def finish(self) -> None:
        """Nothing follows."""
        self._pieces.put(None)

    def run(self) -> None:
        """Play until `finish`, in the calling thread."""
        while (piece := self._pieces.get()) is not None:
            self._stream.write(piece)


@contextmanager
def playing(rate: int) -> Iterator[Player]:
    """A player; leaving waits until all was heard.

    Args:
        rate: Samples a second.

    Raises:
        PlayerError: The library, its PortAudio or a sound card is missing.
    """
    try:
        import sounddevice  # noqa: PLC0415 - an optional dependency
    except (ImportError, OSError) as error:  # OSError: PortAudio is not there
        raise PlayerError(
            "No sound can be played: install vita-agent[play] and PortAudio (on Debian"
            " libportaudio2), or keep the speech with --save."
        ) from error
    try:
        stream = sounddevice.OutputStream(rate, channels=1, dtype="float32", latency="high")
        stream.start()
    except sounddevice.PortAudioError as error:
        raise PlayerError(
            f"No sound can be played ({error}): connect a sound card, or keep the speech with --save."
        ) from error
    with stream, ThreadPoolExecutor(1, "vita-play") as pool:
        player = Player(stream)
        job = pool.submit(player.run)
        try:
            yield player
        finally:
            player.finish()
        job.result()
        stream.stop()  # waits for what the card still has
