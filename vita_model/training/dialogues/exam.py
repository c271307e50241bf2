"""The fixed hand-written examination and the rules that mark a reply."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from vita_model.training.dialogues.model import Dialogue, Tool, ToolCall, Turn

_REFUSALS = ("don't have", "do not have", "don't know", "can't help", "not sure", "no information")


@dataclass(frozen=True)
class Question:
    """One examination question: `ask` is spoken words; exactly one kind of rule is set."""

    business: str
    ask: str
    has: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    call: ToolCall | None = None
    refuse: bool = False

    @property
    def kind(self) -> str:
        """What the question tests: fact, tool or refuse."""
        return "tool" if self.call else "refuse" if self.refuse else "fact"


@dataclass(frozen=True)
class Paper:
    """One business with its prompt (as a dialogue without answers) and its questions."""

    dialogue: Dialogue
    questions: tuple[Question, ...]


def _question(business: str, entry: dict[str, Any]) -> Question:
    call = None
    if entry.get("call"):
        name, arguments = next(iter(entry["call"].items()))
        call = ToolCall(name, arguments)
    return Question(
        business,
        entry["ask"],
        tuple(entry.get("has", ())),
        tuple(entry.get("not", ())),
        call,
        bool(entry.get("refuse", False)),
    )


@cache
def load_exam() -> tuple[Paper, ...]:
    """The twelve papers, twelve questions each."""
    text = files("vita_model.training.dialogues").joinpath("exam.yaml").read_text(encoding="utf-8")
    papers = []
    for entry in yaml.safe_load(text):
        tools = [
            Tool(name, spec["about"], {key: value for key, value in spec.items() if key != "about"})
            for name, spec in entry["tools"].items()
        ]
        questions = tuple(_question(entry["business"], item) for item in entry["questions"])
        turns = [Turn(item.ask, item.ask, "", intent=item.kind) for item in questions]
        dialogue = Dialogue(entry["business"], entry["persona"], entry["facts"], tools, turns)
        papers.append(Paper(dialogue, questions))
    return tuple(papers)


def _plain(text: object) -> str:
    return re.sub(r"\s+", " ", str(text)).strip().lower().rstrip(".")


def _said(value: str, text: str) -> bool:
    """Whether a value stands in a text and is not part of a longer number or word."""
    edge = r"(?<![\w.:])" if value[:1].isalnum() else ""
    tail = r"(?![\w]|[.:]\d)" if value[-1:].isalnum() else ""
    return re.search(edge + re.escape(value.lower()) + tail, text.lower()) is not None


def is_right(question: Question, reply: str | ToolCall) -> bool:
    """Marks one reply.

    A tool call is right with the named tool and every argument that the rule names;
    an argument the rule leaves out (a reason) may be anything.
    """
    if question.call:
        return (
            isinstance(reply, ToolCall)
            and reply.name == question.call.name
            and all(
                _plain(reply.arguments.get(key, "")) == _plain(value)
                for key, value in question.call.arguments.items()
            )
        )
    if isinstance(reply, ToolCall):
        return False
    if question.refuse:
        return any(text in reply.lower() for text in _REFUSALS)
    found = all(any(_said(value, reply) for value in rule.split("|")) for rule in question.has)
    return found and not any(_said(value, reply) for value in question.never)


def score(answers: Iterable[tuple[Question, str | ToolCall]]) -> dict[str, tuple[int, int]]:
    """(right, asked) per kind of question and for "all"."""
    out: dict[str, tuple[int, int]] = {}
    for question, reply in answers:
        for key in (question.kind, "all"):
            right, asked = out.get(key, (0, 0))
            out[key] = (right + is_right(question, reply), asked + 1)
    return out
