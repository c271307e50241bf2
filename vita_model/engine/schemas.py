"""JSON schemas of tools, narrowed so that what a model writes to them comes to an end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONGEST_STRING = 400
"""Characters of a string whose schema does not limit it: a model that loops must stop."""
CHECKED_FORMATS = frozenset(
    ["date", "date-time", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"]
)
"""Formats that are held to; others are hints, as JSON Schema has it."""
_HINTS = {"$comment", "$id", "$schema", "default", "deprecated", "description", "discriminator"}
_HINTS |= {"example", "examples", "readOnly", "title", "writeOnly"}
_NAMED_PARTS = ("properties", "patternProperties", "$defs", "definitions")
_LISTED_PARTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_PARTS = ("items", "additionalProperties", "not", "if", "then", "else", "contains")

Schema = dict[str, Any]


def narrowed(parameters: Mapping[str, Any]) -> Schema:
    """The schema of a tool's arguments as a grammar should have it.

    Every value that fits the result fits the given schema too. Objects have no other keys than
    those named, unless the schema speaks of others; strings have a limit; hints are gone.

    Args:
        parameters: JSON schema of an object. An empty one means no arguments.

    Raises:
        ValueError: It is no schema of an object.
    """
    if parameters.get("type", "object") != "object":
        raise ValueError('the type of the parameters is not "object"')
    return _narrowed({**parameters, "type": "object", "properties": _properties(parameters)})


def _properties(parameters: Mapping[str, Any]) -> Any:
    return parameters.get("properties") or {}


def _narrowed(schema: Any, *, closed: bool = True) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    result: Schema = {
        key: _part(key, value)
        for key, value in schema.items()
        if key not in _HINTS and not key.startswith("x-")
    }
    if result.get("format") not in CHECKED_FORMATS:
        result.pop("format", None)
    kind = result.get("type")
    if kind == "string" or (isinstance(kind, list) and "string" in kind):
        _limit(result)
    if closed and "properties" in result and not {"patternProperties", "allOf"} & result.keys():
        result.setdefault("additionalProperties", False)
    return result


def _part(key: str, value: Any) -> Any:
    """The value of a keyword with the schemas in it narrowed."""
    if key in _NAMED_PARTS and isinstance(value, Mapping):
        return {name: _narrowed(part) for name, part in value.items()}
    if key in _LISTED_PARTS and isinstance(value, list):
        # Parts of an allOf know only some of the keys each.
        return [_narrowed(part, closed=key != "allOf") for part in value]
    return _narrowed(value) if key in _PARTS else value


def _limit(schema: Schema) -> None:
    if {"maxLength", "enum", "const", "format"} & schema.keys():
        return
    shortest = schema.get("minLength", 0)
    schema["maxLength"] = max(LONGEST_STRING, shortest if isinstance(shortest, int) else 0)
