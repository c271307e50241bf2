"""From a caller's sound to the agent's answer: is it the right one, the right call, or silence?

    python -m vita_model.evaluation.agent_tasks --count 100

Questions have wordings, values and businesses that training never used; they are read by voices it
never heard and come over an 8 kHz µ-law line. Four kinds of line: `typed` (no sound, the most that
hearing well could give), `clean`, `babble` (other voices 15 dB below), and for what must be left
unanswered noise, music, a crowd and side talk. Everything follows from the seed.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer

from vita_model.engine.load import load_voice_model
from vita_model.engine.voice import (
    Call,
    Entry,
    Request,
    Samples,
    State,
    Text,
    ToolSpec,
    UserSpeech,
    UserText,
    VoiceModel,
)
from vita_model.evaluation.marking import Share, is_refusal, same_answer, same_call
from vita_model.training import voices
from vita_model.training.channel import RATE, crowd, level, mix, not_speech, telephone
from vita_model.training.corpora import held_out_readers
from vita_model.training.dialogues import Dialogue, ToolCall, Turn, sample_dialogue, system_prompt
from vita_model.training.dialogues.tools import ANYONE

Line = Literal["typed", "clean", "babble"]
LINES: tuple[Line, ...] = ("typed", "clean", "babble")
BABBLE_DB = 15.0
PER_BUSINESS = 4


@dataclass(frozen=True, slots=True)
class Task:
    """One question to one business."""

    dialogue: Dialogue
    turn: Turn

    @property
    def kind(self) -> str:
        """`call`, `unknown`, `silence` or `answer`."""
        if isinstance(self.turn.reply, ToolCall):
            return "call"
        if self.turn.reply == "":
            return "silence"
        return "unknown" if is_refusal(self.turn.reply) else "answer"


@dataclass(slots=True)
class Reply:
    """What the model did: its state, what it said, what it called."""

    noise: bool = False
    text: str = ""
    call: tuple[str, str] | None = None


@dataclass(slots=True)
class Result:
    """Shares by name, and every miss as (line, what was said, what was heard, wanted, got)."""

    shares: dict[str, Share] = field(default_factory=dict)
    misses: list[tuple[str, str, str, str, str]] = field(default_factory=list)

    def count(self, name: str, right: bool) -> None:
        """One more item of a name."""
        self.shares[name] = self.shares.get(name, Share(0, 0)) + Share(int(right), 1)


def sample_tasks(seed: int, count: int) -> list[Task]:
    """Questions in unseen wording, four to a business; silence is tested apart from them."""
    rng = random.Random(f"agent-tasks-{seed}")
    tasks: list[Task] = []
    while len(tasks) < count:
        dialogue = sample_dialogue(rng, "test", independent=True, turns=PER_BUSINESS)
        tasks += [Task(dialogue, turn) for turn in dialogue.turns if turn.reply]
    return tasks[:count]


def is_right(task: Task, reply: Reply) -> bool:
    """Marks one reply."""
    wanted = task.turn.reply
    if isinstance(wanted, ToolCall):
        said = {key for key, value in wanted.arguments.items() if value == ANYONE}
        call = (wanted.name, wanted.arguments)
        return same_call(call, reply.call, free=frozenset(said))
    if reply.call is not None or reply.noise != (wanted == ""):
        return False
    return same_answer(wanted, reply.text)


def specs(dialogue: Dialogue) -> list[ToolSpec]:
    """The dialogue's tools as the model is told of them."""
    found = []
    for tool in dialogue.tools:
        properties = {name: {"type": "string"} for name in tool.parameters}
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        found.append(ToolSpec(tool.name, tool.description, schema))
    return found


async def ask(model: VoiceModel, dialogue: Dialogue, entry: Entry) -> Reply:
    """One turn at the beginning of a call."""
    instructions = system_prompt(dialogue).partition("\nTools:\n")[0]
    request = Request("tasks", instructions, specs(dialogue), [entry], speak=False, max_tokens=80)
    reply = Reply()
    async for event in model.reply(request):
        match event:
            case State(marker, _):
                reply.noise = marker == "noise"
            case Text(delta):
                reply.text += delta
            case Call(name, arguments):
                reply.call = reply.call or (name, arguments)
            case _:
                pass
    return reply


class Callers:
    """Held-out voices on a telephone line."""

    def __init__(self, seed: int, names: Sequence[str]) -> None:
        self._rng = random.Random(f"callers-{seed}")
        self._numbers = np.random.default_rng(seed)
        readers = held_out_readers()
        self._readers = [readers[name] for name in names]
        self._crowd: list[Samples] = []

    def read(self, said: str) -> Samples:
        """One voice close to the phone, at 16 kHz."""
        clip = self._rng.choice(self._readers)(self._rng, said)
        return level(voices.at_rate(clip, RATE), -24.0)

    def over(self, samples: Samples, line: Line) -> Samples:
        """The voice as it arrives."""
        padded = np.pad(samples, RATE // 5)
        if line == "babble":
            padded = mix(padded, crowd(self._numbers, self.crowd(), len(padded)), BABBLE_DB)
        return telephone(np.clip(padded, -1, 1).astype(np.float32))

    def crowd(self) -> list[Samples]:
        """Voices in the background."""
        text = "we had such a lovely time last week and then they all came over for supper"
        while len(self._crowd) < 8:
            self._crowd.append(voices.at_rate(voices.espeak(self._rng, text), RATE))
        return self._crowd

    def nobody(self) -> Samples:
        """Noise, music, traffic or a crowd."""
        return not_speech(self._numbers, self.crowd())

    def aside(self, said: str) -> Samples:
        """Somebody who speaks to somebody else, a little away from the phone."""
        return self.over(level(self.read(said), -32.0), "clean")


async def run(
    model: VoiceModel,
    *,
    seed: int = 1,
    count: int = 60,
    names: Sequence[str] = ("slt",),
    lines: Sequence[Line] = LINES,
) -> Result:
    """Ask every question over every line; a quarter as many sounds must be left unanswered."""
    result, callers = Result(), Callers(seed, names)
    for task in sample_tasks(seed, count):
        spoken = callers.read(task.turn.said)
        for line in lines:
            entry: UserSpeech | UserText = UserText(task.turn.typed)
            if line != "typed":
                entry = UserSpeech(await model.hear(callers.over(spoken, line)))
            _note(result, task, line, entry, await ask(model, task.dialogue, entry))
    rng = random.Random(f"silence-{seed}")
    for number in range(count // 4):
        dialogue = sample_dialogue(rng, "test", independent=True, turns=40)
        told = [turn.said for turn in dialogue.turns if turn.intent == "aside"]
        for name, samples in (
            ("noise", callers.nobody()),
            ("side talk", callers.aside(told[0]) if told and number % 2 else None),
        ):
            if samples is not None:
                entry = UserSpeech(await model.hear(samples))
                reply = await ask(model, dialogue, entry)
                result.count(f"silent at {name}", reply.noise)
    return result


def _note(
    result: Result, task: Task, line: Line, entry: UserSpeech | UserText, reply: Reply
) -> None:
    right = is_right(task, reply)
    result.count(f"{line}: all", right)
    result.count(f"{line}: {task.kind}", right)
    if line != "typed":
        result.count(f"{line}: taken for a question", not reply.noise)
    if not right:
        heard = entry.heard.transcript if isinstance(entry, UserSpeech) else entry.text
        got = str(reply.call or reply.text or "(silence)")
        result.misses.append((line, task.turn.said, heard, str(task.turn.reply), got))


def main(
    *,
    count: Annotated[int, typer.Option(help="Questions.")] = 100,
    seed: Annotated[int, typer.Option(help="Of questions, voices and noise.")] = 1,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of weights.")] = None,
    voice: Annotated[list[str] | None, typer.Option(help="slt, kokoro-f or kokoro-m.")] = None,
    misses: Annotated[bool, typer.Option(help="Print every miss.")] = False,
) -> None:
    """Print one line of figures a test, with 95 % intervals."""
    model = load_voice_model(checkpoint)
    result = asyncio.run(run(model, seed=seed, count=count, names=voice or ["slt"]))
    for name, share in sorted(result.shares.items()):
        typer.echo(f"{name:32} {share}")
    for miss in result.misses if misses else ():
        typer.echo(json.dumps(miss))


if __name__ == "__main__":
    typer.run(main)
