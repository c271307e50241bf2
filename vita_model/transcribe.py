"""What a caller said: by the head on the audio encoder, or by asking the language model to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from vita_model.audio.ctc_head import written
from vita_model.audio.encoder import WhaleEncoder
from vita_model.audio.features import filter_bank
from vita_model.audio.read import Waveform, read_audio
from vita_model.checkpoint import CheckpointError
from vita_model.media import Source
from vita_model.prompt import TRANSCRIBE, Media, Turn, build_prompt, tokenize
from vita_model.splice import AUDIO

if TYPE_CHECKING:
    from vita_model.assembly import VitaModel
    from vita_model.processor import VitaProcessor

Way = Literal["head", "second pass"]

TOKENS_PER_ROW = 1
"""Nobody says more tokens than this in a row of sound (80 ms); what writes more repeats itself."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words of an utterance, and the way they were found."""

    text: str
    way: Way


def second_pass_ids(processor: VitaProcessor) -> list[int]:
    """A prompt that asks for the words of one utterance; ends behind the state of its answer."""
    turn = Turn("user", (f"{TRANSCRIBE}\n", Media.AUDIO))
    ids = tokenize(
        build_prompt([turn]),
        lambda text: processor.tokenizer.encode(text, add_special_tokens=False).ids,
    )
    return [*ids, processor.state().tokens["query"]]


def second_pass_parts(processor: VitaProcessor) -> tuple[list[int], list[int]]:
    """The same without the state, before and after the utterance's rows."""
    *ids, _ = second_pass_ids(processor)
    place = ids.index(AUDIO)
    return ids[:place], ids[place + 1 :]


def most_tokens(rows: int) -> int:
    """The longest transcript of an utterance of so many rows."""
    return 8 + TOKENS_PER_ROW * rows


@torch.inference_mode()
def second_pass(model: VitaModel, processor: VitaProcessor, rows: Tensor) -> str:
    """The words that the language model reads from an utterance's rows `[n, width]`."""
    language = model.language
    ids = torch.tensor(second_pass_ids(processor), device=rows.device)
    prompt = language.embed_prompt([ids], audios=[rows])
    end = processor.state().end
    found = language.generate(
        inputs_embeds=prompt.embeds,
        attention_mask=prompt.mask,
        max_new_tokens=most_tokens(rows.shape[0]),
        eos_token_id=end,
        pad_token_id=end,
    )
    return processor.decode(found[0])[1].strip()


@torch.inference_mode()
def transcribe(
    model: VitaModel,
    processor: VitaProcessor,
    recording: Source | Waveform,
    *,
    way: Way | None = None,
) -> Transcript:
    """The words of one utterance.

    Args:
        model: The whole model.
        processor: Of the same checkpoint.
        recording: The utterance.
        way: None takes the head where there is one.

    Raises:
        AudioError: The recording cannot be used.
        CheckpointError: The head is wanted of a checkpoint that has none.
    """
    tower = model.language.model.audio_encoder
    samples = torch.from_numpy(read_audio(recording))
    if way == "head" and model.transcript is None:
        raise CheckpointError("this checkpoint has no transcript head; take the second pass")
    if way != "second pass" and model.transcript is not None:
        assert isinstance(tower.encoder, WhaleEncoder)  # noqa: S101 - load_head has seen to it
        return Transcript(written(tower.encoder, model.transcript, samples), "head")
    device = next(tower.parameters()).device
    features = filter_bank(samples, int(getattr(model.config.audio, "mel_bins", 80)))
    lengths = torch.tensor([features.shape[0]])
    (rows,) = model.language.embed_audio(features[None].to(device), lengths.to(device))
    return Transcript(second_pass(model, processor, rows), "second pass")
