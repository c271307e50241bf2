"""Vocoder and small codec: sound in, codes, the same sound in chunks or at once."""

import numpy as np
import pytest
import torch

from vita_model.speech import vocoder
from vita_model.speech.source_filter import CodecStream, SourceFilterCodec, SourceFilterConfig
from vita_model.speech.vocoder import Synthesiser, analyse, synthesise

pytestmark = pytest.mark.unit


def vowel(seconds: float = 1.0, pitch: float = 120.0) -> torch.Tensor:
    time = torch.arange(int(seconds * vocoder.RATE)) / vocoder.RATE
    tones = [
        torch.sin(2 * torch.pi * pitch * n * time) * np.exp(-((n * pitch - 700) ** 2) / 4e5)
        for n in range(1, 30)
    ]
    return 0.1 * torch.stack(tones).sum(0)


def test_analysis_finds_pitch_and_voicing() -> None:
    features = analyse(vowel(pitch=150.0))[5:-5]
    assert torch.allclose(2 ** features[:, vocoder.BANDS], torch.tensor(150.0), rtol=0.03)
    assert float(features[:, vocoder.BANDS + 1].mean()) > 0.95
    noise = analyse(0.1 * torch.randn(vocoder.RATE, generator=torch.Generator().manual_seed(0)))
    assert float(noise[:, vocoder.BANDS + 1].mean()) < 0.2


def test_copy_keeps_level_pitch_and_length() -> None:
    wave = vowel()
    copy = synthesise(analyse(wave))
    assert len(copy) == len(wave) // vocoder.HOP * vocoder.HOP
    middle = slice(6_000, 18_000)
    assert 0.7 < float(copy[middle].std() / wave[middle].std()) < 1.4
    again = analyse(copy)[20:-20]
    assert torch.allclose(2 ** again[:, vocoder.BANDS], torch.tensor(120.0), rtol=0.05)


def test_synthesis_in_chunks_equals_synthesis_at_once() -> None:
    features = analyse(vowel())
    synthesiser = Synthesiser()
    pieces = [synthesiser.push(part) for part in features.split(7)]
    chunked = torch.cat([*pieces, synthesiser.finish()])
    whole = synthesise(features)
    # Noise is drawn per chunk, so only the voiced band can be compared sample by sample.
    assert len(chunked) >= len(whole)
    start = vocoder.FFT // 2
    assert abs(float(chunked[start:].std() / whole.std()) - 1) < 0.1


@pytest.fixture(scope="module")
def codec() -> SourceFilterCodec:
    torch.manual_seed(0)
    return SourceFilterCodec(SourceFilterConfig()).eval()


def test_codes_have_their_rate_and_range(codec: SourceFilterCodec) -> None:
    codes = codec.encode(vowel())
    assert codes.shape == (40, 2)
    assert 0 <= int(codes.min()) <= int(codes.max()) < codec.config.codes
    assert len(codec.decode(codes)) == 600 * 40


def test_stream_gives_every_sample_once(codec: SourceFilterCodec) -> None:
    codes = [tuple(pair) for pair in torch.randint(0, codec.config.codes, (50, 2)).tolist()]
    stream = CodecStream(codec)
    first = stream.push(codes[:10], ahead=3)
    assert 0 < len(first) < 10 * 600
    rest = [stream.push(codes[10:30]), stream.push(codes[30:], last=True)]
    assert len(first) + sum(map(len, rest)) == 600 * 50


def test_codec_names_equal_one_pass_with_full_look_ahead(codec: SourceFilterCodec) -> None:
    codes = torch.randint(0, codec.config.codes, (40, 2))
    whole = codec.decode_features(codes)
    left, right = 12, 24
    window = codes[left - codec.context : right + codec.context]
    part = codec.decode_features(window)[2 * codec.context : 2 * (codec.context + right - left)]
    assert torch.allclose(part, whole[2 * left : 2 * right], atol=1e-4)
