"""When a caller's turn begins and ends: speech probabilities in, signals out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

WINDOW_MS = 32
"""One speech probability stands for 32 ms of audio."""
ONSET_WINDOWS = 2
"""Speech begins with two loud windows in a row: a click is one."""
HINT = 0.1
"""Above it a window may be speech. Soft beginnings stay below the threshold for up to 300 ms."""
MAX_HINTS = 9
"""So many such windows before the onset are counted at most."""
FIRST_LOOKS = (9, 11, 13, 14, 15, 17)
"""A look is worth it after 290, 350, 420, 450, 480 and 540 ms of speech, and so long after its first
hint: a decision is due by 600."""
LEAST_WINDOWS = 4
"""With less speech a look by the clock tells nothing."""
LOOK_EVERY = 4
"""And then every 130 ms."""
PAUSE_WINDOWS = 6
"""After 190 ms of silence the utterance is worth hearing, though the turn may go on."""
HYSTERESIS = 0.15
"""Speech ends this far below the threshold it began at."""
MAX_TURN_WINDOWS = 60_000 // WINDOW_MS
"""A turn is at most one minute long."""


class Signal(Enum):
    """What a window of audio meant for the turn."""

    STARTED = auto()
    """The caller began to speak, `ONSET_WINDOWS` ago."""
    LOOK = auto()
    """The caller has spoken a little more, and has not paused."""
    PAUSED = auto()
    """The caller fell silent; the turn may end here."""
    RESUMED = auto()
    """The caller speaks on after a pause."""
    STOPPED = auto()
    """The turn is over."""


@dataclass(frozen=True, slots=True)
class TurnRules:
    """How sure, and how patient, the detector is.

    Attributes:
        threshold: Speech probability from which on a window counts as speech.
        prefix_ms: Audio kept from before the onset.
        silence_ms: Silence that ends a turn.
    """

    threshold: float = 0.5
    prefix_ms: int = 300
    silence_ms: int = 500

    @property
    def silence_windows(self) -> int:
        """Silence that ends a turn, in windows."""
        return max(1, round(self.silence_ms / WINDOW_MS))


class TurnDetector:
    """Follows one caller. Feed it one probability per window."""

    def __init__(self, rules: TurnRules) -> None:
        self._rules = rules
        self._spoken = self._elapsed = 0
        self.reset()

    def reset(self) -> None:
        """Wait for the next turn."""
        self.speaking = False
        self._patience = self._rules.silence_windows
        self._loud = 0
        self._hints = 0
        self._silent = 0
        self._length = 0

    @property
    def spoken_ms(self) -> int:
        """Speech in this turn so far or else in the last one, without its pauses."""
        return self._spoken * WINDOW_MS

    @property
    def elapsed_ms(self) -> int:
        """Since the first hint of this turn or else of the last one, with its pauses."""
        return self._elapsed * WINDOW_MS

    def wait(self, silence_ms: int) -> None:
        """End this turn after so much silence; the rules count again when the caller speaks on."""
        self._patience = max(1, round(silence_ms / WINDOW_MS))

    def feed(self, probability: float) -> list[Signal]:
        """Signals of one window, in the order they happened. `STOPPED` is always the last."""
        if not self.speaking:
            self._loud = self._loud + 1 if probability >= self._rules.threshold else 0
            self._hints = self._hints + 1 if probability > HINT else 0
            if self._loud < ONSET_WINDOWS:
                return []
            self.speaking = True
            self._spoken = self._length = self._loud
            self._elapsed = min(self._hints, MAX_HINTS + self._loud)
            return [Signal.STARTED]
        self._length += 1
        self._elapsed += 1
        signals = self._speech() if self._is_speech(probability) else self._silence()
        if self._length >= MAX_TURN_WINDOWS and Signal.STOPPED not in signals:
            signals.append(Signal.STOPPED)
        if Signal.STOPPED in signals:
            self.reset()
        return signals

    def _is_speech(self, probability: float) -> bool:
        floor = self._rules.threshold - (0 if self._silent else HYSTERESIS)
        return probability >= max(floor, 0.01)

    def _speech(self) -> list[Signal]:
        signals = [Signal.RESUMED] if self._silent >= self._pause_windows else []
        self._silent = 0
        self._spoken += 1
        self._patience = self._rules.silence_windows
        late = self._spoken - FIRST_LOOKS[-1]
        first = self._spoken in FIRST_LOOKS or self._is_due
        if first or (late > 0 and late % LOOK_EVERY == 0):
            signals.append(Signal.LOOK)
        return signals

    def _silence(self) -> list[Signal]:
        self._silent += 1
        signals = []
        if self._silent == self._pause_windows:
            signals.append(Signal.PAUSED)
        elif self._silent < self._pause_windows and self._is_due:
            signals.append(Signal.LOOK)
        if self._silent >= self._patience:
            signals.append(Signal.STOPPED)
        return signals

    @property
    def _is_due(self) -> bool:
        """It is time for a look, and there is something to listen to."""
        return self._elapsed in FIRST_LOOKS and self._spoken >= LEAST_WINDOWS

    @property
    def _pause_windows(self) -> int:
        return min(PAUSE_WINDOWS, self._rules.silence_windows)
