"""Text to speech of the whole model: normalised, embedded, spoken phrase by phrase."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vita_model.assembly import VitaModel
from vita_model.audio.read import Waveform, read_audio
from vita_model.media import Source
from vita_model.speech.codec import TiCodec
from vita_model.speech.decoder import SpeechDecoder, SpeechSampling
from vita_model.speech.low_latency import LatencyPlan, LowLatencyStream
from vita_model.speech.normalise import normalised

_PHRASE = re.compile(r"(?<=[。！？；\n])|(?<=[.!?;])\s+")
_WORD = re.compile(r"\w")


class VoicelessError(ValueError):
    """The model was configured without a speech decoder or a codec."""


def _voice(model: VitaModel) -> tuple[SpeechDecoder, TiCodec]:
    if not isinstance(model.speech, SpeechDecoder) or not isinstance(model.codec, TiCodec):
        raise VoicelessError("This model cannot speak; load one with a speech decoder and a codec.")
    return model.speech, model.codec


def condition(model: VitaModel, tokenizer: Tokenizer, words: str) -> Tensor:
    """What the speech decoder reads: the embedding rows of `words`, each cut into its width.

    Returns:
        `[1, n * pieces, width]`.
    """
    decoder, _ = _voice(model)
    table = model.language.get_input_embeddings()
    device = next(table.parameters()).device
    ids = tokenizer.encode(words, add_special_tokens=False).ids
    rows: Tensor = table(torch.tensor(ids, dtype=torch.int64, device=device))
    return rows.reshape(1, -1, decoder.config.hidden_size).to(decoder.norm.weight)


@torch.inference_mode()
def speak(
    model: VitaModel,
    tokenizer: Tokenizer,
    text: str,
    *,
    voice: Tensor | None = None,
    plan: LatencyPlan | None = None,
    sampling: SpeechSampling | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Tensor]:
    """Say a text; pieces come while the rest is still being made.

    Args:
        model: With a speech decoder and a codec.
        tokenizer: That of the language model.
        text: As it was written.
        voice: From `voice_of`; None takes the configured one.
        plan: How early pieces come.
        sampling: How codec ids are drawn.
        generator: Source of randomness.

    Yields:
        Samples in [-1, 1] at the codec's rate, 24 kHz as published, `[n]`.

    Raises:
        VoicelessError: The model cannot speak.
    """
    decoder, codec = _voice(model)
    plan = plan or LatencyPlan(hop=codec.config.hop)

    def decode(ids: Sequence[int]) -> Tensor:
        device = codec.generator.conv_pre.weight.device
        return codec.decode(torch.tensor(ids, device=device)[None, :, None], voice)[0, 0]

    for phrase in _PHRASE.split(text):
        words = normalised(phrase).lower()
        if not _WORD.search(words):
            continue
        stream = LowLatencyStream(decode, plan)
        hidden = condition(model, tokenizer, words)
        for code in decoder.generate(hidden, sampling=sampling, generator=generator):
            piece = stream.push(code)
            if piece is not None:
                yield piece
        rest = stream.finish()
        if rest.shape[0]:
            yield rest


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
    _, codec = _voice(model)
    samples = torch.from_numpy(read_audio(recording, codec.config.sample_rate))
    whole = samples.shape[0] // codec.config.hop * codec.config.hop
    device = codec.generator.conv_pre.weight.device
    _, codes = codec.encode(samples[None, None, :whole].to(device))
    return codes
