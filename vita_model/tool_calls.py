"""Tool calls in what the language model wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_CALL = re.compile(rf"{_OPEN}(.*?)(?:{_CLOSE}|\Z)", re.DOTALL)
_FENCE = re.compile(r"^```(?:json)?|```$")


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool the model wants called."""

    name: str
    arguments: Mapping[str, Any]


def split_calls(reply: str) -> tuple[str, tuple[ToolUse, ...]]:
    """What is to be said, and the tools to call.

    The published weights were not trained on tools: what stands between the marks may be no JSON,
    lack its end, or be fenced. Whatever it is, it is never said; what is no call is dropped, so a
    reply may come out as nothing at all.
    """
    calls = [call for match in _CALL.finditer(reply) if (call := _read(match[1])) is not None]
    return re.sub(r" {2,}", " ", _CALL.sub("", reply)).strip(), tuple(calls)


class CallSplitter:
    """Parts a growing reply into what is to be said and the tools to call, as `split_calls` does."""

    def __init__(self) -> None:
        self._held = ""
        self._in_call = False

    def push(self, delta: str) -> list[str | ToolUse]:
        """Take more text; returns what is certain by now."""
        self._held += delta
        found: list[str | ToolUse] = []
        while True:
            mark = _CLOSE if self._in_call else _OPEN
            before, there, after = self._held.partition(mark)
            if not there:
                break
            found += self._whole(before)
            self._held, self._in_call = after, not self._in_call
        if not self._in_call:
            kept = _begun(self._held)
            found += self._whole(self._held[: len(self._held) - kept])
            self._held = self._held[len(self._held) - kept :]
        return found

    def finish(self) -> list[str | ToolUse]:
        """The rest; a call that lacks its end counts if it can be read."""
        rest = self._whole(self._held)
        self._held, self._in_call = "", False
        return rest

    def _whole(self, text: str) -> list[str | ToolUse]:
        if not self._in_call:
            return [text] if text else []
        call = _read(text)
        return [] if call is None else [call]


def _begun(text: str) -> int:
    """How many characters at the end may be the beginning of a call."""
    return next((n for n in range(len(_OPEN) - 1, 0, -1) if text.endswith(_OPEN[:n])), 0)


def without_calls(pieces: Iterable[str]) -> Iterator[str]:
    """Of a growing reply what is to be said."""
    splitter = CallSplitter()
    for piece in pieces:
        yield from (part for part in splitter.push(piece) if isinstance(part, str))
    yield from (part for part in splitter.finish() if isinstance(part, str))


def _read(body: str) -> ToolUse | None:
    try:
        found = json.loads(_FENCE.sub("", body.strip()))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, Mapping):
        return None
    name, arguments = found.get("name"), found.get("arguments", {})
    if isinstance(arguments, str):  # some models write the arguments as JSON within JSON
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            return None
    if not isinstance(name, str) or not name or not isinstance(arguments, Mapping):
        return None
    return ToolUse(name, arguments)
