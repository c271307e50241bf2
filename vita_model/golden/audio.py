"""Filter bank, audio encoder and adapter, whole and chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vita_model import published
from vita_model.assembly import AudioTower
from vita_model.audio.adapter import SubsamplingAdapter
from vita_model.audio.encoder import WhaleEncoder, length_mask
from vita_model.audio.features import GlobalCmvn, filter_bank, language_positions
from vita_model.audio.streaming import WhaleStream
from vita_model.checkpoint import load_checkpoint
from vita_model.config import LanguageConfig, VitaConfig
from vita_model.golden.case import BAR, Case, Found

_FULL_SCALE = 32768


def check_filter_bank(case: Case) -> Iterator[Found]:
    """Filter bank, its normalisation, positions in the language model.

    A band far softer than the rest of its frame is what the rounding of the Fourier transform leaves of
    it, which differs from processor to processor: where single precision is off by half the bar, it
    does not count. That is three values in a thousand.
    """
    bins = case.config["num_mel_bins"]
    published.check_filter_bank(case.config)
    samples = case.inputs["samples_int16"].float() / _FULL_SCALE
    bank = filter_bank(samples, bins)
    sure = (bank - filter_bank(samples, bins, torch.float64)).abs() <= BAR / 2
    cmvn = GlobalCmvn(bins)
    load_checkpoint(cmvn, case.weights, prefix="cmvn_")
    yield Found("fbank", bank, sure)
    yield Found("cmvn", cmvn(bank), sure)
    yield Found("length_for_llm", torch.tensor(language_positions(len(bank))))


def _tower(case: Case, model: dict[str, object], *, streaming: bool = False) -> AudioTower:
    rows = model.get("audio_prompt_num") if model.get("audio_prompt_finetune") else 0
    config = VitaConfig.model_validate(
        {
            "language": LanguageConfig(hidden_size=int(str(model["llm_embed_dim"]))),
            "audio": published.audio_config(case.config),
            "adapter": published.adapter_config(model, streaming=streaming),
            "audio_prompt_rows": rows or 0,
        }
    )
    tower = AudioTower(config).eval()
    load_checkpoint(tower, case.weights)
    return tower


def check_encoder(case: Case) -> Iterator[Found]:
    """Every stage of encoder and adapter."""
    tower = _tower(case, case.config["model_conf"])
    encoder = tower.encoder
    if not isinstance(encoder, WhaleEncoder):
        raise TypeError("the audio encoder of a reference case is a WhaleEncoder")
    speech, lengths = case.inputs["speech"], case.inputs["speech_lengths"]
    override = case.config.get("override_decoding_chunk")
    chunk = None if override is None else (override[0], override[1])
    normal = encoder.global_cmvn(speech)
    rows = encoder.subsampling(normal)
    valid = length_mask(lengths, speech.shape[1])[:, 2::2][:, 2::2]
    embedded, positions = encoder.transformer.enter(rows)
    encoded = encoder(speech, lengths, chunk)
    adapted = tower.adpter(*encoded)
    yield Found("cmvn", normal)
    yield Found("subsampled", rows)
    yield Found("subsampled_lens", valid.sum(dim=1))
    yield Found("subsampled_mask", valid[:, None])
    yield Found("embedded", embedded)
    yield Found("pos_emb", positions)
    yield Found("attention_chunk_mask", encoder.visible(valid, chunk)[:, 0])
    yield Found("encoder_out", encoded.hidden)
    yield Found("encoder_mask", encoded.mask[:, None])
    yield Found("adapter_out", adapted.hidden)
    yield Found("adapter_mask", adapted.mask[:, None])
    yield Found("inputs_embeds", tower.with_learned_rows(adapted.hidden))
    yield Found("attention_mask", adapted.mask)


def check_stream(case: Case) -> Iterator[Found]:
    """Chunks with caches, and what the caches hold at the end."""
    tower = _tower(case, case.config["adapter"], streaming=True)
    encoder, adapter = tower.encoder, tower.adpter
    if not isinstance(encoder, WhaleEncoder) or not isinstance(adapter, SubsamplingAdapter):
        raise TypeError("a streaming reference case has a WhaleEncoder and a SubsamplingAdapter")
    front, samples = case.config["frontend"], case.inputs["samples"]
    overlap, step = front["overlap_frames"], front["chunk_frames"]
    # The reference starts on silence: on samples for the first frame, on frames for the first chunk.
    silence = samples.new_zeros(front["frame_overlap_samples"])
    bank = filter_bank(torch.cat([silence, samples]) / _scale(samples))
    bank = torch.cat([bank.new_zeros(overlap, bank.shape[1]), bank])
    chunks = bank.unfold(0, step + overlap, step).transpose(1, 2)
    yield Found("fbank_chunks", chunks)
    stream = WhaleStream(encoder, adapter, sliding=True)
    encoded: list[Tensor] = []
    adapted: list[Tensor] = []
    for number, chunk in enumerate(chunks):
        for rows in stream.encode(chunk if number == 0 else chunk[overlap:]):
            encoded.append(rows[0])
            adapted.append(stream.adapt(rows))
        yield Found(f"chunk{number}.kv_len", torch.tensor(stream.caches[0][0][0].shape[2]))
        yield Found(f"chunk{number}.pe_index", torch.tensor(stream.position))
    yield Found("encoder_chunks", torch.stack(encoded))
    yield Found("adapter_chunks", torch.stack(adapted))
    layers, tails = stream.caches
    keys, values = layers[0]
    yield Found("final_k_block0", keys)
    yield Found("final_v_block0", values)
    # One cache for each convolution of the adapter; their widths tell them apart.
    for name in (name for name in case.outputs if name.startswith("final_adapter_cache")):
        width = case.outputs[name].shape[1]
        yield Found(name, next((t for t in tails if t.shape[2] == width), tails[0]).transpose(1, 2))


def _scale(samples: Tensor) -> float:
    return float(_FULL_SCALE) if samples.abs().max() > 1 else 1.0
