"""What a right answer has to say, read from the facts."""

from __future__ import annotations

import pytest

from agent.demo.facts import expected_tokens, find_fact, missing_tokens

pytestmark = pytest.mark.unit

FACTS = (
    "Open Monday to Friday: 9 am to 5:30 pm",
    "Saturday: 10 am to 2 pm",
    "Address: 14 Mill Lane, Harrow",
    "Cleaning: $80",
    "Parking: free behind the building",
)


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["monday"], FACTS[0]),
        (["SATURDAY"], FACTS[1]),
        (["located", "address"], FACTS[2]),
        (["sat"], ""),
        (["wifi"], ""),
    ],
)
def test_a_fact_is_found_by_whole_words_in_their_order(words: list[str], fact: str) -> None:
    assert find_fact(FACTS, words) == fact


@pytest.mark.parametrize(
    ("fact", "says", "tokens"),
    [
        (FACTS[0], "opening", ("09:00",)),
        (FACTS[0], "all", ("09:00", "17:30")),
        ("Monday: closed", "opening", ("closed",)),
        (FACTS[2], "all", ("14", "mill", "lane", "harrow")),
        (FACTS[3], "all", ("80",)),
        ("We open at 7:45 on weekdays.", "opening", ("07:45",)),
        ("Opening hours: 8.30 am till noon", "all", ("08:30", "12:00")),
    ],
)
def test_the_expected_answer_comes_from_the_fact(
    fact: str, says: str, tokens: tuple[str, ...]
) -> None:
    assert expected_tokens(fact, says) == tokens  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fact", "answer", "missing"),
    [
        (FACTS[0], "We are open from nine a.m. to five thirty PM.", ()),
        (FACTS[0], "From 9 AM until 5.30pm.", ()),
        (FACTS[0], "From 9 am to 5 pm.", ("17:30",)),
        (FACTS[0], "From 9 pm to 5:30 pm.", ("09:00",)),
        (FACTS[1], "Yes, on Saturday from 10 o'clock to 14:00.", ()),
        (FACTS[2], "It is fourteen Mill Lane in Harrow.", ()),
        (FACTS[2], "It is 14 Mill Road, Harrow.", ("lane",)),
        (FACTS[3], "A cleaning costs eighty dollars.", ()),
        (FACTS[3], "A cleaning costs $18.", ("80",)),
        (FACTS[4], "", ("free", "behind", "building")),
    ],
)
def test_an_answer_may_use_other_words_but_not_other_values(
    fact: str, answer: str, missing: tuple[str, ...]
) -> None:
    assert missing_tokens(answer, expected_tokens(fact, "all")) == missing
