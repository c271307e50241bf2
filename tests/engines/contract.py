"""What every language engine does. Each check takes an engine of `small.save`'s checkpoint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import jsonschema
import torch
from torch import Tensor

from tests.engines import small
from vita_model.engine.answer import AnswerReader
from vita_model.engine.engine import LanguageEngine, Plan, RowsError, Step
from vita_model.engine.voice import Call, ToolError, ToolSpec

Check = Callable[[LanguageEngine], Awaitable[None]]
MARKS = small.marks()
IDS = small.tokenizer().token_to_id
STATES = (IDS("☞"), IDS("☟"))
BOOK = ToolSpec(
    "book",
    "",
    {
        "type": "object",
        "properties": {
            "day": {"enum": ["Monday", "Friday"]},
            "guests": {"type": "integer", "minimum": 1, "maximum": 12},
            "name": {"type": "string", "maxLength": 12},
        },
        "required": ["day", "guests"],
    },
)
END = ToolSpec("end_call", "", {})


def rows(count: int, seed: int, width: int) -> Tensor:
    """Rows as an encoder might give them."""
    return 0.2 * torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


async def answer(engine: LanguageEngine, name: str, plan: Plan) -> list[int]:
    """All tokens of an answer."""
    return [token async for step in engine.generate(name, plan) for token in step.tokens]


def greedy(given: Tensor, count: int) -> list[int]:
    """What transformers writes, with what never belongs into an answer left out."""
    model = small.model()
    never = [*MARKS.reserved, MARKS.call, MARKS.call_end]
    embeds, written = given[None], list[int]()
    with torch.inference_mode():
        while len(written) < count:
            scores = model(inputs_embeds=embeds).logits[0, -1]
            scores[never] = float("-inf")
            written.append(int(scores.argmax()))
            if written[-1] == MARKS.end:
                break
            row = model.model.embed_tokens(torch.tensor([[written[-1]]]))
            embeds = torch.cat([embeds, row], 1)
    return written


async def tokens_are_those_of_transformers(engine: LanguageEngine) -> None:
    """Over two turns, of rows and of ids."""
    given = rows(150, 1, engine.width)
    await engine.open("a")
    await engine.append("a", given)
    written = await answer(engine, "a", Plan(24))
    assert written == greedy(given, 24)
    assert engine.length("a") == 150 + len(written)
    await engine.append("a", [1, 2, 3, 4])
    turned = torch.cat([given, engine.embed(written), engine.embed([1, 2, 3, 4])])
    assert await answer(engine, "a", Plan(12)) == greedy(turned, 12)


async def rows_in_pieces_make_no_difference(engine: LanguageEngine) -> None:
    """As when the caller is still speaking."""
    given = rows(300, 2, engine.width)
    await engine.open("a")
    for start in range(0, 300, 75):
        await engine.append("a", given[start : start + 75])
    assert await answer(engine, "a", Plan(8)) == greedy(given, 8)


async def what_was_cut_is_forgotten(engine: LanguageEngine) -> None:
    """An answer is cut to what was heard."""
    given = rows(140, 3, engine.width)
    await engine.open("a")
    await engine.append("a", given)
    first = await answer(engine, "a", Plan(10))
    await engine.truncate("a", 140)
    assert engine.length("a") == 140
    assert await answer(engine, "a", Plan(10)) == first
    await engine.truncate("a", 130)
    await engine.truncate("a", 1_000)
    assert await answer(engine, "a", Plan(6)) == greedy(given[:130], 6)


async def conversations_do_not_mix(engine: LanguageEngine) -> None:
    """Several at once, of different lengths."""
    given = [rows(60 + 40 * index, 10 + index, engine.width) for index in range(4)]
    for index, one in enumerate(given):
        await engine.open(str(index))
        await engine.append(str(index), one)
    found = await asyncio.gather(*(answer(engine, str(index), Plan(8)) for index in range(4)))
    assert list(found) == [greedy(one, 8) for one in given]
    assert engine.stats().sessions >= 4
    for index in range(4):
        await engine.close(str(index))


async def the_first_token_is_a_state(engine: LanguageEngine) -> None:
    """And a mute state ends the answer."""
    given = rows(40, 4, engine.width)
    with torch.inference_mode():
        scores = small.model()(inputs_embeds=given[None]).logits[0, -1]
    shares = torch.softmax(scores[list(STATES)], 0).tolist()
    for mute in ((), STATES):
        await engine.open("a")
        await engine.append("a", given)
        plan = Plan(4, first=STATES, mute=frozenset(mute))
        steps: list[Step] = [step async for step in engine.generate("a", plan)]
        assert steps[0].tokens == (STATES[shares.index(max(shares))],)
        for token, share in zip(STATES, shares, strict=True):
            assert abs(steps[0].shares[token] - share) < 0.01
        assert (len(steps) == 1) == bool(mute)


async def calls_are_valid(engine: LanguageEngine) -> None:
    """Whatever the weights."""
    for seed in range(3):
        await engine.open("a")
        await engine.append("a", rows(30, 20 + seed, engine.width))
        plan = Plan(200, tools=(BOOK, END), tool_choice="required", parallel_calls=False)
        written = await answer(engine, "a", plan)
        assert written[-1] == MARKS.end
        assert engine.length("a") == 30 + len(written)
        (call,) = AnswerReader(small.tokenizer(), MARKS.call, MARKS.call_end).feed(written[:-1])
        assert isinstance(call, Call)
        tool = {"book": BOOK, "end_call": END}[call.name]
        jsonschema.validate(json.loads(call.arguments), tool.parameters)


async def a_call_that_does_not_fit_is_cut(engine: LanguageEngine) -> None:
    """At the limit, and nothing is called."""
    await engine.open("a")
    await engine.append("a", rows(30, 30, engine.width))
    written = await answer(engine, "a", Plan(9, tools=(BOOK,), tool_choice="book"))
    assert written[0] == MARKS.call
    assert len(written) == 9
    assert AnswerReader(small.tokenizer(), MARKS.call, MARKS.call_end).feed(written) == []


async def an_answer_ends_when_it_is_aborted(engine: LanguageEngine) -> None:
    """From another task; the conversation goes on after it."""
    await engine.open("a")
    await engine.append("a", rows(30, 5, engine.width))
    seen = 0
    async for step in engine.generate("a", Plan(400)):
        seen += len(step.tokens)
        if seen >= 3:
            await engine.abort("a")
    assert 3 <= seen < 400
    assert engine.length("a") == 30 + seen
    assert len(await answer(engine, "a", Plan(2))) in {1, 2}


async def an_answer_ends_when_nobody_reads_it(engine: LanguageEngine) -> None:
    """The iterator is closed."""
    await engine.open("a")
    await engine.append("a", rows(30, 6, engine.width))
    async with aclosing(engine.generate("a", Plan(400))) as steps:  # type: ignore[type-var]
        await anext(steps)
    assert engine.stats().replies == 0
    assert engine.length("a") <= 32


async def bad_rows_harm_nobody(engine: LanguageEngine) -> None:
    """They are refused before anything is computed."""
    await engine.open("a")
    await engine.append("a", [5, 6, 7])
    bad = rows(4, 7, engine.width)
    bad[2, 3] = float("nan")
    for wrong in (
        rows(4, 7, engine.width + 1),
        rows(4, 7, engine.width)[0],
        torch.ones(4, engine.width, dtype=torch.long),
        bad,
        [1, -1],
        [100_000],
        rows(small.LIMIT, 7, engine.width),
    ):
        try:
            await engine.append("a", wrong)
        except RowsError:
            assert engine.length("a") == 3
        else:
            raise AssertionError(f"rows were taken: {wrong}")
    assert await answer(engine, "a", Plan(4)) == greedy(engine.embed([5, 6, 7]), 4)


async def answers_that_cannot_be_given_are_refused(engine: LanguageEngine) -> None:
    """With a reason, and the conversation is as it was."""
    await engine.open("a")
    ring = Plan(4, tools=(END,), tool_choice="ring")
    faults = ((Plan(4), RowsError), (Plan(small.LIMIT), RowsError), (ring, ToolError))
    for plan, fault in faults:
        try:
            await answer(engine, "a", plan)
        except fault:
            await engine.append("a", [9])
        else:
            raise AssertionError(f"{plan} was answered")
    await engine.close("a")
    await engine.close("a")
    try:
        await engine.append("a", [1])
    except KeyError:
        return
    raise AssertionError("a closed conversation took rows")


CHECKS: tuple[Check, ...] = (
    tokens_are_those_of_transformers,
    rows_in_pieces_make_no_difference,
    what_was_cut_is_forgotten,
    conversations_do_not_mix,
    the_first_token_is_a_state,
    calls_are_valid,
    a_call_that_does_not_fit_is_cut,
    an_answer_ends_when_it_is_aborted,
    an_answer_ends_when_nobody_reads_it,
    bad_rows_harm_nobody,
    answers_that_cannot_be_given_are_refused,
)
