"""Written text to the words that are said, in the language it is written in."""

from __future__ import annotations

import re

from vita_model.speech.chinese import spoken_chinese
from vita_model.speech.text import spoken

_HAN = re.compile(r"[\u3400-\u9fff]")


def normalised(text: str) -> str:
    """A phrase as it is spoken: Chinese if it has a Chinese character, English otherwise.

    Raises:
        NormaliserMissingError: It is Chinese and the package for that is not installed.
    """
    return spoken_chinese(text) if _HAN.search(text) else spoken(text)
