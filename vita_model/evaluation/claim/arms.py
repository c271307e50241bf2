"""The ways of training that are compared: which parts learn from what, and in which order.

All arms of a seed begin with the same language model, trained on typed talk, and read the same number
of examples of every kind at the same rates; only the order differs. `no pictures later` reads fewer:
it is what happens if speech is added with speech alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vita_model.config import (
    AdapterConfig,
    AudioEncoderConfig,
    LanguageConfig,
    SpeechDecoderConfig,
    VisionConfig,
    VitaConfig,
)
from vita_model.evaluation.claim.mixture import Kind
from vita_model.evaluation.claim.sounds import BINS, CODES
from vita_model.evaluation.claim.world import SIZE, TOKENS
from vita_model.training.parts import Part

SMALL = VitaConfig(
    language=LanguageConfig(
        vocab_size=len(TOKENS),
        hidden_size=96,
        intermediate_size=256,
        layers=3,
        heads=4,
        kv_heads=2,
        rope_theta=1e4,
        tie_embeddings=True,
    ),
    vision=VisionConfig(
        hidden_size=48, layers=2, heads=4, intermediate_size=96, patch_size=4, image_size=SIZE
    ),
    audio=AudioEncoderConfig(
        mel_bins=BINS, hidden_size=96, layers=2, heads=4, intermediate_size=192,
        subsampling_size=24,
    ),
    adapter=AdapterConfig(input_size=96),
    speech=SpeechDecoderConfig(
        hidden_size=96, heads=4, intermediate_size=192, layers=2, front_layers=1, codes=CODES
    ),
    codec=None,
    max_length=200,
)  # fmt: skip

RATES: Mapping[Part, float] = {
    "vision": 1e-3,
    "projector": 1e-3,
    "audio_encoder": 1.5e-3,
    "audio_adapter": 1e-3,
    "transcriber": 1.5e-3,
    "language": 1e-3,
    "speech": 1e-3,
}
"""The same in every arm and stage."""


@dataclass(frozen=True, slots=True)
class Step:
    """One stage: steps, what learns, and how many examples of each kind a step has."""

    name: str
    steps: int
    learns: tuple[Part, ...]
    reads: Mapping[Kind, float]

    @property
    def totals(self) -> dict[Kind, int]:
        """Examples of each kind over the whole stage."""
        return {kind: round(count * self.steps) for kind, count in self.reads.items()}


GROUND = Step("ground", 600, ("language",), {"talk": 48})
_SEEING: tuple[Part, ...] = ("vision", "projector", "language")
_HEARING: tuple[Part, ...] = ("audio_encoder", "audio_adapter")
VISION = (
    Step("1.1", 40, ("projector",), {"captions": 32}),
    Step("1.2", 200, _SEEING, {"captions": 40}),
    Step("1.3", 300, _SEEING, {"pictures": 32, "captions": 8, "talk": 8}),
)
LISTENING = (
    Step("2.1a", 500, ("audio_encoder", "transcriber"), {"words heard": 32}),
    Step("2.1b", 150, ("audio_adapter",), {"transcripts": 32}),
)
SPOKEN = Step(
    "2.2",
    300,
    (*_SEEING, *_HEARING),
    {
        "spoken pictures": 12, "spoken talk": 12, "transcripts": 8, "noise": 4,
        "pictures": 6, "captions": 2, "talk": 4,
    },
)  # fmt: skip
SPEAKING = Step("3.2", 800, ("speech",), {"words said": 8})
_ALL: tuple[Part, ...] = (*_SEEING, *_HEARING, "transcriber", "speech")
_PICTURES: tuple[Kind, ...] = ("pictures", "captions", "talk")


def _together(
    name: str, steps: int, stages: tuple[Step, ...], without: tuple[Kind, ...] = ()
) -> Step:
    """All examples of some stages at once, everything learning."""
    totals: dict[Kind, int] = {}
    for stage in stages:
        for kind, count in stage.totals.items():
            if kind not in without:
                totals[kind] = totals.get(kind, 0) + count
    return Step(name, steps, _ALL, {kind: total / steps for kind, total in totals.items()})


_LATER = (*LISTENING, SPOKEN, SPEAKING)
ARMS: Mapping[str, tuple[Step, ...]] = {
    "three stages": (*VISION, *LISTENING, SPOKEN, SPEAKING),
    "speech without stages": (*VISION, _together("speech", 800, _LATER)),
    "speech alone, no stages": (*VISION, _together("speech alone", 800, _LATER, _PICTURES)),
    "joint": (_together("joint", 800, (*VISION, *_LATER)),),
}
