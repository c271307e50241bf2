"""Stages 1.1 to 1.3, 2.1b and 2.2: the language model's answers in conversations with media."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vita_model.audio.features import language_positions
from vita_model.config import Config, VitaConfig
from vita_model.splice import AUDIO, IGNORE, IMAGE
from vita_model.training.conversations import Example
from vita_model.training.packing import bins, pack
from vita_model.training.parts import Learner
from vita_model.training.tasks.rendering import NOISE_STATE, SPEECH_STATE, Rendered, render
from vita_model.training.tasks.task import Batch, Loss


class Options(Config):
    """Settings of the task.

    Attributes:
        most_tiles: Tiles of the pictures of one example.
        state_weights: Weights of the classes query and noise of the state head.
    """

    most_tiles: Annotated[int, Field(ge=1)] = 12
    state_weights: tuple[float, float] = (1.0, 5.0)


class Conversations:
    """Cross entropy of the answers; with a state head also of query against noise."""

    def __init__(
        self,
        examples: Sequence[Example],
        tokenizer: Tokenizer,
        config: VitaConfig,
        *,
        packing: Literal["none", "apart", "joined"] = "none",
        max_length: int = 6200,
        weights: Mapping[str, float] | None = None,
        options: Options | None = None,
    ) -> None:
        self._examples = examples
        self._tokenizer = tokenizer
        self._config = config
        self._packing = packing
        self._max_length = max_length
        self._weights = dict(weights or {})
        self._options = options or Options()

    @property
    def size(self) -> int:
        """Number of conversations."""
        return len(self._examples)

    def batch(self, indices: Sequence[int], seed: int) -> Batch:
        """`ids` and `labels` (lists of int64 `[n]`), `tiles`, `features`, `lengths`, `states`."""
        del seed  # nothing is random
        most = self._options.most_tiles
        found = [
            render(self._examples[index], self._tokenizer, self._config, most_tiles=most)
            for index in indices
        ]
        batch: dict[str, object] = {
            "ids": [sample.ids for sample in found],
            "labels": [self._cut(sample) for sample in found],
        }
        tiles = [sample.tiles for sample in found if sample.tiles is not None]
        if tiles:
            batch["tiles"] = torch.cat(tiles)
        sounds = [sound for sample in found for sound in sample.sounds]
        if sounds:
            batch["features"] = pad_sequence(sounds, batch_first=True)
            batch["lengths"] = torch.tensor([sound.shape[0] for sound in sounds])
            batch["states"] = [state for sample in found for state in sample.states]
        return batch

    def _cut(self, sample: Rendered) -> Tensor:
        """Labels, without those beyond the longest row: `splice` cuts the same places."""
        rows = torch.ones_like(sample.ids)
        if self._config.vision is not None:
            rows[sample.ids == IMAGE] = self._config.vision.rows_per_tile
        lengths = [self._sound_rows(sound) for sound in sample.sounds]
        rows[sample.ids == AUDIO] = torch.tensor(lengths, dtype=rows.dtype)
        return torch.where(rows.cumsum(0) <= self._max_length, sample.labels, IGNORE)

    def _sound_rows(self, sound: Tensor) -> int:
        return language_positions(sound.shape[0]) + self._config.audio_prompt_rows

    def count(self, batch: Batch) -> float:
        """Labelled tokens."""
        return float(sum(int((labels != IGNORE).sum()) for labels in batch["labels"]))

    def loss(self, learner: Learner, batch: Batch) -> Loss:
        """See the class."""
        llm = learner.language
        images: list[Tensor] = []
        audios: list[Tensor] = []
        if "tiles" in batch:
            images = list(llm.embed_images(batch["tiles"]))
        if "features" in batch:
            audios = llm.embed_audio(batch["features"], batch["lengths"])
        samples = llm.embed_prompt(
            batch["ids"],
            images=images,
            audios=audios,
            labels=batch["labels"],
            audio_labels=batch["states"] if audios else None,
            max_length=self._max_length,
        )
        apart = self._packing != "joined"
        lengths = samples.mask.sum(1).tolist()
        alone = [[index] for index in range(len(lengths))]
        rows = alone if self._packing == "none" else bins(lengths, self._max_length)
        packed = pack(samples, rows, apart=apart)
        hidden = llm.model(
            inputs_embeds=packed.embeds,
            attention_mask=_bias(packed.mask, packed.embeds.dtype),
            position_ids=packed.positions,
            use_cache=False,
        ).last_hidden_state
        return self._losses(learner, hidden, packed.labels)

    def _losses(self, learner: Learner, hidden: Tensor, labels: Tensor) -> Loss:
        wanted = labels[:, 1:]
        spoken = wanted >= 0
        logits = learner.language.lm_head(hidden[:, :-1][spoken]).float()
        answer = F.cross_entropy(logits, wanted[spoken], reduction="sum")
        right = (logits.detach().argmax(1) == wanted[spoken]).sum()
        total = self._weights.get("answer", 1.0) * answer
        parts = {"answer": answer.detach(), "right": right.float()}
        if learner.state_head is not None:
            place = (labels == SPEECH_STATE) | (labels == NOISE_STATE)
            scores = learner.state_head(hidden[place]).float()
            classes = SPEECH_STATE - labels[place]
            weight = torch.tensor(self._options.state_weights, device=scores.device)
            state = F.cross_entropy(scores, classes, weight=weight, reduction="sum")
            total = total + self._weights.get("state", 1.0) * state
            parts["state"] = state.detach()
        return Loss(total, parts)


def _bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What stock attention adds to its scores, `[rows, 1, n, n]`."""
    return torch.where(mask, 0.0, torch.finfo(dtype).min).to(dtype)
