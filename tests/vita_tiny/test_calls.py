"""A tool call comes out valid whatever the model would like to write."""

import json
from collections.abc import Sequence

import pytest
from tokenizers import Tokenizer

from vita_model.backbone import open_backbone
from vita_model.engine.calls import write_call
from vita_model.engine.voice import ToolSpec

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return open_backbone().tokenizer()


class Scribe:
    """Likes to go on with a given text, token by token; otherwise takes the first allowed."""

    def __init__(self, tokenizer: Tokenizer, wishes: str) -> None:
        self.tokenizer, self.written = tokenizer, list[int]()
        self.wishes = tokenizer.encode(wishes, add_special_tokens=False).ids

    def write(self, ids: Sequence[int]) -> None:
        self.written.extend(ids)

    def best(self, allowed: Sequence[int] | None = None) -> int:
        for at, token in enumerate(self.wishes):
            if allowed is None or token in allowed:
                self.wishes = self.wishes[at + 1 :]
                return token
        return allowed[0] if allowed else self.tokenizer.encode('"}}').ids[0]


def spec(name: str, /, **properties: object) -> ToolSpec:
    return ToolSpec(name, "", {"type": "object", "properties": properties})


TEXT = {"type": "string"}


def run(tokenizer: Tokenizer, wishes: str, *tools: ToolSpec) -> tuple[str, dict[str, object], str]:
    scribe = Scribe(tokenizer, wishes)
    call = write_call(scribe, tools, tokenizer)
    return call.name, json.loads(call.arguments), tokenizer.decode(scribe.written)


def test_fixed_text_is_put_in_and_values_are_the_models(tokenizer: Tokenizer) -> None:
    name, arguments, text = run(tokenizer, '48213"}}', spec("lookup_order", order_id=TEXT))
    assert (name, arguments) == ("lookup_order", {"order_id": "48213"})
    assert json.loads(text) == {"name": name, "arguments": arguments}


def test_the_name_is_one_of_those_offered(tokenizer: Tokenizer) -> None:
    tools = (spec("find_order", order_id=TEXT), spec("find_person", name=TEXT))
    name, arguments, _ = run(tokenizer, 'find_person"Ann"', *tools)
    assert name == "find_person"
    assert set(arguments) == {"name"}


def test_a_name_that_begins_another_can_be_chosen(tokenizer: Tokenizer) -> None:
    tools = (spec("book"), spec("book_table", day=TEXT))
    assert run(tokenizer, 'book",', *tools)[0] == "book"


def test_several_arguments_and_numbers(tokenizer: Tokenizer) -> None:
    tool = spec("book", day=TEXT, people={"type": "integer"})
    _, arguments, text = run(tokenizer, 'Friday"4}', tool)
    assert arguments == {"day": "Friday", "people": 4}
    assert json.loads(text)["arguments"] == arguments


def test_no_arguments(tokenizer: Tokenizer) -> None:
    _, arguments, text = run(tokenizer, "", spec("end_call"))
    assert arguments == {}
    assert json.loads(text) == {"name": "end_call", "arguments": {}}


def test_a_choice_is_one_of_the_choices(tokenizer: Tokenizer) -> None:
    tool = spec("seat", where={"type": "string", "enum": ["window", "bar"]})
    assert run(tokenizer, 'bar"', tool)[1] == {"where": "bar"}
