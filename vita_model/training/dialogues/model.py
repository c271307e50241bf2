"""The types of a training dialogue and its one system prompt format."""

from dataclasses import dataclass, field
from typing import Literal

Split = Literal["train", "test"]


@dataclass(frozen=True)
class ToolCall:
    """A call the agent makes instead of speaking."""

    name: str
    arguments: dict[str, str | int]


@dataclass(frozen=True)
class Turn:
    """One caller turn and the right answer to it.

    `said` is spoken words only (lower case, no digits); empty for noise.
    `reply` is empty when the agent must stay silent. `picture` holds the eye's words for what is
    shown with the turn, None if nothing is sent; `heard` the listener's tokens for `said`, if known;
    `asked` the colour or shape that a question for yes or no names.
    """

    said: str
    typed: str
    reply: str | ToolCall
    tool_result: str = ""
    after: str = ""
    intent: str = ""
    pattern: str = ""
    picture: tuple[str, ...] | None = None
    heard: tuple[int, ...] | None = None
    asked: str = ""


@dataclass(frozen=True)
class Tool:
    """A tool as the prompt lists it: argument name to short description."""

    name: str
    description: str
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dialogue:
    """One business, its facts and tools, and the turns of a call."""

    business: str
    persona: str
    facts: list[str]
    tools: list[Tool]
    turns: list[Turn]


def system_prompt(dialogue: Dialogue) -> str:
    """The system prompt text, in the only layout the model is trained on."""
    lines = [
        f"You answer the phone for {dialogue.business}. {dialogue.persona} ".rstrip()
        + " Answer briefly and only from these facts.",
        *(f"- {fact}" for fact in dialogue.facts),
    ]
    if dialogue.tools:
        lines.append("Tools:")
        lines += [
            f"- {tool.name}({', '.join(tool.parameters)}): {tool.description}"
            for tool in dialogue.tools
        ]
    return "\n".join(lines)
