"""The demonstration's questions: recorded audio, and what a right answer holds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.demo import CALLERS
from agent.errors import ConfigurationError

MANIFEST = CALLERS / "callers.yaml"
"""The demonstration's questions; their recordings lie beside it."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Expectation(_Entry):
    """A fact that has to be said, or a tool that has to be called.

    Attributes:
        fact: Words that find the fact among the line's; the first that occurs counts.
        says: `opening`: the first time the fact names; `all`: everything it says.
        tool: Name of the tool.
        arguments: Arguments the tool has to get, at least.
    """

    fact: tuple[str, ...] = ()
    says: Literal["opening", "all"] = "all"
    tool: str = ""
    arguments: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_two(self) -> Expectation:
        if bool(self.fact) == bool(self.tool):
            raise ValueError("an expectation names either a fact or a tool")
        return self


class Question(_Entry):
    """One recorded question; it may take several turns.

    Attributes:
        files: Names of the recordings, beside the manifest, said in turn.
        voice: Who speaks.
        words: What is said.
        expect: What a right answer holds.
    """

    files: tuple[str, ...] = Field(min_length=1)
    voice: str
    words: str
    expect: Expectation


class _Manifest(_Entry):
    questions: tuple[Question, ...] = Field(min_length=1)


def load_questions(manifest: Path = MANIFEST) -> tuple[Question, ...]:
    """Read a manifest.

    Raises:
        ConfigurationError: It is missing or wrong.
    """
    try:
        content = yaml.safe_load(manifest.read_text(encoding="utf-8"))
        return _Manifest.model_validate(content).questions
    except OSError as error:
        raise ConfigurationError(f"{manifest} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigurationError(f"{manifest}: {' '.join(str(error).split())}") from error
