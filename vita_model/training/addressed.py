"""Teaches vita-tiny which sounds over its speech are meant for it.

Questions, backchannels, people in the room and noises are read aloud or made, sent over a telephone
line and through the voice detector, and cut where the server would look at them, while somebody
speaks and when they fall silent. The encoder stays as it is; the classifier learns from its rows.
Run it with

    python -m vita_model.training.addressed --out addressed.safetensors

Voices of the duplex set are left out, and what is said in its report half only, so that it can
judge the result. With --unheard the tuning half's sentences are left out too: that half then tells
how sounds are judged whose words were not heard before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import soxr
import torch
import typer
from torch import Tensor
from torch.nn import functional as F

from vita_model.audio.addressed import SOUNDS, Addressed, Sound, recent, save_addressed
from vita_model.audio.telephone import encode
from vita_model.audio.whisper import WhisperEncoder
from vita_model.engine.voice import Samples
from vita_model.evaluation.duplex_set import HELD_BACK, Half
from vita_model.evaluation.duplex_sounds import across_the_room, cough
from vita_model.serving.listener import Listener
from vita_model.serving.turns import WINDOW_MS, Signal, TurnRules
from vita_model.serving.vad import SileroDetector
from vita_model.tiny import load_parts
from vita_model.training.addressed_texts import Texts
from vita_model.training.channel import (
    coloured_noise,
    level,
    music,
    not_speech,
    street,
    telephone,
    trimmed,
)
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
_AFTER = RATE * 2 // 5
"""Samples of silence after a sound, in which the detector tells that it is over."""
_BLOCK = 500
"""Sounds that one seed makes; blocks do not depend on each other."""
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


def voices() -> list[str]:
    """Voices of espeak-ng that the duplex set has not."""
    variants = [v for v in ESPEAK_VARIANTS if v not in HELD_BACK]
    return [f"{accent}+{variant}" for accent in ESPEAK_ACCENTS for variant in variants]


class Maker:
    """Makes examples with an encoder.

    Args:
        encoder: Samples at 16 kHz to rows, 50 a second.
        seed: The same seed makes the same examples, but that piper never reads twice alike.
        hidden: Halves of the duplex set whose sentences are not read.
    """

    def __init__(
        self, encoder: WhisperEncoder, seed: int, hidden: tuple[Half, ...] = ("report",)
    ) -> None:
        self._encoder = encoder
        self._chance = random.Random(seed)
        self._texts = Texts(self._chance, hidden)
        self._rng = np.random.default_rng(seed)
        self._detector = SileroDetector()
        self._voices = voices()

    def clips(self, count: int) -> Iterator[Example]:
        """The examples of so many sounds."""
        for _ in range(count):
            yield from self._one()

    def _one(self) -> Iterator[Example]:
        chance = self._chance
        kind = chance.choices(_KINDS, (0.36, 0.30, 0.14, 0.15, 0.05))[0]
        before = 0.0
        match kind:
            case "query":
                clip = self._read(self._texts.query())
            case "backchannel":
                clip = self._read(self._texts.backchannel())
            case "late":
                clip, before = self._late()
            case "side talk":
                clip = self._read(chance.choice((self._texts.side_talk, self._texts.query))())
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
        if chance.random() < 0.15:
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
        said = self._texts.backchannel(), self._texts.query()
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
        whole = np.pad(samples, (ahead, _AFTER))
        line = telephone(np.clip(whole + np.resize(hiss, len(whole)), -1, 1).astype(np.float32))
        data = encode(soxr.resample(line, RATE, 8_000).astype(np.float32), "audio/pcmu")
        self._detector.reset()
        listener = Listener(self._detector, "audio/pcmu", TurnRules(silence_ms=640))
        wanted = {*chance.sample(LOOKS, 3), chance.choice(LATER)}
        step = WINDOW_MS * 8
        for start in range(0, len(data) - step, step):
            turns = listener.feed(data[start : start + step])
            windows = listener.spoken_ms // WINDOW_MS
            at_s = (start + step) / 8_000 - ahead / RATE
            paused = [turn.samples for turn in turns if turn.signal is Signal.PAUSED]
            if paused:
                yield windows, at_s, paused[0]
            elif listener.speaking and windows in wanted:
                wanted.discard(windows)
                yield windows, at_s, listener.so_far


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
    clips: Annotated[int, typer.Option(help="Sounds to make.")] = 2_000,
    steps: Annotated[int, typer.Option(help="Steps of training.")] = 600,
    seed: Annotated[int, typer.Option(help="Another seed makes other sounds.")] = 1,
    *,
    unheard: Annotated[
        bool, typer.Option(help="Read no sentence of the duplex set's tuning half either.")
    ] = False,
) -> None:
    """Make the examples, train, write the weights, and print how well held-out voices are told."""
    torch.set_num_threads(1)
    encoder = load_parts().encoder
    hidden: tuple[Half, ...] = ("report", "tuning") if unheard else ("report",)
    examples = [
        example
        for block in range(0, clips, _BLOCK)
        for example in Maker(encoder, seed * 1_000 + block, hidden).clips(
            min(_BLOCK, clips - block)
        )
    ]
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
