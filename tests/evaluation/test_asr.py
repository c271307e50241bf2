"""Error rates of transcripts."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from tests.serving.scripted_model import DONE, QUERY, ScriptedModel
from vita_model.engine.voice import Text
from vita_model.evaluation.asr import Errors, Reading, errors, measure, word_errors
from vita_model.evaluation.asr_set import OWN, SAMPLED, sentences

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("My order is four oh two.", "my order is 402"),
        ("it's 4 0 2", "it is four zero two"),
        ("seven triple nine", "7 999"),
        ("zero one three four", "0134"),
        ("zero zero five", "005"),
        ("four oh two", "Four 0 two"),
        ("order four double nine one", "order 4 double 91"),
        ("double six triple two", "double 6 triple 2"),
        ("oh two oh seven nine four six oh oh one eight", "020 7946 0018"),
        ("zero point five or ten oh five", "0.5 or 10:05"),
        ("That costs twenty-five pounds", "that costs £25"),
        ("I'd like a grey tyre, please!", "i would like a gray tire please"),
        ("at nine thirty", "At 9:30"),
        ("from 10:00 to 19:00", "from 10 o'clock to 1900"),
        ("Wednesday 8 am to 5:15 pm.", "wednesday, 8am to 515 p.m."),
    ],
)
def test_spelling_is_no_error(said, written):
    assert word_errors(said, written).rate == 0


@pytest.mark.parametrize(
    ("said", "written", "found"),
    [
        ("a b c", "a c", Errors(0, 1, 0, 3)),
        ("a b c", "a b x c", Errors(0, 0, 1, 3)),
        ("a b c", "a x c", Errors(1, 0, 0, 3)),
        ("a b c d", "", Errors(0, 4, 0, 4)),
        ("", "a b", Errors(0, 0, 2, 0)),
        ("a b c d e", "b c d x e f", Errors(0, 1, 2, 5)),
    ],
)
def test_edits_are_counted_by_kind(said, written, found):
    assert errors(said.split(), written.split()) == found


async def test_both_ways_of_a_model_are_scored():
    model = ScriptedModel(deque([[QUERY, Text("half "), Text("a seconds"), DONE]]))
    reading = Reading(np.zeros(8_000, np.float32), "0.5 seconds", "nobody")
    heard, asked = await measure(model, [reading])
    assert (heard.way, heard.words.rate, heard.characters.rate) == ("heard", 0, 0)
    assert (asked.way, asked.words) == ("second pass", Errors(1, 0, 1, 2))
    assert model.requests[0].speak is False
    assert model.forgotten == ["transcript"]


def test_the_test_set_is_always_the_same():
    assert len(sentences()) == len(OWN) + SAMPLED
    assert sentences() == sentences()
