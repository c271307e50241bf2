"""How fast the loaded model hears, thinks and speaks: wall time and CPU time side by side.

Method: one process, one thread per operation, a fixed prompt of ten facts, recordings given by the
caller. Every figure is the median over the recordings after one warm-up turn. CPU time is the
process's own, so a busy machine shows in the wall time only.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from vita_model.engine.voice import Audio, Request, Samples, Text, UserSpeech, VoiceModel

INSTRUCTIONS = """You answer the phone for Brightside Dental. Be friendly. Answer briefly and only from these facts.
- Open Monday to Friday: 9 am to 5:30 pm
- Saturday: 10 am to 2 pm
- Sunday: closed
- Address: 14 Mill Lane, Harrow
- Check-up: $45
- Cleaning: $85
- Whitening: $220
- Parking: free behind the building
- Payment: cash and all major cards
- Dentist: Dr. Helen Moore"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity in milliseconds (or as a ratio to real time)."""

    name: str
    wall: float
    cpu: float
    unit: str = "ms"


async def bench(model: VoiceModel, recordings: Sequence[Samples]) -> list[Figure]:
    """Measure turns from the end of hearing to the end of speech."""
    await model.prepare("bench", INSTRUCTIONS, [])
    turns = [await _turn(model, samples) for samples in [recordings[0], *recordings]][1:]
    await model.forget("bench")
    names = turns[0].keys()
    figures = []
    for name in names:
        walls, cpus = zip(*(turn[name] for turn in turns), strict=True)
        unit = "x real time" if name.startswith("speech made") else "ms"
        figures.append(Figure(name, statistics.median(walls), statistics.median(cpus), unit))
    return figures


async def _turn(model: VoiceModel, samples: Samples) -> dict[str, tuple[float, float]]:
    result: dict[str, tuple[float, float]] = {}
    wall, cpu = time.perf_counter(), time.process_time()

    def since() -> tuple[float, float]:
        return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3

    heard = await model.hear(samples)
    result["utterance heard"] = since()
    request = Request("bench", INSTRUCTIONS, [], [UserSpeech(heard)])
    seconds, characters = 0.0, 0
    first_text = first_audio = (0.0, 0.0)
    async for event in model.reply(request):
        if isinstance(event, Text):
            first_text = first_text if characters else since()
            characters += len(event.delta)
        elif isinstance(event, Audio):
            first_audio = first_audio if seconds else since()
            seconds += len(event.samples) / model.output_rate
    result["first text"] = first_text
    result["first audio"] = first_audio
    whole = since()
    result["whole reply"] = whole
    after = [
        (end - start) / 1e3 for end, start in zip(whole, result["utterance heard"], strict=True)
    ]
    speed = [seconds / max(spent, 1e-6) for spent in after]
    result["speech made, thinking included"] = (speed[0], speed[1])
    return result
