"""Speech corpora made by synthesis: what the listener hears, what the speaker learns from.

Every shard is made from its own number alone, so a stopped run goes on where it was and two
machines can share the work. Listener shards keep the frozen encoder's rows instead of sound;
speaker shards keep vocoder features with the length of every phoneme.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vita_model.audio.whisper import WhisperConfig, WhisperEncoder
from vita_model.backbone import open_backbone
from vita_model.speech import vocoder
from vita_model.speech.text import spoken
from vita_model.training import voices
from vita_model.training.channel import (
    RATE,
    Samples,
    crowd,
    hard_line,
    level,
    mix,
    not_speech,
    random_line,
    telephone,
)
from vita_model.training.dialogues import Split, sample_reply, sample_spoken
from vita_model.training.dialogues.reading import sample_reading
from vita_model.training.whisper_weights import encoder_weights

READINGS_PER_SHARD = 160
TEST_CLIPS = 40
SENTENCES_PER_SHARD = 60


@dataclass(frozen=True, slots=True)
class Setting:
    """What shards follow from beside their kind and number.

    Attributes:
        seed: 0 for the corpora of the shipped weights.
        names: Training voices of the kind `train`, from `READERS`.
        readings: Texts of a training shard.
    """

    seed: int = 0
    names: tuple[str, ...] = ("flite", "joe", "espeak", "festival")
    readings: int = READINGS_PER_SHARD

    @property
    def salt(self) -> str:
        """What the seed adds to the name of a shard's chance."""
        return f"-{self.seed}" if self.seed else ""


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


READERS: dict[str, tuple[voices.Reader, float]] = {
    "flite": (voices.flite, 0.45),
    "joe": (voices.joe, 0.2),
    "espeak": (voices.espeak, 0.3),
    "festival": (voices.festival, 0.05),
}
"""Training voices of shards of the kind `train`, and how often each reads."""


def _read(rng: random.Random, text: str, kind: str, names: Sequence[str]) -> voices.Clip:
    """One training voice; half of the readings sound like another throat."""
    if kind == "kokoro":
        clip = voices.kokoro(rng, text, voices.TRAINING_KOKORO)
    else:
        readers, weights = zip(*(READERS[name] for name in names), strict=True)
        clip = rng.choices(readers, weights)[0](rng, text)
    return voices.other_throat(rng, clip) if rng.random() < 0.5 else clip


def common_words() -> list[str]:
    """Whole lower-case words of the backbone's vocabulary, most frequent first."""
    vocabulary = open_backbone().tokenizer().get_vocab()
    known = {
        token[1:]: number
        for token, number in vocabulary.items()
        if number < 9_000 and re.fullmatch(r"\u0120[a-z]{3,}", token)
    }
    return sorted(known, key=known.__getitem__)


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
def test_shard(
    encoder: WhisperEncoder, path: Path, number: int, kind: str, setting: Setting
) -> None:
    """Make one shard of at most 40 clips in unseen wording. `kind`: a held-out reader's name or `joe-test`.

    After a dash and `babble` the line is clean but for babble 15 dB below the voice.
    """
    rng = random.Random(f"listener-{kind}-{number}{setting.salt}")
    numbers = np.random.default_rng(rng.getrandbits(32))
    reader = (held_out_readers() | {"joe-test": voices.joe})[kind.removesuffix("-babble")]
    table = _Table(encoder)
    heard: list[Samples] = []
    for _ in range(min(TEST_CLIPS, setting.readings)):
        text = sample_spoken(rng, "test")
        clip = reader(rng, text)
        samples = voices.at_rate(clip, RATE)
        if kind.endswith("-babble"):
            heard = heard or [voices.at_rate(voices.espeak(rng, text), RATE) for _ in range(8)]
            samples = telephone(mix(level(samples, -24), crowd(numbers, heard, len(samples)), 15.0))
        else:
            samples = random_line(numbers, samples)
        table.add(samples, text, clip.voice)
    table.save(path)


@torch.no_grad()
def listener_shard(
    encoder: WhisperEncoder,
    path: Path,
    number: int,
    kind: str,
    *,
    common: Sequence[str],
    setting: Setting,
) -> None:
    """Make one training shard. `kind`: `train`, or `kokoro` for mixes of its training voices.

    Every reading goes through several lines; earlier readings are the babble behind later ones.
    """
    rng = random.Random(f"listener-{kind}-{number}{setting.salt}")
    numbers = np.random.default_rng(rng.getrandbits(32))
    table = _Table(encoder)
    others = [voices.at_rate(voices.espeak(rng, "hello there can you hear me"), RATE)]
    for _ in range(setting.readings // (4 if kind == "kokoro" else 1)):
        if rng.random() < 0.05:
            table.add(not_speech(numbers, others), "", "noise")
            continue
        text = sample_reading(rng, "train", common)
        clip = _read(rng, text, kind, setting.names)
        samples = voices.at_rate(clip, RATE)
        if not len(samples) or len(samples) > 15 * RATE:
            continue
        others = [*others, samples][-24:]
        for _ in range(3 if kind == "kokoro" else 2 if "joe" in clip.voice else 1):
            table.add(hard_line(numbers, samples, others), text, clip.voice)
    table.save(path)


class _Table:
    """Clips of one shard as the frozen encoder hears them."""

    def __init__(self, encoder: WhisperEncoder) -> None:
        self._encoder = encoder
        self._items: dict[str, list[object]] = {"rows": [], "said": [], "voice": []}

    def add(self, samples: Samples, said: str, voice: str) -> None:
        rows = self._encoder(torch.from_numpy(np.ascontiguousarray(samples, np.float32)))
        for name, value in (("rows", rows.half()), ("said", said), ("voice", voice)):
            self._items[name].append(value)

    def save(self, path: Path) -> None:
        _save(self._items, path)


def speaker_shard(path: Path, number: int, split: Split, setting: Setting) -> None:
    """Read sampled replies with the one training voice and keep features and phoneme lengths."""
    rng = random.Random(f"speaker-{split}-{number}{setting.salt}")
    items: dict[str, list[object]] = {"features": [], "phonemes": [], "lengths": [], "text": []}
    for _ in range(min(SENTENCES_PER_SHARD, setting.readings)):
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


def make(
    folder: Path,
    plan: Sequence[tuple[str, int]],
    setting: Setting | None = None,
    *,
    worker: int = 0,
    workers: int = 1,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Make all missing shards of a plan of (kind, count); several workers share by number.

    Args:
        folder: Where to.
        plan: Kinds and how many shards of each.
        setting: See there.
        worker: Which of the workers this is.
        workers: How many there are.
        report: Called with the file name of every shard that is there.
    """
    torch.set_num_threads(1)
    encoder, common, made = frozen_encoder(), common_words(), setting or Setting()
    for kind, count in plan:
        for number in range(worker, count, workers):
            path = folder / f"{kind}-{number:04d}.pt"
            if path.exists():
                pass
            elif kind.startswith("speaker"):
                speaker_shard(path, number, "test" if kind == "speaker-test" else "train", made)
            elif kind in {"train", "kokoro"}:
                listener_shard(encoder, path, number, kind, common=common, setting=made)
            else:
                test_shard(encoder, path, number, kind, made)
            report(path.name)


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
