"""Tool calls in what the language model wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
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
