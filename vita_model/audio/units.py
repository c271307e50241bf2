"""The listener's units: spoken words as tokens of the language model.

The small listener is trained by CTC onto the backbone's own vocabulary, so what it hears, what it
hands to the language model and what the transcript shows are one thing. Spoken digits are written
as digit tokens, every other word as its lower-case tokens with a leading space.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer

DIGITS = {
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
}
_NEAR_DIGITS = {*DIGITS, "oh", "double", "triple", "treble"}
_TENS = {
    "twenty": "2",
    "thirty": "3",
    "forty": "4",
    "fifty": "5",
    "sixty": "6",
    "seventy": "7",
    "eighty": "8",
    "ninety": "9",
}


def units(said: str) -> list[str]:
    """Units of an utterance in spoken words.

    `my order is four oh two` becomes `[" my", " order", " is", "4", "0", "2"]`.
    """
    words = said.lower().split()
    result = []
    for index, word in enumerate(words):
        if word in DIGITS:
            result.append(DIGITS[word])
        elif word in {"oh", "o"} and _beside_digit(words, index):
            result.append("0")
        else:
            result.append(" " + word)
    return result


def _beside_digit(words: Sequence[str], index: int) -> bool:
    before = words[index - 1] if index else ""
    after = words[index + 1] if index + 1 < len(words) else ""
    return before in _NEAR_DIGITS or (after in _NEAR_DIGITS and after != "oh")


def unit_ids(said: str, tokenizer: Tokenizer) -> list[int]:
    """Token ids of an utterance in spoken words."""
    return [
        token
        for unit in units(said)
        for token in tokenizer.encode(unit, add_special_tokens=False).ids
    ]


def transcript(ids: Iterable[int], tokenizer: Tokenizer) -> str:
    """Readable text of heard tokens: digit runs joined, `thirty` `5` shown as 35."""
    text = ""
    for token in ids:
        piece = tokenizer.decode([token], skip_special_tokens=False)
        if piece.isdigit() and text and not text[-1].isdigit():
            text += " "
        text += piece
    words = text.split()
    result: list[str] = []
    for word in words:
        if result and result[-1] in _TENS and len(word) == 1 and word in "123456789":
            result[-1] = _TENS[result[-1]] + word
        else:
            result.append(word)
    return " ".join(result)
