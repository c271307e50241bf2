"""IFEval's instructions as rules: whether an answer keeps to each.

Written anew after the paper (arXiv 2311.07911). Sentences end at punctuation and the language is told by
script and by small words, where the published rules load a tokeniser and a guesser of languages.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vita_model.evaluation.voicebench.records import Instruction

Settings = Mapping[str, Any]
_SCRIPTS = {
    "ar": "ARABIC", "fa": "ARABIC", "ur": "ARABIC", "bg": "CYRILLIC", "ru": "CYRILLIC",
    "hi": "DEVANAGARI", "mr": "DEVANAGARI", "ne": "DEVANAGARI", "bn": "BENGALI", "pa": "GURMUKHI",
    "gu": "GUJARATI", "ta": "TAMIL", "te": "TELUGU", "kn": "KANNADA", "th": "THAI", "ko": "HANGUL",
    "ja": "HIRAGANA", "zh": "CJK", "el": "GREEK", "he": "HEBREW",
}  # fmt: skip
_SMALL_WORDS = {
    "en": "the of and to in is that it for was with as be on are this you",
    "de": "der die und das ist nicht ein eine zu mit den von auf sich für",
    "fr": "le la les des et est une que pour dans pas qui sur vous ce",
    "es": "el los las y es una que por con para del se su como más",
    "it": "il che di è una per con non sono del della gli questo più",
    "pt": "o os as e é uma que não por com para do da em mais",
    "fi": "ja on ei se että oli hän mutta ovat tai myös kun joka",
    "sw": "na ya wa kwa ni katika la za cha hii kama yake",
    "vi": "và của là có không được cho một những trong với các",
}


def kept(answer: str, instructions: Sequence[Instruction], *, loose: bool = False) -> list[bool]:
    """Whether an answer keeps to each instruction.

    Args:
        answer: What the model said.
        instructions: See there.
        loose: Also without the first line, the last line, or stars for emphasis.

    Raises:
        ValueError: There is no rule for an instruction.
    """
    readings = list(_readings(answer)) if loose else [answer]
    return [any(_keeps(reading, one) for reading in readings) for one in instructions]


def _readings(answer: str) -> Iterator[str]:
    lines = answer.split("\n")
    for text in (lines, lines[1:], lines[:-1], lines[1:-1]):
        joined = "\n".join(text).strip()
        yield joined
        yield joined.replace("*", "")


def _keeps(answer: str, instruction: Instruction) -> bool:
    rule = RULES.get(instruction.name)
    if rule is None:
        raise ValueError(f"There is no rule for the instruction {instruction.name!r}.")
    return bool(answer.strip()) and rule(answer, instruction.settings)


def _related(number: int, relation: Any, wanted: Any) -> bool:
    return number < int(wanted) if relation == "less than" else number >= int(wanted)


def _count(pattern: str, text: str) -> int:
    return len(re.findall(pattern, text, re.IGNORECASE | re.MULTILINE))


def _word(word: str) -> str:
    return rf"(?<!\w){re.escape(word)}(?!\w)"


def language(text: str) -> str:
    """The likeliest language of a text, as its ISO 639-1 code; empty without letters."""
    scripts = Counter(unicodedata.name(c, "").split()[0] for c in text if c.isalpha())
    if not scripts:
        return ""
    if "HIRAGANA" in scripts or "KATAKANA" in scripts:
        return "ja"
    script = scripts.most_common(1)[0][0]
    if script != "LATIN":
        return next((code for code, name in _SCRIPTS.items() if name == script), "")
    words = Counter(re.findall(r"\w+", text.lower()))
    found = {code: sum(words[w] for w in small.split()) for code, small in _SMALL_WORDS.items()}
    return max(found, key=found.__getitem__) if any(found.values()) else "en"


def _in_language(text: str, wanted: str) -> bool:
    found = language(text)
    return found == wanted or (wanted in _SCRIPTS and _SCRIPTS.get(found) == _SCRIPTS[wanted])


def _sentences(text: str, s: Settings) -> bool:
    count = len([x for x in re.split(r"(?<=[.!?])[\"')\]]*\s+", text.strip()) if x])
    return _related(count, s["relation"], s["num_sentences"])


def _nth_paragraph(text: str, s: Settings) -> bool:
    found = [x for x in re.split(r"\n\s*\n", text) if x.strip()]
    number = int(s["nth_paragraph"])
    if len(found) != int(s["num_paragraphs"]) or number > len(found):
        return False
    first = re.match(r"\W*([\w'-]+)", found[number - 1])
    return first is not None and first.group(1).lower() == str(s["first_word"]).lower()


def _is_json(text: str, _: Settings) -> bool:
    bare = re.sub(r"^```(?:json)?\s*|\s*```$", "", text.strip(), flags=re.IGNORECASE)
    try:
        json.loads(bare)
    except ValueError:
        return False
    return True


def _two(text: str, _: Settings) -> bool:
    found = [part.strip() for part in text.split("******")]
    return len(found) == 2 and all(found) and found[0] != found[1]


def _capitals(text: str, s: Settings) -> bool:
    count = sum(word.isupper() for word in re.findall(r"[\w'-]+", text))
    return _related(count, s["capital_relation"], s["capital_frequency"])


def _ends(text: str, s: Settings) -> bool:
    return text.strip().strip('"').lower().endswith(str(s["end_phrase"]).strip().lower())


def _quoted(text: str, _: Settings) -> bool:
    bare = text.strip()
    return len(bare) > 1 and bare[0] == bare[-1] == '"'


RULES: Mapping[str, Callable[[str, Settings], bool]] = {
    "keywords:existence": lambda t, s: all(_count(re.escape(w), t) for w in s["keywords"]),
    "keywords:frequency": lambda t, s: _related(
        _count(re.escape(s["keyword"]), t), s["relation"], s["frequency"]
    ),
    "keywords:forbidden_words": lambda t, s: (
        not any(_count(_word(w), t) for w in s["forbidden_words"])
    ),
    "keywords:letter_frequency": lambda t, s: _related(
        t.lower().count(str(s["letter"]).lower()), s["let_relation"], s["let_frequency"]
    ),
    "language:response_language": lambda t, s: _in_language(t, s["language"]),
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": lambda t, s: (
        len([x for x in re.split(r"\s?\*\*\*\s?", t) if x.strip()]) == int(s["num_paragraphs"])
    ),
    "length_constraints:number_words": lambda t, s: _related(
        _count(r"\w+", t), s["relation"], s["num_words"]
    ),
    "length_constraints:nth_paragraph_first_word": _nth_paragraph,
    "detectable_content:number_placeholders": lambda t, s: (
        _count(r"\[.*?\]", t) >= int(s["num_placeholders"])
    ),
    "detectable_content:postscript": lambda t, s: (
        _count(r"\s*" + re.escape(s["postscript_marker"]).replace(r"\.", r"\.\s?") + r".*$", t) > 0
    ),
    "detectable_format:number_bullet_lists": lambda t, s: (
        _count(r"^\s*(?:\*[^*].*|-.*)$", t) == int(s["num_bullets"])
    ),
    "detectable_format:constrained_response": lambda t, _: any(
        f"My answer is {word}." in t for word in ("yes", "no", "maybe")
    ),
    "detectable_format:number_highlighted_sections": lambda t, s: (
        _count(r"\*\*[^\n*]+\*\*|\*[^\n*]+\*", t) >= int(s["num_highlights"])
    ),
    "detectable_format:multiple_sections": lambda t, s: (
        _count(rf"\s?{re.escape(s['section_spliter'])}\s?\d+\s?", t) >= int(s["num_sections"])
    ),
    "detectable_format:json_format": _is_json,
    "detectable_format:title": lambda t, _: _count(r"<<[^\n>]*[^\s<>][^\n>]*>>", t) > 0,
    "combination:two_responses": _two,
    "combination:repeat_prompt": lambda t, s: (
        t.strip().lower().startswith(str(s["prompt_to_repeat"]).strip().lower())
    ),
    "startend:end_checker": _ends,
    "startend:quotation": _quoted,
    "change_case:capital_word_frequency": _capitals,
    "change_case:english_capital": lambda t, _: t.isupper() and language(t) == "en",
    "change_case:english_lowercase": lambda t, _: t.islower() and language(t) == "en",
    "punctuation:no_comma": lambda t, _: "," not in t,
}
