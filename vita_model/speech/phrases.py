"""Cuts a growing answer into phrases that can be spoken before the rest is known."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
STOP = re.compile(rf"[.?!…]+[\"')]*(?=[\s{_HAN}]|$)|[。！？；]|\n+")
PAUSE = re.compile(r"[,;:–—](?=\s)|[，、：]")
SHORTEST_PAUSED = 18
"""A comma ends a phrase only after this many letters: shorter ones sound chopped."""
LONGEST = 110
"""Without any mark a phrase is cut at a space after this many letters."""
HAN_LETTERS = 3
"""A Chinese character takes about as long to say as so many letters."""
_SURE = "。！？；，、："
"""Marks that mean the same whatever follows."""
EARLY_WORDS = 4
"""Words that are known before an unfinished phrase is begun."""
_IS_HAN = re.compile(f"[{_HAN}]")
_PLAIN = re.compile(r"\s*(?:(?:[$£€]?\d+(?:[.,:]\d+)*\s+)?[A-Za-z']+,?(?:\s+|$))+")
"""Words, and numbers with a word after each: a number at the end may grow, numbers in a row may be one."""


def letters(text: str) -> int:
    """Length of a text as it is spoken, in letters."""
    return len(text) + (HAN_LETTERS - 1) * len(_IS_HAN.findall(text))


@dataclass(frozen=True, slots=True)
class Phrase:
    """A piece of the answer's text: `text` is what stands from `start` to `end`."""

    text: str
    start: int
    end: int


class PhraseCutter:
    """Feed text as it is generated; take the phrases that are complete."""

    def __init__(self) -> None:
        self._text = ""
        self._done = 0

    def push(self, delta: str) -> list[Phrase]:
        """Add text and return the phrases that ended in it.

        A mark at the very end waits for the next character: `9.` may become `9.30`. Chinese marks
        wait for nothing.
        """
        self._text += delta
        return self._take(last=False)

    def early(self) -> Phrase | None:
        """The complete words of a phrase that is not finished, if its beginning may be said.

        There must be a few of them, and nothing that is read otherwise once more is known.
        """
        rest = self._text[self._done :]
        words = rest[: rest.rfind(" ")] if " " in rest else ""
        if len(words.split()) < EARLY_WORDS or not _PLAIN.fullmatch(words):
            return None
        return Phrase(words, self._done, self._done + len(words))

    def finish(self) -> list[Phrase]:
        """The rest of the text."""
        return self._take(last=True)

    def _take(self, *, last: bool) -> list[Phrase]:
        phrases = []
        while (end := self._end(last=last)) is not None:
            text = self._text[self._done : end]
            if text.strip():
                phrases.append(Phrase(text, self._done, end))
            self._done = end
        return phrases

    def _end(self, *, last: bool) -> int | None:
        rest = self._text[self._done :]
        pauses = (m for m in PAUSE.finditer(rest) if letters(rest[: m.start()]) >= SHORTEST_PAUSED)
        marks = (STOP.search(rest), next(pauses, None))
        ends = [m.end() for m in marks if m and (last or m.end() < len(rest) or m[0][-1] in _SURE)]
        if ends:
            return self._done + min(ends)
        if letters(rest) > LONGEST:
            if " " in rest[SHORTEST_PAUSED:]:
                return self._done + rest.rindex(" ", SHORTEST_PAUSED)
            if _IS_HAN.search(rest[-1]):
                return len(self._text)
        return len(self._text) if last and rest else None
