"""What a tool may know of the call it works for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from pydantic import SecretStr

from agent.calls.context import CallIntents
from agent.calls.line import Line
from agent.errors import ConfigurationError, ToolError


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of the call it works for.

    Attributes:
        call_id: Our id of the call.
        caller_number: Caller's number, E.164, or empty when withheld.
        line: The line that was called.
        intents: Where to ask for the end of the call or a transfer.
        data_dir: Folder for a tool's own files.
        idempotency_key: Equal for the same wish in the same call; a tool that changes something
            stores it and does the thing once.
        declared: Names of the secrets the tool has declared.
        secrets: Those of them the installation has set.
    """

    call_id: str
    caller_number: str
    line: Line
    intents: CallIntents
    data_dir: Path
    idempotency_key: str = ""
    declared: tuple[str, ...] = ()
    secrets: Mapping[str, SecretStr] = field(default_factory=lambda: MappingProxyType({}))

    def secret(self, name: str) -> str:
        """A secret the tool has declared with `@tool(secrets=[…])`.

        Raises:
            ConfigurationError: The tool has not declared it.
            ToolError: The installation has not set it.
        """
        if name not in self.declared:
            raise ConfigurationError(
                f"The secret {name} is not declared: @tool(secrets=[{name!r}])."
            )
        if name not in self.secrets:
            raise ToolError("this is not set up")
        return self.secrets[name].get_secret_value()
