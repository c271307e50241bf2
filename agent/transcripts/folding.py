"""Text as it is searched: words without case, accents and punctuation. Pure.

Both of the call log's engines index the result as it is, so they find the same. Chinese, Japanese
and Korean are written without spaces between words: their runs become overlapping pairs, followed by
the last sign alone, so that one sign is found as the beginning of a pair.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ASCII_WORDS = re.compile(r"[a-z0-9]+")
_QUOTED = re.compile(r'"([^"]*)"?')

# Kana, Hangul, the CJK ideographs with their extensions.
_PACKED = (
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7AF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


@dataclass(frozen=True, slots=True)
class Term:
    """Words that must stand beside each other; the last may be the beginning of a longer one."""

    words: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """A word, or a run of packed script, and where it stands in the text it was found in."""

    text: str
    start: int
    end: int
    packed: bool


def fold(text: str) -> str:
    """The searched form of a text: words with one space between them."""
    if text.isascii():  # most are, and this is twenty times as fast
        return " ".join(_ASCII_WORDS.findall(text.lower()))
    return " ".join(word for run in runs(text) for word in _indexed(run))


def parse_query(query: str) -> list[Term]:
    """What a person looks for: all of the words; quotes hold words together, `*` ends a beginning.

    Empty when no word is in it.
    """
    terms = []
    rest = _QUOTED.sub(" ", query)
    for phrase in _QUOTED.findall(query):
        words = [word for run in runs(phrase) for word in _asked(run).words]
        if words:
            terms.append(Term(tuple(words)))
    for piece in rest.split():
        found = [_asked(run) for run in runs(piece)]
        if found and piece.endswith("*"):
            found[-1] = Term(found[-1].words, prefix=True)
        terms += found
    return terms


def runs(text: str) -> Iterator[Run]:
    """The words of a text, folded, in order."""
    word, start, packed = "", 0, False
    for position, sign in enumerate(text):
        folded = _fold_sign(sign)
        kind = _is_packed(sign)
        if word and (not folded or kind != packed) and not _is_mark(sign):
            yield Run(word, start, position, packed)
            word = ""
        if folded:
            if not word:
                start, packed = position, kind
            word += folded
    if word:
        yield Run(word, start, len(text), packed)


def matches(text: str, terms: Sequence[Term]) -> list[tuple[int, int]]:
    """Where the words of a query stand in a text: start and end, in order, apart from each other."""
    words = {word for term in terms for word in term.words}
    beginnings = tuple(term.words[-1] for term in terms if term.prefix)
    found: list[tuple[int, int]] = []
    for run in runs(text):
        if not run.packed:
            if run.text in words or run.text.startswith(beginnings or ("\0",)):
                found.append((run.start, run.end))
            continue
        for at in range(len(run.text)):
            length = next((n for n in (2, 1) if run.text[at : at + n] in words), 0)
            if not length:
                continue
            start, end = run.start + at, run.start + at + length
            if found and found[-1][1] >= start:
                start = found.pop()[0]
            found.append((start, min(end, run.end)))
    return found


def _indexed(run: Run) -> list[str]:
    if not run.packed:
        return [run.text]
    return [*_pairs(run.text), run.text[-1]]


def _asked(run: Run) -> Term:
    if not run.packed:
        return Term((run.text,))
    if len(run.text) == 1:
        return Term((run.text,), prefix=True)
    return Term(tuple(_pairs(run.text)))


def _pairs(text: str) -> list[str]:
    return [text[at : at + 2] for at in range(len(text) - 1)]


def _fold_sign(sign: str) -> str:
    """A sign without case and accent; empty for what separates words."""
    spread = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", sign).casefold())
    if _is_packed(sign):
        spread = unicodedata.normalize("NFC", spread)
    kept = "".join(each for each in spread if each.isalnum())
    return unicodedata.normalize("NFC", kept)


def _is_mark(sign: str) -> bool:
    """An accent written as a sign of its own belongs to the letter before it."""
    return unicodedata.category(sign) == "Mn"


def _is_packed(sign: str) -> bool:
    code = ord(sign)
    return any(low <= code <= high for low, high in _PACKED)
