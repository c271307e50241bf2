"""Calls while a store is away: `python -m tests.end_to_end.outage [SECONDS [CALLS]]` for figures.

Callers ask every couple of seconds, on one agent over PostgreSQL and Redis. In the middle a store is
stopped, killed or frozen for a while. Every answer the callers heard has to be in the call log.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString

import numpy as np
import psycopg

from connectors.twilio.twin import Pause, Speak, Step, Twin, TwinCall, WaitForAgent
from connectors.twilio.twin.audio import tone
from tests.end_to_end.workers import Worker, balancer, workers
from tests.pipeline.realtime_server import Say, Script, realtime_server
from tests.stores import Postgres, RedisServer, running_redis

LINE = "+15550100"
LINES = f'lines: [{{number: "{LINE}", business: Talk, greeting: Hello.}}]\n'
SETTLE_S = 60
REPLY, REPLY_MS = 0x30, 400
PIECE = bytes([REPLY]) * 80
"""Ten milliseconds of an answer; the agent's own recorded words hold no such thing."""


@dataclass
class Site:
    """One agent with everything around it."""

    folder: Path
    postgres: Postgres
    database_url: str
    redis: RedisServer
    twin: Twin
    agent: Worker
    scripts: list[Script]
    calls: list[TwinCall] = field(default_factory=list)

    async def call(self, count: int) -> None:
        """So many callers, who ask until `end`."""
        asking: list[Step] = [WaitForAgent(500, 30), Speak(tone(300), "question"), Pause(300)]
        for _ in range(count):
            self.calls.append(await self.twin.place_call(to=LINE, script=asking * 500))
            await asyncio.sleep(0.3)

    async def until(self, condition: Callable[[], bool], limit_s: float = SETTLE_S) -> None:
        async with asyncio.timeout(limit_s):
            while not condition():  # noqa: ASYNC110 - other processes have no event here
                await asyncio.sleep(0.05)

    async def answered(self, turns: int) -> None:
        """Wait until every caller has had so many answers more."""
        want = {call.sid: answers(call) + turns for call in self.calls}
        await self.until(
            lambda: all(answers(call) >= want[call.sid] or call.is_over for call in self.calls)
        )

    async def end(self) -> None:
        """Let every caller hear the answer to what was asked last, and hang up."""
        for call in self.calls:
            steps = call.caller._steps
            steps.clear()
            if not isinstance(call.caller._current, WaitForAgent):
                steps.append(WaitForAgent(300, 30))
        for call in self.calls:
            await call.wait_ended(60)

    async def all_logged(self, calls: int) -> int:
        """Wait until the log holds the end of every call; how many it holds when it never does."""
        logged = -1
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while (logged := await asyncio.to_thread(self.ended)) != calls:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        return logged

    def ended(self) -> int:
        """Calls whose end is in the log."""
        return self._number("SELECT count(*) FROM calls WHERE state = 'ended'")

    def turns_logged(self) -> int:
        """What callers said, as the log has it."""
        return self._number("SELECT count(*) FROM utterances WHERE role = 'caller'")

    def missing_numbers(self) -> int:
        """Gaps in the numbering of the calls' events, which begins at 0 with every writer."""
        return self._number(
            "SELECT coalesce(sum(last + 1 - events), 0) FROM (SELECT max(seq & 1048575) AS last, "
            "count(*) AS events FROM call_events GROUP BY call_id, seq >> 20) AS writers"
        )

    def _number(self, sql: LiteralString) -> int:
        try:
            with psycopg.connect(self.database_url, connect_timeout=2) as db:
                row = db.execute(sql).fetchone()
        except psycopg.OperationalError:
            return -1
        return int(row[0]) if row else -1


@asynccontextmanager
async def site(folder: Path, postgres: Postgres) -> AsyncIterator[Site]:
    """An agent that answers every question with one sentence."""
    (folder / "lines.yaml").write_text(LINES)
    scripts: list[Script] = []

    def new_script(_instructions: str) -> Script:
        script = Script(
            words=deque(["when do you open"] * 500),
            answers=deque([Say("We open at nine.", REPLY_MS, REPLY)] * 500),
        )
        scripts.append(script)
        return script

    with ExitStack() as servers:
        redis = servers.enter_context(running_redis(folder / "redis"))
        url = servers.enter_context(postgres.database())
        async with (
            realtime_server(Script(), choose=new_script) as (model_url, _),
            balancer() as front,
            Twin(
                f"{front.url}/twilio/voice",
                status_url=f"{front.url}/twilio/status",
                voice="silence",
            ) as twin,
        ):
            settings = {
                "VITA_DATA_DIR": str(folder / "data"),
                "VITA_LINES_FILE": str(folder / "lines.yaml"),
                "VITA_REDIS_URL": redis.url,
                "VITA_DATABASE_URL": url,
                "VITA_MODEL_URL": model_url,
                "VITA_PUBLIC_URL": front.url,
            }
            async with workers("A", folder, settings, twin.url, front) as (agent,):
                yield Site(folder, postgres, url, redis, twin, agent, scripts)


@dataclass(frozen=True)
class Figures:
    """What an outage came to."""

    calls: int
    affected: int
    turns: int
    lost: int
    delay_before_ms: int
    delay_during_ms: int

    def __str__(self) -> str:
        return (
            f"{self.calls} calls, {self.affected} affected; {self.turns} turns, {self.lost} rows lost; "
            f"answer after {self.delay_before_ms} ms before, {self.delay_during_ms} ms with the outage "
            "(95th percentile)"
        )


def answers(call: TwinCall) -> int:
    """How many answers a caller has heard to their end."""
    return call.recorder._agent.count(PIECE) * len(PIECE) // (REPLY_MS * 8)


def second_verbs(call: TwinCall) -> list[str]:
    """What the carrier was told to do after the first media stream: nothing, if all went well."""
    return [detail["name"] for detail in call.timeline.of("verb")][1:]


async def measure(there: Site, before: list[int]) -> Figures:
    """The figures once all calls have ended."""
    delays = [ms for call in there.calls for ms in call.heard.answer_delays_ms]
    affected = [call for call in there.calls if call.gave_up or second_verbs(call)]
    logged = await there.all_logged(len(there.calls))
    return Figures(
        calls=len(there.calls),
        affected=len(affected),
        turns=sum(answers(call) for call in there.calls),
        lost=there.missing_numbers() + len(there.calls) - logged,
        delay_before_ms=int(np.percentile(before, 95)),
        delay_during_ms=int(np.percentile(delays, 95)),
    )


@asynccontextmanager
async def away(there: Site, what: str) -> AsyncIterator[None]:
    """Take a store away for the length of a block: `database`, `redis-killed` or `redis-frozen`."""
    if what == "database":
        await asyncio.to_thread(there.postgres.stop)
        yield
        await asyncio.to_thread(there.postgres.start)
    elif what == "redis-killed":
        there.redis.kill()
        yield
        await asyncio.to_thread(there.redis.start)
    else:
        with there.redis.frozen():
            yield


async def outage(there: Site, what: str, seconds: float, calls: int) -> Figures:
    """Run calls through one outage, with a few turns before and after it."""
    await there.call(calls)
    await there.answered(2)
    before = [ms for call in there.calls for ms in call.heard.answer_delays_ms]
    async with away(there, what):
        await asyncio.sleep(seconds)
    await there.answered(2)
    await there.end()
    return await measure(there, before)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    calls = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    postgres = Postgres(Path(tempfile.mkdtemp(prefix="vita-pg-")))
    postgres.start()
    try:
        for what, length in (("database", seconds), ("redis-killed", 10), ("redis-frozen", 20)):
            made = asyncio.run(_once(postgres, what, min(length, seconds), calls))
            print(f"{what} for {min(length, seconds):g} s: {made}", flush=True)  # noqa: T201
    finally:
        postgres.stop()


async def _once(postgres: Postgres, what: str, seconds: float, calls: int) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        async with site(Path(folder), postgres) as there:
            return await outage(there, what, seconds, calls)


if __name__ == "__main__":
    main()
