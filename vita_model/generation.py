"""Answers from whatever a processor prepared: the first token is a state, the rest is text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor
from transformers import LogitsProcessor
from typing_extensions import override

from vita_model.prompt import END_OF_TURN, MARKER_TOKENS, Marker
from vita_model.splice import Spliced


@dataclass(slots=True)
class StateChoice(LogitsProcessor):
    """Holds the first token to the three states; after noise the answer ends at once.

    Attributes:
        tokens: Id of each state's token.
        end: Id of the token that ends an answer.
        probabilities: After the first step, of each row of the batch: how likely each state was
            among the three.
    """

    tokens: Mapping[Marker, int] = field(default_factory=lambda: dict(MARKER_TOKENS))
    end: int = END_OF_TURN
    probabilities: list[dict[Marker, float]] = field(default_factory=list)

    @override
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores `[batch, vocabulary]` with all that may not come next at minus infinity."""
        if input_ids.shape[1] == 0:
            ids = list(self.tokens.values())
            chosen = scores[:, ids].float().softmax(dim=-1).tolist()
            self.probabilities = [dict(zip(self.tokens, row, strict=True)) for row in chosen]
            return _only(scores, torch.ones_like(scores[:, 0], dtype=torch.bool), ids)
        return _only(scores, input_ids[:, 0] == self.tokens["noise"], [self.end])


def _only(scores: Tensor, rows: Tensor, ids: Sequence[int]) -> Tensor:
    """Minus infinity everywhere but at `ids`, in the rows that are true."""
    banned = torch.ones_like(scores, dtype=torch.bool)
    banned[:, list(ids)] = False
    return scores.masked_fill(banned & rows[:, None], -torch.inf)


class MediaGeneration:
    """The part of a language model that takes sound and pictures into `generate`.

    Stands before a transformers model among the bases of a class with `embed_images`,
    `embed_audio` and `embed_prompt`.
    """

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor | None = None,
        *,
        pixel_values: Tensor | None = None,
        audio_features: Tensor | None = None,
        audio_lengths: Tensor | None = None,
        state: StateChoice | None = None,
        **options: Any,
    ) -> Any:
        """Continue prompts that may have sound and pictures in them.

        Without options the likeliest token is taken, and nothing is held against repetition: an
        agent reads digits back, and has to repeat them.

        Args:
            input_ids: int64 `[batch, n]`, with `splice.IMAGE` and `splice.AUDIO` for media.
            pixel_values: `[tiles, 3, size, size]`, in the order of their placeholders.
            audio_features: `[utterances, frames, bins]`, padded.
            audio_lengths: int64 `[utterances]`, frames of each.
            state: Holds the first token to a state and tells how likely each was.
            options: Those of transformers' `generate`.

        Returns:
            What transformers' `generate` gives: by default the new ids, int64 `[batch, new]`, the
            state's first.

        Raises:
            SpliceError: Placeholders and media do not match, or a prompt is empty or longer than
                the context.
        """
        options = {"do_sample": False, "repetition_penalty": 1.0} | options
        if state is not None:
            options["logits_processor"] = [*options.get("logits_processor", ()), state]
            options = {"eos_token_id": state.end, "pad_token_id": state.end} | options
        if input_ids is None or "inputs_embeds" in options:
            return cast(Any, super()).generate(input_ids, **options)
        model = cast(Any, self)
        images = () if pixel_values is None else list(model.embed_images(pixel_values))
        audios = () if audio_features is None else model.embed_audio(audio_features, audio_lengths)
        prompt: Spliced = model.embed_prompt(
            list(input_ids), images=images, audios=audios, cut=False, pad_left=True
        )
        return cast(Any, super()).generate(
            inputs_embeds=prompt.embeds, attention_mask=prompt.mask, **options
        )
