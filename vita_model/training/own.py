"""A business's own facts, tools and phrases, for teaching vita-tiny what its callers say.

business: Marlow Cycles
facts:
- A puncture costs £12.
tools:
book: {about: books a visit, day: the day}
phrases:
- say: my tyre went flat what's the damage
answer: A puncture costs £12.
- say: squeeze me in on friday
call: {book: {day: Friday}}
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from vita_model.config import Config
from vita_model.speech.text import spoken
from vita_model.training.dialogues import Dialogue, ToolCall, Turn
from vita_model.training.dialogues.model import Tool

PER_PACK = 10


class OwnError(ValueError):
    """A file of phrases cannot be used; the message names file and place."""


class Phrase(Config):
    """What a caller says, and the words of the answer or the call of a tool with its arguments."""

    say: str
    answer: str | None = None
    call: dict[str, dict[str, str]] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.answer is None) == (self.call is None):
            raise ValueError("give either answer or call")
        if self.call is not None and len(self.call) != 1:
            raise ValueError("a phrase calls one tool")
        return self

    def turn(self) -> Turn:
        """As the language model's training takes it."""
        words = " ".join(spoken(self.say).lower().replace(",", " ").split()).strip(".?! ")
        reply: str | ToolCall = self.answer or ""
        if self.call is not None:
            name, arguments = next(iter(self.call.items()))
            reply = ToolCall(name, dict(arguments))
        return Turn(words, self.say, reply, intent="own")


class Own(Config):
    """The whole file. `share` of the packs are about this business, the others keep the rest alive."""

    business: str
    persona: str = ""
    facts: list[str] = Field(min_length=1)
    tools: dict[str, dict[str, str]] = Field(default_factory=dict)
    phrases: list[Phrase] = Field(min_length=1)
    share: Annotated[float, Field(gt=0, le=1)] = 0.5

    @model_validator(mode="after")
    def _check(self) -> Self:
        for number, phrase in enumerate(self.phrases, 1):
            for name, arguments in (phrase.call or {}).items():
                known = self.tools.get(name)
                if known is None:
                    raise ValueError(f"phrase {number} calls {name}, which is not under tools")
                if wrong := set(arguments) - set(known):
                    raise ValueError(f"phrase {number}: {name} has no {', '.join(sorted(wrong))}")
        return self

    def dialogue(self, rng: random.Random) -> Dialogue:
        """Some of the phrases as questions apart, facts in random order."""
        facts = rng.sample(self.facts, len(self.facts))
        chosen = rng.sample(self.phrases, min(PER_PACK, len(self.phrases)))
        return self._asked(facts, [phrase.turn() for phrase in chosen])

    def examined(self) -> Dialogue:
        """All phrases in their order."""
        return self._asked(self.facts, [phrase.turn() for phrase in self.phrases])

    def _asked(self, facts: list[str], turns: list[Turn]) -> Dialogue:
        tools = [
            Tool(name, spec.get("about", name), {k: v for k, v in spec.items() if k != "about"})
            for name, spec in self.tools.items()
        ]
        return Dialogue(self.business, self.persona, facts, tools, turns)


def read_own(path: Path) -> Own:
    """Read and check a business's file.

    Raises:
        OwnError: It cannot be read, or says what cannot be; every fault is named.
    """
    try:
        return Own.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise OwnError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        faults = [
            f"  {' > '.join(str(step + 1 if isinstance(step, int) else step) for step in f['loc'])}"
            f": {f['msg']}"
            for f in error.errors()
        ]
        raise OwnError("\n".join([f"{path} says what cannot be done:", *faults])) from None
