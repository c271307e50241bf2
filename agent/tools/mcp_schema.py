"""The arguments of an MCP tool: its server's JSON schema, and the check against it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import SchemaError
from jsonschema.exceptions import best_match
from jsonschema.validators import Draft202012Validator, validator_for

from agent.errors import ConfigurationError, ToolError

LONGEST_SCHEMA = 16 * 1024


class McpArguments:
    """What a tool takes.

    Raises:
        ConfigurationError: The schema is none, too long, or refers to something outside.
    """

    def __init__(self, tool: str, schema: Mapping[str, Any]) -> None:
        self.schema = dict(schema)
        self._tool = tool
        if len(json.dumps(self.schema)) > LONGEST_SCHEMA:
            raise ConfigurationError(f"The schema of {tool} is too long for a model to read.")
        if any(not reference.startswith("#") for reference in _references(self.schema)):
            raise ConfigurationError(f"The schema of {tool} refers to something outside of it.")
        kind = validator_for(self.schema, default=Draft202012Validator)
        try:
            kind.check_schema(self.schema)
        except SchemaError as error:
            raise ConfigurationError(f"The schema of {tool} is wrong: {error.message}.") from error
        self._validator = kind(self.schema)

    def check(self, arguments: str) -> dict[str, Any]:
        """Read the model's JSON text.

        Raises:
            ToolError: It does not fit; the sentence tells the model what to change.
        """
        try:
            given = json.loads(arguments or "{}")
        except ValueError as error:
            raise ToolError(f"{self._tool}: arguments: {error}.") from error
        if not isinstance(given, dict):
            raise ToolError(f"{self._tool}: arguments have to be an object.")
        given = self._with_text_for_numbers(given)
        mistake = best_match(self._validator.iter_errors(given))
        if mistake is not None:
            where = ".".join(str(part) for part in mistake.absolute_path) or "arguments"
            raise ToolError(f"{self._tool}: {where}: {mistake.message}.")
        return given

    def _with_text_for_numbers(self, given: dict[str, Any]) -> dict[str, Any]:
        """A model writes an order number with or without quotes."""
        properties = self.schema.get("properties", {})
        return {
            name: str(value)
            if isinstance(value, int | float)
            and not isinstance(value, bool)
            and properties.get(name, {}).get("type") == "string"
            else value
            for name, value in given.items()
        }


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"$ref", "$dynamicRef"} and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
