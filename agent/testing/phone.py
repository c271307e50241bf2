"""A phone for tests: a whole call through the carrier twin, the agent and a scripted model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agent.calls.call import call_id_for
from agent.calls.repository import CallRecord, CallRepository
from agent.demo.processes import House, open_house
from agent.errors import VitaError
from agent.mulaw import decode
from agent.testing.script import Act, Asks, Says, Uses, turns_of
from agent.testing.scripted_model import scripted_model, sound_of
from agent.tools.registry import ToolRegistry
from agent.tools.tool import Tool
from connectors.twilio.twin import HangUp, Speak, Step, WaitForAgent

__all__ = ["Asks", "Phone", "RehearsedCall", "Says", "Uses"]

NUMBER = "+15550100"
_LINE = {
    "number": NUMBER,
    "business": "Rehearsal",
    "greeting": "Hello.",
    "transfer_target": "+15550199",
}
_CALL_LIMIT_S = 60.0
_LOG_LIMIT_S = 10.0


class RehearsalError(VitaError):
    """A rehearsed call did not go as written."""

    code = "rehearsal"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One use of a tool, as the call log has it."""

    tool: str
    arguments: Any
    answer: Any
    status: str


@dataclass(frozen=True, slots=True)
class RehearsedCall:
    """A call that is over.

    Attributes:
        uses: The tools that were used, in order.
        heard: What the agent said and the caller heard, in order.
        record: The call as the log has it.
    """

    uses: tuple[ToolUse, ...]
    heard: tuple[str, ...]
    record: CallRecord


class Phone:
    """Makes calls to a line that may use the tools of the script.

    Args:
        data_dir: Folder for call log and recordings.
        line: Keys of the line that differ, as in a lines file.
    """

    def __init__(self, data_dir: Path, line: Mapping[str, Any] | None = None) -> None:
        self._data_dir = data_dir
        self._line = dict(line or {})

    def call(self, *acts: Act) -> RehearsedCall:
        """Rehearse a call: what the caller `Asks`, the model `Uses` and `Says`.

        The caller hangs up after the last answer, unless the agent has ended the call before.

        Raises:
            RehearsalError: The call did not come to its end; the sentence says where it stood.
            ConfigurationError: The acts make no call, or a tool is not there.
        """
        return asyncio.run(self.place(*acts))

    async def place(self, *acts: Act) -> RehearsedCall:
        """The same for a test that is a coroutine."""
        turns = turns_of(acts)
        registry, names = _tools(acts)
        self._data_dir.mkdir(parents=True, exist_ok=True)
        lines = self._data_dir / "lines.yaml"
        line = {**_LINE, "tools": [*names], **self._line}
        lines.write_text(yaml.safe_dump({"lines": [line]}), encoding="utf-8")
        asked = [turn.words for turn in turns]
        async with (
            scripted_model(turns) as url,
            open_house(
                self._data_dir, lines, step=_quietly, model_url=url, registry=registry
            ) as house,
        ):
            record = await _call(house, asked)
        return RehearsedCall(_uses(record), _heard(record), record)


async def _call(house: House, asked: Sequence[str]) -> CallRecord:
    wait = WaitForAgent(silence_ms=500)
    script: list[Step] = [wait]
    for words in asked:
        script += [Speak(decode(sound_of(words)), words), wait]
    call = await house.twin.place_call(to=NUMBER, script=[*script, HangUp()])
    try:
        await call.wait_ended(_CALL_LIMIT_S)
    except TimeoutError as error:
        raise RehearsalError(f"The call did not end within {_CALL_LIMIT_S:.0f} s.") from error
    if call.gave_up:
        raise RehearsalError(f"The caller gave up: {call.gave_up}.")
    return await _logged(house.agent.application.calls, call_id_for("twilio", call.sid))


async def _logged(calls: CallRepository, call_id: str) -> CallRecord:
    """The call once the log has its end."""
    try:
        async with asyncio.timeout(_LOG_LIMIT_S):
            while True:
                record = await calls.get_call(call_id)
                if record is not None and record.call.state == "ended":
                    return record
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise RehearsalError("The call is over, but the call log does not say so.") from error


def _tools(acts: Sequence[Act]) -> tuple[ToolRegistry, list[str]]:
    """Everything installed and the tools that are given; names of those that are used."""
    uses = [act for act in acts if isinstance(act, Uses)]
    given = {use.tool.name: use.tool for use in uses if isinstance(use.tool, Tool)}
    installed = [tool for tool in ToolRegistry.discover() if tool.name not in given]
    registry = ToolRegistry([*given.values(), *installed])
    names = list(dict.fromkeys(use.name for use in uses))
    for name in names:
        registry.get(name)
    return registry, names


def _uses(record: CallRecord) -> tuple[ToolUse, ...]:
    return tuple(
        ToolUse(row.tool, _read(row.pii_arguments), _read(row.pii_result), row.status)
        for row in record.tools
    )


def _read(text: str | None) -> Any:
    return json.loads(text) if text else None


def _heard(record: CallRecord) -> tuple[str, ...]:
    said = [row for row in record.utterances if row.role == "agent"]
    return tuple(row.pii_heard if row.pii_heard is not None else row.pii_text for row in said)


@contextmanager
def _quietly(_what: str) -> Iterator[None]:
    yield
