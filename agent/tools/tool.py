"""A tool: a typed function the model may call.

    @tool(effect="none")
    async def lookup_order(order_id: str) -> dict[str, str]:
        "Find the status of an order."
        ...

Name, description and JSON schema come from the function itself. A parameter annotated with
`ToolContext` is filled in by the agent and is no part of the schema.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from pydantic import TypeAdapter
from typing_extensions import override

from agent.errors import ConfigurationError
from agent.tools.context import ToolContext
from agent.tools.signature import Signature, read_signature, summary
from agent.tools.threads import ToolThreads

__all__ = [
    "DEFAULT_TIMEOUT_S",
    "LONGEST_TIMEOUT_S",
    "Effect",
    "Tool",
    "ToolBody",
    "ToolContext",
    "tool",
]

DEFAULT_TIMEOUT_S = 8.0
LONGEST_TIMEOUT_S = 20.0
DEFAULT_AT_ONCE = 16

Effect = Literal["none", "idempotent", "once"]
"""What running a tool changes: nothing; the same however often; something that must happen once.

A tool without effect is cancelled when the caller goes on to something else. All others run to
their end, also when the caller hangs up. A `once` tool never runs again for the same wish.
"""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_SECRET = re.compile(r"[A-Z][A-Z0-9_]*")
_ANY_JSON: TypeAdapter[Any] = TypeAdapter(Any)


class ToolBody(Protocol):
    """What a tool does: a function, or a tool of an MCP server."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """JSON schema of the arguments."""
        ...

    def check(self, arguments: str) -> dict[str, Any]:
        """Read the model's JSON text into arguments.

        Raises:
            ToolError: They do not fit.
        """
        ...

    async def run(
        self, context: ToolContext, arguments: Mapping[str, Any], threads: ToolThreads
    ) -> Any:
        """Do it; the answer can be written as JSON."""
        ...


@dataclass(frozen=True, slots=True)
class Tool:
    """One callable tool. Made by `tool`.

    Attributes:
        name: What the model calls it.
        description: What it does, for the model.
        timeout_s: Seconds after which it counts as failed.
        effect: What running it changes.
        secrets: Names of the secrets it may read.
        at_once: How many calls may run it at the same time.
        body: What it does.
        source: The plugin or server it comes from.
    """

    name: str
    description: str
    timeout_s: float
    effect: Effect
    secrets: tuple[str, ...]
    at_once: int
    body: ToolBody
    source: str = ""

    def spec(self) -> dict[str, Any]:
        """The definition in the Realtime protocol's form."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.body.parameters),
        }

    def validate(self, arguments: str) -> dict[str, Any]:
        """Read the model's JSON text into typed arguments.

        Raises:
            ToolError: They do not fit; the sentence tells the model what to change.
        """
        return self.body.check(arguments)

    async def call(
        self, context: ToolContext, arguments: Mapping[str, Any], threads: ToolThreads | None = None
    ) -> str:
        """Run it and return its answer as JSON text. A plain function gets a thread."""
        answer = await self.body.run(context, arguments, threads or ToolThreads())
        plain = _ANY_JSON.dump_python(answer, mode="json")
        return json.dumps(plain, ensure_ascii=False, allow_nan=False)

    def __call__(self, *given: Any, **named: Any) -> Any:
        """The function itself, for its author's tests."""
        if not isinstance(self.body, _Function):
            raise TypeError(f"{self.name} is no function of this program")
        return self.body.function(*given, **named)


@dataclass(frozen=True, slots=True)
class _Function(ToolBody):
    name: str
    function: Callable[..., Any]
    signature: Signature

    @property
    @override
    def parameters(self) -> Mapping[str, Any]:
        return self.signature.parameters

    @override
    def check(self, arguments: str) -> dict[str, Any]:
        return self.signature.check(arguments)

    @override
    async def run(
        self, context: ToolContext, arguments: Mapping[str, Any], threads: ToolThreads
    ) -> Any:
        given = dict(arguments)
        if self.signature.context_parameter:
            given[self.signature.context_parameter] = context
        if inspect.iscoroutinefunction(self.function):
            return await self.function(**given)
        return await threads.run(self.name, lambda: self.function(**given))


def tool(
    *,
    name: str = "",
    timeout_s: float = DEFAULT_TIMEOUT_S,
    effect: Effect = "once",
    secrets: Sequence[str] = (),
    at_once: int = DEFAULT_AT_ONCE,
) -> Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool.

    Args:
        name: Name the model uses; the function's own when empty.
        timeout_s: Seconds after which the tool counts as failed, at most 20.
        effect: What running it changes: `none`, `idempotent` or `once`.
        secrets: Names it may pass to `ToolContext.secret`, such as `CRM_KEY`.
        at_once: How many calls may run it at the same time; further ones wait within the time.

    Raises:
        ConfigurationError: When it is applied, for a function that cannot be a tool.
    """

    def make(function: Callable[..., Any]) -> Tool:
        chosen = name or getattr(function, "__name__", "")
        _refuse_function(function, chosen)
        made = Tool(
            name=chosen,
            description=summary(function),
            timeout_s=timeout_s,
            effect=effect,
            secrets=(secrets,) if isinstance(secrets, str) else tuple(secrets),
            at_once=at_once,
            body=_Function(chosen, function, read_signature(function, chosen)),
        )
        _refuse_rules(made)
        return made

    return make


def _refuse_function(function: Callable[..., Any], name: str) -> None:
    if not callable(function):
        raise ConfigurationError(f"{function!r} is no function: write @tool() with its brackets.")
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"The tool {name} needs another name: letters, digits, _ and -, at most 64, "
            "no digit first."
        )
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise ConfigurationError(f"The tool {name} yields: a tool returns its answer.")
    if not summary(function):
        raise ConfigurationError(f"The tool {name} needs a docstring: the model reads it.")


def _refuse_rules(tool: Tool) -> None:
    about = f"The tool {tool.name}"
    if not 0 < tool.timeout_s <= LONGEST_TIMEOUT_S:
        raise ConfigurationError(
            f"{about} needs a timeout above 0 and of at most {LONGEST_TIMEOUT_S:.0f} s."
        )
    if tool.effect not in get_args(Effect):
        raise ConfigurationError(f"{about}: effect is one of {', '.join(get_args(Effect))}.")
    if tool.at_once < 1:
        raise ConfigurationError(f"{about}: at_once is at least 1.")
    for secret in tool.secrets:
        if not _SECRET.fullmatch(secret):
            raise ConfigurationError(
                f"{about}: secrets is a list of names in capitals, such as ['CRM_KEY']."
            )
