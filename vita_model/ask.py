"""One question to the whole model, its answer as it is written, and spoken if it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import soundfile
import torch
from torch import Tensor
from transformers.generation.streamers import BaseStreamer
from typing_extensions import override

from vita_model.assembly import VitaModel
from vita_model.processor import Message, VitaProcessor
from vita_model.prompt import GLYPHS, Marker
from vita_model.speech.speak import speak
from vita_model.speech.synthesis import to_int16


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model made of a question.

    Attributes:
        marker: The state it began with.
        probabilities: How likely each state was.
        text: What it wrote; empty after noise.
        seconds: Length of the speech that was saved; 0 if none was.
    """

    marker: Marker | None
    probabilities: dict[Marker, float]
    text: str
    seconds: float


@dataclass(slots=True)
class _Writer(BaseStreamer):
    """Hands on text as its tokens come, whole characters only."""

    processor: VitaProcessor
    write: Callable[[str], None]
    ids: list[int] = field(default_factory=list)
    written: str = ""

    @override
    def put(self, value: Tensor) -> None:
        """Take the next ids."""
        self.ids += value.reshape(-1).tolist()
        if self.ids:
            _, text = self.processor.decode(torch.tensor(self.ids))
            if len(text) > len(self.written) and not text.endswith("\ufffd"):
                self.write(text[len(self.written) :])
                self.written = text

    @override
    def end(self) -> None:
        """Nothing is left to hand on."""


def ask(
    model: VitaModel,
    processor: VitaProcessor,
    message: Message,
    write: Callable[[str], None],
    *,
    persona: str = "",
    save: Path | None = None,
    most_tokens: int = 256,
) -> Answer:
    """Put one question to the model.

    Args:
        model: The whole model.
        processor: Of the same checkpoint.
        message: The question with all that belongs to it.
        write: Gets each further piece of the answer's text.
        persona: Instructions of the business.
        save: Where the spoken answer goes, a WAV file.
        most_tokens: Longest answer, the state included.

    Raises:
        MediaError: A file cannot be used.
        ContextError: The question is too long.
        VoicelessError: Speech is wanted of a model without a voice.
    """
    inputs = processor(message, persona=persona, reserve=most_tokens)
    device = model.language.get_input_embeddings().weight.device
    state = processor.state()
    ids = model.language.generate(
        **inputs.to(device),
        state=state,
        streamer=_Writer(processor, write),
        max_new_tokens=most_tokens,
    )
    marker, text = processor.decode(ids[0])
    seconds = 0.0
    if save is not None and marker != "noise":
        pieces = [torch.zeros(0), *speak(model, processor.tokenizer, text)]
        samples = to_int16(torch.cat([piece.float().cpu() for piece in pieces]))
        rate = int(getattr(model.config.codec, "sample_rate", 24_000))
        soundfile.write(save, samples, rate)
        seconds = len(samples) / rate
    return Answer(marker, state.probabilities[0], text, seconds)


def state_line(answer: Answer) -> str:
    """The states and how likely each was: `☞ 93 %, ☜ 6 %, ☟ 1 %`."""
    return ", ".join(f"{GLYPHS[name]} {100 * p:.0f} %" for name, p in answer.probabilities.items())
