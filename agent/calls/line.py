"""A phone line: the number, what it knows, how it speaks and what it may do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from agent.errors import ConfigurationError, LineNotFoundError
from agent.log import get_logger

log = get_logger(__name__)

E164 = Annotated[str, StringConstraints(pattern=r"^\+[1-9]\d{6,14}$")]
E164OrNone = Annotated[str, StringConstraints(pattern=r"^(\+[1-9]\d{6,14})?$")]
OneLine = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\n]+$")]


class Line(BaseModel):
    """One dialled number and its whole configuration. Immutable: a call keeps the one it began with.

    Attributes:
        number: Dialled number, E.164.
        business: Name of the business, as spoken.
        persona: A sentence on who the agent is and how it speaks; may be empty.
        facts: What the agent knows, one fact a string.
        greeting: First words of the agent.
        disclosure: Words said before the greeting that nobody can interrupt; may be empty.
        tools: Names of the tools this line may use.
        transfer_target: Number of a person to hand the caller to, E.164; empty for none.
        recording: Whether calls are recorded.
        max_duration_s: Longest call, in seconds.
        voice: Name of the voice, as the model server knows it.
        instructions_override: Replaces the whole system prompt when set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: E164
    business: OneLine
    persona: str = ""
    facts: tuple[OneLine, ...] = ()
    greeting: OneLine
    disclosure: str = ""
    tools: tuple[str, ...] = ()
    transfer_target: E164OrNone = ""
    recording: bool = False
    max_duration_s: int = Field(default=600, ge=10, le=4 * 3600)
    voice: str = "default"
    instructions_override: str = ""

    @model_validator(mode="after")
    def _transfer_needs_a_target(self) -> Line:
        if "transfer_to_human" in self.tools and not self.transfer_target:
            raise ValueError("the tool transfer_to_human needs a transfer_target")
        return self

    def instructions(self) -> str:
        """The system prompt: who the agent is, then its facts, one a line."""
        if self.instructions_override:
            return self.instructions_override
        parts = [
            f"You answer the phone for {self.business}.",
            self.persona.strip(),
            "Answer briefly and only from these facts.",
        ]
        head = " ".join(part for part in parts if part)
        return "\n".join([head, *(f"- {fact}" for fact in self.facts)])

    def version(self) -> str:
        """A hash that is equal for equal configurations: 64 hexadecimal digits."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


LineCheck = Callable[[Line], object]
"""Raises `ConfigurationError` for a line that cannot work."""


class LineBook:
    """The lines of one file. A changed file counts from the next call on."""

    def __init__(self, path: Path, check: LineCheck) -> None:
        self._path = path
        self._check = check
        self._read_at = _changed_at(path)
        self._lines = _read(path, check)

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    def __len__(self) -> int:
        return len(self._lines)

    def find(self, number: str) -> Line:
        """The line with this number, E.164.

        Raises:
            LineNotFoundError: No line has it.
        """
        self._reload_when_changed()
        line = self._lines.get(number)
        if line is None:
            raise LineNotFoundError(f"No line has the number {number}: add it to {self._path}.")
        return line

    def _reload_when_changed(self) -> None:
        changed_at = _changed_at(self._path)
        if changed_at == self._read_at:
            return
        self._read_at = changed_at
        try:
            self._lines = _read(self._path, self._check)
        except ConfigurationError as error:
            log.error("lines_not_reloaded", reason=str(error))  # noqa: TRY400 - the sentence says it all
            return
        log.info("lines_reloaded", lines=len(self._lines))


def load_lines(path: Path, check: LineCheck = lambda _: None) -> LineBook:
    """Read a lines file.

    Args:
        path: The YAML file.
        check: Called for every line read, now and later; may raise `ConfigurationError`. A changed
            file with an error in it is logged and the lines stay as they were.

    Raises:
        ConfigurationError: The file is missing, is not YAML, or an entry is wrong; the sentence
            names file, entry and key.
    """
    return LineBook(path, check)


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _read(path: Path, check: LineCheck) -> dict[str, Line]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"There is no lines file at {path}: create it, or set VITA_LINES_FILE."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The lines file {path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not valid YAML: {_one_line(error)}.") from error
    if not isinstance(document, dict) or not isinstance(document.get("lines"), list):
        raise ConfigurationError(f"{path} needs a top-level key `lines` that holds a list.")
    surplus = [str(key) for key in document if key != "lines"]
    if surplus:
        raise ConfigurationError(f"{path} has an unknown top-level key `{surplus[0]}`.")
    lines: dict[str, Line] = {}
    for position, entry in enumerate(document["lines"], start=1):
        line = _line(path, position, entry)
        if line.number in lines:
            raise ConfigurationError(f"{path}, line {position}: {line.number} is given twice.")
        check(line)
        lines[line.number] = line
    return lines


def _line(path: Path, position: int, entry: Any) -> Line:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{path}, line {position}: an entry is a mapping of keys.")
    where = f"{path}, line {position} ({entry.get('number', 'no number')})"
    try:
        return Line.model_validate(entry)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        about = f", key `{key}`" if key else ""
        raise ConfigurationError(f"{where}{about}: {_reason(first)}.") from error


def _reason(error: Mapping[str, Any]) -> str:
    reasons = {
        "missing": "is missing",
        "extra_forbidden": "is not a key of a line",
        "string_type": "must be text: put it in quotes",
        "string_pattern_mismatch": "must be text on one line, or a number such as +15550100",
    }
    return reasons.get(error["type"], str(error["msg"]).removeprefix("Value error, "))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
