"""Cuts a growing answer into phrases that can be spoken before the rest is known."""

from __future__ import annotations

import re
from dataclasses import dataclass

STOP = re.compile(r"[.?!…]+[\"')]*(?=\s|$)|\n+")
PAUSE = re.compile(r"[,;:–—](?=\s)")
SHORTEST_PAUSED = 18
"""A comma ends a phrase only after this many characters: shorter ones sound chopped."""
LONGEST = 110
"""Without any mark a phrase is cut at a space after this many characters."""
EARLY_WORDS = 4
"""Words that are known before an unfinished phrase is begun."""
_PLAIN_WORDS = re.compile(r"[A-Za-z',\s]+")


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

        A mark at the very end waits for the next character: `9.` may become `9.30`.
        """
        self._text += delta
        return self._take(last=False)

    def early(self) -> Phrase | None:
        """The complete words of a phrase that is not finished, if its beginning may be said.

        There must be a few of them, and nothing that is read otherwise once more is known.
        """
        rest = self._text[self._done :]
        words = rest[: rest.rfind(" ")] if " " in rest else ""
        if len(words.split()) < EARLY_WORDS or not _PLAIN_WORDS.fullmatch(words):
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
        stop = STOP.search(rest)
        pause = PAUSE.search(rest, SHORTEST_PAUSED)
        ends = [m.end() for m in (stop, pause) if m and (last or m.end() < len(rest))]
        if ends:
            return self._done + min(ends)
        if len(rest) > LONGEST and " " in rest[SHORTEST_PAUSED:]:
            return self._done + rest.rindex(" ", SHORTEST_PAUSED)
        return len(self._text) if last and rest else None
