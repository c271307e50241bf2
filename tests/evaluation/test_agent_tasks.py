"""What agents are asked, and how their replies are marked."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vita_model.evaluation.agent_tasks import Reply, exam_tasks, is_right, sample_tasks
from vita_model.evaluation.suites.agent import AgentSuite, told
from vita_model.evaluation.suites.markers import MarkerSuite
from vita_model.evaluation.suites.speech import pitch
from vita_model.training.dialogues import ToolCall
from vita_model.training.dialogues.patterns import load

pytestmark = pytest.mark.unit


def test_the_right_answer_is_right_and_others_are_not():
    for task in sample_tasks(3, 40):
        wanted = task.turn.reply
        if isinstance(wanted, ToolCall):
            call = (wanted.name, json.dumps(wanted.arguments))
            assert is_right(task, Reply(call=call))
            assert not is_right(task, Reply(call=("other_tool", call[1])))
            assert not is_right(task, Reply(text=str(wanted)))
        else:
            assert is_right(task, Reply(text=wanted))
            assert not is_right(task, Reply(noise=True))
            assert not is_right(task, Reply(text=f"{wanted} Or at 11:59 pm."))


def test_the_examination_is_marked_by_its_own_rules():
    first = exam_tasks()[0]
    assert first.turn.said.startswith("morning what's the earliest")
    assert is_right(first, Reply(text="We open at 8:30."))
    assert not is_right(first, Reply(text="We open at 8:30 or 9:00."))
    (call,) = [t for t in exam_tasks() if "three three oh seven one" in t.turn.said]
    assert call.kind == "call"
    assert is_right(call, Reply(call=("lookup_order", '{"order_id": "33071"}')))
    assert not is_right(call, Reply(call=("lookup_order", '{"order_id": "3371"}')))
    assert not is_right(call, Reply(call=("lookup_order", "no json")))


def test_a_wrong_argument_is_no_right_call():
    task = next(
        t
        for t in sample_tasks(3, 80)
        if isinstance(t.turn.reply, ToolCall) and "order" in str(t.turn.reply)
    )
    wanted = task.turn.reply
    assert isinstance(wanted, ToolCall)
    wrong = replace(wanted, arguments=dict.fromkeys(wanted.arguments, "99999999"))
    assert not is_right(task, Reply(call=(wrong.name, json.dumps(wrong.arguments))))


def test_items_are_always_the_same_and_begin_with_every_kind():
    first, again = AgentSuite(1).items(30), AgentSuite(1).items(30)
    assert [(i.key, i.task.turn.said, i.voice) for i in first] == [
        (i.key, i.task.turn.said, i.voice) for i in again
    ]
    assert {i.paper for i in first[:3]} == {"clean", "babble", "exam"}
    assert len({i.key for i in first}) == 30
    markers = MarkerSuite(1).items(None)
    assert {i.kind for i in markers[:5]} == {"noise", "music", "crowd", "side talk", "question"}


def test_side_talk_is_of_no_training_text_and_never_twice():
    said = [i.said for i in MarkerSuite(1).items(None) if i.kind == "side talk"]
    assert len(set(said)) == len(said) >= 100
    trained = {line for lines in load("noise").values() for line in lines.splitlines()}
    assert not trained & set(said)


def test_the_whole_set_has_hundreds_of_questions_of_unseen_businesses():
    asked = [i.task for i in AgentSuite(1).items(None) if i.paper == "clean"]
    assert len(asked) >= 300
    assert len({task.dialogue.business for task in asked}) > 40


def test_numbers_of_a_reply_are_looked_for_in_its_sound():
    counts = told("A cleaning costs $85.", "A cleaning cost eighty-five dollars.")
    assert counts["numbers in the sound"] == (1, 1)
    assert counts["reply's words wrong by the recogniser"] == (1, 4)
    assert told("It costs $85.", "it costs 80 dollars")["numbers in the sound"] == (0, 1)
    assert "numbers in the sound" not in told("Yes, we do.", "yes we do")


def test_pitch_is_that_of_the_voice():
    np = pytest.importorskip("numpy")
    time = np.arange(24_000) / 24_000
    tone = sum(np.sin(2 * np.pi * 120 * n * time) / n for n in range(1, 6)).astype(np.float32)
    assert pitch(tone, 24_000) == pytest.approx(120, rel=0.02)
    assert pitch(np.zeros(24_000, np.float32), 24_000) == 0
