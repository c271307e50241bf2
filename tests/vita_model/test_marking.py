"""Answers are marked by what they tell, calls by every argument."""

import pytest

from vita_model.evaluation.agent_tasks import Reply, Task, is_right, sample_tasks
from vita_model.evaluation.marking import Share, same_answer, same_call

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("wanted", "got", "right"),
    [
        ("We open at 9 am.", "At 9 am we open.", True),
        ("We open at 9 am.", "We open at 9:30 am.", False),
        ("We open at 9 am.", "We open at 9 am and close at 5 pm.", False),
        ("A crown costs £480.", "That is £480.", True),
        ("Yes, Saturday 7:00 to 12:45.", "No, Saturday 7:00 to 12:45.", False),
        ("The manager is Fiona Walsh.", "The manager is Fiona Wall.", False),
        ("Sorry, I don't have that information.", "I don't know that, sorry.", True),
        ("Sorry, I don't have that information.", "We open at 9 am.", False),
        ("You can park there.", "you can park there", True),
    ],
)
def test_an_answer_is_right_if_it_tells_the_same(wanted: str, got: str, *, right: bool) -> None:
    assert same_answer(wanted, got) is right


def test_a_call_needs_its_name_and_every_argument() -> None:
    wanted = ("book", {"day": "Friday", "why": "a check"})
    free = frozenset({"why"})
    assert same_call(wanted, ("book", '{"day": "friday", "why": "x"}'), free=free)
    assert not same_call(wanted, ("book", '{"day": "Monday", "why": "a check"}'), free=free)
    assert not same_call(wanted, ("book", '{"day": "Friday"}'), free=free)
    assert not same_call(wanted, ("keep", '{"day": "Friday", "why": "x"}'), free=free)
    assert not same_call(wanted, ("book", '{"day":'), free=free)
    assert not same_call(wanted, None, free=free)


def test_intervals_narrow_with_the_number_of_questions() -> None:
    low, high = Share(9, 10).interval
    assert (round(low, 2), round(high, 2)) == (0.60, 0.98)  # Wilson 1927, as tables give it
    few, many = Share(9, 10).interval, Share(900, 1000).interval
    assert many[1] - many[0] < (few[1] - few[0]) / 5
    assert str(Share(9, 10) + Share(1, 10)) == "10 of 20 = 50 % (30 to 70)"


def test_the_same_seed_asks_the_same_questions_and_the_right_reply_is_right() -> None:
    tasks = sample_tasks(3, 40)
    assert [t.turn for t in tasks] == [t.turn for t in sample_tasks(3, 40)]
    assert {"answer", "call", "unknown"} <= {t.kind for t in tasks}
    assert all(is_right(task, _perfect(task)) for task in tasks)
    assert not any(is_right(task, Reply(noise=True)) for task in tasks)


def _perfect(task: Task) -> Reply:
    reply = task.turn.reply
    if isinstance(reply, str):
        return Reply(text=reply)
    values = ", ".join(f'"{k}": "{v}"' for k, v in reply.arguments.items())
    return Reply(call=(reply.name, f"{{{values}}}"))
