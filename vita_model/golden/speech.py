"""Speech decoder, chunked synthesis and codec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vita_model import published
from vita_model.checkpoint import load_checkpoint
from vita_model.golden.case import Case, Found
from vita_model.speech.codec import TiCodec
from vita_model.speech.decoder import SpeechDecoder, SpeechSampling, penalise
from vita_model.speech.synthesis import ChunkPlan, SpeechStream, hold_back


def _decoder(case: Case, data: Mapping[str, Any], prefix: str = "") -> SpeechDecoder:
    parts = [data["idim"], data["odim"], data]
    model = SpeechDecoder(published.speech_config(parts)).eval()
    load_checkpoint(model, case.weights, prefix=prefix)
    return model


def check_training(case: Case) -> Iterator[Found]:
    """The teacher-forced pass."""
    inputs = case.inputs
    model = _decoder(case, case.config)
    hidden, lengths = inputs["x"], inputs["x_lens"]
    found = model(
        hidden,
        lengths,
        inputs["y"],
        inputs["y_lens"],
        prefix=inputs.get("x_prefix"),
        prefix_lengths=inputs.get("x_prefix_lens"),
    )
    text = torch.arange(hidden.shape[1]) < lengths[:, None]
    yield Found("pre_nn_out", model.condition(hidden, text[:, None, None]), text)
    yield Found("shifted_target", found.targets)
    yield Found("loss", found.loss)
    # Padding has logits too, but nobody uses them.
    yield Found("logits", found.logits, found.targets != model.config.pad)


def check_generation(case: Case) -> Iterator[Found]:
    """Codes one after another, with the logits of every step."""
    data = case.config
    model = _decoder(case, data)
    hidden, prefix = case.inputs["hidden"], case.inputs.get("prefix")
    yield Found("pre_nn_out", model.condition(hidden))
    sampling = SpeechSampling(
        data["top_k"], data["penalty"], data["penalty_window_size"], data["max_tokens"]
    )
    seed = torch.Generator().manual_seed(data["torch_seed"] or 0)
    codes = list(model.generate(hidden, prefix=prefix, sampling=sampling, generator=seed))
    ended = len(codes) < sampling.max_codes
    yield Found("tokens", torch.tensor(codes))
    yield Found("stopped_by_eos", torch.tensor(ended))
    yield Found("steps_run", torch.tensor(len(codes) + ended))
    state, logits = model.begin(hidden, prefix)
    raw, penalised, recent = [], [], [model.config.start]
    for code in [*codes, model.config.end][: len(codes) + ended]:
        raw.append(logits)
        penalised.append(penalise(logits[0], recent, sampling)[None])
        recent.append(code)
        logits = model.step([code], state)
    yield Found("raw_step_logits", torch.stack(raw, dim=1))
    yield Found("penalised_step_logits", torch.stack(penalised, dim=1))


def check_stream(case: Case) -> Iterator[Found]:
    """Codes in chunks to audio that is cut in quiet places."""
    data = case.config
    model = _decoder(case, data["decoder"], "decoder.")
    codec = TiCodec(
        published.codec_config(data["codec"]).model_copy(update={"encoder": False})
    ).eval()
    load_checkpoint(codec, case.weights, prefix="codec.", ignore=("encoder.",))
    calls: list[list[int]] = []

    def decode(ids: Sequence[int]) -> Tensor:
        samples = codec.decode(torch.tensor(ids)[None, :, None])[0, 0]
        calls.append([len(ids), samples.shape[0]])
        return samples

    plan = ChunkPlan(
        data["codec_chunk_size"],
        data["codec_padding_size"],
        data["codec_upsample_rate"],
        data["silence_window_N"],
        data["seg_threshold"],
    )
    stream = SpeechStream(decode, plan)
    sampling = SpeechSampling(
        data["top_k"],
        data.get("penalty", SpeechSampling().penalty),
        data["penalty_window_size"],
        data["max_tokens"],
    )
    codes = list(model.generate(case.inputs["hidden"], sampling=sampling))
    yield Found("tokens", torch.tensor(codes))
    segments, log = [], []
    for code in codes:
        before, count = stream.held, len(calls)
        segment = stream.push(code)
        if len(calls) > count:
            whole = stream.held + (0 if segment is None else segment.shape[0])
            log.append([before, whole - before, stream.held, whole - stream.held or -1])
        if segment is not None:
            segments.append(segment)
    segments.append(stream.finish())
    yield Found("cut_log", torch.tensor(log).reshape(-1, 4))
    yield Found("codec_calls", torch.tensor(calls))
    for number, segment in enumerate(segments):
        yield Found(f"segment.{number}", segment[None, None])


def check_silence(case: Case) -> Iterator[Found]:
    """The cut alone: what is held back and how much is let go."""
    for name, rule in case.config["cases"].items():
        held, piece = (case.inputs[f"{name}.{part}"].flatten() for part in ("buffer", "syn"))
        rest, segment = hold_back(held, piece, rule["N"], rule["threshold"])
        yield Found(f"{name}.buffer", rest[None, None])
        yield Found(f"{name}.is_none", torch.tensor(segment is None))
        if segment is not None:
            yield Found(f"{name}.segment_len", torch.tensor(segment.shape[0]))


def check_codec(case: Case) -> Iterator[Found]:
    """Codes to a waveform and back."""
    inputs = case.inputs
    codec = TiCodec(published.codec_config(case.config)).eval()
    load_checkpoint(codec, case.weights)
    codes, voice = inputs["codes"], inputs["global_codes"]
    yield Found("quantized_embedding", codec.quantizer.embed(codes))
    yield Found("global_embedding", codec.quantizer.embed_voice(voice))
    yield Found("decoded", codec.decode(codes, voice))
    yield Found("decoded_config_global_tokens", codec.decode(codes))
    wave = inputs["waveform"][:, None]
    latent, features = codec.encoder(wave)
    yield Found("encoder_features", latent)
    yield Found("encoder_global_features", features)
    snapped = codec.quantizer(latent, features)
    yield Found("quantizer_out", snapped.latent)
    yield Found("quantizer_global", snapped.voice)
    yield Found("quantizer_loss", snapped.loss)
    found, speaker = codec.encode(wave)
    yield Found("encoded_codes", found)
    yield Found("encoded_global_codes", speaker)
    yield Found("reconstructed", codec.decode(found, speaker))
