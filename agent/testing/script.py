"""What happens in a rehearsed call: what the caller asks, which tools the model uses, what it says."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.errors import ConfigurationError
from agent.tools.tool import Tool


@dataclass(frozen=True, slots=True)
class Asks:
    """The caller says this. What is heard is a hum; the model is told the words."""

    words: str


@dataclass(frozen=True, slots=True)
class Says:
    """The model answers with this."""

    words: str


@dataclass(frozen=True, slots=True, init=False)
class Uses:
    """The model uses a tool: one that is given, or an installed one by its name."""

    tool: Tool | str
    arguments: Mapping[str, Any]

    def __init__(self, tool: Tool | str, /, **arguments: Any) -> None:
        object.__setattr__(self, "tool", tool)
        object.__setattr__(self, "arguments", arguments)

    @property
    def name(self) -> str:
        """Name of the tool."""
        return self.tool if isinstance(self.tool, str) else self.tool.name


Act = Asks | Says | Uses


@dataclass(slots=True)
class Turn:
    """A caller's words and how they are answered, step by step."""

    words: str
    answers: deque[Says | Uses] = field(default_factory=deque)


def turns_of(acts: Sequence[Act]) -> list[Turn]:
    """The acts by the caller's turns.

    Raises:
        ConfigurationError: They do not begin with the caller, or a turn does not end with words.
    """
    turns: list[Turn] = []
    for act in acts:
        if isinstance(act, Asks):
            turns.append(Turn(act.words))
        elif not turns:
            raise ConfigurationError("A rehearsed call begins with what the caller Asks.")
        else:
            turns[-1].answers.append(act)
    for turn in turns:
        if not turn.answers or not isinstance(turn.answers[-1], Says):
            raise ConfigurationError(
                f"After {turn.words!r} the model has to say something: end with Says."
            )
    return turns
