"""Agent tasks: from a caller's sound to the agent's, both at 8 kHz µ-law."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vita_model.engine.voice import UserSpeech, VoiceModel
from vita_model.evaluation import judge
from vita_model.evaluation.agent_tasks import (
    Task,
    exam_tasks,
    instructions,
    is_right,
    sample_tasks,
    specs,
)
from vita_model.evaluation.asr import Errors, english, word_errors
from vita_model.evaluation.callers import LINES, VOICES, Line, over, read
from vita_model.evaluation.figures import Measure, Row
from vita_model.evaluation.replies import PHONE_RATE, ask
from vita_model.evaluation.suite import Shelf

SAMPLED = 300
"""Sampled questions; each is asked over every line."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of one caller over one line."""

    key: str
    paper: str
    line: Line
    voice: str
    task: Task


class AgentSuite:
    """Right answer, right call with exact arguments, rightly ignorant."""

    name = "agent"
    small = 90
    about = (
        "Questions to businesses the model has never seen, read by voices no training used "
        "(flite's slt, two of Kokoro's), over an 8 kHz µ-law line, alone or before a crowd 15 dB "
        "softer. An answer is right if it tells the values of the right one and no others; a call "
        "if name and every argument are the same; an unknown fact if the model says that it does "
        "not know. `clean` and `babble` have wordings of the test half of the grammar; `exam` "
        "is hand-written and idiomatic. What is said is marked by its text; `numbers in the sound` "
        "tells whether a recogniser finds the reply's numbers in its sound after the line."
    )
    measures = (
        Measure("right", bars={"clean": 90, "babble": 80, "exam": 90}),
        Measure("right answers"),
        Measure("right calls"),
        Measure("unknown facts refused", bars={"": 90}),
        Measure("taken for a question"),
        Measure("caller's words wrong", sense="at most", bars={"clean": 10}),
        Measure("reply's words wrong by the recogniser", sense="at most"),
        Measure("numbers in the sound"),
    )

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed

    def items(self, count: int | None) -> Sequence[Asked]:
        """A sampled question over both lines, an exam question, and so on."""
        sampled = sample_tasks(self._seed, SAMPLED if count is None else min(SAMPLED, count))
        exam = exam_tasks()
        found: list[Asked] = []
        for number in range(max(len(sampled), len(exam))):
            voice = VOICES[number % len(VOICES)]
            if number < len(sampled):
                found += [
                    Asked(f"{line}-{number:03d}", line, line, voice, sampled[number])
                    for line in LINES
                ]
            if number < len(exam):
                found.append(Asked(f"exam-{number:03d}", "exam", "clean", voice, exam[number]))
        return found[:count]

    async def run(self, model: VoiceModel, item: Asked, shelf: Shelf) -> Row:
        """Ask, listen to the reply, mark it."""
        task, said = item.task, item.task.turn.said
        cluster = f"{'exam' if item.paper == 'exam' else 'sampled'}-{item.key.split('-')[1]}"
        samples = over(item.key, read(cluster, said, item.voice, shelf), item.line)
        heard = await model.hear(samples)
        spoken = await ask(
            model,
            item.key,
            instructions(task.dialogue),
            specs(task.dialogue),
            [UserSpeech(heard)],
        )
        reply = spoken.reply
        right = float(is_right(task, reply))
        kinds = {"call": "right calls", "unknown": "unknown facts refused"}
        counts = {
            "right": (right, 1.0),
            kinds.get(task.kind, "right answers"): (right, 1.0),
            "taken for a question": (float(not reply.noise), 1.0),
            "caller's words wrong": wrong(word_errors(said, heard.transcript)),
        }
        files = {"input": shelf.sound(item.key, "input", samples, model.input_rate)}
        retold = ""
        if len(spoken.samples) and reply.text:
            sound = spoken.on_phone()
            files["reply"] = shelf.sound(item.key, "reply", sound, PHONE_RATE)
            if item.line == "clean":  # the crowd is behind the caller, not behind the reply
                retold = judge.transcribe(sound, PHONE_RATE)
                counts |= told(reply.text, retold)
        return Row(
            item.key,
            item.paper,
            counts,
            wanted=task.wanted,
            got=str(reply),
            said=said,
            heard=heard.transcript,
            retold=retold,
            cluster=cluster,
            files=files,
        )


def wrong(found: Errors) -> tuple[float, float]:
    """Errors as points of a row."""
    return float(found.substitutions + found.deletions + found.insertions), float(found.length)


def told(text: str, transcript: str) -> dict[str, tuple[float, float]]:
    """What a recogniser found of a reply's words and of its numbers."""
    counts = {"reply's words wrong by the recogniser": wrong(word_errors(text, transcript))}
    wanted = set(re.findall(r"\d+", english(text)))
    if wanted:
        found = set(re.findall(r"\d+", english(transcript)))
        counts["numbers in the sound"] = (float(wanted <= found), 1.0)
    return counts
