"""What would change if a set of lines replaced another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agent.calls.line import Line

ChangeKind = Literal["add", "change", "remove"]


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One key of a line, as JSON values; None stands for absent."""

    key: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class LineChange:
    """What happens to one line. `keys` is empty for a line that is removed."""

    entry: str
    business: str
    kind: ChangeKind
    keys: tuple[KeyChange, ...] = ()


@dataclass(frozen=True, slots=True)
class LinePlan:
    """Everything that would change, and the state it was computed from.

    Attributes:
        base: Revision of the applied lines the plan starts from.
        changes: Lines that change, by entry.
        same: How many lines stay as they are.
    """

    base: str
    changes: tuple[LineChange, ...]
    same: int

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes


def revision(versions: Mapping[str, int]) -> str:
    """A hash that is equal for equal sets of entries with their applied versions."""
    text = "\n".join(f"{entry} {version}" for entry, version in sorted(versions.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def compare(
    applied: Mapping[str, Mapping[str, Any]], wanted: Iterable[Line], *, base: str
) -> LinePlan:
    """The plan that leads from applied lines to wanted ones.

    Args:
        applied: Configurations as they were stored, by entry.
        wanted: The whole set that is wanted: lines that are not in it are removed.
        base: Revision of `applied`.
    """
    lines = {line.entry: line for line in wanted}
    changes: list[LineChange] = []
    for entry in sorted(applied.keys() | lines.keys()):
        if entry not in lines:
            business = str(applied[entry].get("business", ""))
            changes.append(LineChange(entry, business, "remove"))
        elif entry not in applied:
            line = lines[entry]
            keys = _keys({}, line.model_dump(mode="json", exclude_defaults=True))
            changes.append(LineChange(entry, line.business, "add", keys))
        elif keys := _keys(_full(applied[entry]), lines[entry].model_dump(mode="json")):
            changes.append(LineChange(entry, lines[entry].business, "change", keys))
    return LinePlan(
        base, tuple(changes), len(lines) - sum(each.kind != "remove" for each in changes)
    )


def _full(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """A stored configuration with the defaults of keys that are younger than it."""
    defaults = {
        name: field.get_default()
        for name, field in Line.model_fields.items()
        if not field.is_required()
    }
    return {key: _json(value) for key, value in defaults.items()} | dict(stored)


def _json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[KeyChange, ...]:
    order = [*Line.model_fields, *sorted(old.keys() - Line.model_fields.keys())]
    return tuple(
        KeyChange(key, old.get(key), new.get(key)) for key in order if old.get(key) != new.get(key)
    )
