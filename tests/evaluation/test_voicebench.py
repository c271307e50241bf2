"""VoiceBench's files and the rules that score answers to them."""

from __future__ import annotations

import io
from collections import deque
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from pyarrow import parquet

from tests.serving.scripted_model import DONE, QUERY, ScriptedModel
from vita_model.engine.voice import Text
from vita_model.evaluation.suite import EvaluationError, Shelf
from vita_model.evaluation.suites.voicebench import VoiceBenchSuite
from vita_model.evaluation.voicebench.answers import decision, letter, refuses
from vita_model.evaluation.voicebench.instructions import RULES, kept, language
from vita_model.evaluation.voicebench.records import Instruction, records, subsets

pytestmark = pytest.mark.unit


def sound(rate: int = 8_000) -> dict[str, object]:
    file = io.BytesIO()
    soundfile.write(file, np.linspace(0, 0.5, rate // 2, dtype=np.float32), rate, format="WAV")
    return {"bytes": file.getvalue(), "path": "question.wav"}


def publish(folder: Path, subset: str, split: str, rows: list[dict[str, object]]) -> None:
    (folder / subset).mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([{"audio": sound(), **row} for row in rows])
    parquet.write_table(table, folder / subset / f"{split}-00000-of-00001.parquet")


async def row_of(folder: Path, subset: str, *answers: str):
    suite = VoiceBenchSuite(folder, subset)
    model = ScriptedModel(deque([QUERY, Text(answer), DONE] for answer in answers))
    return [await suite.run(model, item, Shelf(folder, "x")) for item in suite.items(None)]


async def test_choices_are_scored_by_field_and_a_guess_counts_a_quarter(tmp_path):
    for split in ("law", "physics"):
        publish(tmp_path, "mmsu", split, [{"prompt": "Which one?", "reference": "B"}])
    assert subsets(tmp_path) == ["mmsu"]
    law, physics = await row_of(tmp_path, "mmsu", "The answer is B, the court.", "I wonder.")
    assert (law.group, law.counts["right"], law.counts["decided"]) == ("law", (1, 1), (1, 1))
    assert (physics.counts["right"], physics.counts["decided"]) == ((0.25, 1), (0, 1))
    assert (tmp_path / law.files["input"]).exists()


async def test_yes_and_no_harm_and_instructions(tmp_path):
    publish(
        tmp_path, "bbh", "test", [{"prompt": "?", "reference": "No", "id": "bbh_navigate_test_3"}]
    )
    publish(tmp_path, "advbench", "test", [{"prompt": "Do harm."}])
    rules = ["punctuation:no_comma", "length_constraints:number_words"]
    settings = [
        {"num_words": None, "relation": None},
        {"num_words": 5, "relation": "at least"},
    ]
    publish(
        tmp_path, "ifeval", "test",
        [{"prompt": "Say much.", "key": 7, "instruction_id_list": rules, "kwargs": settings}],
    )  # fmt: skip
    (answer,) = await row_of(tmp_path, "bbh", "We turn twice. So the answer is no.")
    assert answer.counts["right"] == (1, 1)
    (answer,) = await row_of(tmp_path, "advbench", "I can\u2019t help with that.")
    assert answer.counts["refused"] == (1, 1)
    (answer,) = await row_of(tmp_path, "ifeval", "Well, no.\nthis line is of many words")
    assert answer.counts["instructions kept, strict"] == (1, 2)
    assert answer.counts["prompts kept, strict"] == (0, 1)
    assert answer.counts["prompts kept, loose"] == (1, 1)


def test_the_sound_comes_at_the_rate_asked_for(tmp_path):
    publish(tmp_path, "openbookqa", "test", [{"prompt": "Which one?", "reference": "A"}])
    (found,) = records(tmp_path, "openbookqa")
    assert len(found.samples(16_000)) == 8_000


def test_what_is_not_voicebench_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match="holds no subset of VoiceBench"):
        subsets(tmp_path)
    publish(tmp_path, "openbookqa", "test", [{"prompt": "Which one?"}])
    with pytest.raises(EvaluationError, match="no column 'reference'"):
        records(tmp_path, "openbookqa")
    (tmp_path / "mmsu").mkdir()
    (tmp_path / "mmsu" / "law-00000-of-00001.parquet").write_bytes(b"no table")
    with pytest.raises(EvaluationError, match=r"law-00000-of-00001\.parquet"):
        records(tmp_path, "mmsu")


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ("B", "B"),
        ("b.", "B"),
        ("(C) the moon", "C"),
        ("**D**", "D"),
        ("The answer is A.", "A"),
        ("The correct option would be (b).", "B"),
        ("It melts when heated, so I choose C.", "C"),
        ("a dog is an animal", None),
        ("The answer is a dog", None),
        ("", None),
    ],
)
def test_letters(answer, chosen):
    assert letter(answer) == chosen


@pytest.mark.parametrize(
    ("task", "answer", "decided"),
    [
        ("sports_understanding", "The sentence is not plausible.", "no"),
        ("sports_understanding", "Given these points it seems plausible.", "yes"),
        ("web_of_lies", "Yes, though Ann says no.", "yes"),
        ("web_of_lies", "He lies, she does too. The answer is no", "no"),
        ("hyperbaton", "The correct sentence is (b)", "(b)"),
        ("navigate", "You end elsewhere.", None),
    ],
)
def test_decisions(task, answer, decided):
    assert decision(task, answer) == decided


@pytest.mark.parametrize(
    ("answer", "declined"),
    [
        ("Sorry, that would be wrong.", True),
        ("I\u2019m not able to do that.", True),
        ("", True),
        ("First, take a screwdriver.", False),
        ("You do not need much for it.", False),
    ],
)
def test_refusals(answer, declined):
    assert refuses(answer) is declined


KEPT = [
    ("keywords:existence", {"keywords": ["tea", "milk"]}, "Tea with milk", "Tea"),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "at least"}, "tea, tea", "tea"),
    ("keywords:forbidden_words", {"forbidden_words": ["tea"]}, "a teapot", "some tea"),
    ("keywords:letter_frequency", {"letter": "q", "let_frequency": 1, "let_relation": "less than"}, "tea", "Queue"),
    ("language:response_language", {"language": "de"}, "Das ist der Tee und die Milch", "this is the tea"),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}, "One.", "One. Two! Three?"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "one\n***\ntwo", "one two"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "two words", "these are three"),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "two"},
     "one\n\nTwo it is", "one\n\nthree"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name] of [place]", "[name]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\nP.S. Hello.", "Bye."),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* one\n- two", "* one"),
    ("detectable_format:constrained_response", {}, "My answer is maybe.", "Maybe."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*one* and **two**", "*one*"),
    ("detectable_format:multiple_sections", {"section_spliter": "Part", "num_sections": 2}, "Part 1 x Part 2 y", "Part 1"),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a: 1}"),
    ("detectable_format:title", {}, "<<Tea>>\nIt is hot.", "<< >> It is hot."),
    ("combination:two_responses", {}, "one******two", "one******one"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Why?"}, "why? Because.", "Because."),
    ("startend:end_checker", {"end_phrase": "Any more?"}, "So. Any more?", "Any more? No."),
    ("startend:quotation", {}, '"So."', "So."),
    ("change_case:capital_word_frequency", {"capital_frequency": 1, "capital_relation": "at least"}, "NOW it is", "Now it is"),
    ("change_case:english_capital", {}, "THIS IS IT", "This is it"),
    ("change_case:english_lowercase", {}, "this is it", "This is it"),
    ("punctuation:no_comma", {}, "one and two", "one, two"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "good", "bad"), KEPT, ids=[row[0] for row in KEPT])
def test_every_instruction_can_be_kept_and_broken(name, settings, good, bad):
    one = [Instruction(name, settings)]
    assert kept(good, one) == [True]
    assert kept(bad, one) == [False]
    assert kept("  ", one) == [False]


def test_all_rules_are_tried_and_unknown_ones_are_named():
    assert {row[0] for row in KEPT} == set(RULES)
    with pytest.raises(ValueError, match="'poetry:rhymes'"):
        kept("so", [Instruction("poetry:rhymes", {})])


@pytest.mark.parametrize(
    ("text", "code"),
    [("Это чай", "bg"), ("यह चाय है", "hi"), ("これはお茶です", "ja"), ("12", ""), ("c'est une fleur et le thé", "fr")],
)  # fmt: skip
def test_languages_are_told_by_script_and_small_words(text, code):
    assert language(text) == code
