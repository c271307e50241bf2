"""Speaks phrases: words, phonemes, NAR layout, AR codes, waveform, in chunks as they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vita_model.speech.aligned import AlignedSpeechDecoder
from vita_model.speech.phones import Pronouncer
from vita_model.speech.source_filter import CodecStream, SourceFilterCodec
from vita_model.speech.text import spoken

FIRST_CHUNK = 10
"""Codes (25 ms each) before the first sound of a phrase leaves."""
CHUNK = 24
LOOK_AHEAD = 3
"""Codes a chunk waits for; the codec reaches further but hardly listens beyond."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples at 24 kHz, and which share of the phrase is spoken when they end (0..1)."""

    samples: NDArray[np.float32]
    share: float


class Speaker:
    """One voice. Free of state between phrases; safe to use from several threads."""

    def __init__(
        self,
        pronouncer: Pronouncer,
        decoder: AlignedSpeechDecoder,
        codec: SourceFilterCodec,
        phonemes: list[str],
    ) -> None:
        self._pronouncer = pronouncer
        self._decoder = decoder.eval()
        self._codec = codec.eval()
        self._numbers = {phoneme: index + 1 for index, phoneme in enumerate(phonemes)}

    def phoneme_ids(self, text: str) -> list[int]:
        """Ids of a phrase's phonemes as the decoder knows them; unknown ones are left out."""
        phonemes = self._pronouncer.phonemes(spoken(text))
        return [self._numbers[p] for p in phonemes if p in self._numbers]

    def speak(self, text: str, *, pace: float = 1.0, seed: int = 0) -> Iterator[Piece]:
        """Sound of one phrase, chunk by chunk. A phrase without a word makes no sound."""
        ids = self.phoneme_ids(text)
        if not any(c.isalnum() for c in text) or not ids:
            return
        with torch.inference_mode():
            plan = self._decoder.plan(torch.tensor(ids), pace)
            stream = CodecStream(self._codec, seed)
            total, size = len(plan.rows), FIRST_CHUNK
            waiting: list[tuple[int, int]] = []
            for done, code in enumerate(self._decoder.codes(plan, seed=seed), 1):
                waiting.append(code)
                if len(waiting) == size and done < total:
                    samples = stream.push(waiting, ahead=LOOK_AHEAD)
                    yield Piece(samples.numpy(), max(0, done - LOOK_AHEAD) / total)
                    waiting, size = [], CHUNK
            yield Piece(stream.push(waiting, last=True).numpy(), 1.0)
