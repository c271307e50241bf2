"""Digits, numbers, days and `no` as a person has spoken them, for the telephone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vita_model.engine.voice import VoiceModel
from vita_model.evaluation import people
from vita_model.evaluation.asr import english, word_errors
from vita_model.evaluation.callers import LINES, SPEAKING_DB, Line, over
from vita_model.evaluation.figures import Measure, Row
from vita_model.evaluation.people import Words
from vita_model.evaluation.suite import Shelf
from vita_model.evaluation.suites.agent import wrong
from vita_model.training.channel import level

RIGHT = "items right"


@dataclass(frozen=True, slots=True)
class Prompted:
    """Some words of a person over one line."""

    key: str
    words: Words
    line: Line


class PeopleSuite:
    """Items written down without a fault."""

    name = "people"
    small = 80
    about = (
        "Words that a woman recorded for telephone systems (Debian's asterisk-core-sounds-en-wav, "
        "CC-BY-SA; in no training): every digit, number, day and `no` by itself, strings of digits, "
        "days with a time, over an 8 kHz µ-law line, alone or before a crowd 15 dB softer. An item "
        "is right if every word is. One speaker, and strings joined from single words: easier than "
        "callers are. There is no `yes` among the recordings."
    )
    measures = (
        Measure(RIGHT, bars={"clean": 85}),
        Measure("digits right"),
        Measure("numbers right"),
        Measure("days right"),
        Measure("no right"),
        Measure("words wrong", sense="at most"),
    )

    def __init__(self, folder: Path = people.FOLDER, seed: int = 1) -> None:
        self._folder = folder
        self._seed = seed

    def items(self, count: int | None) -> Sequence[Prompted]:
        """Every item over every line."""
        found = [
            Prompted(f"{line}-{words.key}", words, line)
            for words in people.spoken_words(self._seed)
            for line in LINES
        ]
        return found[:count]

    async def run(self, model: VoiceModel, item: Prompted, shelf: Shelf) -> Row:
        """Hear one item."""
        samples = level(people.read(self._folder, item.words), SPEAKING_DB)
        samples = over(item.key, samples, item.line)
        heard = await model.hear(samples)
        said = item.words.said
        right = (float(english(said) == english(heard.transcript)), 1.0)
        return Row(
            item.key,
            item.line,
            {
                RIGHT: right,
                f"{item.words.kind} right": right,
                "words wrong": wrong(word_errors(said, heard.transcript)),
            },
            wanted=said,
            got=heard.transcript,
            said=said,
            cluster=item.words.key,
            files={"input": shelf.sound(item.key, "input", samples, model.input_rate)},
        )
