from __future__ import annotations

import json

import pytest

from agent.transcripts.folding import fold, matches, parse_query
from agent.transcripts.redact import (
    mask_number,
    redact,
    redact_json,
    redact_payload,
    redact_turns,
)

pytestmark = pytest.mark.unit

MASKED = [
    ("call 555-123-4567 now", "call ••••••••67 now"),
    ("call +44 20 7183 8750", "call +44 207 ••• ••50"),
    ("(020) 7183 8750", "•••••••••50"),
    ("card 4111 1111 1111 1111", "card •••• •••• •••• 1111"),
    ("card 4111-1111-1111-1111.", "card •••• •••• •••• 1111."),
    ("account 00123456", "account ••••••56"),
    ("mail bob.smith@example.co.uk please", "mail •••@••• please"),
    ("it is bob at example dot com", "it is •••@•••"),
    ("five five five, oh one two three", "••••••"),
    ("double five triple seven one two", "••••••"),
    ("twenty three forty five six seven", "••••••"),
    ("Five-five-five-one-two-three-four!", "••••••!"),
    ("5 5 5 0 1 2 3", "•••••23"),
    ("电话是一三八零零一三八零零零", "电话是••••••"),
]
PLAIN = [
    "Open Monday to Friday: 9 am to 5:30 pm",
    "We open at nine thirty, on Saturday from ten to two.",
    "Order 4417 is on its way.",
    "Cleaning costs $80, whitening $1,200.",
    "The 25th, that is 2026-12-25, or 25/12/2026.",
    "One or two of the three.",
    "我想要两个一等座",
    "14 Mill Lane, Harrow",
    "",
]


@pytest.mark.parametrize(("said", "shown"), MASKED)
def test_numbers_and_addresses_are_masked(said: str, shown: str):
    assert redact(said) == shown


@pytest.mark.parametrize("said", PLAIN)
def test_what_is_nobodys_stays(said: str):
    assert redact(said) == said


def test_a_number_spoken_in_pieces_is_found_in_the_pieces_together():
    turns = [
        ("caller", "It's five five five"),
        ("agent", "Yes?"),
        ("caller", "oh one two three, thanks"),
        ("caller", "for two people"),
    ]
    shown = redact_turns(turns)
    assert shown[0] == "It's • • •"
    assert shown[2] == "• • • •, thanks"
    assert (shown[1], shown[3]) == ("Yes?", "for two people")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+15551234523", "+1 555 ••• ••23"),
        ("+442071838750", "+44 207 ••• ••50"),
        ("+353861234567", "+353 861 ••• •67"),
        ("+15550100", "+1 ••• ••00"),
        ("5551234", "••• ••34"),
        ("911", "•••"),
        ("", ""),
    ],
)
def test_a_number_shows_where_it_is_from(number: str, shown: str):
    assert mask_number(number) == shown


def test_payloads_are_masked_by_their_keys():
    payload = {
        "to": "+15550100",
        "pii_from": "+15551234523",
        "pii_digit": "7",
        "pii_text": "555-123-4567",
        "pii_arguments": '{"phone": "5551234567", "count": 2, "id": 123456789}',
        "at_ms": 1234567,
        "line": {"business": "B", "pii_owner": "+15551234523"},
        "pii_list": ["5551234567", None, True],
    }
    shown = redact_payload(payload)
    assert shown["to"] == "+15550100"
    assert shown["at_ms"] == 1234567
    assert shown["pii_from"] == "+1 555 ••• ••23"
    assert shown["pii_digit"] == "•"
    assert json.loads(shown["pii_arguments"]) == {
        "phone": "••••••••67",
        "count": 2,
        "id": "•••••••89",
    }
    assert shown["line"] == {"business": "B", "pii_owner": "+1 555 ••• ••23"}
    assert shown["pii_list"] == ["••••••••67", None, True]
    assert redact_json("not json 5551234567") == "not json ••••••••67"


def test_folding_takes_case_accents_and_punctuation_away():
    assert fold("  Crème brûlée, ﬁne!  ") == "creme brulee fine"
    assert fold("e\u0301tude STRASSE Straße") == "etude strasse strasse"
    assert fold("你好吗 hi") == "你好 好吗 吗 hi"
    assert fold("?! …") == ""
    plain = "It's 44-17b, A.N. Other's (new) e_mail: 3.5% \t off!"
    assert fold(plain) + " e" == fold(plain + " é")


def test_hits_are_found_where_they_stand():
    said = "Crème 你好吗 naïve"
    found = [said[a:b] for a, b in matches(said, parse_query("creme 好吗 nai*"))]
    assert found == ["Crème", "好吗", "naïve"]
    assert matches(said, []) == []
