"""Which tool runs a call has seen, and whether a wish may be carried out (again)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agent.tools.tool import Effect

RunStatus = Literal[
    "started", "ok", "refused", "failed", "crashed", "timed_out", "cancelled", "repeated", "unknown"
]
"""How a run stands.

`started`: an intent without a result. `refused`: it did not run. `failed`: the tool said that it
could not. `crashed`, `timed_out`, `cancelled`: it broke off, nobody knows how far it came.
`repeated`: the same wish had been done, its answer was given again. `unknown`: the same wish had
broken off, so it was not run.
"""

_DONE = frozenset({"ok", "repeated"})
_BROKEN_OFF = frozenset({"started", "crashed", "timed_out", "cancelled", "unknown"})


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One run as the journal holds it. `answer` is what the model got, JSON text."""

    tool_call_id: str
    idempotency_key: str
    status: RunStatus
    answer: str = ""

    @property
    def done(self) -> bool:
        """Whether what was wished for is known to have been done."""
        return self.status in _DONE


class ToolRuns:
    """The runs of one call so far, also those of a worker that served it before."""

    def __init__(self, earlier: Iterable[ToolRun] = ()) -> None:
        self._runs: dict[str, ToolRun] = {}
        for run in earlier:
            self.add(run)

    def add(self, run: ToolRun) -> None:
        """Note a run; a newer state of the same one replaces the older."""
        self._runs[run.tool_call_id] = run

    def answer_to(self, tool_call_id: str) -> str | None:
        """The answer to a tool call that has been given; None if there was none."""
        run = self._runs.get(tool_call_id)
        return run.answer if run is not None and run.answer else None

    def done_before(self, effect: Effect, key: str) -> ToolRun | None:
        """For a `once` tool: the run that keeps the same wish from being run again.

        Its `done` is set when the wish was done; otherwise nobody knows whether it was.
        """
        if effect != "once":
            return None
        same = [run for run in self._runs.values() if run.idempotency_key == key]
        done = [run for run in same if run.done]
        broken = [run for run in same if run.status in _BROKEN_OFF]
        return next(iter(done + broken), None)


def idempotency_key(call_id: str, name: str, arguments: str) -> str:
    """Equal for the same tool with the same arguments in the same call: 32 hexadecimal digits."""
    try:
        canonical = json.dumps(json.loads(arguments), sort_keys=True, separators=(",", ":"))
    except ValueError:
        canonical = arguments
    return hashlib.sha256(f"{call_id}\n{name}\n{canonical}".encode()).hexdigest()[:32]
