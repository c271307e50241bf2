"""Speaks the growing texts of the large model's answers: one lane, voices take turns."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from vita_model.assembly import VitaModel
from vita_model.engine.scheduler import NORMAL, URGENT
from vita_model.engine.voice import Audio
from vita_model.speech.low_latency import LatencyPlan, LowLatencyStream
from vita_model.speech.normalise import normalised
from vita_model.speech.phrases import Phrase, PhraseCutter, letters
from vita_model.speech.speak import condition, speakable, voice_parts

BURST = 8
"""Codes of one voice in one step, 200 ms of speech."""
LETTERS_PER_SECOND = 15.0
"""About how fast text is spoken; says how much of a phrase a piece of its speech covers."""
MOST_BEFORE_END = 0.95


class Reader:
    """Turns phrases into codes and codes into sound."""

    def __init__(self, model: VitaModel, tokenizer: Tokenizer) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._decoder, self._codec = voice_parts(model)
        self.rate = self._codec.config.sample_rate
        self._plan = LatencyPlan(hop=self._codec.config.hop)

    def codes(self, text: str) -> Iterator[int] | None:
        """The codes of a phrase, one by one; None when it holds no word."""
        words = normalised(text.strip()).lower()
        if not speakable(words):
            return None
        return self._decoder.generate(condition(self._model, self._tokenizer, words))

    def stream(self) -> LowLatencyStream:
        """Turns the codes of one phrase into samples."""
        return LowLatencyStream(self._decode, self._plan)

    @torch.inference_mode()
    def _decode(self, ids: Sequence[int]) -> Tensor:
        device = self._codec.generator.conv_pre.weight.device
        return self._codec.decode(torch.tensor(ids, device=device)[None, :, None])[0, 0]


class _Spoken:
    """A phrase on its way: its codes, and the last piece of sound, which waits for the end."""

    def __init__(self, phrase: Phrase, codes: Iterator[int], reader: Reader) -> None:
        self._phrase, self._codes = phrase, codes
        self._stream = reader.stream()
        self._wanted = max(1.0, letters(phrase.text) / LETTERS_PER_SECOND * reader.rate)
        self._samples = 0
        self._held: Audio | None = None
        self.done = False

    def go_on(self, burst: int) -> list[Audio]:
        """A few more codes, and the sound that is ready by then."""
        pieces: list[Audio] = []
        for _ in range(burst):
            code = next(self._codes, None)
            if code is None:
                pieces += self._add(self._stream.finish())
                self.done = True
                break
            samples = self._stream.push(code)
            if samples is not None:
                pieces += self._add(samples)
        if self.done and self._held is not None:
            pieces.append(Audio(self._held.samples, self._phrase.end))
        return pieces

    def _add(self, samples: Tensor) -> list[Audio]:
        """The first piece sounds at once; of the others one is kept back, for it may be the last."""
        if not samples.shape[0]:
            return []
        phrase = self._phrase
        first = not self._samples
        self._samples += samples.shape[0]
        share = min(MOST_BEFORE_END, self._samples / self._wanted)
        end = phrase.start + round(share * (phrase.end - phrase.start))
        piece = Audio(np.asarray(samples.float().cpu().numpy(), np.float32), end)
        if first:
            return [piece]
        ready, self._held = self._held, piece
        return [] if ready is None else [ready]


class VitaVoiceover:
    """One answer being spoken. Text comes from the thread that writes it; the rest is the lane's."""

    def __init__(
        self,
        emit: Callable[[Audio], None],
        end: Callable[[BaseException | None], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self.emit, self.end, self.cancelled = emit, end, cancelled
        self.first_audio_s = 0.0
        self._begin = time.perf_counter()
        self._cutter = PhraseCutter()
        self._ready: deque[Phrase] = deque()
        self._guard = threading.Lock()
        self._complete = False
        self._spoken: _Spoken | None = None

    def feed(self, text: str) -> None:
        """As `Speech`."""
        with self._guard:
            self._ready.extend(self._cutter.push(text))

    def finish(self) -> None:
        """As `Speech`."""
        with self._guard:
            self._ready.extend(self._cutter.finish())
            self._complete = True

    @property
    def all_said(self) -> bool:
        """Everything has sounded."""
        with self._guard:
            return self._complete and not self._ready and self._spoken is None

    def has_work(self) -> bool:
        """A step would get on with it. Quick, from any thread."""
        return self._spoken is not None or bool(self._ready) or self.all_said or self.cancelled()

    def go_on(self, reader: Reader) -> None:
        """A burst of the phrase being said, or of the next."""
        if self._spoken is None:
            with self._guard:
                phrase = self._ready.popleft() if self._ready else None
            codes = None if phrase is None else reader.codes(phrase.text)
            if phrase is None or codes is None:
                return
            self._spoken = _Spoken(phrase, codes, reader)
        for piece in self._spoken.go_on(BURST):
            self.first_audio_s = self.first_audio_s or time.perf_counter() - self._begin
            self.emit(piece)
        if self._spoken.done:
            self._spoken = None


class VitaMouth:
    """A lane of voices. One that has not sounded yet is urgent: its caller waits in silence."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._inbox: deque[VitaVoiceover] = deque()
        self._voices: list[VitaVoiceover] = []

    def begin(
        self,
        emit: Callable[[Audio], None],
        end: Callable[[BaseException | None], None],
        cancelled: Callable[[], bool],
    ) -> VitaVoiceover:
        """As `SpeechLane`. From any thread."""
        voice = VitaVoiceover(emit, end, cancelled)
        self._inbox.append(voice)
        return voice

    @property
    def speaking(self) -> int:
        """Answers being spoken."""
        return len(self._voices) + len(self._inbox)

    def urgency(self) -> int | None:
        """As `Lane`."""
        if self._inbox:
            return URGENT
        busy = [voice for voice in list(self._voices) if voice.has_work()]
        if not busy:
            return None
        return NORMAL if all(voice.first_audio_s for voice in busy) else URGENT

    def step(self) -> None:
        """As `Lane`: a burst of the voice whose turn it is; those not heard yet go first."""
        while self._inbox:
            self._voices.append(self._inbox.popleft())
        self._end_said()
        busy = [voice for voice in self._voices if voice.has_work()]
        if not busy:
            return
        voice = min(busy, key=lambda voice: voice.first_audio_s > 0)
        self._voices.remove(voice)
        self._voices.append(voice)
        try:
            voice.go_on(self._reader)
        except Exception as error:  # noqa: BLE001 - raised again at the answer's consumer
            if voice in self._voices:
                self._voices.remove(voice)
                voice.end(error)
        self._end_said()

    def fail(self, error: BaseException) -> None:
        """As `Lane`."""
        while self._inbox:
            self._voices.append(self._inbox.popleft())
        while self._voices:
            self._voices.pop().end(error)

    def _end_said(self) -> None:
        for voice in [v for v in self._voices if v.cancelled() or v.all_said]:
            self._voices.remove(voice)
            voice.end(None)
