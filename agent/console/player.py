"""The player of a recording: two-channel waveform, controls and keys.

The waveform comes from peaks the service computed, so that the browser need not decode the file. The
player also moves the transcript: an element with `data-from-ms` and `data-to-ms` is marked while it
is heard, and a click on one with `data-seek-ms` plays from there.
"""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui


class Player(ui.element, component="player.js", esm={"vita-wavesurfer": "wavesurfer"}):
    """One recording. `play_from(ms)` moves it and plays."""

    def __init__(
        self,
        source: str,
        *,
        peaks: Sequence[Sequence[float]],
        duration_ms: int,
        start_ms: int = -1,
        leads: bool = True,
    ) -> None:
        """Make the player.

        Args:
            source: Address of the WAV file.
            peaks: One list per channel of values in 0-1, evenly spaced: caller, agent.
            duration_ms: Length of the recording.
            start_ms: Where playback stands at first; negative for the beginning.
            leads: Whether the page's keys and its transcript belong to this player.
        """
        super().__init__()
        self._props["source"] = source
        self._props["peaks"] = [list(channel) for channel in peaks]
        self._props["leads"] = leads
        self._props["duration"] = duration_ms / 1000
        self._props["start"] = max(start_ms, 0) / 1000

    def play_from(self, at_ms: int) -> None:
        """Play from `at_ms` on."""
        _ = self.run_method("playFrom", at_ms)
