"""The dialogue corpus: what it samples is consistent, speakable and split cleanly."""

import json
import random
import re

import pytest

from vita_model.training.dialogues import (
    Dialogue,
    Split,
    ToolCall,
    Turn,
    asr_noise,
    sample_aside,
    sample_dialogue,
    sample_reply,
    sample_spoken,
    system_prompt,
)
from vita_model.training.dialogues.exam import Question, is_right, load_exam, score
from vita_model.training.dialogues.facts import UNKNOWN
from vita_model.training.dialogues.reading import sample_reading
from vita_model.training.dialogues.spoken import ONES, digit_words, time_words, words

pytestmark = pytest.mark.unit

_FULL = {
    "Mon": "Monday", "Tue": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday", "Fri": "Friday",
    "Sat": "Saturday", "Sun": "Sunday",
}  # fmt: skip


def _dialogues(split: Split, count: int, *, independent: bool = True) -> list[Dialogue]:
    rng = random.Random(f"{split}{independent}")
    return [sample_dialogue(rng, split, independent=independent, turns=6) for _ in range(count)]


def _turns(dialogues: list[Dialogue]) -> list[tuple[Dialogue, Turn]]:
    return [(dialogue, turn) for dialogue in dialogues for turn in dialogue.turns]


def test_callers_say_words_only() -> None:
    for split in ("train", "test"):
        for _, turn in _turns(_dialogues(split, 300)):
            assert re.fullmatch(r"([a-z']+( [a-z']+)*)?", turn.said), turn.said
            assert "{" not in turn.typed
            assert bool(turn.said) == bool(turn.typed)


def test_values_in_fact_answers_stand_in_the_prompt() -> None:
    checked = 0
    for dialogue, turn in _turns(_dialogues("train", 400) + _dialogues("test", 400)):
        if isinstance(turn.reply, ToolCall) or turn.intent.startswith(("ask_", "talk_")):
            continue
        prompt = system_prompt(dialogue)
        for value in re.findall(r"[$£€]?\d[\d.:]*\d|[$£€]?\d", turn.reply):
            assert value in prompt, (turn.reply, prompt)
            checked += 1
    assert checked > 500


def test_tool_calls_name_listed_tools_with_all_their_arguments() -> None:
    seen = 0
    for dialogue, turn in _turns(
        _dialogues("train", 400) + _dialogues("train", 200, independent=False)
    ):
        if not isinstance(turn.reply, ToolCall):
            assert not turn.tool_result
            continue
        seen += 1
        tool = next(tool for tool in dialogue.tools if tool.name == turn.reply.name)
        assert turn.reply.arguments.keys() == tool.parameters.keys()
        assert isinstance(json.loads(turn.tool_result), dict)
        assert turn.after
        assert "{" not in turn.after
    assert seen > 300


def test_no_test_phrasing_is_trained_on() -> None:
    trained = {
        turn.pattern
        for independent in (True, False)
        for _, turn in _turns(_dialogues("train", 1500, independent=independent))
    }
    tested = [turn.pattern for _, turn in _turns(_dialogues("test", 600)) if turn.pattern]
    fresh = [pattern for pattern in tested if pattern not in trained]
    assert len(fresh) > 0.98 * len(tested)
    assert len(trained) > 1200


def test_sampling_repeats_with_the_same_seed() -> None:
    assert _dialogues("train", 20) == _dialogues("train", 20)


def test_silence_and_talk_to_others_get_no_reply() -> None:
    turns = [t for _, t in _turns(_dialogues("train", 600)) if t.intent in {"noise", "aside"}]
    assert turns
    assert all(turn.reply == "" for turn in turns)
    asides = {sample_aside(random.Random(seed), "test").said for seed in range(40)}
    assert len(asides) > 15
    assert asides.isdisjoint(turn.said for turn in turns)


def test_a_missing_argument_is_asked_for_and_then_used() -> None:
    found = 0
    for dialogue in _dialogues("train", 400, independent=False):
        for first, second in zip(dialogue.turns, dialogue.turns[1:], strict=False):
            if first.intent == "ask_order_status" and second.intent == "tool_order_status":
                assert isinstance(second.reply, ToolCall)
                assert str(next(iter(second.reply.arguments.values()))) in second.typed
                found += 1
    assert found > 5


def test_days_are_answered_from_the_written_week() -> None:
    checked = 0
    for dialogue, turn in _turns(_dialogues("train", 800)):
        if turn.intent != "hours_is_open" or not isinstance(turn.reply, str):
            continue
        day = next(day for day in _FULL.values() if day.lower() in turn.said)
        assert turn.reply.startswith((f"No, {day} is closed", f"Yes, {day} "))
        if "closed" in turn.reply:
            assert re.search(
                r"clos|no opening|not open|don.t open", "\n".join(dialogue.facts).lower()
            )
        checked += 1
    assert checked > 20


def test_unknown_things_are_refused_with_an_offer_only_if_a_person_can_be_reached() -> None:
    offers = refusals = 0
    for dialogue, turn in _turns(_dialogues("train", 400)):
        if turn.intent != "unknown":
            continue
        assert isinstance(turn.reply, str)
        assert turn.reply.startswith(UNKNOWN)
        offers += "connect you" in turn.reply
        refusals += "connect you" not in turn.reply
        assert "connect you" not in turn.reply or dialogue.tools
    assert offers
    assert refusals


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("A 12 inch pizza & coffee", "a twelve inch pizza and coffee"),
        ("Café's x-ray, 125 people", "cafe's x ray one hundred and twenty five people"),
    ],
)
def test_written_text_becomes_words(written: str, spoken: str) -> None:
    assert words(written) == spoken


def test_digits_are_read_back_to_the_same_digits() -> None:
    back = {word: str(digit) for digit, word in enumerate(ONES[:10])} | {"oh": "0"}
    rng = random.Random(3)
    repeats = 0
    for _ in range(400):
        text = "".join(rng.choice("0012233") for _ in range(5))
        said, out, times = digit_words(text, rng).split(), "", 1
        for word in said:
            if word in {"double", "triple"}:
                times = 2 if word == "double" else 3
                repeats += 1
            else:
                out += back[word] * times
                times = 1
        assert out == text
    assert repeats > 50


def test_times_are_said_without_digits() -> None:
    rng = random.Random(4)
    for hour in range(7, 22):
        for minute in (0, 5, 15, 30, 45):
            assert re.fullmatch(r"[a-z' ]+", time_words(hour, minute, rng))


def test_noise_changes_words_but_spares_digits_and_days() -> None:
    rng = random.Random(5)
    said = "can you check the order number four double two for tuesday at half past ten please"
    for _ in range(50):
        heard = asr_noise(rng, said, 0.5)
        assert "four" in heard
        assert "double two" in heard
        assert "tuesday" in heard
        assert "half past ten" in heard
    assert asr_noise(rng, said, 0.0) == said
    assert any(asr_noise(rng, said, 0.3) != said for _ in range(5))


def test_utterances_and_replies_for_speech() -> None:
    rng = random.Random(6)
    spoken = [sample_spoken(rng, "train") for _ in range(500)]
    assert all(re.fullmatch(r"[a-z']+( [a-z']+)*", text) for text in spoken)
    assert len(set(spoken)) > 480
    replies = [sample_reply(rng, "train") for _ in range(200)]
    assert all(text and "{" not in text for text in replies)


def test_the_exam_is_complete_and_worded_apart_from_training() -> None:
    papers = load_exam()
    questions = [question for paper in papers for question in paper.questions]
    assert [len(paper.questions) for paper in papers] == [12] * 12
    trained = {turn.said for _, turn in _turns(_dialogues("train", 1500))}
    assert not [question.ask for question in questions if question.ask in trained]
    for paper in papers:
        prompt = system_prompt(paper.dialogue).lower()
        tools = {tool.name: tool.parameters for tool in paper.dialogue.tools}
        for question in paper.questions:
            assert question.ask == words(question.ask)
            assert question.call or question.refuse or question.has
            if question.call:
                assert question.call.arguments.keys() <= tools[question.call.name].keys()
            elif "can't" not in "".join(question.has):
                for rule in question.has:
                    assert any(value.lower() in prompt for value in rule.split("|")), rule


def test_the_exam_marks_values_calls_and_refusals() -> None:
    fact = Question("b", "when", has=("9 am|nine",), never=("10",))
    assert is_right(fact, "We open at 9 am.")
    assert not is_right(fact, "We open at 9 am or 10.")
    assert not is_right(fact, "We open at 19 am.")
    assert not is_right(Question("b", "how much", has=("12",)), "It costs 12.50.")
    assert is_right(Question("b", "how much", has=("12",)), "It costs $12.")
    call = Question("b", "order", call=ToolCall("find", {"id": "4021"}))
    assert is_right(call, ToolCall("find", {"id": "4021"}))
    assert not is_right(call, ToolCall("find", {"id": "402"}))
    assert not is_right(call, "4021")
    refuse = Question("b", "odd", refuse=True)
    assert is_right(refuse, UNKNOWN)
    assert score([(fact, "9 am"), (refuse, "yes")]) == {
        "fact": (1, 1),
        "refuse": (0, 1),
        "all": (1, 2),
    }


def test_what_is_read_aloud_is_plain_words_of_many_kinds() -> None:
    rng = random.Random(8)
    common = ["the", "and", "for", "zebra"]
    said = [sample_reading(rng, "train", common) for _ in range(400)]
    assert all(re.fullmatch(r"[a-z' ]+", line) for line in said)
    assert all(len(line.split()) <= 24 for line in said)
    words = {word for line in said for word in line.split()}
    assert {"zebra", "double", "thursday", "please"} <= words
    assert sum(line.split()[0] in ONES for line in said) > 20
    assert max(said.count(line) for line in said) < 12
