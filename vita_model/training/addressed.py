"""Teaches vita-tiny which sounds over its speech are meant for it.

Questions, backchannels, people in the room and noises are read aloud or made, sent over a telephone
line and through the voice detector, and cut where the server would look at them. The encoder stays
as it is; the classifier learns from its rows. Run it with

    python -m vita_model.training.addressed --out addressed.safetensors

Voices of the duplex set are left out, so that it can judge the result.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import soxr
import torch
import typer
import yaml
from torch import Tensor
from torch.nn import functional as F

from vita_model.audio.addressed import SOUNDS, Addressed, Sound, recent, save_addressed
from vita_model.audio.telephone import encode
from vita_model.audio.whisper import WhisperEncoder
from vita_model.engine.voice import Samples
from vita_model.evaluation.duplex_set import HELD_BACK
from vita_model.evaluation.duplex_sounds import across_the_room, cough
from vita_model.serving.listener import Listener
from vita_model.serving.turns import WINDOW_MS, TurnRules
from vita_model.serving.vad import SileroDetector
from vita_model.tiny import load_parts
from vita_model.training.channel import (
    coloured_noise,
    level,
    music,
    not_speech,
    street,
    telephone,
    trimmed,
)
from vita_model.training.dialogues.sampler import sample_turn
from vita_model.training.voices import (
    ESPEAK_ACCENTS,
    ESPEAK_VARIANTS,
    Clip,
    at_rate,
    espeak_as,
    joe,
    other_throat,
)

RATE = 16_000
LOOKS = tuple(range(8, 21))
"""Windows of speech after which the server may look, a first time."""
LATER = tuple(range(21, 48, 3))
_KINDS: tuple[Sound | Literal["late"], ...] = ("query", "backchannel", "late", "side talk", "noise")
JUDGED = 0.15
"""Share of the voices that are kept for judging."""
WEIGHT_DECAY = 0.05


@dataclass(frozen=True, slots=True)
class Example:
    """One look: rows `[ROWS, width]` in half precision, what it was, who spoke, after how much speech."""

    rows: Tensor
    sound: Sound
    voice: str
    windows: int


@cache
def _texts() -> dict[str, list[str]]:
    raw = files("vita_model.training").joinpath("addressed_texts.yaml").read_text(encoding="utf-8")
    texts: dict[str, list[str]] = yaml.safe_load(raw)
    return texts


def voices() -> list[str]:
    """Voices of espeak-ng that the duplex set has not."""
    variants = [v for v in ESPEAK_VARIANTS if v not in HELD_BACK]
    return [f"{accent}+{variant}" for accent in ESPEAK_ACCENTS for variant in variants]


def query(chance: random.Random) -> str:
    """What somebody says who wants the word."""
    texts = _texts()
    if chance.random() < 0.3:
        return chance.choice(texts["interrupting_alone"])
    said = sample_turn(chance, "train").said
    return f"{chance.choice(texts['interrupting'])}, {said}" if chance.random() < 0.35 else said


class Maker:
    """Makes examples with an encoder.

    Args:
        encoder: Samples at 16 kHz to rows, 50 a second.
        seed: The same seed makes the same examples.
    """

    def __init__(self, encoder: WhisperEncoder, seed: int) -> None:
        self._encoder = encoder
        self._chance = random.Random(seed)
        self._rng = np.random.default_rng(seed)
        self._detector = SileroDetector()
        self._voices = voices()

    def clips(self, count: int) -> Iterator[Example]:
        """The examples of so many sounds."""
        for _ in range(count):
            yield from self._one()

    def _one(self) -> Iterator[Example]:
        chance = self._chance
        kind = chance.choices(_KINDS, (0.42, 0.22, 0.12, 0.18, 0.06))[0]
        before = 0.0
        match kind:
            case "query":
                clip = self._read(query(chance))
            case "backchannel":
                clip = self._read(chance.choice(_texts()["backchannel"]))
            case "late":
                clip, before = self._late()
            case "side talk":
                clip = self._read(chance.choice([*_texts()["side_talk"], query(chance)]))
            case _:
                clip = Clip(self._noise(), RATE, "none")
        samples = clip.samples
        decibels = chance.uniform(-32, -18)
        if kind == "side talk":
            samples = across_the_room(self._rng, samples)
            decibels -= chance.uniform(3, 15)
        for windows, at_s, heard in self._looks(level(samples, decibels)):
            if kind == "late" and before - 0.3 < at_s < before + 0.25:
                continue
            late: Sound = "query" if at_s > before else "backchannel"
            sound = late if kind == "late" else kind
            rows = self._encode(heard)
            yield Example(recent(rows, self._encoder.tail_rows).half(), sound, clip.voice, windows)

    @torch.inference_mode()
    def _encode(self, samples: Samples) -> Tensor:
        rows: Tensor = self._encoder(torch.from_numpy(samples))
        return rows

    def _read(self, text: str) -> Clip:
        chance = self._chance
        if chance.random() < 0.12:
            clip = other_throat(chance, joe(chance, text))
        else:
            voice = chance.choice(self._voices)
            clip = espeak_as(chance, text, voice)
            if chance.random() < 0.4:
                clip = other_throat(chance, clip, 0.9, 1.12)
        samples = at_rate(clip, RATE)
        return Clip(trimmed(samples)[: 3 * RATE], RATE, clip.voice)

    def _late(self) -> tuple[Clip, float]:
        """A backchannel, a pause and a question of one voice, and when the question begins."""
        voice = self._chance.choice(self._voices)
        said = self._chance.choice(_texts()["backchannel"]), query(self._chance)
        first, second = (at_rate(espeak_as(self._chance, text, voice), RATE) for text in said)
        first, second = trimmed(first), trimmed(second)[: 2 * RATE]
        pause = np.zeros(int(self._chance.uniform(0.03, 0.4) * RATE), np.float32)
        joined = np.concatenate([level(first, -20), pause, level(second, -20)])
        return Clip(joined, RATE, f"espeak:{voice}"), (len(first) + len(pause)) / RATE

    def _noise(self) -> Samples:
        rng, pick = self._rng, self._chance.random()
        count = int(rng.uniform(1.0, 3.0) * RATE)
        if pick < 0.4:
            return cough(rng)
        if pick < 0.6:
            return music(rng, count)
        return street(rng, count) if pick < 0.7 else not_speech(rng)

    def _looks(self, samples: Samples) -> Iterator[tuple[int, float, Samples]]:
        """Windows of speech, seconds into the sound, and what the server has of it by then."""
        chance = self._chance
        hiss = coloured_noise(self._rng, RATE, chance.uniform(0, 2))
        hiss *= np.float32(10 ** ((-25 - chance.uniform(6, 36)) / 20))
        ahead = chance.randint(RATE // 2, RATE)
        whole = np.pad(samples, (ahead, 0))
        line = telephone(np.clip(whole + np.resize(hiss, len(whole)), -1, 1).astype(np.float32))
        data = encode(soxr.resample(line, RATE, 8_000).astype(np.float32), "audio/pcmu")
        self._detector.reset()
        listener = Listener(self._detector, "audio/pcmu", TurnRules(silence_ms=640))
        wanted = {*chance.sample(LOOKS, 3), chance.choice(LATER)}
        step = WINDOW_MS * 8
        for start in range(0, len(data) - step, step):
            listener.feed(data[start : start + step])
            windows = listener.spoken_ms // WINDOW_MS
            if listener.speaking and windows in wanted:
                wanted.discard(windows)
                yield windows, (start + step) / 8_000 - ahead / RATE, listener.so_far


def fit(examples: list[Example], *, steps: int, seed: int = 0) -> Addressed:
    """Train on examples; the kinds weigh the same."""
    torch.manual_seed(seed)
    rows = torch.stack([e.rows for e in examples]).float()
    truth = torch.tensor([SOUNDS.index(e.sound) for e in examples])
    module = Addressed(rows.shape[-1])
    weights = 1 / torch.bincount(truth, minlength=len(SOUNDS)).clamp(min=1).float().sqrt()
    optimiser = torch.optim.AdamW(module.parameters(), 2e-3, weight_decay=WEIGHT_DECAY)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    module.train()
    for _ in range(steps):
        batch = torch.randint(0, len(rows), (256,))
        given = rows[batch] + 0.15 * torch.randn(256, *rows.shape[1:])
        given = F.dropout1d(given.transpose(1, 2), 0.15).transpose(1, 2)
        loss = F.cross_entropy(module(given), truth[batch], weights, label_smoothing=0.02)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        plan.step()
    return module.eval()


def main(
    out: Annotated[Path, typer.Option(help="File to write.")],
    clips: Annotated[int, typer.Option(help="Sounds to make.")] = 1_600,
    steps: Annotated[int, typer.Option(help="Steps of training.")] = 600,
    seed: Annotated[int, typer.Option(help="Another seed makes other sounds.")] = 1,
) -> None:
    """Make the examples, train, write the weights, and print how well held-out voices are told."""
    torch.set_num_threads(1)
    encoder = load_parts().encoder
    examples = list(Maker(encoder, seed).clips(clips))
    kept = {v for v in {e.voice for e in examples} if random.Random(v).random() < JUDGED}
    module = fit([e for e in examples if e.voice not in kept], steps=steps, seed=seed)
    judged = [e for e in examples if e.voice in kept]
    with torch.inference_mode():
        found = module(torch.stack([e.rows for e in judged]).float()).softmax(-1)[:, 0]
    for sound in SOUNDS:
        own = [float(p) for p, e in zip(found, judged, strict=True) if e.sound == sound]
        if own:
            taken = sum(p > 0.5 for p in own)
            typer.echo(f"{sound}: {taken} of {len(own)} looks taken for a query")
    save_addressed(module, encoder, out)


if __name__ == "__main__":
    typer.run(main)
