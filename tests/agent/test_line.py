from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.calls.line import Line, load_lines
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
    assert "- Sunday: closed" in first.instructions()


def test_an_unknown_number_is_not_found():
    with pytest.raises(LineNotFoundError, match=r"\+15559999"):
        load_lines(DEMO_LINES).find("+15559999")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lines: [", "not valid YAML"),
        ("numbers: []", "top-level key `lines`"),
        ("lines: []\nmore: 1", "unknown top-level key `more`"),
        ("lines: [shop]", "line 1: an entry is a mapping"),
        (GOOD.replace("business: Shop", ""), r"line 1 \(\+15550100\), key `business`: is missing"),
        (GOOD + "    greting: Hi", "key `greting`: is not a key of a line"),
        (GOOD.replace('"+15550100"', "+15550100"), "key `number`: must be text: put it in quotes"),
        (GOOD.replace("+15550100", "5550100"), "key `number`: must be text on one line, or a num"),
        (GOOD + "    facts: [Sunday: closed]", r"key `facts.0`: must be text: put it in quotes"),
        (GOOD + "    max_duration_s: 1", "key `max_duration_s`"),
        (GOOD + "    tools: [transfer_to_human]", "needs a transfer_target"),
        (GOOD + GOOD.replace("lines:", ""), r"line 2: \+15550100 is given twice"),
    ],
)
def test_a_wrong_file_is_named_with_entry_and_key(tmp_path: Path, text: str, says: str):
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_lines(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="VITA_LINES_FILE"):
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
