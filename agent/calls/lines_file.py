"""Reads a document of lines and says everything that is wrong with it at once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError
from typing_extensions import override

from agent.calls.hours import DAYS, OpeningHours
from agent.calls.line import Line
from agent.errors import ConfigurationError

LineCheck = Callable[[Line], object]
"""Raises `ConfigurationError` for a line that cannot work here."""

Place = tuple[str | int, ...]
"""Way to a value in the document, such as `("lines", 0, "hours", "time_zone")`."""

_TOP: Final = "lines"
_KEYS: Final[Mapping[str, Sequence[str]]] = {
    "": list(Line.model_fields),
    "hours": list(OpeningHours.model_fields),
    "hours.open": [*DAYS, "daily"],
}


@dataclass(frozen=True, slots=True)
class LineProblem:
    """One mistake in a document of lines.

    Attributes:
        what: The mistake, without a full stop.
        line: The line it is in: its number or call page, or its place in the list; empty when the
            mistake is in no line.
        key: The key it is under, such as `hours.time_zone`; may be empty.
        row: Row of the file, counted from 1; 0 when not known.
    """

    what: str
    line: str = ""
    key: str = ""
    row: int = 0

    @override
    def __str__(self) -> str:
        key = f"key `{self.key}`" if self.key else ""
        where = ", ".join(part for part in (self.line, key) if part)
        return f"{where}: {self.what}" if where else self.what


class LinesError(ConfigurationError):
    """A document of lines is wrong; the text has one row for each mistake."""

    code = "lines"
    http_status = 422

    def __init__(self, source: str, problems: Sequence[LineProblem]) -> None:
        self.problems = tuple(problems)
        rows = [
            f"{source}:{each.row}: {each}" if each.row else f"{source}: {each}" for each in problems
        ]
        if len(rows) == 1:
            super().__init__(f"{rows[0]}.")
        else:
            super().__init__(f"{len(rows)} mistakes:\n" + "\n".join(f"  {row}." for row in rows))


def _no_check(_line: Line) -> None:
    """Every line may work somewhere."""


def read_lines(path: Path, check: LineCheck = _no_check) -> list[Line]:
    """The lines of a YAML file, in its order.

    Args:
        path: The file.
        check: Called for every line; may raise `ConfigurationError`.

    Raises:
        ConfigurationError: The file is missing or cannot be read.
        LinesError: Something in it is wrong; names row, line and key of every mistake.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"There is no lines file at {path}: write one, or give the path of another."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The lines file {path} cannot be read: {error}.") from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LinesError(str(path), [_not_yaml(error)]) from error
    return _Reader(str(path), dict(_rows(root)), check).read(document, _twice(root))


def parse_lines(document: Any, check: LineCheck = _no_check, source: str = "lines") -> list[Line]:
    """The lines of a document that was read elsewhere: a mapping with a list under `lines`.

    Raises:
        LinesError: Something in it is wrong; names line and key of every mistake.
    """
    return _Reader(source, {}, check).read(document)


class _Reader:
    def __init__(self, source: str, rows: Mapping[Place, int], check: LineCheck) -> None:
        self._source = source
        self._rows = rows
        self._check = check
        self._problems: list[LineProblem] = []

    def read(self, document: Any, twice: Iterable[Place] = ()) -> list[Line]:
        if not isinstance(document, dict) or not isinstance(document.get(_TOP), list):
            self._wrong((), "needs a top-level key `lines` that holds a list")
            raise LinesError(self._source, self._problems)
        entries: list[Any] = document[_TOP]
        for place in twice:
            self._wrong(place, "is given twice", _name(entries, place))
        for key in document:
            if key != _TOP:
                self._wrong(
                    (key,), f"has an unknown top-level key `{key}`{_meant(str(key), [_TOP])}"
                )
        lines: list[Line] = []
        taken: set[str] = set()
        for index, entry in enumerate(entries):
            line = self._line(index, entry, _name(entries, (_TOP, index)))
            if line is None:
                continue
            for address in line.addresses:
                if address in taken:
                    self._wrong(
                        (_TOP, index), f"{address} is given twice", _name(entries, (_TOP, index))
                    )
                taken.add(address)
            lines.append(line)
        if self._problems:
            raise LinesError(self._source, sorted(self._problems, key=lambda each: each.row))
        return lines

    def _line(self, index: int, entry: Any, name: str) -> Line | None:
        if not isinstance(entry, dict):
            self._wrong((_TOP, index), "a line is a mapping of keys", name)
            return None
        try:
            line = Line.model_validate(entry)
        except ValidationError as error:
            for each in _without_echoes(error.errors(include_url=False)):
                self._wrong((_TOP, index, *each["loc"]), _reason(each), name)
            return None
        try:
            self._check(line)
        except ConfigurationError as error:
            self._wrong((_TOP, index), str(error).rstrip("."), name)
        return line

    def _wrong(self, place: Place, what: str, name: str = "") -> None:
        key = ".".join(str(part) for part in place[2:] if part != "[key]")
        self._problems.append(LineProblem(what, name, key, self._row(place)))

    def _row(self, place: Place) -> int:
        """Row of the nearest value that is in the file: a missing key has none."""
        while place and place not in self._rows:
            place = place[:-1]
        return self._rows.get(place, 0)


def _name(entries: Sequence[Any], place: Place) -> str:
    """What the line at a place of the document is called; empty when it is not in a line."""
    index = place[1] if len(place) > 1 else None
    if not isinstance(index, int):
        return ""
    entry = entries[index]
    name = (entry.get("number") or entry.get("web")) if isinstance(entry, dict) else None
    return f"line {name}" if name else f"line {index + 1} of the list"


def _without_echoes(errors: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """All mistakes but keys that are missing only because they are misspelt."""
    misspelt = {
        (*each["loc"][:-1], close)
        for each in errors
        if each["type"] == "extra_forbidden"
        for close in _close(str(each["loc"][-1]), _known(each["loc"]))
    }
    return (each for each in errors if each["type"] != "missing" or each["loc"] not in misspelt)


def _known(loc: Sequence[str | int]) -> Sequence[str]:
    """The keys there are beside the one at this place of a line."""
    return _KEYS.get(".".join(str(part) for part in loc[:-1]), [])


def _reason(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        *outer, key = (str(part) for part in error["loc"])
        whose = outer[-1] if outer else "a line"
        return f"is not a key of {whose}{_meant(key, _known(error['loc']))}"
    reasons = {
        "missing": "is missing",
        "string_type": "must be text: put it in quotes",
        "string_pattern_mismatch": "must be text on one line, or a number such as +15550100",
        "bool_parsing": "must be true or false",
        "bool_type": "must be true or false",
        "tuple_type": "must be a list, such as [one, two]",
    }
    return reasons.get(error["type"], str(error["msg"]).removeprefix("Value error, "))


def _meant(word: str, known: Sequence[str]) -> str:
    close = _close(word, known)
    return f"; perhaps `{close[0]}` is meant" if close else ""


def _close(word: str, known: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(word, known, n=1)


def _rows(node: yaml.Node | None, place: Place = ()) -> Iterator[tuple[Place, int]]:
    """Where each value begins. A value of a mapping begins at its key."""
    if node is None:
        return
    if not place:
        yield place, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, key.value)
            yield inner, key.start_mark.line + 1
            yield from _rows(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*place, index), value.start_mark.line + 1
            yield from _rows(value, (*place, index))


def _twice(node: yaml.Node | None, place: Place = ()) -> Iterator[Place]:
    """Keys that a mapping has twice: YAML would silently take the last one."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield (*place, key.value)
            seen.add(str(key.value))
            yield from _twice(value, (*place, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _twice(value, (*place, index))


def _not_yaml(error: yaml.YAMLError) -> LineProblem:
    mark = getattr(error, "problem_mark", None)
    reason = " ".join(str(getattr(error, "problem", None) or error).split())
    return LineProblem(
        f"is not valid YAML ({reason}): look at the indentation, quotes, colons and brackets of "
        "this row and the one above",
        row=mark.line + 1 if mark else 0,
    )
