"""Written English becomes the words a caller hears."""

import pytest

from vita_model.speech.numbers import cardinal, ordinal
from vita_model.speech.text import spoken

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("We open at 9 am.", "we open at nine eh m."),
        ("Open 9:30 AM to 5:30 p.m.", "open nine thirty eh m to five thirty p m"),
        ("It costs $35.", "it costs thirty five dollars."),
        ("It costs $12.50, not £1.01.", "it costs twelve dollars and fifty cents, not one pound and one penny."),
        ("Order 48213 is ready.", "order four eight two one three is ready."),
        ("14 Mill Lane", "fourteen mill lane"),
        ("Call 555-010-0199", "call five five five, zero one zero, zero one nine nine"),
        ("the 23rd of May", "the twenty third of may"),
        ("May 3, 2026", "may third, twenty twenty six"),
        ("15% off 1,250 items", "fifteen percent off one thousand two hundred and fifty items"),
        ("mail info@bright.co.uk", "mail info at bright dot co dot uk"),
        ("Dr. Smith", "doctor smith"),
        ("a USB cable, OK?", "a u s b cable, okay?"),
        ("17:30", "seventeen thirty"),
        ("9:00-17:30", "nine o'clock to seventeen thirty"),
        ("7.00 to 23.30", "seven o'clock to twenty three thirty"),
        ("45.00 pounds", "forty five point zero zero pounds"),
        ("10-14", "ten to fourteen"),
        ("2.5 km", "two point five kilometres"),
        ("**bold** [x]", "bold x"),
    ],
)  # fmt: skip
def test_reads_as_a_person_would(written: str, words: str) -> None:
    assert spoken(written) == words


def test_only_speakable_characters_are_left() -> None:
    assert set(spoken("Ünïcode → ¿100€? <tag> 7½ & 50/50")) <= set(
        "abcdefghijklmnopqrstuvwxyz',.?! "
    )


def test_whole_numbers() -> None:
    assert cardinal(0) == "zero"
    assert cardinal(342) == "three hundred and forty two"
    assert cardinal(1_000_007) == "one million and seven"
    assert ordinal(21) == "twenty first"
    assert ordinal(12) == "twelfth"
    assert ordinal(30) == "thirtieth"
