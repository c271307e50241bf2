from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vita_model import published
from vita_model.checkpoint import load_checkpoint
from vita_model.config import CodecConfig, SpeechDecoderConfig
from vita_model.speech.codec import TiCodec
from vita_model.speech.decoder import SpeechDecoder, SpeechSampling
from vita_model.speech.synthesis import (
    ChunkPlan,
    SpeechStream,
    quiet_cut,
    to_int16,
    without_leading_silence,
)

pytestmark = pytest.mark.unit


def decoder(case, config, prefix=""):
    parts = [config["idim"], config["odim"], config]
    model = SpeechDecoder(published.speech_config(parts))
    load_checkpoint(model, case.weights, prefix=prefix)
    return model.eval()


@pytest.mark.parametrize("name", ["e2_forward_prefix"])
def test_training_pass_equals_the_reference(name, golden):
    case = golden(name)
    inputs = case.inputs
    found = decoder(case, case.config)(
        inputs["x"],
        inputs["x_lens"],
        inputs["y"],
        inputs["y_lens"],
        prefix=inputs.get("x_prefix"),
        prefix_lengths=inputs.get("x_prefix_lens"),
    )
    assert case.agrees("shifted_target", found.targets)
    assert case.agrees("loss", found.loss)
    spoken = found.targets != found.targets.max()  # padding has logits, but nobody uses them
    wanted = case.outputs["logits"]
    assert (found.logits - wanted)[spoken].abs().max() <= 1e-4


@pytest.mark.parametrize(
    "name",
    ["e4_infer_greedy_prefix", "e5_infer_eos", "e6_infer_penalty", "e7_infer_topk_seeded"],
)
def test_generation_equals_the_reference(name, golden):
    case = golden(name)
    config = case.config
    model = decoder(case, config)
    hidden, prefix = case.inputs["hidden"], case.inputs.get("prefix")
    assert case.agrees("pre_nn_out", model.condition(hidden))
    sampling = SpeechSampling(
        config["top_k"], config["penalty"], config["penalty_window_size"], config["max_tokens"]
    )
    seed = torch.Generator().manual_seed(config["torch_seed"] or 0)
    codes = list(model.generate(hidden, prefix=prefix, sampling=sampling, generator=seed))
    assert codes == case.outputs["tokens"].tolist()
    state, logits = model.begin(hidden, prefix)
    steps = [logits, *(model.step([code], state) for code in codes)]
    count = case.outputs["raw_step_logits"].shape[1]
    assert case.agrees("raw_step_logits", torch.stack(steps[:count], dim=1))


def test_only_codes_and_the_end_are_ever_drawn():
    torch.manual_seed(0)
    config = SpeechDecoderConfig(
        hidden_size=32, heads=4, intermediate_size=32, layers=1, front_layers=1, codes=8
    )
    model = SpeechDecoder(config).eval()
    with torch.no_grad():
        model.out_fnn.bias[[config.separator, config.start, config.pad]] = 50.0
        model.out_fnn.bias[config.end] = -50.0
    sampling = SpeechSampling(top_k=4, max_codes=30)
    codes = list(model.generate(torch.randn(1, 4, 32), sampling=sampling))
    assert len(codes) == 30
    assert max(codes) < config.codes


def test_a_prefix_needs_prefix_layers():
    config = SpeechDecoderConfig(
        hidden_size=32, heads=4, intermediate_size=32, layers=1, front_layers=1, codes=8
    )
    with pytest.raises(ValueError, match="no prefix layers"):
        SpeechDecoder(config).begin(torch.zeros(1, 4, 32), torch.zeros(1, 2, 32))


@pytest.mark.parametrize("name", ["f2_codec_2g2r"])
def test_codec_equals_the_reference(name, golden):
    case = golden(name)
    inputs = case.inputs
    codec = TiCodec(published.codec_config(case.config)).eval()
    load_checkpoint(codec, case.weights)
    assert case.agrees("decoded", codec.decode(inputs["codes"], inputs["global_codes"]))
    assert case.agrees("decoded_config_global_tokens", codec.decode(inputs["codes"]))
    latent, voice = codec.encoder(inputs["waveform"][:, None])
    assert case.agrees("encoder_features", latent)
    assert case.agrees("encoder_global_features", voice)
    found = codec.quantizer(latent, voice)
    assert case.agrees("quantizer_out", found.latent)
    assert case.agrees("quantizer_global", found.voice)
    assert case.agrees("quantizer_loss", found.loss)
    codes, voice_codes = codec.encode(inputs["waveform"][:, None])
    assert case.agrees("encoded_codes", codes)
    assert case.agrees("encoded_global_codes", voice_codes)
    assert case.agrees("reconstructed", codec.decode(codes, voice_codes))


@pytest.mark.parametrize("frames", [1, 2, 13, 60])
def test_each_code_is_six_hundred_samples(frames):
    config = CodecConfig(
        initial_channels=32,
        latent_size=16,
        codes=8,
        global_size=16,
        global_tokens=(0,) * 8,
        encoder=False,
    )
    wave = TiCodec(config).decode(torch.zeros(1, frames, 1, dtype=torch.int64))
    assert config.hop == 600
    assert wave.shape == (1, 1, 600 * frames)


@pytest.mark.parametrize("name", ["e8_stream_chunk40"])
def test_streaming_equals_the_reference(name, golden):
    case = golden(name)
    config = case.config
    model = decoder(case, config["decoder"], "decoder.")
    small = published.codec_config(config["codec"]).model_copy(update={"encoder": False})
    codec = TiCodec(small).eval()
    load_checkpoint(codec, case.weights, prefix="codec.")
    calls = []

    def decode(ids):
        samples = codec.decode(torch.tensor(ids)[None, :, None])[0, 0]
        calls.append([len(ids), samples.shape[0]])
        return samples

    plan = ChunkPlan(
        config["codec_chunk_size"],
        config["codec_padding_size"],
        config["codec_upsample_rate"],
        config["silence_window_N"],
        config["seg_threshold"],
    )
    stream = SpeechStream(decode, plan)
    sampling = SpeechSampling(top_k=1, max_codes=config["max_tokens"])
    codes = list(model.generate(case.inputs["hidden"], sampling=sampling))
    assert codes == case.outputs["tokens"].tolist()
    segments = [piece for piece in map(stream.push, codes) if piece is not None]
    segments.append(stream.finish())
    assert calls == case.outputs["codec_calls"].tolist()
    for number, segment in enumerate(segments):
        assert case.agrees(f"segment.{number}", segment[None, None])
    assert f"segment.{len(segments)}" not in case.outputs


def _ramp(ids):
    return torch.tensor(ids, dtype=torch.float32).repeat_interleave(10)


@pytest.mark.parametrize("count", [1, 19, 20, 21, 60, 61])
@pytest.mark.parametrize("threshold", [0.0, math.inf])
def test_no_sample_is_lost_or_doubled(count, threshold):
    plan = ChunkPlan(chunk=10, margin=5, hop=10, window=20, threshold=threshold)
    stream = SpeechStream(_ramp, plan)
    pieces = [piece for piece in map(stream.push, range(count)) if piece is not None]
    assert bool(pieces) == (threshold > 0 and count >= 15)
    whole = torch.cat([*pieces, stream.finish()])
    assert torch.equal(whole, _ramp(list(range(count))))


def test_a_cut_falls_on_the_quietest_sample_of_the_second_half():
    piece = torch.full((1000,), 0.5)
    piece[100:200] = 0.0
    piece[700:750] = 0.01
    piece[730] = 0.0
    assert quiet_cut(piece, 50, 0.1) == 730
    assert quiet_cut(piece, 50, 0.001) is None
    assert quiet_cut(piece[:60], 50, 0.1) is None


def test_leading_silence_is_dropped():
    samples = torch.tensor([0.0, 0.03, -0.2, 0.0, 0.5])
    assert without_leading_silence(samples).tolist() == samples[2:].tolist()
    assert without_leading_silence(samples[:2]).shape == (0,)


def test_loud_samples_are_clipped_not_wrapped():
    scaled = to_int16(torch.tensor([1.0, -1.0, 1.5, 0.5]))
    assert scaled.dtype == np.int16
    assert scaled.tolist() == [32767, -32768, 32767, 16384]
