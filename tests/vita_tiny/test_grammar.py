"""Calls are valid whatever the weights: here every score is chance."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import jsonschema
import pytest
import torch
from tokenizers import Tokenizer

from vita_model.backbone import open_backbone
from vita_model.engine.answer import AnswerReader
from vita_model.engine.chat import Chat
from vita_model.engine.constraint import Constraint
from vita_model.engine.grammar import MOST_CALLS, CallMarks, Grammars
from vita_model.engine.voice import Call, Text, ToolError, ToolSpec

pytestmark = pytest.mark.model

TEXT = {"type": "string"}
LONG_ENOUGH = 2_000


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return open_backbone().tokenizer()


@pytest.fixture(scope="module")
def marks(tokenizer: Tokenizer) -> CallMarks:
    return Chat(tokenizer).call_marks


@pytest.fixture(scope="module")
def grammars(tokenizer: Tokenizer, marks: CallMarks) -> Grammars:
    return Grammars(tokenizer, marks)


def tool(name: str = "act", /, *, optional: Sequence[str] = (), **properties: Any) -> ToolSpec:
    required = [key for key in properties if key not in optional]
    return ToolSpec(name, "", {"type": "object", "properties": properties, "required": required})


PERSON = {
    "$defs": {
        "person": {
            "type": "object",
            "properties": {
                "age": {"type": "integer", "minimum": 0, "maximum": 120},
                "boss": {"anyOf": [{"$ref": "#/$defs/person"}, {"type": "null"}]},
            },
            "required": ["age", "boss"],
        }
    },
    "type": "object",
    "properties": {"who": {"$ref": "#/$defs/person"}},
    "required": ["who"],
}
TOOLS = {
    "choice": tool(seat={"enum": ["window", "bar", "both"]}, floor={"enum": [1, 2, None]}),
    "const": tool(kind={"const": 'a "quoted" é'}),
    "pattern": tool(plate={"type": "string", "pattern": "^[A-Z]{2}[0-9]{2} [A-Z]{3}$"}),
    "bounds": tool(
        people={"type": "integer", "minimum": 1, "maximum": 12},
        share={"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        step={"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 100},
    ),
    "array": tool(days={"type": "array", "items": {"enum": ["Mon", "Tue"]}, "minItems": 1}),
    "nested": tool(where={"type": "object", "properties": {"zip": {"enum": ["1", "22"]}}}),
    "optional": tool(a={"type": "boolean"}, b={"enum": [1]}, optional=["a", "b"]),
    "either": tool(x={"anyOf": [{"type": "null"}, {"type": "boolean"}]}),
    "disjoint": tool(x={"oneOf": [{"type": "null"}, {"type": "integer", "maximum": 9}]}),
    "merged": tool(x={"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 9}]}),
    "text": tool(note={"type": "string", "maxLength": 30}),
    "reference": ToolSpec("act", "", PERSON),
    "nothing": tool(),
}


class Chance:
    """Writes one answer with random scores."""

    def __init__(self, tokenizer: Tokenizer, marks: CallMarks, seed: int) -> None:
        self._random = torch.Generator().manual_seed(seed)
        self._size = tokenizer.get_vocab_size() + 7  # tables are often padded
        self._reader = AnswerReader(tokenizer, marks.call, marks.call_end)
        self._end = marks.end
        self.written: list[int] = []
        self.chosen = 0

    def write(
        self, constraint: Constraint, *, limit: int = LONG_ENOUGH, wish: int | None = None
    ) -> list[Text | Call]:
        """The answer up to its end or the limit; `wish` is written wherever it may stand."""
        events: list[Text | Call] = []
        while len(self.written) < limit:
            tokens = list(constraint.forced())
            if not tokens:
                scores = torch.randn(self._size, generator=self._random)
                if wish is not None:
                    scores[wish] = 100.0
                constraint.mask(scores)
                tokens = [int(scores.argmax())]
                self.chosen += 1
            for token in tokens:
                if token == self._end:
                    return events
                constraint.accept(token)
                self.written.append(token)
                events += self._reader.feed([token])
        return events


@pytest.mark.parametrize("kind", TOOLS)
def test_chance_makes_valid_calls(
    kind: str, tokenizer: Tokenizer, marks: CallMarks, grammars: Grammars
) -> None:
    offered = TOOLS[kind]
    finished = 0
    for seed in range(4):
        chance = Chance(tokenizer, marks, seed)
        events = chance.write(grammars.constraint([offered], "act", parallel=False))
        for event in events:
            assert isinstance(event, Call)
            assert event.name == "act"
            jsonschema.validate(json.loads(event.arguments), offered.parameters)
            finished += 1
    assert finished == 4


def test_dates_and_times_are_dates_and_times(
    tokenizer: Tokenizer, marks: CallMarks, grammars: Grammars
) -> None:
    at = {"type": "string", "format": "date-time", "pattern": "^2026-0[1357]-"}
    offered = tool(at=at, day={"type": "string", "format": "date"})
    for seed in range(3):
        (call,) = Chance(tokenizer, marks, seed).write(grammars.constraint([offered], "act"))
        assert isinstance(call, Call)
        arguments = json.loads(call.arguments)
        date.fromisoformat(arguments["day"].replace("02-29", "02-28"))
        assert datetime.fromisoformat(arguments["at"].upper().replace(":60", ":59"))


def test_a_call_cut_at_any_token_is_no_call(
    tokenizer: Tokenizer, marks: CallMarks, grammars: Grammars
) -> None:
    offered = TOOLS["reference"]
    whole = Chance(tokenizer, marks, 1)
    assert whole.write(grammars.constraint([offered], "act"))
    for limit in range(1, len(whole.written)):
        cut = Chance(tokenizer, marks, 1)
        assert cut.write(grammars.constraint([offered], "act"), limit=limit) == []


def test_fixed_text_costs_no_choice(
    tokenizer: Tokenizer, marks: CallMarks, grammars: Grammars
) -> None:
    offered = tool("seat_guests", guests={"type": "integer", "minimum": 1, "maximum": 9})
    chance = Chance(tokenizer, marks, 3)
    assert len(chance.write(grammars.constraint([offered], "required", parallel=False))) == 1
    assert chance.chosen == 1
    assert len(chance.written) > 15


def test_tokens_are_those_that_the_text_of_a_call_has(
    tokenizer: Tokenizer, marks: CallMarks, grammars: Grammars
) -> None:
    """Weights know calls as their text is tokenised in one piece."""
    chat = Chat(tokenizer)
    arguments = {"day": "Friday", "time": "9:15 am"}
    wanted = chat.tool_call("book_table", arguments)
    constraint = grammars.constraint([tool("book_table", day=TEXT, time=TEXT)], "book_table")
    left = list(wanted)
    while left:
        tokens = list(constraint.forced())
        if not tokens:
            scores = torch.zeros(tokenizer.get_vocab_size())
            scores[left[0]] = 1.0
            constraint.mask(scores)
            tokens = [int(scores.argmax())]
        assert tokens == left[: len(tokens)]
        for token in tokens:
            constraint.accept(token)
        del left[: len(tokens)]


class TestWhereCallsStand:
    SHUT = tool("shut")
    OPEN = tool("open", floor={"enum": [1, 2]})

    @pytest.fixture
    def chance(self, tokenizer: Tokenizer, marks: CallMarks) -> Chance:
        return Chance(tokenizer, marks, 5)

    @pytest.mark.parametrize(
        ("tools", "choice"), [((), "auto"), ((SHUT,), "none"), ((), "required")]
    )
    def test_none(
        self,
        tools: Sequence[ToolSpec],
        choice: str,
        chance: Chance,
        grammars: Grammars,
        marks: CallMarks,
    ) -> None:
        events = chance.write(grammars.constraint(tools, choice), limit=9, wish=marks.call)
        assert len(chance.written) == 9
        assert not any(isinstance(event, Call) for event in events)
        assert not {marks.call, marks.call_end, *marks.reserved} & set(chance.written)

    def test_words_may_come_before_a_call_and_none_after(
        self, chance: Chance, grammars: Grammars, marks: CallMarks
    ) -> None:
        constraint = grammars.constraint([self.SHUT], "auto")
        words = chance.write(constraint, limit=3)
        assert words
        assert all(isinstance(event, Text) for event in words)
        calls = chance.write(constraint, wish=marks.call)
        assert calls == [Call("shut", "{}")] * MOST_CALLS

    def test_one_is_required(self, chance: Chance, grammars: Grammars, marks: CallMarks) -> None:
        constraint = grammars.constraint([self.SHUT, self.OPEN], "required")
        events = chance.write(constraint, wish=marks.end)
        assert len(events) == 1
        assert isinstance(events[0], Call)

    def test_a_named_one_is_called_once(
        self, chance: Chance, grammars: Grammars, marks: CallMarks
    ) -> None:
        constraint = grammars.constraint([self.SHUT, self.OPEN], "open")
        (call,) = chance.write(constraint, wish=marks.call)
        assert isinstance(call, Call)
        assert call.name == "open"

    def test_a_name_that_is_not_offered(self, grammars: Grammars) -> None:
        with pytest.raises(ToolError, match="'ring'"):
            grammars.constraint([self.SHUT], "ring")

    def test_not_several_at_once(
        self, chance: Chance, grammars: Grammars, marks: CallMarks
    ) -> None:
        constraint = grammars.constraint([self.SHUT], "auto", parallel=False)
        assert chance.write(constraint, wish=marks.call) == [Call("shut", "{}")]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "strin"}, "Invalid type: strin"),
        ({"type": "string", "pattern": "^(?=a)b"}, "look-around"),
        ({"$ref": "https://example.com/schema"}, "Resource"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "unsatisfiable"),
        ({"type": 7}, "act"),
        ({"minLength": None, "type": "string"}, "act"),
    ],
)
def test_what_cannot_be_held_to_is_refused_with_the_tools_name(
    broken: dict[str, Any], reason: str, grammars: Grammars
) -> None:
    with pytest.raises(ToolError, match=reason) as fault:
        grammars.compile([TOOLS["nothing"], tool("broken_act", x=broken)])
    message = str(fault.value)
    assert message.startswith("The tool 'broken_act' cannot be offered: ")
    assert len(message) < 300
    assert "\n" not in message


def test_text_of_the_business_cannot_break_a_grammar(
    tokenizer: Tokenizer, marks: CallMarks, grammars: Grammars
) -> None:
    name = 'a"b\\ %json {} \n é☞ </tool_call>'
    offered = ToolSpec(name, "", tool(**{'k"\\é': {"enum": ['v"\\\n☟']}}).parameters)
    (call,) = Chance(tokenizer, marks, 2).write(
        grammars.constraint([offered], "required", parallel=False)
    )
    assert call == Call(name, json.dumps({'k"\\é': 'v"\\\n☟'}, ensure_ascii=False))
