"""A labelled set of what comes over a caller's line while an agent speaks, or waits.

Every case is made from a seed: queries, also such as begin with a backchannel, backchannels, coughs,
music and people who talk to somebody else, each at several signal-to-noise ratios. Voices are espeak-ng's and flite's; the two halves of
the set share neither voices nor sentences, so that rules tuned on one can be judged on the other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

import numpy as np
import yaml

from vita_model.evaluation.duplex_sounds import RATE, Samples, across_the_room, cough, music
from vita_model.training.channel import coloured_noise, level, telephone, trimmed
from vita_model.training.voices import Clip, at_rate, espeak_as, flite

Kind = Literal["query", "backchannel", "cough", "music", "side talk", "late query"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Half = Literal["tuning", "report"]
SNRS = (30, 20, 10)
"""Background noise below the caller's usual level, in decibels."""
CALLER_DB = -24.0
"""The caller's usual level, below full scale."""
CASES = {
    "query": 60,
    "backchannel": 40,
    "cough": 24,
    "music": 24,
    "side talk": 40,
    "late query": 24,
}
"""Cases of each kind in one half."""
_ESPEAK: dict[Half, tuple[str, ...]] = {
    "tuning": ("en-us+m1", "en-gb+f2", "en-gb-scotland+m3", "en-us+Annie", "en-gb-x-rp+m7"),
    "report": ("en-us+m4", "en-gb+Alicia", "en-us-nyc+m6", "en-gb-x-gbclan+Andy", "en-us+Lee"),
}
_FLITE: dict[Half, tuple[str, ...]] = {"tuning": ("rms", "awb"), "report": ("slt", "kal")}

HELD_BACK = frozenset(voice.partition("+")[2] for own in _ESPEAK.values() for voice in own)
"""Timbres of espeak-ng in this set: what is judged by it does not train on them."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that happens on the line.

    Attributes:
        kind: What it is.
        text: The words; empty for sounds.
        voice: Who says them.
        snr: Noise on the line below the caller's usual level, in decibels.
        opening: A question of the same caller at the usual level, 16 kHz, from which a server can
            know how loud they are.
        sound: The sound itself after the telephone line, 16 kHz, no silence before it.
        to_answer_from: Seconds of the sound until what is to be answered begins: a late query says
            "okay" before.
        noise: A second of the line's noise, at the same scale.
    """

    kind: Kind
    text: str
    voice: str
    snr: int
    opening: Samples
    sound: Samples
    noise: Samples
    to_answer_from: float = 0.0

    @property
    def to_answer(self) -> bool:
        """The agent should stop for it, and answer it."""
        return self.kind in ("query", "late query")


def cases(half: Half, seed: int = 0, share: float = 1.0) -> Iterator[Case]:
    """The cases of one half, always the same for a seed; `share` takes the first of each kind."""
    texts = _texts()[half]
    for number, kind in enumerate(KINDS):
        words = texts.get(kind.replace(" ", "_"), [""])
        for index in range(max(1, round(CASES[kind] * share))):
            key = [seed, half == "report", number, index]
            yield _case(half, kind, words[index % len(words)], texts["opening"], key)


def sentences(half: Half) -> list[str]:
    """All that is said in one half, both parts of late queries by themselves."""
    return [part for own in _texts()[half].values() for text in own for part in text.split(" | ")]


@cache
def _texts() -> dict[Half, dict[str, list[str]]]:
    raw = files("vita_model.evaluation").joinpath("duplex_texts.yaml").read_text(encoding="utf-8")
    texts: dict[Half, dict[str, list[str]]] = yaml.safe_load(raw)
    return texts


def _case(half: Half, kind: Kind, text: str, openings: list[str], key: list[int]) -> Case:
    rng, chance = np.random.default_rng(key), random.Random(str(key))
    snr = SNRS[key[-1] % len(SNRS)]
    caller, other = chance.sample([*_ESPEAK[half], *_FLITE[half]], 2)
    opening = _spoken(chance, chance.choice(openings), caller).samples
    decibels, voice, before = CALLER_DB, caller, 0.0
    match kind:
        case "query" | "backchannel":
            sound = _spoken(chance, text, caller).samples
            decibels += chance.uniform(-4, 3)
        case "late query":
            sound, before = _late(chance, text, caller)
            decibels += chance.uniform(-4, 3)
        case "side talk":
            voice = other
            sound = across_the_room(rng, _spoken(chance, text, other).samples)
            decibels -= chance.uniform(9, 18)
        case "cough":
            sound, voice = cough(rng), "none"
            decibels += chance.uniform(-6, 4)
        case _:
            sound, voice = music(rng, chance.uniform(2.0, 4.0)), "none"
            decibels -= chance.uniform(0, 12)
    hiss = coloured_noise(rng, RATE, chance.uniform(0, 2)) * np.float32(
        10 ** ((CALLER_DB - snr) / 20)
    )
    return Case(
        kind,
        text,
        voice,
        snr,
        _on_line(level(opening, CALLER_DB), hiss),
        _on_line(level(trimmed(sound), decibels), hiss),
        telephone(hiss),
        before,
    )


def _spoken(chance: random.Random, text: str, voice: str) -> Clip:
    if voice in (*_FLITE["tuning"], *_FLITE["report"]):
        clip = flite(chance, text, voice)
    else:
        clip = espeak_as(chance, text, voice)
    return Clip(trimmed(at_rate(clip, RATE)), RATE, clip.voice)


def _late(chance: random.Random, text: str, voice: str) -> tuple[Samples, float]:
    """A backchannel, a short pause, a question; and when the question begins, in seconds."""
    first, second = (_spoken(chance, part, voice).samples for part in text.split(" | "))
    pause = np.zeros(int(chance.uniform(0.04, 0.35) * RATE), np.float32)
    same = level(second, float(10 * np.log10(np.mean(np.square(first)) + 1e-9)))
    return np.concatenate([first, pause, same]), (len(first) + len(pause)) / RATE


def _on_line(samples: Samples, hiss: Samples) -> Samples:
    noisy = samples + np.resize(hiss, len(samples))
    return telephone(np.clip(noisy, -1, 1).astype(np.float32))
