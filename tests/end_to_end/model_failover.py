"""One of two model servers gone under calls: `python -m tests.end_to_end.model_failover [TIMES] [CALLS]`.

Six callers talk with one agent. Half of the calls are on each of two model servers, processes of
their own. The answers are long and come in real time, so the end of a server breaks some off in the middle.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from agent.models.load import http_address
from agent.session.embedded import EmbeddedValkey
from connectors.twilio.twin import Speak, Step, Twin, TwinCall, WaitForAgent, WaitForEnd
from connectors.twilio.twin.audio import FRAME_MS
from tests.end_to_end.running import ROOT, background
from tests.end_to_end.workers import balancer, workers

LINE = "+15550100"
LINES = f'lines: [{{number: "{LINE}", business: Talk, greeting: Hello.}}]\n'
ANSWER = "Here is a long answer with many words so that it takes some time to say it all."
GREETING_MS = 250
QUESTION = ROOT / "tests" / "serving" / "question.flac"


@dataclass
class Site:
    """One agent, two model servers, and callers."""

    twin: Twin
    models: list[tuple[str, subprocess.Popen[str]]]
    log: Path
    calls: list[TwinCall] = field(default_factory=list)
    killed_at: list[int] = field(default_factory=list)

    async def call(self, count: int) -> None:
        """So many callers, each of whom is hearing the answer to a question."""
        for _ in range(count):
            script: list[Step] = [WaitForAgent(600, 60), Speak.file(QUESTION)]
            script += [WaitForEnd(120), WaitForEnd(120)]
            self.calls.append(await self.twin.place_call(to=LINE, script=script))
        for call in self.calls:
            await self.heard(call, 0, GREETING_MS + 600)

    async def heard(self, call: TwinCall, since: int, ms: int) -> None:
        """Wait until a caller has heard so much of the agent since a frame."""
        async with asyncio.timeout(60):
            while voiced_ms(call, since) < ms:
                assert not call.is_over, call.timeline.errors()
                await asyncio.sleep(0.02)

    async def active(self) -> list[int]:
        """Sessions on each server; -1 for one that is gone."""
        found = []
        async with httpx.AsyncClient(trust_env=False) as client:
            for url, process in self.models:
                if process.poll() is not None:
                    found.append(-1)
                    continue
                answer = await client.get(http_address(url, "/load"))
                found.append(int(answer.json()["active"]))
        return found

    async def spread(self, wanted: list[int]) -> None:
        """Wait until the sessions lie on the servers like this."""
        async with asyncio.timeout(60):
            while await self.active() != wanted:  # noqa: ASYNC110 - the servers tell when asked
                await asyncio.sleep(0.1)

    def end_server(self, number: int, how: signal.Signals) -> None:
        self.killed_at = [len(call.recorder._voiced) for call in self.calls]
        self.models[number][1].send_signal(how)

    async def go_on(self) -> None:
        """Every caller hears an answer to its end, then the answer to another question."""
        for call, killed_at in zip(self.calls, self.killed_at, strict=True):
            await self.heard(call, killed_at, 1000)
        for call in self.calls:
            async with asyncio.timeout(60):
                while any(call.recorder._voiced[-50:]):  # noqa: ASYNC110 - the twin has no event
                    await asyncio.sleep(0.1)
            asked = len(call.recorder._voiced)
            call.say(Speak.file(QUESTION))
            await self.heard(call, asked, 600)

    async def end(self) -> None:
        for call in self.calls:
            call.hang_up()
            await call.wait_ended(30)

    def silences_ms(self) -> list[int]:
        """For each call: the longest silence in the five seconds after the kill."""
        found = []
        for call, killed_at in zip(self.calls, self.killed_at, strict=True):
            after = np.flatnonzero(np.array(call.recorder._voiced[killed_at : killed_at + 250]))
            gaps = np.diff(np.concatenate(([-1], after))) - 1
            found.append(int(gaps.max(initial=0)) * FRAME_MS if len(after) else 5000)
        return found


def voiced_ms(call: TwinCall, since: int) -> int:
    return sum(map(bool, call.recorder._voiced[since:])) * FRAME_MS


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    """An agent process, two processes of model servers, a carrier and Redis."""
    (folder / "lines.yaml").write_text(LINES)
    program = [sys.executable, "-m", "tests.end_to_end.scripted_server", ANSWER, "0.25"]
    async with (
        EmbeddedValkey(folder) as valkey,
        balancer() as front,
        Twin(
            f"{front.url}/twilio/voice", status_url=f"{front.url}/twilio/status", voice="silence"
        ) as twin,
        AsyncExitStack() as stack,
    ):
        models = []
        for _ in range(2):
            line, process = stack.enter_context(background(program, "ws://"))
            models.append((line[line.index("ws://") :].strip(), process))
        settings = {
            "PYTHONPATH": str(ROOT),
            "VITA_DATA_DIR": str(folder / "data"),
            "VITA_LINES_FILE": str(folder / "lines.yaml"),
            "VITA_REDIS_URL": valkey.url,
            "VITA_MODEL_URL": ",".join(url for url, _ in models),
            "VITA_PUBLIC_URL": front.url,
        }
        (agent,) = await stack.enter_async_context(workers("A", folder, settings, twin.url, front))
        there = Site(twin, models, agent.log)
        # Before the servers have been looked at, calls are not spread.
        async with asyncio.timeout(30):
            while agent.log.read_text().count("model_server") < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield there


async def ended(folder: Path, calls: int, how: signal.Signals) -> tuple[list[int], int | None]:
    """End a server under calls, which go on with the other one.

    Returns:
        The silences, and what the process ended with.
    """
    async with site(folder) as there:
        await there.call(calls)
        await there.spread([calls // 2, calls - calls // 2])
        there.end_server(0, how)
        await there.go_on()
        await there.spread([-1, calls])
        await there.end()
        return there.silences_ms(), there.models[0][1].returncode


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    calls = int(sys.argv[2]) if len(sys.argv) > 2 else 6
    every: list[int] = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            silences, _ = asyncio.run(ended(Path(folder), calls, signal.SIGKILL))
        every += silences
        print(f"silence heard {silences} ms", flush=True)  # noqa: T201
    print(f"{len(every)} calls: median {int(np.median(every))} ms, longest {max(every)} ms")  # noqa: T201


if __name__ == "__main__":
    main()
