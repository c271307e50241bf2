"""Text to speech of the whole model: normalised, embedded, spoken phrase by phrase."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vita_model.audio.read import Waveform, read_audio
from vita_model.media import Source
from vita_model.speech.codec import TiCodec
from vita_model.speech.decoder import SpeechDecoder, SpeechSampling
from vita_model.speech.low_latency import LatencyPlan, LowLatencyStream
from vita_model.speech.normalise import normalised
from vita_model.speech.synthesis import PublishedPlan, SpeechStream, without_leading_silence

if TYPE_CHECKING:
    from vita_model.assembly import VitaModel

_PHRASE = re.compile(r"(?<=[。！？；\n])|(?<=[.!?;])\s+")
_WORD = re.compile(r"\w")


class VoicelessError(ValueError):
    """The model was configured without a speech decoder or a codec."""


def voice_parts(model: VitaModel) -> tuple[SpeechDecoder, TiCodec]:
    """The two parts that speak.

    Raises:
        VoicelessError: The model lacks one of them.
    """
    if not isinstance(model.speech, SpeechDecoder) or not isinstance(model.codec, TiCodec):
        raise VoicelessError("This model cannot speak; load one with a speech decoder and a codec.")
    return model.speech, model.codec


def condition(model: VitaModel, tokenizer: Tokenizer, words: str) -> Tensor:
    """What the speech decoder reads: the embedding rows of `words`, each cut into its width.

    Returns:
        `[1, n * pieces, width]`.
    """
    decoder, _ = voice_parts(model)
    table = model.language.get_input_embeddings()
    device = next(table.parameters()).device
    ids = tokenizer.encode(words, add_special_tokens=False).ids
    rows: Tensor = table(torch.tensor(ids, dtype=torch.int64, device=device))
    return rows.reshape(1, -1, decoder.config.hidden_size).to(decoder.norm.weight)


def speakable(words: str) -> bool:
    """Whether there is anything in a text that sounds."""
    return _WORD.search(words) is not None


def _phrases(text: str | Iterable[str]) -> Iterator[str]:
    """Phrases of a text; of a growing one each as soon as it is complete."""
    rest = ""
    for piece in [text] if isinstance(text, str) else text:
        *whole, rest = _PHRASE.split(rest + piece)
        yield from whole
    yield rest


@torch.inference_mode()
def speak(
    model: VitaModel,
    tokenizer: Tokenizer,
    text: str | Iterable[str],
    *,
    voice: Tensor | None = None,
    plan: LatencyPlan | PublishedPlan | None = None,
    sampling: SpeechSampling | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Tensor]:
    """Say a text; pieces come while the rest is still being made.

    Args:
        model: With a speech decoder and a codec.
        tokenizer: That of the language model.
        text: As it was written; or its pieces while it is being written, cut anywhere. A phrase is
            spoken as soon as it is complete.
        voice: From `voice_of`; None takes the configured one.
        plan: How early pieces come; None takes the default `LatencyPlan`.
        sampling: How codec ids are drawn.
        generator: Source of randomness.

    Yields:
        Samples in [-1, 1] at the codec's rate, 24 kHz as published, `[n]`.

    Raises:
        VoicelessError: The model cannot speak.
    """
    decoder, codec = voice_parts(model)

    def decode(ids: Sequence[int]) -> Tensor:
        device = codec.generator.conv_pre.weight.device
        return codec.decode(torch.tensor(ids, device=device)[None, :, None], voice)[0, 0]

    silence = plan.level if isinstance(plan, PublishedPlan) else None
    first = True
    for phrase in _phrases(text):
        words = normalised(phrase.strip()).lower()
        if not speakable(words):
            continue
        stream = _stream(decode, plan, codec.config.hop, first=first)
        first = False
        hidden = condition(model, tokenizer, words)
        codes = decoder.generate(hidden, sampling=sampling, generator=generator)
        for made in _pieces(stream, codes):
            piece = made if silence is None else without_leading_silence(made, silence)
            if piece.shape[0]:
                silence = None
                yield piece


def _pieces(stream: LowLatencyStream | SpeechStream, codes: Iterable[int]) -> Iterator[Tensor]:
    for code in codes:
        piece = stream.push(code)
        if piece is not None:
            yield piece
    yield stream.finish()


def _stream(
    decode: Callable[[Sequence[int]], Tensor],
    plan: LatencyPlan | PublishedPlan | None,
    hop: int,
    *,
    first: bool,
) -> LowLatencyStream | SpeechStream:
    """What makes sound of the codes of one phrase."""
    if isinstance(plan, PublishedPlan):
        return SpeechStream(decode, replace(plan.first if first else plan.rest, hop=hop))
    return LowLatencyStream(decode, plan or LatencyPlan(hop=hop))


@torch.inference_mode()
def voice_of(model: VitaModel, recording: Source | Waveform) -> Tensor:
    """The codec's codes for how a recording's speaker sounds, `[1, 1, count]`.

    The published weights were made for one voice; how well others come out is not known.

    Args:
        model: Its codec has an encoder.
        recording: At least a second of one speaker, without other sounds.

    Raises:
        AudioError: The recording cannot be used.
        VoicelessError: The model cannot speak.
        ValueError: The codec has no encoder.
    """
    _, codec = voice_parts(model)
    samples = torch.from_numpy(read_audio(recording, codec.config.sample_rate))
    whole = samples.shape[0] // codec.config.hop * codec.config.hop
    device = codec.generator.conv_pre.weight.device
    _, codes = codec.encode(samples[None, None, :whole].to(device))
    return codes
