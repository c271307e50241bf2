"""What an agent is asked: questions to businesses it has never seen, with the right reply.

Two papers. `sampled` questions have wordings, values and businesses of the grammar's test half;
`exam` questions are hand-written, idiomatic, to twelve hand-written businesses.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from typing import Literal

from vita_model.engine.voice import Call, State, Text, ToolSpec
from vita_model.evaluation.marking import is_refusal, same_answer, same_call
from vita_model.training.dialogues import Dialogue, ToolCall, Turn, sample_dialogue, system_prompt
from vita_model.training.dialogues import exam as examination
from vita_model.training.dialogues.tools import ANYONE

Kind = Literal["answer", "call", "unknown", "silence"]
PER_BUSINESS = 4


@dataclass(frozen=True, slots=True)
class Task:
    """One question to one business; `question` marks it where the examination has it."""

    dialogue: Dialogue
    turn: Turn
    question: examination.Question | None = None

    @property
    def kind(self) -> Kind:
        """What the right reply is."""
        if self.question is not None:
            kinds: dict[str, Kind] = {"tool": "call", "refuse": "unknown"}
            return kinds.get(self.question.kind, "answer")
        if isinstance(self.turn.reply, ToolCall):
            return "call"
        if self.turn.reply == "":
            return "silence"
        return "unknown" if is_refusal(self.turn.reply) else "answer"

    @property
    def wanted(self) -> str:
        """The right reply, for people."""
        if self.question is None:
            return str(self.turn.reply) or "(silence)"
        if self.question.call is not None:
            return str(self.question.call)
        if self.question.refuse:
            return "(does not know)"
        never = f", not {' | '.join(self.question.never)}" if self.question.never else ""
        return f"says {' and '.join(self.question.has)}{never}"


@dataclass(slots=True)
class Reply:
    """What the model did: its state, what it said, what it called."""

    noise: bool = False
    text: str = ""
    call: tuple[str, str] | None = None

    def take(self, event: object) -> None:
        """One event of the reply."""
        match event:
            case State(marker, _):
                self.noise = marker == "noise"
            case Text(delta):
                self.text += delta
            case Call(name, arguments):
                self.call = self.call or (name, arguments)
            case _:
                pass

    def __str__(self) -> str:
        """For people."""
        return " ".join(self.call) if self.call else self.text or "(silence)"


def sample_tasks(seed: int, count: int) -> list[Task]:
    """Questions in unseen wording, four to a business; silence is tested apart from them."""
    rng = random.Random(f"agent-tasks-{seed}")
    tasks: list[Task] = []
    while len(tasks) < count:
        dialogue = sample_dialogue(rng, "test", independent=True, turns=PER_BUSINESS)
        tasks += [Task(dialogue, turn) for turn in dialogue.turns if turn.reply]
    return tasks[:count]


def exam_tasks() -> list[Task]:
    """The hand-written questions, one of every business after the other."""
    papers = examination.load_exam()
    return [
        Task(paper.dialogue, paper.dialogue.turns[number], paper.questions[number])
        for number in range(max(len(paper.questions) for paper in papers))
        for paper in papers
        if number < len(paper.questions)
    ]


def is_right(task: Task, reply: Reply) -> bool:
    """Marks one reply."""
    if task.question is not None:
        return not reply.noise and examination.is_right(task.question, _as_written(reply))
    wanted = task.turn.reply
    if isinstance(wanted, ToolCall):
        said = {key for key, value in wanted.arguments.items() if value == ANYONE}
        return same_call((wanted.name, wanted.arguments), reply.call, free=frozenset(said))
    if reply.call is not None or reply.noise != (wanted == ""):
        return False
    if task.kind == "unknown" and re.search(r"\d", reply.text):
        return False  # says that it does not know, and then tells something
    return same_answer(wanted, reply.text)


def _as_written(reply: Reply) -> str | ToolCall:
    if reply.call is None:
        return reply.text
    name, arguments = reply.call
    try:
        return ToolCall(name, json.loads(arguments))
    except ValueError:
        return ToolCall(name, {})


def instructions(dialogue: Dialogue) -> str:
    """The system prompt without the tools, which go as `specs`."""
    return system_prompt(dialogue).partition("\nTools:\n")[0]


def specs(dialogue: Dialogue) -> list[ToolSpec]:
    """The dialogue's tools as the model is told of them."""
    found = []
    for tool in dialogue.tools:
        properties = {name: {"type": "string"} for name in tool.parameters}
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        found.append(ToolSpec(tool.name, tool.description, schema))
    return found
