"""What is heard is written as the language model's own tokens."""

import pytest

from vita_model.audio.units import transcript, unit_ids, units
from vita_model.backbone import open_backbone

pytestmark = pytest.mark.model


def test_digits_are_written_as_digits() -> None:
    assert units("my order is four oh two double one") == [
        " my", " order", " is", "4", "0", "2", " double", "1",
    ]  # fmt: skip


def test_oh_is_a_word_away_from_digits() -> None:
    assert units("oh i see") == [" oh", " i", " see"]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("my order is four eight two one three please", "my order is 48213 please"),
        ("half past ten on friday", "half past ten on friday"),
        ("the twenty third of may", "the twenty third of may"),
        ("table for thirty five", "table for 35"),
    ],
)
def test_transcript_reads_well(said: str, read: str) -> None:
    tokenizer = open_backbone().tokenizer()
    assert transcript(unit_ids(said, tokenizer), tokenizer) == read
