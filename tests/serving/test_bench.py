"""`vita bench server` against a scripted model: every figure is there, and parts can be joined."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli.bench import app
from tests.serving.conftest import Start
from tests.serving.scripted_model import QUERY, spoken
from vita_model.bench import found as figures
from vita_model.bench.found import AT_ONCE, CONVERSING, Found, Level
from vita_model.bench.served import Served
from vita_model.bench.server import Plan, measure, repeated
from vita_model.bench.server_report import as_markdown, draw
from vita_model.bench.talker import playing
from vita_model.engine.voice import ReplyEvent

pytestmark = pytest.mark.integration

PLAN = Plan(rounds=1, long_s=2.0, levels=(1, 2), stretch_s=0.3, cuts=1, beside=(0, 1), pace=20.0)


async def test_everything_is_measured_over_a_socket(
    start: Start, question: bytes, tmp_path: Path
) -> None:
    cores, endless = list[int](), list[list[ReplyEvent]]()

    @asynccontextmanager
    async def served(count: int) -> AsyncIterator[Served]:
        cores.append(count)
        async with start(max_sessions=PLAN.most_sessions) as running:
            running.model.replies.extend(endless)
            yield Served(f"ws://{running.address}/v1/realtime?model=x", time.process_time)

    said = question[:-48_000]  # its last second is silence
    first = await measure([said], PLAN, served, ["one-core"])
    rest = await measure([said], PLAN, served, ["sessions"])
    endless = [[QUERY, *spoken("I could go on and on.")]] * 2
    cuts = await measure([said], PLAN, served, ["interruption"])
    assert cores == [1, 2, 2]
    assert all(len(cut.times) == 1 for cut in cuts.cuts if not cut.beside)
    file = tmp_path / "figures.json"
    figures.write(cuts.beside(rest.beside(first)), file)
    found = figures.read(file)
    assert len(found.latencies) == 5
    assert found.ratio(1) is not None
    assert [(row.way, row.sessions) for row in found.levels] == [
        (AT_ONCE, 1),
        (AT_ONCE, 2),
        (CONVERSING, 1),
        (CONVERSING, 2),
    ]
    assert [(cut.way, cut.beside) for cut in found.cuts] == [
        ("the client cancels", 0),
        ("the caller speaks", 0),
        ("the client cancels", 1),
        ("the caller speaks", 1),
    ]
    assert as_markdown(found).count("|---") > 3
    draw(found, tmp_path / "figures.png")
    assert (tmp_path / "figures.png").read_bytes().startswith(b"\x89PNG")


def test_silence_inside_an_answer_is_what_a_listener_waits_for() -> None:
    assert playing([(1.0, 0.5), (1.2, 0.5), (2.5, 0.5)]) == (0.5, 3.0)
    assert playing([]) == (0.0, 0.0)


def test_a_repeated_question_ends_with_its_last_word() -> None:
    sound = bytes(range(100)) * 960
    long = repeated(sound, 5.0)
    assert len(long) == 5 * 48_000
    assert long.endswith(sound)


def test_the_knee_is_where_gaps_begin() -> None:
    def level(sessions: int, gaps: float) -> Level:
        return Level(CONVERSING, sessions, 3, 100.0, 120.0, 2.0, 1.0, 1.0, gaps, 0.5)

    found = Found(levels=[level(1, 0.0), level(2, 0.005), level(4, 0.2), level(8, 0.0)])
    assert found.knee(CONVERSING) == 2
    assert found.knee(AT_ONCE) == 0


def test_what_cannot_be_measured_is_one_sentence(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["server", "--parts", "ears"])
    assert found.exit_code == 2
    assert "interruption" in found.stderr
    file = tmp_path / "other.json"
    file.write_text("{}")
    found = CliRunner().invoke(app, ["server", "--out", str(file)])
    assert found.exit_code == 2
    assert str(file) in found.stderr
