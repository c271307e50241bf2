"""Hearing of the large model: an utterance to rows, its words by the transcript head if there is one."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vita_model.assembly import VitaModel
from vita_model.audio.ctc_head import CtcHead, TranscriptStream
from vita_model.audio.encoder import WhaleEncoder
from vita_model.audio.features import SAMPLE_RATE, filter_bank
from vita_model.engine.voice import Samples

LONGEST_UTTERANCE_S = 60.0
_LEAST_FRAMES = 7


@dataclass(slots=True)
class _Listening:
    stream: TranscriptStream
    taken: Samples = field(default_factory=lambda: np.zeros(0, np.float32))


class Ear:
    """Rows and words of utterances; may be used from any thread."""

    def __init__(self, model: VitaModel) -> None:
        self._model = model
        self._bins = int(getattr(model.config.audio, "mel_bins", 80))
        self._tower = model.language.model.audio_encoder
        self._device = next(self._tower.parameters()).device
        self._going_on: dict[str, _Listening] = {}
        self._guard = threading.Lock()

    @property
    def writes(self) -> bool:
        """Whether there is a transcript head."""
        return self._head is not None

    @property
    def _head(self) -> tuple[WhaleEncoder, CtcHead] | None:
        head, encoder = self._model.transcript, self._tower.encoder
        return (encoder, head) if head is not None and isinstance(encoder, WhaleEncoder) else None

    @torch.inference_mode()
    def rows(self, samples: Samples) -> Tensor | None:
        """Rows for the language model `[n, width]`; None when it is too short to hold a word.

        Of more than a minute the last part is heard.
        """
        kept = torch.from_numpy(samples[-int(LONGEST_UTTERANCE_S * SAMPLE_RATE) :])
        features = filter_bank(torch.nan_to_num(kept), self._bins)
        if features.shape[0] < _LEAST_FRAMES:
            return None
        lengths = torch.tensor([features.shape[0]], device=self._device)
        rows: list[Tensor] = self._model.language.embed_audio(
            features[None].to(self._device), lengths
        )
        return rows[0]

    def words(self, samples: Samples) -> str:
        """What was said in a whole utterance, empty without a head."""
        if self._head is None:
            return ""
        stream = TranscriptStream(*self._head)
        stream.push(torch.from_numpy(np.nan_to_num(samples)))
        return stream.finish()

    def words_so_far(self, session_id: str, samples: Samples) -> str:
        """Whole words of an utterance that goes on; only what is new of it is read."""
        if self._head is None:
            return ""
        with self._guard:
            listening = self._going_on.get(session_id)
            taken = 0 if listening is None else len(listening.taken)
            if listening is None or not np.array_equal(listening.taken, samples[:taken]):
                listening, taken = _Listening(TranscriptStream(*self._head)), 0
                self._going_on[session_id] = listening
            text = listening.stream.push(torch.from_numpy(np.nan_to_num(samples[taken:])))
            listening.taken = samples.copy()
        return text.rpartition(" ")[0]

    def forget(self, session_id: str) -> None:
        """Drop what is kept of a session."""
        with self._guard:
            self._going_on.pop(session_id, None)
