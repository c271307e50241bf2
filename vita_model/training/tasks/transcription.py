"""Stage 2.1a: the audio encoder learns to hear, by CTC on what is said."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vita_model.audio.features import encoder_frames, filter_bank
from vita_model.training.conversations import DatasetError
from vita_model.training.parts import Learner
from vita_model.training.tasks.recordings import Recording
from vita_model.training.tasks.task import Batch, Loss, TaskError


def inventory(recordings: Sequence[Recording]) -> str:
    """All characters of the words, in lower case and in order."""
    return "".join(sorted({letter for one in recordings for letter in one.text.lower()}))


class Transcription:
    """CTC over characters; 0 is the blank.

    Args:
        recordings: What is heard and said.
        units: The characters, in the order of the head's outputs 1, 2, ...
        bins: Mel bands of the encoder.
    """

    def __init__(self, recordings: Sequence[Recording], units: str, bins: int) -> None:
        self.units = units
        self._recordings = recordings
        self._known = {letter: number for number, letter in enumerate(units, 1)}
        self._bins = bins

    @property
    def size(self) -> int:
        """Number of recordings."""
        return len(self._recordings)

    def batch(self, indices: Sequence[int], seed: int) -> Batch:
        """`features`, `lengths`, `targets` `[sum]` and `target_lengths` `[batch]`."""
        del seed
        banks, targets = [], []
        for index in indices:
            one = self._recordings[index]
            bank = filter_bank(one.samples(), self._bins)
            units = [self._known[x] for x in one.text.lower() if x in self._known]
            if len(units) > encoder_frames(bank.shape[0]):
                raise DatasetError(
                    f"{one.place}: {len(units)} characters cannot be said in"
                    f" {encoder_frames(bank.shape[0]) * 0.04:.1f} s; is it the right recording?"
                )
            banks.append(bank)
            targets.append(torch.tensor(units, dtype=torch.long))
        return {
            "features": pad_sequence(banks, batch_first=True),
            "lengths": torch.tensor([bank.shape[0] for bank in banks]),
            "targets": torch.cat(targets),
            "target_lengths": torch.tensor([len(target) for target in targets]),
        }

    def count(self, batch: Batch) -> float:
        """Characters."""
        return float(batch["targets"].shape[0])

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        """See the class."""
        scores, lengths = transcriber_scores(learner, batch["features"], batch["lengths"])
        total = F.ctc_loss(
            scores.transpose(0, 1),
            batch["targets"],
            lengths,
            batch["target_lengths"],
            reduction="sum",
            zero_infinity=True,
        )
        return Loss(total, {"ctc": total.detach()})


def transcriber_scores(
    learner: Learner, features: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor]:
    """Log probabilities `[batch, frames, units + 1]` in float32, and the frames that count."""
    if learner.transcriber is None:
        raise TaskError("Nothing writes down what is heard; let `transcriber` learn first.")
    rows, mask = learner.language.model.audio_encoder.encoder(features, lengths)
    scores = learner.transcriber(rows.to(learner.transcriber.weight.dtype))
    return scores.float().log_softmax(-1), mask.sum(1)
