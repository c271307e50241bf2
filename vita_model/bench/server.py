"""How fast a model server answers over real sockets: `vita bench server`.

The server is a process of its own, held to one core or to two. CPU time is that process's own, user
and system, in steps of the kernel's clock (10 ms); wall time stands beside it.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from vita_model.bench import found as names
from vita_model.bench.found import Cut, Found, Latency, Level
from vita_model.bench.served import Served, Start
from vita_model.bench.talker import (
    BY_SERVER,
    BYTES_PER_S,
    BenchError,
    Spoken,
    Talker,
    talker,
)

PARTS = ("one-core", "two-cores", "sessions", "interruption")
TURN_S = 3.0
"""Conversations begin within this time, so that they do not ask at one moment."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: Times every question is asked.
        short_s: Seconds of speech in a short turn.
        long_s: In a long one.
        levels: Numbers of sessions at once.
        stretch_s: How long a level of conversations goes on.
        cuts: Interruptions of each kind.
        beside: Numbers of other sessions during them.
        pace: As `Talker`.
    """

    rounds: int = 2
    short_s: float = 1.0
    long_s: float = 10.0
    levels: tuple[int, ...] = (1, 2, 4, 8, 12, 16)
    stretch_s: float = 20.0
    cuts: int = 10
    beside: tuple[int, ...] = (0, 4)
    pace: float = 1.0

    @property
    def most_sessions(self) -> int:
        """Sessions open at once."""
        return max(*self.levels, *self.beside) + 1


QUICK = Plan(rounds=1, long_s=3.0, levels=(1, 2), stretch_s=4.0, cuts=1, beside=(0,))

Step = Callable[[str], object]
"""Told what comes next."""


async def measure(
    questions: Sequence[bytes],
    plan: Plan,
    start: Start,
    parts: Sequence[str] = PARTS,
    step: Step = lambda _: None,
) -> Found:
    """Start servers and measure them.

    Args:
        questions: Recorded, PCM of 16 bits at 24 kHz.
        plan: How much.
        start: Starts a server.
        parts: What, of `PARTS`.
        step: Told what comes next.

    Raises:
        BenchError: A server did not start or refused something.
    """
    found = Found()
    if "one-core" in parts:
        step("starting the server on one core")
        async with start(1) as served:
            found.latencies.extend(await _latencies(1, served, questions, plan, step))
    if not {*parts} - {"one-core"}:
        return found
    step("starting the server on two cores")
    async with start(2) as served:
        if "two-cores" in parts:
            found.latencies.extend(await _latencies(2, served, questions, plan, step))
        if "sessions" in parts:
            found.levels.extend(await _levels(served, questions, plan, step))
        if "interruption" in parts:
            found.cuts.extend(await _cuts(served, questions, plan, step))
    return found


def repeated(sound: bytes, seconds: float) -> bytes:
    """The end of a recording that is said again and again: so long, with its last word at the end."""
    size = int(seconds * BYTES_PER_S) // 2 * 2
    return (sound * math.ceil(size / len(sound)))[-size:]


# One caller ---------------------------------------------------------------------------------


async def _latencies(
    cores: int, served: Served, questions: Sequence[bytes], plan: Plan, step: Step
) -> list[Latency]:
    whole, short, long, openly = [list[Spoken]() for _ in range(4)]
    for number in range(plan.rounds):
        step(f"{cores} core(s): a call, round {number + 1} of {plan.rounds}")
        async with _talkers(1, served, plan) as (one,):
            for question in questions:
                whole.append(await one.ask(question))
        async with _talkers(1, served, plan) as (one,):
            await one.turns_end(BY_SERVER)
            for question in questions[: -(-len(questions) // 2)]:
                openly.append(await one.ask_openly(question))
        step(f"{cores} core(s): long turns beside short ones")
        async with _talkers(1, served, plan) as (one,):
            for question in questions[:3]:  # in turns, so that both meet the same machine
                short.append(await one.ask(repeated(question, plan.short_s)))
                long.append(await one.ask(repeated(question, plan.long_s)))
    return [
        _latency(cores, names.WHOLE, whole),
        _latency(cores, names.DECIDED, openly),
        _latency(cores, names.OPEN, openly, since_last_word=True),
        _latency(cores, names.SHORT, short),
        _latency(cores, names.LONG, long),
    ]


def _latency(
    cores: int, case: str, answers: Sequence[Spoken], *, since_last_word: bool = False
) -> Latency:
    heard = _aloud(answers)
    firsts = [(each.first + since_last_word * each.wait) * 1e3 for each in heard]
    return Latency(
        cores=cores,
        case=case,
        turns=len(heard),
        p50=statistics.median(firsts),
        p95=_p95(firsts),
        cpu=statistics.median(each.cpu * 1e3 for each in heard),
    )


# Many callers -------------------------------------------------------------------------------


async def _levels(
    served: Served, questions: Sequence[bytes], plan: Plan, step: Step
) -> list[Level]:
    found: list[Level] = []
    for way in (names.AT_ONCE, names.CONVERSING):
        one = 0.0
        for sessions in plan.levels:
            step(f"{sessions} session(s) {way}")
            async with _talkers(sessions, served, plan) as talkers:
                wall, cpu = time.perf_counter(), served.spent()
                if way == names.AT_ONCE:
                    answers, speed = await _ask_at_once(talkers, questions[:3])
                else:
                    answers, speed = await _converse(talkers, questions, plan.stretch_s)
                cores = (served.spent() - cpu) / (time.perf_counter() - wall)
            one = one or speed / sessions
            found.append(_level(way, answers, speed, speed / sessions / one, cores))
    return found


def _level(
    way: str, answers: list[list[Spoken]], speed: float, scaling: float, cores: float
) -> Level:
    """Figures of one level; `answers` are those of every session."""
    heard = [_aloud(each) for each in answers]
    every = [answer for each in heard for answer in each]
    firsts = [answer.first * 1e3 for answer in every]
    return Level(
        way=way,
        sessions=len(answers),
        answers=len(every),
        first=statistics.median(firsts),
        first_p95=_p95(firsts),
        real_time=min(sum(a.seconds for a in each) / sum(a.closed for a in each) for each in heard),
        speed=speed,
        scaling=scaling,
        gaps=sum(a.gaps for a in every) / sum(a.seconds for a in every),
        cpu=cores,
    )


@asynccontextmanager
async def _talkers(count: int, served: Served, plan: Plan) -> AsyncIterator[list[Talker]]:
    """Sessions that have read their instructions."""
    async with AsyncExitStack() as stack:
        found = [
            await stack.enter_async_context(talker(served.address, served.spent, plan.pace))
            for _ in range(count)
        ]
        await asyncio.sleep(min(1.0, 0.1 * count) / plan.pace)
        yield found


async def _ask_at_once(
    talkers: Sequence[Talker], questions: Sequence[bytes]
) -> tuple[list[list[Spoken]], float]:
    """Every question by all at one moment; the next one when all have been answered."""
    answers: list[list[Spoken]] = [[] for _ in talkers]
    begin = time.perf_counter()
    for question in questions:
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(each.ask(question, live=False), name="ask") for each in talkers
            ]
        for mine, task in zip(answers, asked, strict=True):
            mine.append(task.result())
    wall = time.perf_counter() - begin
    return answers, sum(answer.seconds for each in answers for answer in each) / wall


async def _converse(
    talkers: Sequence[Talker], questions: Sequence[bytes], seconds: float
) -> tuple[list[list[Spoken]], float]:
    """Each asks, listens until the answer has been played, and asks again."""
    async with asyncio.TaskGroup() as group:
        talks = [
            group.create_task(
                _talk(each, questions, number, TURN_S * number / len(talkers), seconds),
                name="talk",
            )
            for number, each in enumerate(talkers)
        ]
    found = [task.result() for task in talks]
    speed = sum(sum(a.seconds for a in answers) / took for answers, took in found)
    return [answers for answers, _ in found], speed


async def _talk(
    one: Talker, questions: Sequence[bytes], first: int, delay: float, seconds: float
) -> tuple[list[Spoken], float]:
    """Answers of one conversation, and how long it took."""
    await asyncio.sleep(delay)
    begin = time.perf_counter()
    answers: list[Spoken] = []
    while time.perf_counter() - begin < seconds:
        answer = await one.ask(questions[(first + len(answers)) % len(questions)])
        answers.append(answer)
        await asyncio.sleep(max(0.0, answer.played - answer.closed))
    return answers, time.perf_counter() - begin


# Interruption -------------------------------------------------------------------------------


async def _cuts(served: Served, questions: Sequence[bytes], plan: Plan, step: Step) -> list[Cut]:
    found: list[Cut] = []
    for beside in plan.beside:
        step(f"interruptions beside {beside} session(s)")
        cancelled, over = list[float | None](), list[float | None]()
        async with (
            _talkers(beside + 1, served, plan) as (one, *others),
            asyncio.TaskGroup() as group,
        ):
            talks = [
                group.create_task(_talk(each, questions, n, 0.0, math.inf), name="talk")
                for n, each in enumerate(others)
            ]
            for number in range(plan.cuts):
                question = questions[number % len(questions)]
                cancelled.append(await one.cancel(question))
                over.append(await one.talk_over(question))
            for talk in talks:
                talk.cancel()
        for way, times in (("the client cancels", cancelled), ("the caller speaks", over)):
            found.append(Cut(way, beside, [late * 1e3 for late in times if late is not None]))
    return found


def _aloud(answers: Sequence[Spoken]) -> list[Spoken]:
    heard = [answer for answer in answers if answer.arrivals]
    if not heard:
        raise BenchError("No question was answered aloud; give other recordings.")
    return heard


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]
