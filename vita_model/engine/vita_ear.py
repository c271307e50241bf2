"""Hearing of the large model: an utterance to rows, its words by the transcript head if there is one."""

from __future__ import annotations

import copy
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from torch import Tensor

from vita_model.assembly import VitaModel
from vita_model.audio.adapter import SubsamplingAdapter
from vita_model.audio.ctc_head import CtcHead, TranscriptStream, written
from vita_model.audio.encoder import WhaleEncoder
from vita_model.audio.features import SAMPLE_RATE, FilterBankStream, filter_bank
from vita_model.audio.streaming import WhaleStream
from vita_model.engine.vita_layout import Block
from vita_model.engine.voice import Heard, Samples

LONGEST_UTTERANCE_S = 60.0
_LEAST_FRAMES = 7


@dataclass(slots=True)
class RowStream:
    """Rows of an utterance that comes in pieces: those of the whole under the encoder's chunk mask."""

    features: FilterBankStream
    stream: WhaleStream
    rows: Tensor

    def fork(self) -> RowStream:
        """The same utterance so far, to go on with in another way."""
        return RowStream(copy.copy(self.features), self.stream.fork(), self.rows)

    def push(self, samples: Tensor) -> None:
        """Take further samples `[n]` at 16 kHz."""
        self.rows = torch.cat([self.rows, self.stream.push(self.features.push(samples))])

    def finish(self) -> None:
        """The utterance is over."""
        self.rows = torch.cat([self.rows, self.stream.finish()])

    @property
    def empty(self) -> bool:
        """Nothing was heard yet: all rows are learned ones, which stand before any sound."""
        return self.stream.position == 0


@dataclass(slots=True)
class _Utterance:
    """One that goes on, as far as it was heard."""

    name: Hashable
    samples: Samples
    rows: RowStream | None
    words: TranscriptStream | None

    def longer(self, samples: Samples) -> _Utterance:
        """The same with what has come since; this one stays as it is."""
        new = torch.from_numpy(samples[len(self.samples) :])
        rows = None if self.rows is None else self.rows.fork()
        words = None if self.words is None else self.words.fork()
        for stream in (rows, words):
            if stream is not None:
                stream.push(new)
        return _Utterance(self.name, samples.copy(), rows, words)

    def begins(self, samples: Samples) -> bool:
        size = len(self.samples)
        return size <= len(samples) and np.array_equal(self.samples, samples[:size])


class Ear:
    """Rows and words of utterances; may be used from any thread.

    In chunk mode, if the checkpoint's encoder and adapter never look ahead of a chunk, an utterance that
    goes on is read piece by piece, and at its end the last piece is left. Words come piece by piece
    wherever there is a transcript head.
    """

    def __init__(self, model: VitaModel) -> None:
        self._model = model
        self._bins = int(getattr(model.config.audio, "mel_bins", 80))
        self._tower = model.language.model.audio_encoder
        self._device = next(self._tower.parameters()).device
        self._going_on: dict[str, _Utterance] = {}
        self._numbers = count()
        self._guard = threading.Lock()
        self.in_chunks = self._new_rows() is not None

    @property
    def writes(self) -> bool:
        """Whether there is a transcript head."""
        return self._head is not None

    @property
    def _head(self) -> tuple[WhaleEncoder, CtcHead] | None:
        head, encoder = self._model.transcript, self._tower.encoder
        return (encoder, head) if head is not None and isinstance(encoder, WhaleEncoder) else None

    def _new_rows(self) -> RowStream | None:
        encoder, adapter = self._tower.encoder, self._tower.adpter
        if not (isinstance(encoder, WhaleEncoder) and isinstance(adapter, SubsamplingAdapter)):
            return None
        try:
            stream = WhaleStream(encoder, adapter)
        except ValueError:
            return None
        first = self._tower.with_learned_rows(stream.push(torch.zeros(0, self._bins))[None])[0]
        return RowStream(FilterBankStream(self._bins), stream, first.detach())

    def _new(self) -> _Utterance:
        words = TranscriptStream(*self._head) if self._head is not None else None
        rows = self._new_rows() if self.in_chunks else None
        return _Utterance(("heard", next(self._numbers)), np.zeros(0, np.float32), rows, words)

    @torch.inference_mode()
    def hear(self, samples: Samples) -> Heard:
        """A whole utterance; of more than a minute the last part.

        What was read of it while it went on is not read again. `features` is a `Block`, None when it is
        too short to hold a word; the transcript is empty without a head.
        """
        kept = samples[-int(LONGEST_UTTERANCE_S * SAMPLE_RATE) :]
        with self._guard:
            begun = [utterance for utterance in self._going_on.values() if utterance.begins(kept)]
        if not begun:
            words = written(*self._head, torch.from_numpy(kept)) if self._head else ""
            return Heard(words, self._all_rows(kept), len(samples) / SAMPLE_RATE)
        whole = max(begun, key=lambda utterance: len(utterance.samples)).longer(kept)
        words = "" if whole.words is None else whole.words.finish()
        block = self._all_rows(kept) if whole.rows is None else self._finished(whole)
        return Heard(words, block, len(samples) / SAMPLE_RATE)

    def _finished(self, whole: _Utterance) -> Block | None:
        """All rows. The last chunk is read in another way than if the utterance had gone on."""
        assert whole.rows is not None  # noqa: S101 - asked for in chunk mode only
        settled = len(whole.rows.rows)
        whole.rows.finish()
        if whole.rows.empty:
            return None
        return Block(whole.name, whole.rows.rows, settled, next(self._numbers))

    def _all_rows(self, samples: Samples) -> Block | None:
        features = filter_bank(torch.from_numpy(samples), self._bins)
        if features.shape[0] < _LEAST_FRAMES:
            return None
        lengths = torch.tensor([features.shape[0]], device=self._device)
        rows: list[Tensor] = self._model.language.embed_audio(
            features[None].to(self._device), lengths
        )
        return Block(("heard", next(self._numbers)), rows[0])

    @torch.inference_mode()
    def hear_partly(self, session_id: str, samples: Samples) -> Heard:
        """The beginning of an utterance: whole words, and the rows that no further sound changes.

        Only what is new of it is read. `features` is None where there is no such row.
        """
        with self._guard:
            before = self._going_on.get(session_id)
        if before is None or not before.begins(samples):
            before = self._new()
        now = before.longer(samples)
        with self._guard:
            self._going_on[session_id] = now
        words = "" if now.words is None else now.words.text.rpartition(" ")[0]
        block = None
        if now.rows is not None and not now.rows.empty:
            block = Block(now.name, now.rows.rows)
        return Heard(words, block, len(samples) / SAMPLE_RATE)

    def forget(self, session_id: str) -> None:
        """Drop what is kept of a session."""
        with self._guard:
            self._going_on.pop(session_id, None)
