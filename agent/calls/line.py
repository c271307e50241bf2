"""A phone line: the number, what it knows, how it speaks and what it may do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from agent.calls.hours import OpeningHours
from agent.errors import ConfigurationError, LineNotFoundError
from agent.log import get_logger

log = get_logger(__name__)

E164 = Annotated[str, StringConstraints(pattern=r"^\+[1-9]\d{6,14}$")]
E164OrNone = Annotated[str, StringConstraints(pattern=r"^(\+[1-9]\d{6,14})?$")]
Slug = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?)?$")]
OneLine = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\n]+$")]


class Line(BaseModel):
    """One way in and its whole configuration. Immutable: a call keeps the one it began with.

    Attributes:
        number: Dialled number, E.164; empty for a line that is only on the web.
        web: Name of the line's call page, `/call/NAME`; empty for none.
        carrier: Who brings the calls to `number`.
        business: Name of the business, as spoken.
        persona: A sentence on who the agent is and how it speaks; may be empty.
        facts: What the agent knows, one fact a string.
        greeting: First words of the agent.
        disclosure: Words said before the greeting that nobody can interrupt; may be empty.
        hours: When the business is open; always when absent.
        after_hours: What happens to calls outside `hours`: the agent answers all the same, or
            `after_hours_text` is said and the call ends.
        after_hours_text: Said to callers outside `hours`.
        tools: Names of the tools this line may use.
        transfer_target: Number of a person to hand the caller to, E.164; empty for none.
        recording: Whether calls are recorded.
        recording_announcement: Said with the disclosure on a line that records; may be empty.
        video: Whether a caller from the web may show something to the camera.
        keep_stills: Whether the pictures the model was shown are kept with the call.
        reprompt_after_s: Seconds of silence after which the caller is asked again; 0 for never.
        reprompts: How often in a row a silent caller is asked before the call ends.
        reprompt_text: What a silent caller is asked.
        max_duration_s: Longest call, in seconds.
        voice: Name of the voice, as the model server knows it.
        instructions_override: Replaces the whole system prompt when set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: E164OrNone = ""
    web: Slug = ""
    carrier: Literal["twilio"] = "twilio"
    business: OneLine
    persona: str = ""
    facts: tuple[OneLine, ...] = ()
    greeting: OneLine
    disclosure: str = ""
    hours: OpeningHours | None = None
    after_hours: Literal["answer", "say"] = "answer"
    after_hours_text: str = ""
    tools: tuple[str, ...] = ()
    transfer_target: E164OrNone = ""
    recording: bool = False
    recording_announcement: str = ""
    video: bool = False
    keep_stills: bool = False
    reprompt_after_s: int = Field(default=12, ge=0, le=120)
    reprompts: int = Field(default=2, ge=1, le=10)
    reprompt_text: OneLine = "Are you still there?"
    max_duration_s: int = Field(default=600, ge=10, le=4 * 3600)
    voice: str = "default"
    instructions_override: str = ""

    @model_validator(mode="after")
    def _transfer_needs_a_target(self) -> Line:
        if "transfer_to_human" in self.tools and not self.transfer_target:
            raise ValueError("the tool transfer_to_human needs a transfer_target")
        return self

    @model_validator(mode="after")
    def _keys_that_need_each_other(self) -> Line:
        if not (self.number or self.web):
            raise ValueError("a line needs a number, or a web name for its call page")
        if self.after_hours == "say" and not (self.hours and self.after_hours_text):
            raise ValueError("after_hours: say needs hours and an after_hours_text")
        if self.video and not self.web:
            raise ValueError("video needs a web name: a phone has no camera")
        if self.keep_stills and not self.video:
            raise ValueError("keep_stills needs video")
        return self

    @property
    def entry(self) -> str:
        """How calls reach the line, and its name in the log: the number, else `web:NAME`."""
        return self.number or f"web:{self.web}"

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

    def find(self, entry: str) -> Line:
        """The line with this number, E.164, or with this call page, `web:NAME`.

        Raises:
            LineNotFoundError: No line has it.
        """
        self._reload_when_changed()
        line = self._lines.get(entry) or self._pages().get(entry)
        if line is None:
            kind = "call page" if entry.startswith("web:") else "number"
            raise LineNotFoundError(f"No line has the {kind} {entry}: add it to {self._path}.")
        return line

    def _pages(self) -> dict[str, Line]:
        return {f"web:{line.web}": line for line in self._lines.values() if line.web}

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
        if line.entry in lines:
            raise ConfigurationError(f"{path}, line {position}: {line.entry} is given twice.")
        if line.web and line.web in {other.web for other in lines.values()}:
            raise ConfigurationError(f"{path}, line {position}: web {line.web} is given twice.")
        check(line)
        lines[line.entry] = line
    return lines


def _line(path: Path, position: int, entry: Any) -> Line:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{path}, line {position}: an entry is a mapping of keys.")
    name = entry.get("number") or entry.get("web") or "no number"
    where = f"{path}, line {position} ({name})"
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
