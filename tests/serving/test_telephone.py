"""Wire formats: exact codes, and resampling that keeps speech and little else."""

from __future__ import annotations

import numpy as np
import pytest

from vita_model.audio.telephone import (
    Resampler,
    Samples,
    WireDecoder,
    WireEncoder,
    WireFormat,
    decode,
    encode,
)

pytestmark = pytest.mark.unit

RATES = [(8_000, 16_000), (24_000, 16_000), (24_000, 8_000)]


def _sine(frequency: float, rate: int) -> Samples:
    return np.sin(2 * np.pi * frequency * np.arange(rate) / rate).astype(np.float32)


def _streamed(samples: Samples, source: int, target: int, chunk: int) -> Samples:
    resampler = Resampler(source, target)
    pieces = [resampler.feed(samples[at : at + chunk]) for at in range(0, len(samples), chunk)]
    return np.concatenate([*pieces, resampler.drain()])


def _level(samples: Samples) -> float:
    """In dB below a full-scale sine, edges left out."""
    middle = samples[400:-400]
    return float(10 * np.log10(2 * np.mean(middle.astype(np.float64) ** 2) + 1e-12))


@pytest.mark.parametrize(
    ("wire", "codes", "values"),
    [
        ("audio/pcmu", [0x00, 0x7F, 0x80, 0xFF, 0xE0], [-32_124, 0, 32_124, 0, 372]),
        ("audio/pcma", [0x55, 0xD5, 0x2A, 0xAA, 0x80], [-8, 8, -32_256, 32_256, 5_504]),
    ],
)
def test_codes_stand_for_the_values_of_the_standard(
    wire: WireFormat, codes: list[int], values: list[int]
) -> None:
    assert (decode(bytes(codes), wire) * 32_768).tolist() == values


def test_silence_is_the_code_that_carriers_send() -> None:
    silence = np.zeros(2, dtype=np.float32)
    assert (encode(silence, "audio/pcmu"), encode(silence, "audio/pcma")) == (
        b"\xff" * 2,
        b"\xd5" * 2,
    )


@pytest.mark.parametrize("wire", ["audio/pcmu", "audio/pcma", "audio/pcm"])
def test_every_code_survives_a_round_trip(wire: WireFormat) -> None:
    samples = decode(bytes(range(256)), wire)
    assert decode(encode(samples, wire), wire).tolist() == samples.tolist()


@pytest.mark.parametrize("wire", ["audio/pcmu", "audio/pcma"])
def test_speech_levels_lose_little(wire: WireFormat) -> None:
    speech = 0.3 * _sine(440, 8_000)
    error = decode(encode(speech, wire), wire) - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(error**2)) > 36


def test_loud_samples_are_clipped() -> None:
    assert encode(np.array([2.0, -2.0], dtype=np.float32), "audio/pcm") == b"\xff\x7f\x00\x80"


@pytest.mark.parametrize(("source", "target"), RATES)
def test_chunks_do_not_matter(source: int, target: int) -> None:
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(source // 4).astype(np.float32)
    whole = _streamed(noise, source, target, len(noise))
    for chunk in (1, 77, source // 50):
        np.testing.assert_allclose(_streamed(noise, source, target, chunk), whole, atol=1e-5)


@pytest.mark.parametrize(("source", "target"), RATES)
def test_speech_passes_and_the_rest_does_not(source: int, target: int) -> None:
    lower = min(source, target)
    for share in (0.02, 0.2, 0.4):
        assert abs(_level(_streamed(_sine(share * lower, source), source, target, 480))) < 0.1
    if source > target:
        assert _level(_streamed(_sine(0.55 * lower, source), source, target, 480)) < -60


@pytest.mark.parametrize(("source", "target"), RATES)
def test_the_delay_is_3_ms_at_most(source: int, target: int) -> None:
    click = np.zeros(source // 10, dtype=np.float32)
    click[source // 20] = 1
    out = _streamed(click, source, target, source // 50)
    assert 0 < np.argmax(out) * 1_000 / target - 50 <= 3.0
    first = Resampler(source, target).feed(np.ones(source // 50, dtype=np.float32))
    assert len(first) == target // 50


def test_bytes_may_be_cut_inside_a_sample() -> None:
    data = encode(0.5 * _sine(300, 24_000), "audio/pcm")
    whole = WireDecoder("audio/pcm", 16_000).feed(data)
    odd = WireDecoder("audio/pcm", 16_000)
    pieces = [odd.feed(data[at : at + 333]) for at in range(0, len(data), 333)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_what_is_encoded_can_be_heard() -> None:
    encoder = WireEncoder("audio/pcmu", 24_000)
    wire = encoder.feed(0.5 * _sine(1_000, 24_000)) + encoder.drain()
    heard = WireDecoder("audio/pcmu", 16_000).feed(wire)
    spectrum = np.abs(np.fft.rfft(heard[:16_000]))
    assert np.argmax(spectrum) == 1_000
