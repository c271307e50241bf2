"""Speech recognition: word and character errors of what the model writes down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from vita_model.engine.voice import VoiceModel
from vita_model.evaluation.asr import character_errors, word_errors
from vita_model.evaluation.asr_set import sentences
from vita_model.evaluation.callers import LINES, VOICES, Line, over, read
from vita_model.evaluation.corpora import LAYOUTS, Utterance, utterances
from vita_model.evaluation.figures import Measure, Row
from vita_model.evaluation.suite import Shelf
from vita_model.evaluation.suites.agent import wrong

WORDS, CHARACTERS = "words wrong", "characters wrong"


@dataclass(frozen=True, slots=True)
class Read:
    """One sentence of one voice over one line."""

    key: str
    said: str
    voice: str
    line: Line


class HearingSuite:
    """Our own sentences, read by held-out voices."""

    name = "hearing"
    small = 48
    about = (
        "64 sentences, a quarter of no grammar the training knows, read by three voices no training "
        "used over an 8 kHz µ-law line, alone or before a crowd 15 dB softer; what the model "
        "writes down as the caller's words. Case, punctuation, contractions, spelling and the "
        "form of numbers do not count. Bars are for all three voices."
    )
    measures = (
        Measure(WORDS, sense="at most", bars={"clean": 10}),
        Measure(CHARACTERS, sense="at most"),
    )

    def items(self, count: int | None) -> Sequence[Read]:
        """Every sentence by every voice; a sentence's voices follow each other."""
        found = [
            Read(f"{line}-{voice}-{number:02d}", said, voice, line)
            for (number, said), voice, line in product(enumerate(sentences()), VOICES, LINES)
        ]
        return found[:count]

    async def run(self, model: VoiceModel, item: Read, shelf: Shelf) -> Row:
        """Hear one sentence."""
        clip = read(item.key.partition("-")[2], item.said, item.voice, shelf)
        samples = over(item.key, clip, item.line)
        heard = await model.hear(samples)
        return Row(
            item.key,
            item.line,
            {
                WORDS: wrong(word_errors(item.said, heard.transcript)),
                CHARACTERS: wrong(character_errors(item.said, heard.transcript)),
            },
            wanted=item.said,
            got=heard.transcript,
            said=item.said,
            cluster=item.said,
            files={"input": shelf.sound(item.key, "input", samples, model.input_rate)},
        )


class CorpusSuite:
    """A published corpus on this machine."""

    small = 100
    measures: Sequence[Measure]

    def __init__(self, layout: str, folder: Path) -> None:
        """Finds the utterances.

        Raises:
            EvaluationError: Nothing of that layout is in the folder.
        """
        self.name = f"{layout}-{folder.name}"
        self._utterances = utterances(layout, folder)
        self._language = LAYOUTS[layout][0]
        name = CHARACTERS if self._language == "zh" else WORDS
        self.measures = (Measure(name, sense="at most"),)
        self.about = (
            f"{len(self._utterances)} utterances of {folder.name}, read as they are (16 kHz). "
            f"{name.capitalize()} after normalising."
        )

    def items(self, count: int | None) -> Sequence[Utterance]:
        """In the order of the corpus."""
        return self._utterances[:count]

    async def run(self, model: VoiceModel, item: Utterance, shelf: Shelf) -> Row:
        """Hear one utterance."""
        samples = item.samples(model.input_rate)
        heard = await model.hear(samples)
        if self._language == "zh":
            counts = {CHARACTERS: wrong(character_errors(item.said, heard.transcript, "zh"))}
        else:
            counts = {WORDS: wrong(word_errors(item.said, heard.transcript))}
        files = {"input": shelf.sound(item.key, "input", samples, model.input_rate)}
        return Row(item.key, "corpus", counts, item.said, heard.transcript, files=files)
