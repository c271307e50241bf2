"""How soon and how fast a model speaks: wall time beside the process's own CPU time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from vita_model.engine.voice import Audio, Request, Text, UserSpeech, VoiceModel
from vita_model.evaluation.agent_tasks import Task, instructions, sample_tasks, specs
from vita_model.evaluation.callers import VOICES, over, read
from vita_model.evaluation.cores import available, on
from vita_model.evaluation.figures import Measure, Row
from vita_model.evaluation.suite import Shelf

TURNS = 30
_BARS_MS = {"one core": 400, "two cores": 300, "all cores": 400}


@dataclass(frozen=True, slots=True)
class Turn:
    """One question, asked with the process held to some cores (0: to none)."""

    key: str
    group: str
    cores: int
    voice: str
    task: Task


class LatencySuite:
    """Turns one after the other, from the end of the caller's sound on."""

    name = "latency"
    small = 16
    about = (
        "From the end of the caller's sound to the first sound of the reply, hearing included, "
        "with the prompt read before; the silence that ends a turn is not in it. `speech` is "
        "seconds of sound for each second from the end of hearing to the end of the reply. CPU time "
        "is the process's own: on a busy machine only the wall time grows. One turn at a time, the "
        "same turns with the process held to one core and to two, where there are two."
    )
    measures = (
        Measure("first sound, wall", "ms", "at most", _BARS_MS, "median"),
        Measure("first sound, CPU", "ms", "at most", {}, "median"),
        Measure("speech, wall", "x real time", "at least", {"": 3}, "median"),
        Measure("speech, CPU", "x real time", "at least", {}, "median"),
    )

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed

    def items(self, count: int | None) -> Sequence[Turn]:
        """Questions that are answered aloud, each on every number of cores."""
        groups = {"one core": 1, "two cores": 2} if available() >= 2 else {"all cores": 0}
        tasks = [t for t in sample_tasks(self._seed + 9_000, 3 * TURNS) if t.kind == "answer"]
        found = [
            Turn(f"{group.replace(' ', '-')}-{number:03d}", group, cores, VOICES[number % 3], task)
            for number, task in enumerate(tasks[:TURNS])
            for group, cores in groups.items()
        ]
        return found[:count]

    async def run(self, model: VoiceModel, item: Turn, shelf: Shelf) -> Row:
        """One turn against the clock."""
        with on(item.cores) if item.cores else nullcontext():
            return await self._run(model, item, shelf)

    async def _run(self, model: VoiceModel, item: Turn, shelf: Shelf) -> Row:
        prompt, tools = instructions(item.task.dialogue), specs(item.task.dialogue)
        said = item.task.turn.said
        samples = over(said, read(f"turn-{said}", said, item.voice, shelf), "clean")
        await model.check_tools(tools)
        await model.prepare(item.key, prompt, tools)
        begin = time.perf_counter(), time.process_time()
        heard = await model.hear(samples)
        thought = time.perf_counter(), time.process_time()
        first, seconds, text = (0.0, 0.0), 0.0, ""
        async for event in model.reply(Request(item.key, prompt, tools, [UserSpeech(heard)])):
            if isinstance(event, Text):
                text += event.delta
            elif isinstance(event, Audio):
                now = time.perf_counter(), time.process_time()
                first = first if seconds else (now[0] - begin[0], now[1] - begin[1])
                seconds += len(event.samples) / model.output_rate
        end = time.perf_counter(), time.process_time()
        await model.forget(item.key)
        counts: dict[str, tuple[float, float]] = {}
        if seconds:
            for index, clock in enumerate(("wall", "CPU")):
                counts[f"first sound, {clock}"] = (1_000 * first[index], 1.0)
                spent = max(end[index] - thought[index], 1e-6)
                counts[f"speech, {clock}"] = (seconds / spent, 1.0)
        files = {"input": shelf.sound(item.key, "input", samples, model.input_rate)}
        return Row(
            item.key,
            item.group,
            counts,
            got=text,
            said=said,
            heard=heard.transcript,
            cluster=said,
            files=files,
        )
