"""What words alone tell of a turn: whether it is said in passing, and whether it is finished."""

from __future__ import annotations

import re
from collections.abc import Sequence


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


BACKCHANNELS = _set(
    "yeah yea yep yup yes ok okay kay right alright sure mm mmm mhm mhmm mmhm mmhmm hm hmm uh huh uhhuh um"
    " ah aha oh ooh wow cool great good nice fine perfect lovely exactly true indeed really"
    " thanks"
)
"""Said while listening, not to get a word in."""
ASKING = _set(
    "what what's when when's where where's who who's why how how's which can could may might would will does is are"
    " stop wait sorry excuse pardon hold hang actually hello listen"
)
"""Said to ask something or to get a word in."""
BACKCHANNEL_PHRASES = (
    ("i", "see"),
    ("got", "it"),
    ("of", "course"),
    ("all", "right"),
    ("thank", "you"),
    ("makes", "sense"),
    ("very", "good"),
    ("go", "on"),
)
WEAK = _set("a an the of and or so is in on at by to be it half al")
"""What a recogniser makes of a hum: alone they mean nothing."""
DANGLING = _set(
    "and or but because so if when while that which who whose the an my your our his her their"
    " this these to for of in on at with from by about into than as is are was were am be can"
    " could will would should shall may might must do does did have has had i we they he she"
    " um uh er erm like between next per"
)
"""Nobody's last word: something follows."""
HOLDING = (
    ("hold", "on"),
    ("hang", "on"),
    ("one", "moment"),
    ("one", "second"),
    ("just", "a", "moment"),
    ("just", "a", "second"),
    ("let", "me", "see"),
    ("let", "me", "think"),
    ("let", "me", "check"),
    ("wait",),
)
"""Asks for time: the caller goes on by themselves."""
_WORD = re.compile(r"[a-z0-9']+")


def words_of(transcript: str) -> tuple[str, ...]:
    """The words of a transcript in lower case, without punctuation."""
    return tuple(_WORD.findall(transcript.lower().replace("-", "")))


def telling(words: Sequence[str]) -> int:
    """How many words are left when backchannels and what stands for a hum are taken out."""
    rest = list(words)
    for phrase in BACKCHANNEL_PHRASES:
        for at in range(len(rest) - len(phrase), -1, -1):
            if tuple(rest[at : at + len(phrase)]) == phrase:
                del rest[at : at + len(phrase)]
    return sum(1 for w in rest if w not in BACKCHANNELS and w not in WEAK and len(w) > 1)


def is_finished(transcript: str) -> bool:
    """No word of it calls for another. A single letter at the end is a recogniser's slip."""
    words = list(words_of(transcript))
    while words and len(words[-1]) == 1 and words[-1].isalpha() and words[-1] != "i":
        words.pop()
    if not words or words[-1] in DANGLING:
        return False
    return not any(tuple(words[-len(phrase) :]) == phrase for phrase in HOLDING)
