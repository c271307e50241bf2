"""How rightly speech is written down: error rates of words and characters after normalising.

Both sides are brought into one spelling first: case, punctuation, contractions, British spelling and
written numbers do not count; numbers are digits, and neighbouring ones are one number, so that
`four oh two`, `4 0 2` and `402` are the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import jiwer
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

from vita_model.engine.voice import Request, Samples, Text, UserSpeech, VoiceModel
from vita_model.prompt import TRANSCRIBE
from vita_model.speech.chinese import spoken_chinese
from vita_model.speech.numbers import ONES

_AMERICAN = {
    "centre": "center",
    "cheque": "check",
    "cancelled": "canceled",
    "cancelling": "canceling",
    "colour": "color",
    "colours": "colors",
    "enquiry": "inquiry",
    "favourite": "favorite",
    "grey": "gray",
    "licence": "license",
    "metre": "meter",
    "metres": "meters",
    "neighbour": "neighbor",
    "organise": "organize",
    "programme": "program",
    "realise": "realize",
    "travelling": "traveling",
    "tyre": "tire",
    "tyres": "tires",
}
Language = Literal["en", "zh"]
_CHINESE = re.compile(r"[a-z']+|\w", re.IGNORECASE)
_TIME = re.compile(r"\b(\d{1,2}):(\d\d)\b")
_HALF_DAY = re.compile(r"(?<=\d) ?([ap])\.? ?m\b\.?", re.IGNORECASE)
_CLOCK = re.compile(r"\bo'clock\b", re.IGNORECASE)
_OH = re.compile(r"\b(?:oh|o)(?= \d)|(?<=\d )(?:oh|o)\b", re.IGNORECASE)
_ZEROS = re.compile(r"(?<![\d.,:])0\d*(?![\d]|[.,:]\d)")
_DOUBLED = re.compile(r"(?<=\bdouble )\d+\b|(?<=\btriple )\d+\b", re.IGNORECASE)
_DIGITS = re.compile(r"(?<=\d) (?=\d)")


@cache
def _normaliser() -> EnglishTextNormalizer:
    return EnglishTextNormalizer(_AMERICAN)


def english(text: str) -> str:
    """A text in the spelling in which two texts are compared."""
    text = _HALF_DAY.sub(r" \1m", _TIME.sub(_time, text))
    text = _ZEROS.sub(_apart, _CLOCK.sub("", text))  # or `nine o` becomes 90, and 0134 134
    plain: str = _normaliser()(_DOUBLED.sub(_apart, text))
    return _DIGITS.sub("", _OH.sub("0", plain)).strip()


def _apart(match: re.Match[str]) -> str:
    return " ".join(ONES[int(digit)] for digit in match.group())


def _time(match: re.Match[str]) -> str:
    """Whole hours as they are said: 10:00 is 10 (o'clock), 19:00 is 1900."""
    hour, minute = match.groups()
    return hour if minute == "00" and int(hour) <= 12 else hour + minute


def chinese(text: str) -> list[str]:
    """A Chinese text as the units that are compared: characters, and Latin words."""
    wide = unicodedata.normalize("NFKC", text)
    if any(c.isdigit() for c in wide):
        wide = spoken_chinese(wide)
    return [unit.lower() for unit in _CHINESE.findall(wide) if unit != "_"]


@dataclass(frozen=True, slots=True)
class Errors:
    """Least edits from what was said to what was written, and the length of what was said."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    length: int = 0

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.length + other.length,
        )

    @property
    def rate(self) -> float:
        """Edits for each word (or character) said; may exceed 1."""
        return (self.substitutions + self.deletions + self.insertions) / max(1, self.length)


def errors(said: Sequence[str], written: Sequence[str]) -> Errors:
    """Edit distance with its parts."""
    if not said:
        return Errors(insertions=len(written))
    found = jiwer.process_words(" ".join(said), " ".join(written))
    return Errors(found.substitutions, found.deletions, found.insertions, len(said))


def word_errors(said: str, written: str) -> Errors:
    """Word errors of one utterance, both texts as they come."""
    return errors(english(said).split(), english(written).split())


def character_errors(said: str, written: str, language: Language = "en") -> Errors:
    """Character errors of one utterance, spaces left out; of Chinese, Latin words count as one."""
    if language == "zh":
        return errors(chinese(said), chinese(written))
    return errors(english(said).replace(" ", ""), english(written).replace(" ", ""))


@dataclass(frozen=True, slots=True)
class Reading:
    """One utterance of a test set: samples at 16 kHz, the words said, the voice."""

    samples: Samples
    said: str
    voice: str


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of one way of writing down over a set."""

    way: str
    utterances: int
    words: Errors
    characters: Errors


async def second_pass(model: VoiceModel, heard: UserSpeech) -> str:
    """What the language model says when it is asked for the words of an utterance."""
    request = Request("transcript", TRANSCRIBE, [], [heard], speak=False, max_tokens=100)
    text = "".join([e.delta async for e in model.reply(request) if isinstance(e, Text)])
    await model.forget("transcript")
    return text


async def measure(
    model: VoiceModel, readings: Iterable[Reading], *, asks: bool = True
) -> list[Score]:
    """Error rates of the transcript that comes with hearing, and of a second pass.

    Args:
        model: Any model that hears.
        readings: The test set.
        asks: Measure the second pass too.
    """
    found: dict[str, list[tuple[str, str]]] = {"heard": [], "second pass": []}
    for reading in readings:
        heard = await model.hear(reading.samples)
        found["heard"].append((reading.said, heard.transcript))
        if asks:
            text = await second_pass(model, UserSpeech(heard))
            found["second pass"].append((reading.said, text))
    return [score(way, pairs) for way, pairs in found.items() if pairs]


def score(way: str, pairs: Sequence[tuple[str, str]]) -> Score:
    """Errors over pairs of what was said and what was written."""
    words, characters = Errors(), Errors()
    for said, written in pairs:
        words += word_errors(said, written)
        characters += character_errors(said, written)
    return Score(way, len(pairs), words, characters)
