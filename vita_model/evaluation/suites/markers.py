"""State markers: silent at what nobody asked, awake at every question."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from vita_model.engine.voice import UserSpeech, VoiceModel
from vita_model.evaluation.agent_tasks import instructions, sample_tasks, specs
from vita_model.evaluation.callers import VOICES, aside, nobody, over, read
from vita_model.evaluation.figures import Measure, Row
from vita_model.evaluation.replies import ask
from vita_model.evaluation.suite import Shelf
from vita_model.training.dialogues import Dialogue, sample_dialogue

Kind = Literal["nobody", "side talk", "question"]
KINDS: tuple[Kind, ...] = ("nobody", "side talk", "question")
OF_EACH = 40


@dataclass(frozen=True, slots=True)
class Sound:
    """One thing that comes over the line; `said` is empty when nobody speaks."""

    key: str
    kind: Kind
    said: str
    voice: str
    dialogue: Dialogue


class MarkerSuite:
    """How many sounds of each kind get the right state."""

    name = "markers"
    about = (
        "The model's first token says whether a sound is a question (☞) or nothing to answer (☟). "
        "`nobody` is hiss, hum, clicks, tones, music, traffic and crowds; `side talk` is somebody "
        "who speaks to somebody else, 8 dB softer than a caller; `question` is a caller. The figure "
        "is the share of each that gets its marker."
    )
    measures = (Measure("recall", bars={"": 95}),)

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed

    def items(self, count: int | None) -> Sequence[Sound]:
        """The kinds in turn."""
        found: list[Sound] = []
        for number in range(OF_EACH if count is None else -(-count // len(KINDS))):
            voice = VOICES[number % len(VOICES)]
            for kind in KINDS:
                key = f"{kind.replace(' ', '-')}-{number:03d}"
                said, dialogue = _words(kind, self._seed, number)
                found.append(Sound(key, kind, said, voice, dialogue))
        return found[:count]

    async def run(self, model: VoiceModel, item: Sound, shelf: Shelf) -> Row:
        """Hear one sound and look at the state."""
        match item.kind:
            case "nobody":
                samples = nobody(item.key)
            case "side talk":
                samples = aside(item.key, item.said, item.voice)
            case "question":
                samples = over(item.key, read(item.key, item.said, item.voice), "clean")
        heard = await model.hear(samples)
        spoken = await ask(
            model,
            item.key,
            instructions(item.dialogue),
            specs(item.dialogue),
            [UserSpeech(heard)],
            speak=False,
            most_tokens=40,
        )
        right = spoken.reply.noise != (item.kind == "question")
        return Row(
            item.key,
            item.kind,
            {"recall": (float(right), 1.0)},
            wanted="☞" if item.kind == "question" else "☟",
            got=str(spoken.reply),
            said=item.said,
            heard=heard.transcript,
            files={"input": shelf.sound(item.key, "input", samples, model.input_rate)},
        )


@cache
def _words(kind: Kind, seed: int, number: int) -> tuple[str, Dialogue]:
    """Words of the test half for a sound, and the business that is called."""
    if kind == "question":
        task = sample_tasks(seed + 1_000 + number, 1)[0]
        return task.turn.said, task.dialogue
    rng = random.Random(f"{kind}-{seed}-{number}")
    while True:
        dialogue = sample_dialogue(rng, "test", independent=True, turns=20)
        told = [turn.said for turn in dialogue.turns if turn.intent == "aside"]
        if kind == "nobody":
            return "", dialogue
        if told:
            return told[0], dialogue
