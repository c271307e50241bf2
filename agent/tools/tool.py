"""A tool: a typed function the model may call.

    @tool()
    async def lookup_order(order_id: str) -> dict[str, str]:
        "Find the status of an order."
        ...

Name, description and JSON schema come from the function itself. A first parameter annotated with
`ToolContext` is filled in by the agent and is no part of the schema.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from agent.calls.context import CallIntents
from agent.calls.line import Line
from agent.errors import ConfigurationError, ToolError

DEFAULT_TIMEOUT_S = 8.0
LONGEST_TIMEOUT_S = 20.0

_ANY_JSON: TypeAdapter[Any] = TypeAdapter(Any)


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
    """

    call_id: str
    caller_number: str
    line: Line
    intents: CallIntents
    data_dir: Path
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """One callable tool. Made by `tool`."""

    name: str
    description: str
    timeout_s: float
    function: Callable[..., Any]
    arguments: type[BaseModel]
    context_parameter: str

    def spec(self) -> dict[str, Any]:
        """The definition in the Realtime protocol's form."""
        schema = self.arguments.model_json_schema()
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": _without_titles(schema),
        }

    def validate(self, arguments: str) -> dict[str, Any]:
        """Read the model's JSON text into typed arguments.

        Raises:
            ToolError: They do not fit; the sentence tells the model what to change.
        """
        try:
            checked = self.arguments.model_validate_json(arguments or "{}")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = ".".join(str(part) for part in first["loc"]) or "arguments"
            raise ToolError(f"{self.name}: {name}: {first['msg']}.") from error
        return {name: getattr(checked, name) for name in type(checked).model_fields}

    async def call(self, context: ToolContext, arguments: Mapping[str, Any]) -> str:
        """Run the function and return its answer as JSON text. A plain function gets a thread."""
        given = dict(arguments)
        if self.context_parameter:
            given[self.context_parameter] = context
        if inspect.iscoroutinefunction(self.function):
            answer = await self.function(**given)
        else:
            answer = await asyncio.to_thread(self.function, **given)
        return json.dumps(_ANY_JSON.dump_python(answer, mode="json"), ensure_ascii=False)


def tool(
    *, name: str = "", timeout_s: float = DEFAULT_TIMEOUT_S
) -> Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool.

    Args:
        name: Name the model uses; the function's own when empty.
        timeout_s: Seconds after which the tool counts as failed, at most 20.
    """

    def make(function: Callable[..., Any]) -> Tool:
        return _tool(function, name or function.__name__, timeout_s)

    return make


def _tool(function: Callable[..., Any], name: str, timeout_s: float) -> Tool:
    description = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    if not description:
        raise ConfigurationError(f"The tool {name} needs a docstring: the model reads it.")
    if not 0 < timeout_s <= LONGEST_TIMEOUT_S:
        raise ConfigurationError(
            f"The tool {name} needs a timeout of at most {LONGEST_TIMEOUT_S:.0f} s."
        )
    context_parameter = ""
    fields: dict[str, Any] = {}
    hints = get_type_hints(function, include_extras=True)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in hints:
            raise ConfigurationError(f"The tool {name}: {parameter.name} needs a type.")
        if hints[parameter.name] is ToolContext:
            context_parameter = parameter.name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    # A model writes an order number with or without quotes.
    config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
    arguments = create_model(name, __config__=config, **fields)
    return Tool(
        name=name,
        description=description,
        timeout_s=timeout_s,
        function=function,
        arguments=arguments,
        context_parameter=context_parameter,
    )


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Pydantic's titles repeat the names and cost the model tokens."""
    plain: dict[str, Any] = json.loads(json.dumps(schema))

    def strip(node: Any, *, names: bool = False) -> None:
        if isinstance(node, dict):
            if not names:
                node.pop("title", None)
            for key, value in node.items():
                strip(value, names=not names and key in {"properties", "$defs"})
        elif isinstance(node, list):
            for value in node:
                strip(value)

    strip(plain)
    return plain
