"""Speaks phrases: words, phonemes, NAR layout, AR codes, waveform, in chunks as they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vita_model.speech.aligned import AlignedSpeechDecoder, Plan
from vita_model.speech.phones import GAP, Pronouncer
from vita_model.speech.source_filter import CodecStream, SourceFilterCodec
from vita_model.speech.text import spoken

FIRST_CHUNK = 10
"""Codes (25 ms each) before the first sound of a phrase leaves."""
CHUNK = 24
LOOK_AHEAD = 3
"""Codes a chunk waits for; the codec reaches further but hardly listens beyond."""
HELD_BACK = 2
"""Words of an unfinished phrase that are read but not said yet: they shape those before."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples at 24 kHz, and how many characters of the phrase are spoken when they end."""

    samples: NDArray[np.float32]
    characters: int


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
        self.decoder = decoder.eval()
        self.codec = codec.eval()
        self._numbers = {phoneme: index + 1 for index, phoneme in enumerate(phonemes)}
        self.gap = self._numbers[GAP]

    def phoneme_ids(self, text: str) -> list[int]:
        """Ids of a phrase's phonemes as the decoder knows them; unknown ones are left out."""
        phonemes = self._pronouncer.phonemes(spoken(text))
        return [self._numbers[p] for p in phonemes if p in self._numbers]

    @torch.inference_mode()
    def say(self, voices: Sequence[PhraseVoice], most: int) -> None:
        """Decide the next codes of several voices in one go, at most `most` of each."""
        count = min(most, *(voice.sayable for voice in voices))
        rows = torch.stack([voice.take(count) for voice in voices])
        codes = self.decoder.codes([voice.memory for voice in voices], rows)
        for voice, said in zip(voices, codes.tolist(), strict=True):
            voice.said([(coarse, fine) for coarse, fine in said])


class PhraseVoice:
    """One phrase being spoken, perhaps before all of its words are known.

    `read` lays it out; `sayable` codes may then be decided with `Speaker.say`, and `sound` gives
    what is ready to be heard. An unfinished phrase is read again as it grows: what was said stays,
    what follows is laid out anew.
    """

    def __init__(self, speaker: Speaker, seed: int = 0) -> None:
        self._speaker = speaker
        self.memory = speaker.decoder.memory()
        self._stream = CodecStream(speaker.codec, seed)
        self._ids: list[int] = []
        self._plan: Plan | None = None
        self._settled = 0
        self._next = self._last = 0
        self._text = 0
        self.finished = False
        self._codes: list[tuple[int, int]] = []
        self._chunk = FIRST_CHUNK

    @torch.inference_mode()
    def read(self, text: str, *, finished: bool) -> bool:
        """Lay out the phrase so far. False, with nothing changed, when it contradicts what was read."""
        speaker = self._speaker
        ids = speaker.phoneme_ids(text)
        settled = self._settled
        if ids[:settled] != self._ids[:settled]:
            return False
        self.finished = finished
        self._text = len(text)
        if not ids or not any(c.isalnum() for c in text):
            return True
        plan = speaker.decoder.plan(torch.tensor(ids))
        begin = plan.ends[settled - 1] if settled else 0
        keep = len(ids) if finished else self._before_held_back(ids)
        self._plan, self._ids, self._settled = plan, ids, max(keep, settled)
        self._next = begin
        self._last = len(plan.rows) if finished else max(begin, plan.ends[self._settled - 1])
        return True

    def _before_held_back(self, ids: Sequence[int]) -> int:
        """Phonemes up to the gap before the words that are held back."""
        gaps = [index for index, number in enumerate(ids) if number == self._speaker.gap]
        return gaps[-HELD_BACK] + 1 if len(gaps) >= HELD_BACK else 1

    def settle(self) -> None:
        """The phrase ends with what was read so far: the rest is another phrase."""
        self.finished = True
        if self._plan is not None:
            self._last = len(self._plan.rows)

    @property
    def sayable(self) -> int:
        """Codes that may be decided now."""
        return self._last - self._next

    @property
    def done(self) -> bool:
        """All of it has sounded."""
        return self.finished and not self.sayable and not self._codes

    def take(self, count: int) -> torch.Tensor:
        """The next laid-out rows, `[count, width]`."""
        if self._plan is None:
            raise RuntimeError("a phrase is said before it is read")
        return self._plan.rows[self._next : self._next + count]

    def said(self, codes: Sequence[tuple[int, int]]) -> None:
        """Codes have been decided."""
        self._codes += codes
        self._next += len(codes)

    @property
    def sounds(self) -> bool:
        """`sound` has something to give."""
        last = self.finished and not self.sayable
        return bool(self._codes) and (last or len(self._codes) >= self._chunk)

    @torch.inference_mode()
    def sound(self) -> Piece:
        """The next piece of the waveform."""
        last = self.finished and not self.sayable
        samples = self._stream.push(self._codes, last=last, ahead=None if last else LOOK_AHEAD)
        self._codes, self._chunk = [], CHUNK
        share = 1.0
        if not last and self._plan is not None:
            share = max(0, self._next - LOOK_AHEAD) / len(self._plan.rows)
        return Piece(samples.numpy(), round(share * self._text))
