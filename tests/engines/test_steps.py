"""What one step of the torch engine does: how much, for whom, and when it stops."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engines import small
from vita_model.engine import torch_engine
from vita_model.engine.grammar import Grammars
from vita_model.engine.guesses import MOST, Guesses
from vita_model.engine.job import Cancelled, Job, Prompt
from vita_model.engine.language import LanguageModel, Segment
from vita_model.engine.packed import qwen2_weights
from vita_model.engine.scheduler import IDLE, NORMAL
from vita_model.engine.torch_engine import AHEAD_ROWS, ALONE_ROWS, BESIDE_ROWS, TorchEngine
from vita_model.engine.voice import Call, State, Text

pytestmark = pytest.mark.unit


class Counting(LanguageModel):
    """Notes how many rows every pass has."""

    passes: list[int]

    def step(self, segments: Sequence[Segment]) -> Tensor:
        self.passes.append(sum(len(segment.rows) for segment in segments))
        return super().step(segments)


@dataclass
class Asked:
    """A job and what has come of it."""

    job: Job
    events: list[State | Text | Call]
    ends: list[BaseException | None]
    left: Event

    @property
    def text(self) -> str:
        return "".join(event.delta for event in self.events if isinstance(event, Text))


class Steps:
    """An engine that is stepped by hand."""

    def __init__(self, model: Counting) -> None:
        self.passes = model.passes = []
        self.engine = TorchEngine(
            model,
            small.tokenizer(),
            states=small.states(),
            marks=small.marks(),
            constraints=Grammars(small.tokenizer(), small.marks()).constraint,
        )

    def ask(self, session: str, rows: int, limit: int = 400) -> Asked:
        prompt = Prompt(self.names(rows), {}, ("query",))
        return self._submit(session, prompt, limit=limit)

    def ahead(self, session: str, names: list[Hashable], least: int = 1) -> Asked:
        """A prompt that is computed ahead."""
        return self._submit(session, Prompt(names, {}), ahead=True, least=least)

    def names(self, rows: int) -> list[Hashable]:
        """So many tokens, of each number the same."""
        torch.manual_seed(rows)
        return [*torch.randint(0, 250, (rows,)).tolist()]

    def _submit(self, session: str, prompt: Prompt, **plan: Any) -> Asked:
        events, ends, left = list[State | Text | Call](), list[BaseException | None](), Event()
        job = Job(session, prompt, events.append, ends.append, left.is_set, **plan)
        self.engine.submit(job)
        return Asked(job, events, ends, left)

    def step(self) -> int:
        """One step; gives the rows it computed."""
        before = len(self.passes)
        self.engine.step()
        return sum(self.passes[before:])

    def until_end(self, asked: Asked) -> int:
        steps = 0
        while not asked.ends:
            self.step()
            steps += 1
        return steps


@pytest.fixture(scope="module")
def model() -> Counting:
    return Counting(qwen2_weights(small.model()))


@pytest.fixture
def steps(model: Counting) -> Iterator[Steps]:
    found = Steps(model)
    yield found
    found.engine.fail(RuntimeError("over"))


def test_a_long_prompt_holds_up_no_answer(steps: Steps) -> None:
    writers = [steps.ask(name, 20) for name in "abc"]
    steps.step()
    assert all(writer.events for writer in writers)
    long = steps.ask("long", 600)
    while not long.events:
        before = [writer.job.usage.output_tokens for writer in writers]
        rows = steps.step()
        written = [writer.job.usage.output_tokens for writer in writers]
        assert all(now > then for now, then in zip(written, before, strict=True))
        assert rows <= BESIDE_ROWS + len(writers) * (1 + MOST) + 1
    assert not any(writer.ends for writer in writers)


def test_a_short_prompt_waits_a_step_or_two_for_long_ones(steps: Steps) -> None:
    long = [steps.ask(name, 600) for name in "ab"]
    steps.step()
    short = steps.ask("short", 20)
    taken = 0
    while not short.events:
        assert steps.step() <= ALONE_ROWS + 3
        taken += 1
    assert taken <= 3
    assert not any(each.events for each in long)


def test_long_prompts_are_read_in_turns(steps: Steps) -> None:
    first, second = steps.ask("first", 600), steps.ask("second", 500)
    while not second.events:
        steps.step()
    assert len(first.job.pending) <= ALONE_ROWS


def test_what_is_cancelled_is_gone_after_a_step(steps: Steps) -> None:
    writer, reader, other = steps.ask("w", 20), steps.ask("r", 600), steps.ask("o", 30)
    while not other.events:
        steps.step()
    late = steps.ask("late", 20)
    for asked in (writer, reader, late):
        asked.left.set()
    told = len(writer.events)
    before = other.job.usage.output_tokens
    assert steps.step() <= 1 + MOST
    for asked in (writer, reader, late):
        assert len(asked.ends) == 1
        assert isinstance(asked.ends[0], Cancelled)
    assert len(writer.events) == told
    assert other.job.usage.output_tokens > before
    assert steps.engine.stats().replies == 1


def test_what_is_computed_ahead_holds_up_nobody(steps: Steps) -> None:
    ahead = steps.ahead("ahead", steps.names(600))
    assert steps.engine.urgency() == IDLE
    assert steps.step() == AHEAD_ROWS
    long = steps.ask("long", 500, limit=30)
    assert steps.engine.urgency() == NORMAL
    left = len(ahead.job.pending)
    assert steps.step() == ALONE_ROWS
    while not long.ends:
        steps.step()
    assert len(ahead.job.pending) == left
    assert steps.engine.urgency() == IDLE
    steps.until_end(ahead)
    assert ahead.ends == [None]
    assert steps.engine.urgency() is None


def test_what_is_computed_ahead_gives_way_to_the_sessions_next_answer(steps: Steps) -> None:
    plain = steps.ask("plain", 600, limit=9)
    steps.until_end(plain)
    ahead = steps.ahead("same", steps.names(600)[:590])
    steps.step()
    asked = steps.ask("same", 600, limit=9)
    steps.step()
    assert [type(end) for end in ahead.ends] == [Cancelled]
    assert asked.job.usage.cached_tokens == AHEAD_ROWS
    steps.until_end(asked)
    assert asked.text == plain.text


def test_what_is_computed_ahead_waits_for_the_sessions_answer_before_it(steps: Steps) -> None:
    asked = steps.ask("same", 200, limit=9)
    ahead = steps.ahead("same", steps.names(300))
    steps.until_end(asked)
    assert asked.ends == [None]
    assert not ahead.ends
    steps.until_end(ahead)
    assert ahead.ends == [None]


def test_too_few_rows_are_not_computed_ahead_and_nothing_is_forgotten(steps: Steps) -> None:
    asked = steps.ask("same", 100, limit=9)
    steps.until_end(asked)
    assert asked.job.cache is not None
    kept = list(asked.job.cache.rows)
    ahead = steps.ahead("same", [*steps.names(100)[:90], *range(15)], least=16)
    assert steps.step() == 0
    assert ahead.ends == [None]
    assert asked.job.cache.rows == kept


class Oracle(Guesses):
    """Knows the answer, or says the opposite."""

    answer: Sequence[int] = ()
    lies = False

    def next(self, most: int) -> list[int]:
        done = len(self._names) - Oracle.begin
        right = [*self.answer[done : done + min(most, MOST)]]
        return [249 - token for token in right] if self.lies else right

    begin = 0


def test_guesses_change_steps_and_not_answers(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_engine, "Guesses", Oracle)
    plain = steps.ask("plain", 40, limit=25)
    alone = steps.until_end(plain)
    cache = plain.job.cache
    assert cache is not None
    names = [name for name in cache.rows if isinstance(name, int)]
    Oracle.begin, Oracle.answer = 40, names[40:]
    for lies in (False, True):
        Oracle.lies = lies
        asked = steps.ask(f"{lies}", 40, limit=25)
        taken = steps.until_end(asked)
        assert asked.text == plain.text
        assert asked.job.usage.output_tokens == plain.job.usage.output_tokens
        assert asked.job.cache is not None
        assert asked.job.cache.rows == cache.rows
        assert taken == alone if lies else taken <= alone // MOST + 1


def test_what_stood_after_the_same_two_tokens_is_guessed() -> None:
    guesses = Guesses([1, 2, 3, 4, 5, ("heard", 0), 2, 3])
    assert guesses.next(2) == [4, 5]
    assert guesses.next(8) == [4, 5]
    guesses.wrote([9])
    assert guesses.next(8) == []
    guesses.wrote([2, 3])
    assert guesses.next(8) == [9, 2, 3]
    assert Guesses([]).next(8) == []
    assert Guesses([7, 7]).next(8) == []


def test_after_bad_luck_less_is_guessed() -> None:
    guesses = Guesses([1, 2, 3, 4, 5, 6, 1, 2])
    guesses.judged(4, 0)
    assert guesses.next(8) == [3]
    guesses.judged(1, 1)
    assert guesses.next(8) == [3, 4]
