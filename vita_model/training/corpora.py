"""Speech corpora made by synthesis: what the listener hears, what the speaker learns from.

Every shard is made from its own number alone, so a stopped run goes on where it was and two
machines can share the work. Listener shards keep the frozen encoder's rows instead of sound;
speaker shards keep vocoder features with the length of every phoneme.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vita_model.audio.whisper import WhisperConfig, WhisperEncoder
from vita_model.speech import vocoder
from vita_model.speech.text import spoken
from vita_model.training import voices
from vita_model.training.channel import RATE, not_speech, random_line
from vita_model.training.dialogues import Split, sample_reply, sample_spoken
from vita_model.training.whisper_weights import encoder_weights

CLIPS_PER_SHARD = 200
SENTENCES_PER_SHARD = 60


@dataclass(frozen=True, slots=True)
class Heard:
    """Encoder rows `[rows, 384]` in half precision, the words said, the voice."""

    rows: Tensor
    said: str
    voice: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """Vocoder features `[frames, 82]`, phonemes, and samples (at 24 kHz) of each phoneme."""

    features: Tensor
    phonemes: list[str]
    lengths: list[int]
    text: str


def frozen_encoder() -> WhisperEncoder:
    """Whisper tiny.en's encoder with its published weights."""
    encoder = WhisperEncoder(WhisperConfig())
    encoder.load_state_dict(encoder_weights())
    return encoder.eval()


def _reader(rng: random.Random) -> voices.Reader:
    draw = rng.random()
    if draw < 0.36:
        return voices.flite
    if draw < 0.72:
        return voices.joe
    return voices.espeak


def training_readers() -> list[voices.Reader]:
    """One reader of every kind that training clips use."""
    mixed = partial(voices.kokoro, voices=voices.TRAINING_KOKORO)
    return [voices.flite, voices.joe, voices.espeak, mixed]


def held_out_readers() -> dict[str, voices.Reader]:
    """Voices that no training clip uses."""
    return {
        "slt": lambda rng, text: voices.flite(rng, text, voices.HELD_OUT_FLITE),
        "kokoro-f": lambda rng, text: voices.kokoro(rng, text, voices.HELD_OUT_KOKORO[:1]),
        "kokoro-m": lambda rng, text: voices.kokoro(rng, text, voices.HELD_OUT_KOKORO[1:]),
    }


@torch.no_grad()
def listener_shard(encoder: WhisperEncoder, path: Path, number: int, kind: str) -> None:
    """Make one shard. `kind`: `train`, `kokoro` (training mixes), or a held-out reader's name."""
    rng = random.Random(f"listener-{kind}-{number}")
    numbers = np.random.default_rng(rng.getrandbits(32))
    held_out = held_out_readers()
    split: Split = "test" if kind in held_out or kind == "joe-test" else "train"
    clips = {"kokoro": 50}.get(kind, 40 if split == "test" else CLIPS_PER_SHARD)
    rows, said, names = [], [], []
    for _ in range(clips):
        if split == "train" and rng.random() < 0.05:
            samples, text, name = not_speech(numbers), "", "noise"
        else:
            text = sample_spoken(rng, split)
            if kind == "kokoro":
                clip = voices.kokoro(rng, text, voices.TRAINING_KOKORO)
            elif kind == "joe-test":
                clip = voices.joe(rng, text)
            else:
                clip = (held_out.get(kind) or _reader(rng))(rng, text)
            samples, name = voices.at_rate(clip, RATE), clip.voice
            if not len(samples) or len(samples) > 20 * RATE:
                continue
            samples = random_line(numbers, samples)
        rows.append(encoder(torch.from_numpy(np.ascontiguousarray(samples, np.float32))).half())
        said.append(text)
        names.append(name)
    _save({"rows": rows, "said": said, "voice": names}, path)


def speaker_shard(path: Path, number: int, split: Split) -> None:
    """Read sampled replies with the one training voice and keep features and phoneme lengths."""
    rng = random.Random(f"speaker-{split}-{number}")
    items: dict[str, list[object]] = {"features": [], "phonemes": [], "lengths": [], "text": []}
    for _ in range(SENTENCES_PER_SHARD):
        text = sample_reply(rng, split)
        words = spoken(text)
        if not words:
            continue
        samples, rate, phones = voices.aligned_joe(words, speed=rng.uniform(0.95, 1.12), noise=0.45)
        clip = voices.Clip(samples, rate, "piper:joe")
        wave = torch.from_numpy(voices.at_rate(clip, vocoder.RATE))
        items["features"].append(vocoder.analyse(wave).half())
        items["phonemes"].append([p for p, _ in phones])
        items["lengths"].append([round(n * vocoder.RATE / rate) for _, n in phones])
        items["text"].append(text)
    _save(items, path)


def _save(items: dict[str, list[object]] | dict[str, object], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(items, part)
    part.replace(path)


def make(folder: Path, plan: list[tuple[str, int]], worker: int, workers: int) -> None:
    """Make all missing shards of a plan of (kind, count); several workers share by number."""
    torch.set_num_threads(1)
    encoder = frozen_encoder()
    for kind, count in plan:
        for number in range(worker, count, workers):
            path = folder / f"{kind}-{number:04d}.pt"
            if path.exists():
                continue
            if kind.startswith("speaker"):
                speaker_shard(path, number, "test" if kind == "speaker-test" else "train")
            else:
                listener_shard(encoder, path, number, kind)
            print(path.name, flush=True)


def load_heard(folder: Path, kind: str) -> Iterator[Heard]:
    """All clips of a kind made so far."""
    for path in sorted(folder.glob(f"{kind}-[0-9]*.pt")):
        items = torch.load(path, weights_only=True)
        for rows, said, voice in zip(items["rows"], items["said"], items["voice"], strict=True):
            yield Heard(rows, said, voice)


def load_spoken(folder: Path, split: str) -> Iterator[Spoken]:
    """All sentences of a split made so far."""
    for path in sorted(folder.glob(f"speaker-{split}-[0-9]*.pt")):
        items = torch.load(path, weights_only=True)
        yield from (
            Spoken(*item)
            for item in zip(
                items["features"], items["phonemes"], items["lengths"], items["text"], strict=True
            )
        )
