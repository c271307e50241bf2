"""State markers: silent at what nobody asked, awake at every question."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from vita_model.engine.voice import UserSpeech, VoiceModel
from vita_model.evaluation.agent_tasks import Task, instructions, sample_tasks, specs
from vita_model.evaluation.callers import VOICES, aside, nobody, over, read
from vita_model.evaluation.figures import Measure, Row
from vita_model.evaluation.replies import ask
from vita_model.evaluation.suite import Shelf
from vita_model.training.dialogues import Dialogue

Kind = Literal["noise", "side talk", "question", "music", "crowd"]
KINDS: tuple[Kind, ...] = ("noise", "side talk", "question", "music", "crowd")
OF_EACH = 120


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
    small = 100
    about = (
        "The model's first token says whether a sound is a question (☞) or nothing to answer (☟). "
        "`noise` is hiss, hum, clicks, tones, coughs and traffic; `music` chords and tunes; `crowd` "
        "the babble of several voices; `side talk` one of 120 hand-written things that somebody "
        "says to somebody else, of no training text, 8 dB softer than a caller; `question` a "
        "caller. The figure is the share of each that gets its marker."
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
            case "side talk":
                samples = aside(item.key, item.said, item.voice, shelf)
            case "question":
                clip = read(item.key, item.said, item.voice, shelf)
                samples = over(item.key, clip, "clean")
            case kind:
                samples = nobody(item.key, kind)
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


def _words(kind: Kind, seed: int, number: int) -> tuple[str, Dialogue]:
    """Words for a sound, and the business that is called."""
    task = _task(seed, number)
    said = {"question": task.turn.said, "side talk": side_talk()[number % OF_EACH]}
    return said.get(kind, ""), task.dialogue


@cache
def _task(seed: int, number: int) -> Task:
    return sample_tasks(seed + 1_000 + number, 1)[0]


@cache
def side_talk() -> tuple[str, ...]:
    """What people say to others while they are on the phone, mixed; the same every time."""
    text = files("vita_model.evaluation").joinpath("side_talk.txt").read_text(encoding="utf-8")
    lines = text.splitlines()
    random.Random("side-talk").shuffle(lines)
    return tuple(lines)
