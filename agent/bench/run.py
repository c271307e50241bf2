"""Runs the measurement: processes, levels of load, figures."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from agent.bench.caller import BenchError, Caller, agents_line, echos_line
from agent.demo.part import stop_process
from agent.settings import environment_for
from connectors.server import listen
from connectors.twilio.config import VOICE_PATH

NUMBER = "+15550100"
START_LIMIT_S = 60.0
WARM_UP_S = 8.0
STAGGER_S = 0.1

_LINES = f"""
lines:
  - number: "{NUMBER}"
    business: Brightside Dental
    greeting: Hello.
    recording: true
    reprompt_after_s: 0
    max_duration_s: 3600
"""

OpenLine = Callable[[Caller], AbstractAsyncContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Level:
    """What was measured at one number of calls.

    Attributes:
        what: `agent` or `bare Pipecat echo`.
        calls: Calls at a time, all of them talking.
        seconds: Length of the measured stretch.
        cpu_per_call: Cores of process CPU time per call.
        missed_share: Share of 20 ms frames that came too late to be played without a gap.
        overhead_p50_ms: Everything but the model and the silence that ends a turn, per turn; the
            echo has no turns.
        overhead_p95_ms: The same, 95th percentile.
        turns: Turns measured.
        rss_mib: Resident memory of the process at the end.
    """

    what: str
    calls: int
    seconds: float
    cpu_per_call: float
    missed_share: float
    overhead_p50_ms: float | None
    overhead_p95_ms: float | None
    turns: int
    rss_mib: float


@dataclass(frozen=True, slots=True)
class Child:
    """A process that has printed its address."""

    process: asyncio.subprocess.Process
    address: str


@asynccontextmanager
async def child(module: str, *, log: Path) -> AsyncIterator[Child]:
    """Start a Python module that prints its address first; stop it when the block is left.

    Raises:
        BenchError: It ended, or printed nothing in time.
    """
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=1 << 26,
        )
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        async with asyncio.timeout(START_LIMIT_S):
            address = (await process.stdout.readline()).decode().strip()
        if not address:
            raise BenchError(f"{module} did not start: see {log}.")
        yield Child(process, address)
    finally:
        await stop_process(process)


@asynccontextmanager
async def agent_process(model_url: str, folder: Path) -> AsyncIterator[tuple[int, str]]:
    """`vita serve` with everything embedded; yields its process id and its voice webhook."""
    lines = folder / "lines.yaml"
    lines.write_text(_LINES)
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    options = [
        *("serve", "--port", str(port), "--lines", str(lines), "--model-url", model_url),
        *("--twin", "http://127.0.0.1:9", "--drain-s", "0"),
    ]
    environment = environment_for(
        data_dir=folder / "data", max_calls="500", log_format="json", log_level="WARNING"
    )
    log = folder / "agent.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from agent.cli.main import app; app()",
            *options,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        await _until_open(port, process, log)
        yield process.pid, f"http://127.0.0.1:{port}{VOICE_PATH}"
    finally:
        await stop_process(process)


async def measure(
    levels: Sequence[int], seconds: float, *, step: Callable[[str], None]
) -> list[Level]:
    """Measure the agent and the bare echo at every level, alternating.

    Args:
        levels: Numbers of calls at a time.
        seconds: Length of each measured stretch.
        step: Told what is being measured.

    Raises:
        BenchError: A process did not start.
    """
    found: list[Level] = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vita-bench-")))
        for calls in levels:
            step(f"{calls} calls, agent")
            found.append(await _measure_agent(calls, seconds, folder))
            step(f"{calls} calls, bare Pipecat echo")
            found.append(await _measure_echo(calls, seconds, folder))
    return found


async def _measure_agent(calls: int, seconds: float, folder: Path) -> Level:
    async with child("agent.bench.model", log=folder / "model.log") as model:
        place = folder / f"agent-{calls}"
        place.mkdir()
        async with agent_process(model.address, place) as (pid, voice_url):

            def line(caller: Caller) -> AbstractAsyncContextManager[Any]:
                return agents_line(voice_url, NUMBER, caller)

            callers, cpu, rss = await _load(line, calls, seconds, pid, takes_turns=True)
        output, _ = await model.process.communicate(b"")
    overheads = _overheads(callers, json.loads(output))
    return _level("agent", callers=callers, seconds=seconds, cpu=cpu, rss=rss, overheads=overheads)


async def _measure_echo(calls: int, seconds: float, folder: Path) -> Level:
    async with child("agent.bench.echo", log=folder / "echo.log") as echo:

        def line(caller: Caller) -> AbstractAsyncContextManager[Any]:
            return echos_line(echo.address, caller)

        callers, cpu, rss = await _load(line, calls, seconds, echo.process.pid, takes_turns=False)
    return _level(
        "bare Pipecat echo", callers=callers, seconds=seconds, cpu=cpu, rss=rss, overheads=[]
    )


async def _load(
    line: OpenLine, calls: int, seconds: float, pid: int, *, takes_turns: bool
) -> tuple[list[Caller], float, float]:
    """Let callers talk; returns them, the CPU seconds of the process and its memory in MiB."""
    callers = [Caller(number, takes_turns=takes_turns) for number in range(calls)]
    process = psutil.Process(pid)

    async def call(number: int, caller: Caller) -> None:
        await asyncio.sleep(number * STAGGER_S)
        async with line(caller) as (socket, start):
            await caller.talk(socket, start)

    async with asyncio.TaskGroup() as group:
        talking = [
            group.create_task(call(number, caller), name=f"caller.{number}")
            for number, caller in enumerate(callers)
        ]
        await asyncio.sleep(WARM_UP_S + calls * STAGGER_S)
        before = process.cpu_times()
        for caller in callers:
            caller.counting = True
        await asyncio.sleep(seconds)
        after = process.cpu_times()
        rss = process.memory_info().rss / 2**20
        for caller in callers:
            caller.counting = False
        for task in talking:
            task.cancel()
    return callers, after.user + after.system - before.user - before.system, rss


def _overheads(callers: Sequence[Caller], told: Sequence[dict[str, float]]) -> list[float]:
    """Seconds per turn between caller and model, both ways together.

    The way in ends where the model has the caller's last sound; the way out begins where the model
    sends its first.
    """
    overheads = []
    for number, caller in enumerate(callers):
        model = [turn for turn in told if turn["caller"] == number and "answered_at" in turn]
        for turn in caller.heard.turns:
            own = [m for m in model if turn["spoke_at"] - 1 < m["heard_at"] < turn["heard_at"]]
            if own:
                way_in = max(own[-1]["heard_at"] - turn["spoke_at"], 0.0)
                overheads.append(way_in + turn["heard_at"] - own[-1]["answered_at"])
    return overheads


def _level(
    what: str,
    *,
    callers: Sequence[Caller],
    seconds: float,
    cpu: float,
    rss: float,
    overheads: list[float],
) -> Level:
    frames = sum(caller.heard.frames for caller in callers)
    missed = sum(caller.heard.missed for caller in callers)
    parts = statistics.quantiles(overheads, n=20) if len(overheads) > 1 else []
    return Level(
        what=what,
        calls=len(callers),
        seconds=seconds,
        cpu_per_call=cpu / seconds / len(callers),
        missed_share=missed / frames if frames else 1.0,
        overhead_p50_ms=statistics.median(overheads) * 1000 if overheads else None,
        overhead_p95_ms=parts[18] * 1000 if parts else None,
        turns=len(overheads),
        rss_mib=rss,
    )


def as_json(levels: Sequence[Level]) -> str:
    """The figures as a JSON list."""
    return json.dumps([asdict(level) for level in levels], indent=1)


async def _until_open(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    try:
        async with asyncio.timeout(START_LIMIT_S):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.1)
                else:
                    writer.close()
                    return
    except TimeoutError:
        pass
    said = await asyncio.to_thread(log.read_text)
    raise BenchError(f"The agent did not start: {said.strip()[-500:]}")
