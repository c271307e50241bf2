"""The caller's audio: wire bytes in, utterances out."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vita_model.audio.telephone import WIRE_RATE, WIRE_WIDTH, WireDecoder, WireFormat
from vita_model.engine.voice import Samples
from vita_model.serving.turns import (
    MAX_TURN_WINDOWS,
    ONSET_WINDOWS,
    WINDOW_MS,
    Signal,
    TurnDetector,
    TurnRules,
)
from vita_model.serving.vad import VAD_RATE, WINDOW, SpeechDetector

_NOTHING: Samples = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Turn:
    """One signal of the caller's turn.

    Attributes:
        signal: What happened.
        at_ms: Where in the session's audio: the first kept sample for `STARTED`, else the end.
        samples: The utterance so far at 16 kHz, for `PAUSED` and `STOPPED`, else nothing. A turn
            that stops after a pause has the very samples of that pause.
    """

    signal: Signal
    at_ms: int
    samples: Samples = field(default_factory=lambda: _NOTHING)


class Listener:
    """Decodes, resamples and keeps what the current turn needs, and finds turns if asked to."""

    def __init__(self, detector: SpeechDetector, wire: WireFormat, rules: TurnRules | None) -> None:
        self._detector = detector
        self._wire = wire
        self._decoder = WireDecoder(wire, VAD_RATE)
        self._rules = rules
        self._turns = None if rules is None else TurnDetector(rules)
        self._rest = _NOTHING
        self._windows: deque[Samples] = deque(maxlen=MAX_TURN_WINDOWS)
        self._at_pause: Samples | None = None
        self._heard_windows = 0

    @property
    def bytes_per_second(self) -> int:
        """What one second of the input format takes."""
        return WIRE_RATE[self._wire] * WIRE_WIDTH[self._wire]

    @property
    def speaking(self) -> bool:
        """A turn is going on."""
        return self._turns is not None and self._turns.speaking

    @property
    def spoken_ms(self) -> int:
        """Speech in the turn going on or else in the last one, without its pauses."""
        return 0 if self._turns is None else self._turns.spoken_ms

    @property
    def elapsed_ms(self) -> int:
        """Since the first hint of the turn going on or else of the last one, with its pauses."""
        return 0 if self._turns is None else self._turns.elapsed_ms

    @property
    def heard_ms(self) -> int:
        """How much of the session's audio has passed."""
        return self._heard_windows * WINDOW_MS

    @property
    def so_far(self) -> Samples:
        """The turn going on, at 16 kHz."""
        return np.concatenate(self._windows) if self._windows else _NOTHING

    def wait(self, silence_ms: int) -> None:
        """End the turn going on after so much silence, unless the caller speaks on."""
        if self._turns is not None:
            self._turns.wait(silence_ms)

    def configure(self, wire: WireFormat, rules: TurnRules | None) -> None:
        """Take new settings; audio in hand is dropped only where it no longer fits them."""
        if wire != self._wire:
            self._wire = wire
            self._decoder = WireDecoder(wire, VAD_RATE)
        if rules != self._rules:
            self._rules = rules
            self._turns = None if rules is None else TurnDetector(rules)
            self.clear()

    def feed(self, data: bytes) -> list[Turn]:
        """Take wire bytes, cut anywhere; give the signals of the windows they complete."""
        windows = self.cut(data)
        judged = [self._detector.probability(w) for w in windows] if self.detects else []
        return self.judged(windows, judged)

    @property
    def detects(self) -> bool:
        """Turns are looked for, so the windows have to be judged."""
        return self._turns is not None

    def cut(self, data: bytes) -> list[Samples]:
        """Take wire bytes, cut anywhere; give the windows they complete, which come to `judged`."""
        audio = np.concatenate([self._rest, self._decoder.feed(data)])
        whole = len(audio) - len(audio) % WINDOW
        self._rest = audio[whole:]
        return [audio[start : start + WINDOW] for start in range(0, whole, WINDOW)]

    def judged(self, windows: Sequence[Samples], probabilities: Sequence[float]) -> list[Turn]:
        """Take windows with how likely each is speech (nothing where it does not `detect`)."""
        if not self.detects:
            probabilities = [0.0] * len(windows)
        pairs = zip(windows, probabilities, strict=True)
        return [turn for window, probability in pairs for turn in self._window(window, probability)]

    def take(self) -> Samples:
        """End the turn by hand: what was said since the last one, at most one minute."""
        if self._turns is not None and not self._turns.speaking:
            return _NOTHING
        samples = np.concatenate([*self._windows, self._rest])
        self.clear()
        return samples

    def clear(self) -> None:
        """Forget the audio of the current turn."""
        self._windows.clear()
        self._rest = _NOTHING
        self._at_pause = None
        self._detector.reset()
        if self._turns is not None:
            self._turns.reset()

    def _window(self, window: Samples, probability: float) -> list[Turn]:
        self._windows.append(window)
        self._heard_windows += 1
        if self._turns is None or self._rules is None:
            return []
        signals = self._turns.feed(probability)
        turns = [self._turn(signal) for signal in signals]
        if not self._turns.speaking:
            lead = -(-self._rules.prefix_ms // WINDOW_MS) + ONSET_WINDOWS - 1
            while len(self._windows) > lead:
                self._windows.popleft()
        return turns

    def _turn(self, signal: Signal) -> Turn:
        end_ms = self.heard_ms
        match signal:
            case Signal.STARTED:
                return Turn(signal, end_ms - len(self._windows) * WINDOW_MS)
            case Signal.PAUSED:
                self._at_pause = np.concatenate(self._windows)
                return Turn(signal, end_ms, self._at_pause)
            case Signal.STOPPED:
                samples = self._at_pause
                if samples is None:
                    samples = np.concatenate(self._windows)
                self._at_pause = None
                self._windows.clear()
                return Turn(signal, end_ms, samples)
            case Signal.RESUMED:
                self._at_pause = None
        return Turn(signal, end_ms)
