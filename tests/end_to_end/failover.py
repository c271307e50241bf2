"""A worker killed with two calls on it: `python -m tests.end_to_end.failover [TIMES]` for figures.

One caller is in the middle of an answer, the other one waits for a tool whose effect must not
happen twice. Another worker behind the same address takes both up.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agent.session.embedded import EmbeddedValkey
from connectors.twilio.twin import Speak, Step, Twin, TwinCall, WaitForAgent, WaitForEnd
from connectors.twilio.twin.audio import FRAME_MS, tone
from tests.end_to_end.workers import Balancer, Worker, balancer, workers
from tests.pipeline.realtime_server import CallTool, Say, Script, realtime_server

TALKER, PAYER = "+15550100", "+15550101"
REPLY = 0x30
FIRST_MS, LONG_MS, ANSWER_MS, LAST_MS = 300, 6000, 500, 300
"""How long the model's answers are: before the kill, under it, and two after it."""

LINES = """
lines:
  - number: "+15550100"
    business: Talk
    disclosure: A machine speaks.
    greeting: Hello, this is Talk.
    recording: true
  - number: "+15550101"
    business: Pay
    greeting: Hello, this is Pay.
    tools: [charge_deposit]
"""

PLUGIN = """
import asyncio
from pathlib import Path
from agent.tools.tool import ToolContext, tool

@tool(effect="once", timeout_s=20)
async def charge_deposit(context: ToolContext, amount: str) -> dict[str, str]:
    "Charge a deposit."
    with (context.data_dir / "charges").open("a") as charges:
        charges.write(amount + "\\n")
    while not (context.data_dir / "go").exists():
        await asyncio.sleep(0.05)
    return {"status": "charged"}
"""


@dataclass
class Scene:
    """Everything around two calls. `silences_ms` is filled by `measure`."""

    folder: Path
    front: Balancer
    twin: Twin
    workers: list[Worker]
    talk: Script
    pay: Script
    calls: list[TwinCall] = field(default_factory=list)
    killed_at: list[int] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def let_tools_end(self) -> None:
        (self.data / "go").touch()

    @property
    def charges(self) -> int:
        path = self.data / "charges"
        return len(path.read_text().splitlines()) if path.exists() else 0

    async def until(self, condition: Callable[[], bool], limit_s: float = 30) -> None:
        async with asyncio.timeout(limit_s):
            while not condition():  # noqa: ASYNC110 - other processes have no event here
                await asyncio.sleep(0.02)

    async def calls_under_way(self) -> None:
        """Two calls: one hears a long answer, the other's tool has had its effect."""
        self.calls = [
            await self.twin.place_call(to=PAYER, script=asking(1)),
            await self.twin.place_call(to=TALKER, script=asking(2)),
        ]
        await self.until(lambda: self.charges == 1)
        await self.heard(self.calls[1], FIRST_MS + 1000)

    async def heard(self, call: TwinCall, ms: int) -> None:
        """Wait until a caller has heard so much of the model's answers."""
        await self.until(lambda: heard_ms(call.recorder._agent) >= ms or call.is_over)
        assert not call.is_over, call.timeline.errors()

    async def calls_taken_up(self) -> None:
        """Both callers get what they were waiting for."""
        for call in self.calls:
            await self.heard(call, self.heard_before_ms(call) + ANSWER_MS)

    async def calls_go_on(self) -> None:
        """Both callers ask once more, are answered and hang up."""
        for call in self.calls:
            call.say(Speak(tone(300), "question"))
            await self.heard(call, self.heard_before_ms(call) + ANSWER_MS + LAST_MS)
            call.hang_up()
            await call.wait_ended(30)

    def heard_before_ms(self, call: TwinCall) -> int:
        """How much of the model's answers a caller had heard when the worker was killed."""
        killed_at = self.killed_at[self.calls.index(call)]
        return heard_ms(call.recorder._agent[: killed_at * 160])

    def kill(self, worker: Worker, number: signal.Signals = signal.SIGKILL) -> None:
        self.killed_at = [len(call.recorder._voiced) for call in self.calls]
        worker.signal(number)

    def silences_ms(self) -> list[int]:
        """For each call: how long nothing was heard after the kill."""
        return [
            silence_ms(call, killed_at)
            for call, killed_at in zip(self.calls, self.killed_at, strict=True)
        ]

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with sqlite3.connect(self.data / "calls.db") as log:
            return log.execute(sql).fetchall()


def heard_ms(audio: bytes) -> int:
    """How much of the model's answers is in it; the agent's own recorded words do not count."""
    return audio.count(bytes([REPLY]) * 80) * 10


def silence_ms(call: TwinCall, killed_at: int) -> int:
    """From the last sound of the old worker to the first of the new one."""
    voiced = np.flatnonzero(call.recorder._voiced)
    last = max((int(n) for n in voiced if n < killed_at), default=killed_at)
    for now in (int(n) for n in voiced if n >= killed_at):
        if now - max(last, killed_at) > 15:
            return (now - max(last, killed_at)) * FRAME_MS
        last = now
    raise AssertionError("nothing was heard after the kill")


def asking(questions: int) -> list[Step]:
    """Asks `questions` times, each time after the agent has finished; then waits, also after more."""
    ask: list[Step] = [WaitForAgent(600, 30), Speak(tone(300), "question")]
    return [*(ask * questions), WaitForEnd(120), WaitForEnd(120)]


def scripts() -> tuple[Script, Script]:
    """How the model answers on either line, whichever session it is in."""
    talk = Script(
        words=deque(["when do you open", "and on sundays", "thanks"]),
        answers=deque(
            [
                Say("At nine.", FIRST_MS, REPLY),
                Say("On Sundays we are closed all day.", LONG_MS, REPLY),
                Say("On Sundays we are closed.", ANSWER_MS, REPLY),
                Say("You are welcome.", LAST_MS, REPLY),
            ]
        ),
    )
    pay = Script(
        words=deque(["charge twenty", "is it done"]),
        answers=deque(
            [
                CallTool("charge_deposit", '{"amount": "20"}', "t1"),
                Say("I have to check that.", ANSWER_MS, REPLY),
                CallTool("charge_deposit", '{"amount": "20"}', "t2"),
                Say("I do not know.", LAST_MS, REPLY),
            ]
        ),
    )
    return talk, pay


def install_plugin(folder: Path) -> None:
    """A package with the tool, found on the path as an installed one would be."""
    info = folder / "payments-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "payments.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: payments\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vita_agent.tools]\npayments = payments\n")


@asynccontextmanager
async def scene(folder: Path, names: str = "AB") -> AsyncIterator[Scene]:
    """Two workers, a model server, a carrier and Redis; all calls go to the first worker."""
    talk, pay = scripts()
    (folder / "lines.yaml").write_text(LINES)
    install_plugin(folder / "plugins")

    def choose(instructions: str) -> Script:
        return talk if "Talk" in instructions else pay

    async with (
        EmbeddedValkey(folder) as valkey,
        realtime_server(Script(), choose=choose) as (model_url, _),
        balancer() as front,
        Twin(
            f"{front.url}/twilio/voice", status_url=f"{front.url}/twilio/status", voice="silence"
        ) as twin,
    ):
        settings = {
            "PYTHONPATH": f"{folder / 'plugins'}:{Path(__file__).parents[2]}",
            "VITA_DATA_DIR": str(folder / "data"),
            "VITA_LINES_FILE": str(folder / "lines.yaml"),
            "VITA_REDIS_URL": valkey.url,
            "VITA_MODEL_URL": model_url,
            "VITA_PUBLIC_URL": front.url,
        }
        async with workers(names, folder, settings, twin.url, front) as started:
            yield Scene(folder, front, twin, started, talk, pay)


async def killed(folder: Path) -> tuple[list[int], int, int]:
    """Kill a worker; returns the silences, lost turns of the caller, and effects too many."""
    async with scene(folder) as there:
        await there.calls_under_way()
        there.kill(there.workers[0])
        await there.calls_taken_up()
        await there.calls_go_on()
        await there.workers[1].stop()
        (said,) = there.rows("SELECT count(*) FROM utterances WHERE role = 'caller'")[0]
        return there.silences_ms(), 5 - int(str(said)), there.charges - 1


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    every: list[int] = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            silences, lost, doubled = asyncio.run(killed(Path(folder)))
        every += silences
        print(f"silence heard {silences} ms, turns lost {lost}, effects doubled {doubled}")  # noqa: T201
    middle, longest = int(np.median(every)), max(every)
    print(f"{len(every)} calls: silence median {middle} ms, longest {longest} ms")  # noqa: T201


if __name__ == "__main__":
    main()
