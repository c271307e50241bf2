"""Keeps a tool call valid while it is generated: only offered names, only known arguments.

The fixed text of a call (`{"name": "`, argument names, brackets) is put in without asking the
model, in one pass; the model chooses the name among those offered and the values.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from tokenizers import Tokenizer

from vita_model.engine.voice import Call, ToolSpec

LONGEST_VALUE = 48


class Pen(Protocol):
    """Writes tokens into a sequence and asks what would come next."""

    def write(self, ids: Sequence[int]) -> None:
        """Append tokens."""
        ...

    def best(self, allowed: Sequence[int] | None = None) -> int:
        """The likeliest next token, of all or of the allowed ones."""
        ...


def write_call(pen: Pen, tools: Sequence[ToolSpec], tokenizer: Tokenizer) -> Call:
    """Write the JSON of one call after its opening tag, up to before the closing tag.

    Arguments are written in the order of the tool's schema; an optional argument is written too,
    its value may come out empty and is then left out of the result.
    """

    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return found

    pen.write(ids('{"name": "'))
    tool = _choose(pen, tools, ids)
    properties: dict[str, Any] = dict(tool.parameters.get("properties", {}))
    required = set(tool.parameters.get("required", properties))
    pen.write(ids('", "arguments": {'))
    arguments: dict[str, Any] = {}
    for index, (name, schema) in enumerate(properties.items()):
        kind = schema.get("type", "string")
        quote = '"' if kind == "string" else ""
        pen.write(ids(f'{", " if index else ""}"{name}": {quote}'.removeprefix(" ")))
        value = _value(pen, tokenizer, schema)
        if value or name in required:
            arguments[name] = _typed(value, kind)
        pen.write(ids(quote) if quote and index + 1 < len(properties) else [])
    last = list(properties.values())[-1] if properties else {}
    pen.write(ids('"}}' if properties and last.get("type", "string") == "string" else "}}"))
    return Call(tool.name, json.dumps(arguments, ensure_ascii=False))


def _choose(pen: Pen, tools: Sequence[ToolSpec], ids: Any) -> ToolSpec:
    """Walk the names' token sequences together with the model until one is complete."""
    paths = {tool.name: [*ids(tool.name), -1] for tool in tools}
    depth = 0
    left = dict(paths)
    while len(left) > 1:
        allowed = sorted({path[depth] for path in left.values()})
        if len(allowed) == 1:
            token = allowed[0]
        else:
            real = [token for token in allowed if token >= 0]
            end = ids('",')
            token = pen.best([*real, *end[:1]] if -1 in allowed else real)
            token = -1 if token not in real else token
        left = {name: path for name, path in left.items() if path[depth] == token}
        if token >= 0:
            pen.write([token])
        depth += 1
    name, path = next(iter(left.items()))
    pen.write([token for token in path[depth:] if token >= 0])
    return next(tool for tool in tools if tool.name == name)


def _value(pen: Pen, tokenizer: Tokenizer, schema: dict[str, Any]) -> str:
    """Let the model write a value up to its closing quote, comma or bracket."""
    if "enum" in schema:
        choices = [str(choice) for choice in schema["enum"]]
        paths = {c: tokenizer.encode(c, add_special_tokens=False).ids for c in choices}
        first = pen.best(sorted({path[0] for path in paths.values()}))
        chosen = next(c for c, path in paths.items() if path[0] == first)
        pen.write(paths[chosen])
        return chosen
    stops = '"' if schema.get("type", "string") == "string" else ",}"
    written: list[int] = []
    while len(written) < LONGEST_VALUE:
        token = pen.best()
        piece: str = tokenizer.decode([token], skip_special_tokens=False)
        stop = min((piece.find(s) for s in stops if s in piece), default=-1)
        if stop >= 0 or piece.startswith(("<", "\n")):
            break
        pen.write([token])
        written.append(token)
    text: str = tokenizer.decode(written, skip_special_tokens=False)
    return text.strip()


def _typed(value: str, kind: str) -> Any:
    try:
        if kind == "integer":
            return int(value)
        if kind == "number":
            return float(value)
    except ValueError:
        return value
    if kind == "boolean":
        return value.lower() in {"true", "yes"}
    return value
