"""Spoken words of the small world, and what they sound like to a listener and to a codec.

Every word is read once by every voice, without the words around it; an utterance is words of one
voice after each other. That is cheaper than speech, and easier.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vita_model.audio.features import filter_bank
from vita_model.engine.voice import Samples
from vita_model.evaluation.claim.world import WORDS
from vita_model.training import voices
from vita_model.training.channel import level

BINS = 32
CODES = 64
"""Codes of the codec: clusters of log mel frames."""
PER_CODE = 4
"""Frames of 10 ms that one code stands for."""
SPEAKER = "flite:rms"
"""The agent's own voice."""
TRAINING = (
    "flite:rms", "flite:awb", "flite:kal16",
    *(
        f"{accent}+{variant}"
        for accent, variants in {
            "en-us": ("m1", "f2", "Andy", "Annie", "klatt3", "Gene", "Lee", "belinda", "grandpa"),
            "en-gb": ("m3", "f4", "max", "linda", "Hugo", "steph2", "Michael", "f1"),
            "en-gb-scotland": ("m7", "f3", "norbert"),
            "en-gb-x-rp": ("f5", "m2", "david"),
            "en-us-nyc": ("m6", "Jacky", "ed"),
            "en-029": ("caleb", "shelby", "m5"),
        }.items()
        for variant in variants
    ),
)  # fmt: skip
UNHEARD = ("flite:slt", "en-us+Alicia", "en-gb+robert", "en-gb-x-gbcwmd+steph")
"""Voices of the test, which no training hears."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Log mel frames of every word by every voice, and the codec.

    Attributes:
        frames: By voice and word, `[frames, BINS]`.
        mean, scale: Of each band over the training voices, `[BINS]`.
        centres: What the codes stand for, `[CODES, BINS]`, normalised.
    """

    frames: dict[tuple[str, str], Tensor]
    mean: Tensor
    scale: Tensor
    centres: Tensor

    def utterance(self, rng: random.Random, said: str, known: Sequence[str]) -> Tensor:
        """What a random one of some voices says: `[frames, BINS]`, at any level and pace, with hiss."""
        voice = rng.choice(known)
        pause = torch.full((rng.randint(2, 8), BINS), float(self.mean.min()) - 2)
        pieces = [pause]
        for word in said.split():
            pieces += [_stretched(self.frames[voice, word], rng.uniform(0.5, 0.75))]
        joined = torch.cat([*pieces, pause]) + rng.uniform(-1.5, 1.5)
        return self._with_hiss(rng, joined)

    def training_utterance(self, rng: random.Random, said: str) -> Tensor:
        """The same by any training voice, as if from a shorter or longer throat too."""
        bank = self.utterance(rng, said, TRAINING)
        return _other_throat(bank, rng.uniform(0.88, 1.12))

    def noise(self, rng: random.Random) -> Tensor:
        """A sound that nobody makes: hiss, a tone, or somebody's words backwards and blurred."""
        count = rng.randint(40, 120)
        quiet = torch.full((count, BINS), float(self.mean.min()) - 2)
        kind = rng.randrange(3)
        generator = _generator(rng)
        if kind == 1:
            band = rng.randrange(4, BINS - 4)
            quiet[:, band - 1 : band + 2] = float(self.mean.max()) + 1
        elif kind == 2:
            burst = torch.randn(-(-count // 8), BINS, generator=generator) + self.mean
            quiet = burst.repeat_interleave(8, 0)[:count]
        return self._with_hiss(rng, quiet)

    def codes(self, said: str) -> list[int]:
        """The codes of words in the agent's voice."""
        joined = torch.cat([self.frames[SPEAKER, word] for word in said.split()])
        return self._coded(joined)

    def _coded(self, joined: Tensor) -> list[int]:
        rows = _blocks((joined - self.mean) * self.scale)
        return torch.cdist(rows, self.centres).argmin(1).tolist()

    def _with_hiss(self, rng: random.Random, bank: Tensor) -> Tensor:
        floor = float(self.mean.mean()) - rng.uniform(2.5, 5.0)
        hiss = floor + 0.7 * torch.randn(bank.shape, generator=_generator(rng))
        return torch.logaddexp(bank, hiss)


def _generator(rng: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(rng.getrandbits(32))


def _stretched(bank: Tensor, factor: float) -> Tensor:
    places = torch.linspace(0, len(bank) - 1, max(4, round(len(bank) * factor)))
    return bank[places.round().long()]


def _other_throat(bank: Tensor, factor: float) -> Tensor:
    """Bands moved up or down, as formants are."""
    places = (torch.arange(BINS) * factor).clamp_max(BINS - 1)
    below = places.long()
    share = places - below
    above = (below + 1).clamp_max(BINS - 1)
    return bank[:, below] * (1 - share) + bank[:, above] * share


def _blocks(rows: Tensor) -> Tensor:
    """Means over the frames of one code each, `[n, BINS]`."""
    count = len(rows) // PER_CODE
    return rows[: count * PER_CODE].reshape(count, PER_CODE, -1).mean(1)


def lexicon(
    file: Path, read: Callable[[str, str], Samples] | None = None, words: Sequence[str] = WORDS
) -> Lexicon:
    """The lexicon kept in a file; it is made, which takes a minute, if it is not there.

    Args:
        file: An `.npz`.
        read: Reads a word with a voice, 16 kHz; espeak-ng and flite if left out.
        words: What is read.
    """
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        banks = {
            f"{voice}|{word}": filter_bank(
                torch.from_numpy(_trimmed((read or _read)(voice, word))), BINS
            ).numpy()
            for voice in (*TRAINING, *UNHEARD)
            for word in words
        }
        part = file.with_suffix(".part.npz")
        np.savez(part, **banks)  # type: ignore[arg-type] # its stubs take no mapping of arrays
        part.replace(file)
    with np.load(file) as stored:
        frames = {
            (name.split("|")[0], name.split("|")[1]): torch.from_numpy(stored[name])
            for name in stored.files
        }
    heard = torch.cat([bank for (voice, _), bank in frames.items() if voice in TRAINING])
    mean, scale = heard.mean(0), 1 / heard.std(0).clamp_min(1e-3)
    own = [bank for (voice, _), bank in frames.items() if voice == SPEAKER]
    centres = _clusters(torch.cat([_blocks((bank - mean) * scale) for bank in own]))
    return Lexicon(frames, mean, scale, centres)


def _clusters(rows: Tensor, rounds: int = 20) -> Tensor:
    """Lloyd's clusters, begun with rows that are spread evenly."""
    centres = rows[torch.linspace(0, len(rows) - 1, CODES).long()].clone()
    for _ in range(rounds):
        nearest = torch.cdist(rows, centres).argmin(1)
        for code in range(CODES):
            own = rows[nearest == code]
            if len(own):
                centres[code] = own.mean(0)
    return centres


def _read(voice: str, word: str) -> Samples:
    rng = random.Random(f"claim-{voice}-{word}")
    if voice.startswith("flite:"):
        clip = voices.flite(rng, word, voice.removeprefix("flite:"))
    else:
        clip = voices.espeak_as(rng, word, voice)
    return voices.at_rate(clip, 16_000)


def _trimmed(samples: Samples) -> NDArray[np.float32]:
    loud = np.flatnonzero(np.abs(samples) > 0.03 * np.abs(samples).max())
    return level(samples[loud[0] : loud[-1] + 1], -24.0)
