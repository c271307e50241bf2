"""The parts of a model as recipes name them, and the model as one module that learns in parts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

from torch import nn

from vita_model.assembly import VitaModel
from vita_model.config import VitaConfig

Part = Literal[
    "vision",
    "projector",
    "audio_encoder",
    "audio_adapter",
    "audio_prompt",
    "language",
    "transcriber",
    "state_head",
    "codec",
    "speech",
]

PARTS: dict[Part, str] = {
    "vision": "language.model.vision_tower.",
    "projector": "language.model.mm_projector.",
    "audio_encoder": "language.model.audio_encoder.encoder.",
    "audio_adapter": "language.model.audio_encoder.adpter.",
    "audio_prompt": "language.model.audio_encoder.prompt_embeddings.",
    "transcriber": "transcriber.",
    "state_head": "state_head.",
    "codec": "codec.",
    "speech": "speech.",
    "language": "language.",
}
"""Beginnings of parameter names, the most particular first: the rest of `language.` is the LLM."""


def part_of(parameter: str) -> Part:
    """The part that a parameter of `Learner` belongs to."""
    for part, beginning in PARTS.items():
        if parameter.startswith(beginning):
            return part
    raise KeyError(parameter)


class MissingPartError(ValueError):
    """A stage trains what the model does not have."""


class Learner(nn.Module):
    """All parts of a model under one roof, with the heads that only training has.

    Attributes:
        language: The language model with its eye and ear.
        speech: The speech decoder, or None.
        codec: The codec, or None.
        transcriber: Scores of written units for every row of the audio encoder; made when the
            recipe trains it.
        state_head: Whether an utterance is for the agent, from the last hidden state; likewise.
    """

    def __init__(
        self, model: VitaModel, *, units: int | None = None, state_head: bool = False
    ) -> None:
        super().__init__()
        self.language = model.language
        self.speech = model.speech
        self.codec = model.codec
        config = model.config
        width = int(getattr(config.audio, "hidden_size", config.language.hidden_size))
        self.transcriber = None if units is None else nn.Linear(width, units + 1)
        self.state_head = nn.Linear(config.language.hidden_size, 2) if state_head else None

    @property
    def config(self) -> VitaConfig:
        """Sizes of all parts."""
        return self.language.vita_config

    def let_learn(self, parts: Collection[Part]) -> None:
        """Only these parts learn from now on.

        Raises:
            MissingPartError: The model has no such part.
        """
        found: set[Part] = set()
        for name, parameter in self.named_parameters():
            part = part_of(name)
            parameter.requires_grad_(part in parts)
            found.add(part)
        missing = set(parts) - found
        if missing:
            raise MissingPartError(
                f"This model has no {', '.join(sorted(missing))} that could learn."
            )
        self._settle(parts)

    def _settle(self, parts: Collection[Part]) -> None:
        """Fixed parts keep their running statistics too.

        The language model has none, and computes activations twice in training mode only, which
        saves memory when what lies before it learns.
        """
        for name, module in self.named_modules():
            part = part_of(f"{name}.") if name else "language"
            module.training = part in parts or part == "language"

    def learning(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters that learn."""
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                yield name, parameter

    def count(self) -> dict[Part, int]:
        """Parameters of every part, buffers not counted; tied ones once."""
        counts: dict[Part, int] = {}
        for name, parameter in self.named_parameters():
            part = part_of(name)
            counts[part] = counts.get(part, 0) + parameter.numel()
        return counts
