"""Reads a tool's arguments off its function: names, types, descriptions, and checks them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model
from pydantic.fields import FieldInfo

from agent.errors import ConfigurationError, ToolError
from agent.tools.context import ToolContext

_UNSUPPORTED: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "takes any number of values: name each argument",
    inspect.Parameter.VAR_KEYWORD: "takes any name: name each argument",
    inspect.Parameter.POSITIONAL_ONLY: "is positional-only: arguments are given by name",
}


@dataclass(frozen=True, slots=True)
class Signature:
    """The arguments of one function.

    Attributes:
        parameters: Their JSON schema.
        context_parameter: Name of the parameter that gets the `ToolContext`; empty for none.
    """

    tool: str
    parameters: Mapping[str, Any]
    context_parameter: str
    model: type[BaseModel]

    def check(self, arguments: str) -> dict[str, Any]:
        """Read the model's JSON text into typed arguments.

        Raises:
            ToolError: They do not fit; the sentence tells the model what to change.
        """
        try:
            checked = self.model.model_validate_json(arguments or "{}")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = ".".join(str(part) for part in first["loc"]) or "arguments"
            raise ToolError(f"{self.tool}: {name}: {first['msg']}.") from error
        fields = self.model.model_fields.items()
        return {str(field.alias): getattr(checked, name) for name, field in fields}


def read_signature(function: Callable[..., Any], tool: str) -> Signature:
    """Read a function's arguments.

    Raises:
        ConfigurationError: A parameter cannot be one of a tool; the sentence names it.
    """
    hints = _hints(function, tool)
    described = _described(inspect.getdoc(function) or "")
    context_parameter = ""
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        _refuse_unsupported(parameter, hints, tool)
        name, hint = parameter.name, hints[parameter.name]
        if hint is ToolContext:
            context_parameter = name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        field: Any = Field(default, alias=name)
        if name in described and not _is_described(hint):
            field = Field(default, alias=name, description=described[name])
        _refuse_untold(hint, field, f"The tool {tool}: {name}")
        # The field has a name of ours: the function's may be one that pydantic keeps for itself.
        fields[f"argument_{len(fields)}"] = (hint, field)
    # A model writes an order number with or without quotes.
    config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, validate_default=False)
    model = create_model(tool, __config__=config, **fields)
    return Signature(tool, _without_titles(model.model_json_schema()), context_parameter, model)


def summary(function: Callable[..., Any]) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())


def _hints(function: Callable[..., Any], tool: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigurationError(
            f"The tool {tool}: a type cannot be found ({error}): import it outside of "
            "TYPE_CHECKING, at the top of the file."
        ) from error


def _refuse_unsupported(parameter: inspect.Parameter, hints: Mapping[str, Any], tool: str) -> None:
    where = f"The tool {tool}: {parameter.name}"
    if reason := _UNSUPPORTED.get(parameter.kind):
        raise ConfigurationError(f"{where} {reason}.")
    if parameter.name not in hints:
        hint = " Decorate a plain function, or a bound method: tool()(thing.method)."
        raise ConfigurationError(f"{where} needs a type.{hint if parameter.name == 'self' else ''}")
    if isinstance(parameter.default, FieldInfo):
        raise ConfigurationError(
            f"{where} has a Field as its default: write Annotated[…, Field(…)]."
        )


def _refuse_untold(hint: Any, field: Any, where: str) -> None:
    """A type has to have a JSON form, and the default has to fit into JSON as well."""
    try:
        create_model("probe", field=(hint, field)).model_json_schema()
    except PydanticUserError as error:
        raise ConfigurationError(
            f"{where} has a type without a JSON form ({_name(hint)}): use text, numbers, bool, "
            "Literal, Enum, list, dict, a dataclass or a pydantic model."
        ) from error


def _is_described(hint: Any) -> bool:
    fields = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, FieldInfo)]
    return any(field.description for field in fields)


def _name(hint: Any) -> str:
    return getattr(hint, "__name__", None) or str(hint)


def _described(doc: str) -> dict[str, str]:
    """The entries of a docstring's `Args:` section."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", doc, re.MULTILINE)
    if section is None:
        return {}
    lines = [line for line in section[1].splitlines() if line.strip()]
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        entry = re.match(r"(\w+)(?: \([^)]*\))?:\s*(.*)", line[indent:])
        if entry is not None:
            name = entry[1]
            found[name] = entry[2]
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


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
