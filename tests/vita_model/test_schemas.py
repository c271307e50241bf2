"""Schemas of tools come out narrower, never wider."""

from typing import Any

import pytest

from vita_model.engine.schemas import LONGEST_STRING, narrowed

pytestmark = pytest.mark.unit


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def test_no_parameters_means_no_arguments() -> None:
    nothing = {"type": "object", "properties": {}, "additionalProperties": False}
    assert narrowed({}) == nothing
    assert narrowed({"type": "object"}) == nothing
    assert narrowed({"type": "object", "properties": None}) == nothing


def test_objects_are_closed_at_every_depth_unless_they_say_otherwise() -> None:
    person = of(name={"type": "integer"})
    schema = narrowed(of(one=person, many={"type": "array", "items": person}))
    assert schema["additionalProperties"] is False
    assert schema["properties"]["one"]["additionalProperties"] is False
    assert schema["properties"]["many"]["items"]["additionalProperties"] is False
    open_one = {**person, "additionalProperties": {"type": "integer"}}
    kept = narrowed(of(one=open_one))["properties"]["one"]["additionalProperties"]
    assert kept == {"type": "integer"}
    parts = narrowed(of(one={"allOf": [person, of(age={"type": "integer"})]}))
    assert parts["properties"]["one"]["allOf"][0] == person


def test_strings_without_a_limit_get_one() -> None:
    schema = narrowed(
        of(
            free={"type": "string"},
            either={"type": ["string", "null"]},
            long={"type": "string", "minLength": 900},
            short={"type": "string", "maxLength": 5},
            choice={"type": "string", "enum": ["a"]},
            day={"type": "string", "format": "date"},
        )
    )["properties"]
    limits = {name: part.get("maxLength") for name, part in schema.items()}
    assert limits == {
        "free": LONGEST_STRING,
        "either": LONGEST_STRING,
        "long": 900,
        "short": 5,
        "choice": None,
        "day": None,
    }


def test_hints_are_left_out_and_properties_of_the_same_name_are_kept() -> None:
    hinted = {"type": "integer", "description": "d", "default": 1, "x-order": 2, "format": "int32"}
    schema = narrowed({**of(title=hinted, **{"x-ray": hinted}), "title": "Args"})
    assert schema == {
        "type": "object",
        "properties": {"title": {"type": "integer"}, "x-ray": {"type": "integer"}},
        "additionalProperties": False,
    }


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="object"):
        narrowed({"type": "string"})
