"""Sounds over the agent's speech: the labelled set, the virtual call and the figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vita_model.cli import app
from vita_model.engine.voice import VoiceModel
from vita_model.evaluation import duplex, duplex_report
from vita_model.evaluation.duplex import Outcome
from vita_model.evaluation.duplex_report import Share
from vita_model.evaluation.duplex_set import KINDS, Kind, cases

pytestmark = pytest.mark.model


def _outcome(kind: Kind, stopped_s: float | None) -> Outcome:
    return Outcome(kind, 20, "words", "voice", stopped_s, ducked=True, heard="words")


def test_the_halves_share_neither_voices_nor_sentences_and_are_the_same_again() -> None:
    tuning, report = (list(cases(half, 0, 0.05)) for half in ("tuning", "report"))
    for name in ("voice", "text"):
        both = {getattr(c, name) for c in tuning} & {getattr(c, name) for c in report}
        assert both <= {"", "none"}
    assert {case.kind for case in tuning} == set(KINDS)
    again = list(cases("tuning", 0, 0.05))
    assert all(np.array_equal(a.sound, b.sound) for a, b in zip(tuning, again, strict=True))
    late = next(case for case in tuning if case.kind == "late query")
    assert 0 < late.to_answer_from < len(late.sound) / 16_000


async def test_over_its_speech_the_agent_stops_for_a_question_and_not_for_a_cough(
    voice: VoiceModel,
) -> None:
    wanted = [c for c in cases("tuning", 0, 0.01) if c.kind in ("query", "cough")]
    query, cough = [outcome async for outcome in duplex.run(voice, wanted, "answer")]
    assert query.stopped_s is not None
    assert query.ducked
    assert query.heard
    assert cough.stopped_s is None


def test_a_question_counts_when_it_stops_the_agent_in_time_and_the_rest_when_it_does_not(
    tmp_path: Path,
) -> None:
    outcomes = [
        _outcome("query", 0.4),
        _outcome("query", 0.9),
        _outcome("query", None),
        _outcome("cough", None),
        _outcome("side talk", 0.4),
    ]
    queries, rest = duplex_report.summary(outcomes)
    assert (queries.right, queries.stopped) == (Share(1, 3), Share(2, 3))
    assert rest.right == Share(1, 2)
    assert not duplex_report.holds(outcomes)
    assert duplex_report.holds([outcomes[0], outcomes[3]])
    assert json.loads(duplex_report.as_json({"answer": outcomes}))["answer"]["rows"]
    duplex_report.draw({"answer": outcomes}, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1_000


def test_few_cases_leave_much_open() -> None:
    few, many = Share(9, 10).interval, Share(900, 1_000).interval
    assert few[0] < many[0] < 0.9 < many[1] < few[1]


def test_a_half_that_is_not_there_is_told() -> None:
    result = CliRunner().invoke(app, ["duplex", "--half", "other"])
    assert result.exit_code == 2
    assert "take report or tuning" in result.output
