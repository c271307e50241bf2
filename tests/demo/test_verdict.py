"""When a demonstration call counts as having worked."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.calls.repository import CallRecord
from agent.demo.caller import Asked
from agent.demo.script import Expectation, Question, load_questions
from agent.demo.verdict import Verdict, collect_answers, judge
from tests.demo.records import asked, event, record, said, used, write_recording

pytestmark = pytest.mark.unit

FACTS = ("Monday: 9 am to 5 pm", "Cleaning: $80")


def question(words: str, files: int = 1, **expect: object) -> Question:
    names = tuple(f"{number}.wav" for number in range(files))
    return Question(files=names, voice="v", words=words, expect=Expectation.model_validate(expect))


QUESTIONS = (
    question("when do you open", fact=["monday"], says="opening"),
    question("how much is a cleaning", fact=["cleaning"]),
    question("where is my order", 2, tool="lookup_order", arguments={"order_id": "48213"}),
)
ASKED = [asked(3, 5), asked(8, 10), asked(13, 15), asked(18, 20)]
GREETING = said("agent", 0.4, 2, "Hello.")
TALK = [
    GREETING,
    said("caller", 2.7, 5.5, "when do you open"),
    said("agent", 6, 7, "We open at 9 am."),
    said("caller", 7.8, 10.5, "how much is a cleaning"),
    said("agent", 11, 12, "A cleaning costs $80."),
    said("caller", 12.8, 15.5, "where is my order"),
    said("agent", 16, 17, "What is your order number?"),
    said("caller", 17.8, 20.5, "four eight two one three"),
    said("agent", 22, 24, "Order 48213 is on its way."),
]
LOOKUP = used("lookup_order", 21, {"order_id": "482-13"})


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "call.wav")


def verdict_of(record: CallRecord, turns: list[Asked] | None = None) -> Verdict:
    turns = ASKED if turns is None else turns
    return judge(QUESTIONS, FACTS, collect_answers(record, QUESTIONS, turns), record)


def test_a_good_call_has_no_failures(recording: Path) -> None:
    verdict = verdict_of(record(TALK, tools=[LOOKUP], recording=recording))
    assert (verdict.right, verdict.needed, verdict.failures) == (3, 3, [])


def test_everything_is_assigned_to_the_question_it_followed(recording: Path) -> None:
    answers = collect_answers(record(TALK, tools=[LOOKUP], recording=recording), QUESTIONS, ASKED)
    assert [answer.words for answer in answers] == [
        "when do you open",
        "how much is a cleaning",
        "where is my order four eight two one three",
    ]
    assert answers[2].reply == "What is your order number? Order 48213 is on its way."
    assert [len(answer.tools) for answer in answers] == [0, 0, 1]


def test_wrong_answers_are_named(recording: Path) -> None:
    talk = [said("agent", 6, 7, "We open at 8 am.") if row is TALK[2] else row for row in TALK]
    verdict = verdict_of(record(talk, tools=[LOOKUP], recording=recording))
    assert verdict.right == 2
    (failure,) = verdict.failures
    assert "when do you open" in failure
    assert "09:00" in verdict.answers[0].detail


@pytest.mark.parametrize(
    "tool",
    [
        used("lookup_order", 21, {"order_id": "48231"}),
        used("lookup_order", 21, {"order_id": "48213"}, status="failed"),
        used("lookup_order", 11, {"order_id": "48213"}),
        used("end_call", 21, {}),
    ],
)
def test_a_tool_has_to_be_the_right_one_at_the_right_time(recording: Path, tool: object) -> None:
    verdict = verdict_of(record(TALK, tools=[tool], recording=recording))  # type: ignore[list-item]
    assert verdict.right == 2


def test_a_fact_the_line_lacks_is_not_held_against_the_call(recording: Path) -> None:
    good = record(TALK, tools=[LOOKUP], recording=recording)
    verdict = judge(QUESTIONS, FACTS[:1], collect_answers(good, QUESTIONS, ASKED), good)
    assert (verdict.answers[1].passed, verdict.needed, verdict.failures) == (None, 2, [])


def test_what_was_cut_off_does_not_count(recording: Path) -> None:
    cut = said("agent", 6, 7, "We open at 9 am.", heard="We open")
    talk = [cut if row is TALK[2] else row for row in TALK]
    assert verdict_of(record(talk, tools=[LOOKUP], recording=recording)).right == 2


def test_noise_in_the_log_counts_as_logged(recording: Path) -> None:
    talk = [row for row in TALK if row.pii_text not in {"when do you open", "We open at 9 am."}]
    noise = event("noise", 6, at_ms=6000)
    logged = verdict_of(record(talk, events=[noise], tools=[LOOKUP], recording=recording))
    missing = verdict_of(record(talk, tools=[LOOKUP], recording=recording))
    assert not any("in the log" in failure for failure in logged.failures)
    assert any("every question is in the log: missing: 1" in line for line in missing.failures)


def test_faults_of_the_call_itself_are_failures(tmp_path: Path, recording: Path) -> None:
    good = {"tools": [LOOKUP], "recording": recording}
    mute = write_recording(tmp_path / "mute.wav", agent_speaks=False)
    silent = [asked(3, 5, answered=False), *ASKED[1:]]
    for verdict, says in (
        (verdict_of(record(TALK, tools=[LOOKUP])), "names none"),
        (verdict_of(record(TALK, tools=[LOOKUP], recording=mute)), "lacks the sound"),
        (verdict_of(record(TALK, **good, reason="failed")), "ended failed"),  # type: ignore[arg-type]
        (verdict_of(record(TALK, **good, state="connected")), "connected"),  # type: ignore[arg-type]
        (verdict_of(record(TALK[1:], **good)), "greeting"),  # type: ignore[arg-type]
        (verdict_of(record(TALK, **good), silent), "nothing heard after 1"),  # type: ignore[arg-type]
        (verdict_of(record(TALK, **good), ASKED[:2]), "Only 2"),  # type: ignore[arg-type]
    ):
        assert any(says in failure for failure in verdict.failures), (says, verdict.failures)


def test_a_question_that_was_not_asked_is_not_right(recording: Path) -> None:
    verdict = verdict_of(record(TALK, tools=[LOOKUP], recording=recording), ASKED[:2])
    assert [check.passed for check in verdict.answers] == [True, True, False]


def test_a_recording_that_was_changed_is_noticed(recording: Path) -> None:
    stored = record(TALK, tools=[LOOKUP], recording=recording)
    recording.write_bytes(recording.read_bytes() + b"\0\0")
    assert any("not the file" in failure for failure in verdict_of(stored).failures)


def test_the_shipped_manifest_names_recordings_that_are_there() -> None:
    from agent.demo import CALLERS

    questions = load_questions()
    assert len(questions) == 7
    names = {name for question in questions for name in question.files}
    assert {path.name for path in CALLERS.glob("*.wav")} == names
    assert len({question.voice for question in questions}) >= 3
