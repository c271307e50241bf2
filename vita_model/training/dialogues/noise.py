"""Recogniser-like corruption of spoken words, sparing digits, days and times."""

import random

from vita_model.training.dialogues.spoken import ONES, ORDINALS, TENS
from vita_model.training.dialogues.values import DAYS, MONTHS

_SPARED = frozenset(
    (
        *ONES, *TENS, *ORDINALS, *(day.lower() for day in DAYS), *(m.lower() for m in MONTHS),
        "oh", "double", "triple", "half", "quarter", "past", "to", "am", "pm", "o'clock", "noon",
        "midday", "morning", "afternoon", "evening", "tomorrow", "today", "hundred", "not", "no",
        "yes", "at", "dot", "thirtieth",
    )
)  # fmt: skip
_HOMOPHONES: dict[str, tuple[str, ...]] = {
    word: tuple(other for other in row.split() if other != word)
    for row in (
        "there their they're", "your you're", "where wear we're", "are our r", "know now",
        "hear here", "buy by bye", "right write", "price prize", "cost coast cast", "order older",
        "much match", "what's watts was", "is his", "it's its", "open opening oven", "close clothes",
        "hours ours", "can could", "do due", "you ya", "a the", "the a", "i eye", "have of half",
        "would wood", "need kneed", "book look", "shop chop", "shut shot", "time thyme", "day they",
        "pay play", "parking barking", "park bark", "wait weight", "which witch", "some sum",
        "so sew", "way weigh", "mail male", "check cheque", "card guard", "cut cat", "hair air",
        "when then", "how who", "did it", "speak peak", "person parson", "number lumber",
        "address a dress", "please peas", "call calls", "could good", "get got", "want won't",
        "late light", "early oily", "still steel", "send sand", "talk chalk", "long lung",
        "will well", "find fined", "street straight", "in and", "on own", "my by", "me be",
        "dog dock", "table tables", "bring ring", "allowed aloud", "any many", "them then",
        "appointment appointments", "does dose", "come calm", "back pack", "thanks tanks",
        "delivery deliver", "deposit deposits", "wifi why five", "refund fund", "cancel counsel",
        "hi high", "hello yellow", "say stay", "like lack", "with which", "take tape", "ask us",
    )
    for word in row.split()
}  # fmt: skip
_SHORT = ("a", "the", "um", "uh", "and", "so", "it", "is", "er", "like")


def asr_noise(rng: random.Random, words: str, rate: float) -> str:
    """Spoken words with about `rate` of them (0 to 1) misheard, dropped or added.

    Digits, days, times and yes or no are kept. Never returns an empty text for a full one.
    """
    out: list[str] = []
    for word in words.split():
        if word in _SPARED or rng.random() >= rate:
            out.append(word)
            continue
        roll = rng.random()
        if roll < 0.45 and word in _HOMOPHONES:
            out.append(rng.choice(_HOMOPHONES[word]))
        elif roll < 0.6 and len(word) <= 4:
            continue
        elif roll < 0.75:
            out += [word, rng.choice(_SHORT)]
        elif len(word) > 3:
            at = rng.randrange(1, len(word))
            out.append(_changed(word, at, rng))
        elif word in _HOMOPHONES:
            out.append(rng.choice(_HOMOPHONES[word]))
        else:
            out.append(word)
    return " ".join(out) or words


def _changed(word: str, at: int, rng: random.Random) -> str:
    letter = word[at]
    near = {"b": "p", "p": "b", "d": "t", "t": "d", "g": "k", "k": "g", "s": "z", "z": "s",
            "m": "n", "n": "m", "f": "v", "v": "f", "e": "i", "i": "e", "a": "o", "o": "a"}  # fmt: skip
    if letter in near and rng.random() < 0.6:
        return word[:at] + near[letter] + word[at + 1 :]
    return (word[:at] + word[at + 1 :]).rstrip("'") or word
