from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.calls.line import Line
from agent.calls.line_source import load_lines
from agent.calls.lines_file import LinesError, parse_lines
from agent.demo import DEMO_LINES
from agent.errors import ConfigurationError, LineNotFoundError

pytestmark = pytest.mark.unit

GOOD = """
lines:
  - number: "+15550100"
    business: Shop
    greeting: Hello.
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "lines.yaml"
    path.write_text(text)
    return path


def test_instructions_are_the_head_and_one_fact_a_line():
    line = Line(
        number="+15550100",
        business="Brightside Dental",
        persona="You are friendly.",
        greeting="Hello.",
        facts=("Sunday: closed", "Check-up: $45"),
    )
    assert line.instructions() == (
        "You answer the phone for Brightside Dental. You are friendly. "
        "Answer briefly and only from these facts.\n"
        "- Sunday: closed\n"
        "- Check-up: $45"
    )


def test_no_persona_leaves_no_gap():
    line = Line(number="+15550100", business="Shop", greeting="Hello.")
    assert line.instructions() == (
        "You answer the phone for Shop. Answer briefly and only from these facts."
    )


def test_an_override_is_the_whole_prompt():
    line = Line(
        number="+15550100", business="Shop", greeting="Hi.", instructions_override="Say moo."
    )
    assert line.instructions() == "Say moo."


def test_equal_lines_have_equal_versions_and_others_do_not():
    first = Line(number="+15550100", business="Shop", greeting="Hi.")
    assert first.version() == Line(**first.model_dump()).version()
    assert first.version() != first.model_copy(update={"greeting": "Ho."}).version()


def test_the_demonstration_has_two_lines_that_differ():
    first, second = load_lines(DEMO_LINES)
    assert (first.number, second.number) == ("+15550100", "+15550101")
    assert not set(first.facts) & set(second.facts)
    alike = {key for key in Line.model_fields if getattr(first, key) == getattr(second, key)}
    assert alike == {"carrier", "recording", "voice", "instructions_override"}
    assert first.after_hours == "answer"  # the demonstration works at any hour
    assert "- Sunday: closed" in first.instructions()


def test_an_unknown_number_is_not_found():
    with pytest.raises(LineNotFoundError, match=r"\+15559999"):
        load_lines(DEMO_LINES).find("+15559999")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lines: [", "not valid YAML"),
        (GOOD + "   hours: {}", "yaml:6: is not valid YAML .*: look at the indentation"),
        ("numbers: []", "top-level key `lines`"),
        ("lines: []\nmore: 1", "unknown top-level key `more`"),
        ("lines: [shop]", "line 1 of the list: a line is a mapping of keys"),
        (
            GOOD.replace("business: Shop", ""),
            r"yaml:3: line \+15550100, key `business`: is missing",
        ),
        (
            GOOD + "    greting: Hi",
            "yaml:6: .*`greting`: is not a key of a line; perhaps `greeting` is meant",
        ),
        (GOOD + "    hours: {zone: X, open: {}}", "key `hours.zone`: is not a key of hours"),
        (
            GOOD + "    hours: {time_zone: UTC, open: {mo: '9-5'}}",
            "key `hours.open`: 'mo' is no day",
        ),
        (GOOD + "    recording: perhaps", "yaml:6: .*`recording`: must be true or false"),
        (GOOD + "    greeting: Hi.", "yaml:6: .*key `greeting`: is given twice"),
        (GOOD.replace('"+15550100"', "+15550100"), "key `number`: must be text: put it in quotes"),
        (GOOD.replace("+15550100", "5550100"), "key `number`: must be text on one line, or a num"),
        (GOOD + "    facts: [Sunday: closed]", r"key `facts.0`: must be text: put it in quotes"),
        (GOOD + "    max_duration_s: 1", "key `max_duration_s`"),
        (GOOD + "    tools: [transfer_to_human]", "needs a transfer_target"),
        (GOOD + GOOD.replace("lines:", ""), r"yaml:8: line \+15550100: .* is given twice"),
        (
            "lines:\n- {web: shop, business: A, greeting: Hi}\n- {web: shop, business: B, greeting: Hi}",
            "yaml:3: line shop: web:shop is given twice",
        ),
    ],
)
def test_a_wrong_file_is_named_with_entry_and_key(tmp_path: Path, text: str, says: str):
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_lines(path)
    assert str(path) in str(caught.value)


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order(tmp_path: Path):
    text = GOOD.replace("business: Shop", "firm: Shop") + "    video: true\n" + GOOD[8:]
    path = written(
        tmp_path, text.replace("greeting: Hello.\n    v", "greeting: ''\n    v") + "    x: 1"
    )
    with pytest.raises(LinesError) as caught:
        load_lines(path)
    told = [(each.row, each.key) for each in caught.value.problems]
    assert told == [(3, "business"), (4, "firm"), (5, "greeting"), (10, "x")]
    assert str(caught.value).startswith("4 mistakes:\n")


def test_a_misspelt_key_is_one_mistake(tmp_path: Path):
    with pytest.raises(LinesError, match="perhaps `greeting` is meant") as caught:
        load_lines(written(tmp_path, GOOD.replace("greeting", "greting")))
    assert [each.key for each in caught.value.problems] == ["greting"]


def test_a_document_from_elsewhere_is_read_alike():
    good = {"number": "+15550100", "business": "Shop", "greeting": "Hello."}
    assert parse_lines({"lines": [good]})[0].business == "Shop"
    with pytest.raises(LinesError, match=r"lines: line \+15550100, key `x`: is not a key"):
        parse_lines({"lines": [good | {"x": 1}]})


def test_a_missing_file_says_what_to_do(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="write one"):
        load_lines(tmp_path / "none.yaml")


def test_a_changed_file_counts_from_the_next_call(tmp_path: Path):
    path = written(tmp_path, GOOD)
    book = load_lines(path)
    before = book.find("+15550100")
    written(tmp_path, GOOD.replace("Shop", "Store"))
    os.utime(path, ns=(1, 1))
    assert book.find("+15550100").business == "Store"
    assert before.business == "Shop"


def test_a_broken_change_leaves_the_lines_as_they_were(tmp_path: Path):
    path = written(tmp_path, GOOD)
    book = load_lines(path)
    written(tmp_path, "lines: 3")
    os.utime(path, ns=(1, 1))
    assert book.find("+15550100").business == "Shop"
    path.unlink()
    assert book.find("+15550100").business == "Shop"


def test_a_change_the_check_refuses_is_not_taken(tmp_path: Path):
    def no_stores(line: Line) -> None:
        if line.business == "Store":
            raise ConfigurationError("No stores.")

    path = written(tmp_path, GOOD)
    book = load_lines(path, no_stores)
    written(tmp_path, GOOD.replace("Shop", "Store"))
    os.utime(path, ns=(1, 1))
    assert book.find("+15550100").business == "Shop"
    with pytest.raises(ConfigurationError, match="No stores"):
        load_lines(path, no_stores)
