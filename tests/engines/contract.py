"""What every engine does. Each check takes a host of an engine with `small`'s weights."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Hashable, Sequence

import jsonschema
import torch
from torch import Tensor

from tests.engines import small
from tests.engines.host import Answer, Host
from vita_model.engine.engine import RowsError
from vita_model.engine.job import Cancelled
from vita_model.engine.voice import Done, State, Text, ToolError, ToolSpec

Check = Callable[[Host], Awaitable[None]]
MARKS, STATES = small.marks(), small.states()
TOLERANCE = 0.35
"""How much less likely than the likeliest a choice may be, in scores of a spread of 25."""
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


def ids(count: int, seed: int) -> list[int]:
    """A prompt of tokens."""
    made = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count,), generator=made).tolist()


def heard(count: int, seed: int) -> dict[Hashable, Tensor]:
    """Rows as an encoder might give them, each with a name."""
    width = small.model().config.hidden_size
    rows = 0.2 * torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
    return {("heard", seed, place): row for place, row in enumerate(rows)}


def said(answer: Answer) -> list[int]:
    """The tokens of an answer, its state first."""
    assert answer.state is not None
    return [STATES[answer.state.marker], *small.tokenizer().encode(answer.text).ids]


@torch.inference_mode()
def likeliest(
    names: Sequence[Hashable], rows: dict[Hashable, Tensor], answer: Answer, limit: int
) -> None:
    """The answer is what transformers would write after these rows."""
    tokens = said(answer)
    assert len(tokens) == limit
    table = small.model().model.embed_tokens.weight
    known = [table[name] if isinstance(name, int) else rows[name] for name in names]
    embeds = torch.stack([*known, *(table[token] for token in tokens[:-1])])
    scores = small.model()(inputs_embeds=embeds[None]).logits[0, len(names) - 1 :]
    scores[1:, [*MARKS.reserved, MARKS.call, MARKS.call_end]] = float("-inf")
    chosen = scores[1:].gather(1, torch.tensor(tokens[1:])[:, None])[:, 0]
    assert float((scores[1:].amax(1) - chosen).max()) < TOLERANCE


async def answers_are_those_of_transformers(host: Host) -> None:
    """Over two turns, of rows and of ids; the second computes only what is new."""
    rows = heard(70, 1)
    names = [*ids(90, 1), *rows]
    first = await host.ask("two", names, heard=rows, limit=20)
    likeliest(names, rows, first, 20)
    assert first.usage.input_tokens == 160
    assert first.usage.reason == "length"
    names = [*names, *said(first), MARKS.end, *ids(30, 2)]
    second = await host.ask("two", names, heard=rows, limit=12)
    likeliest(names, rows, second, 12)
    assert second.usage.cached_tokens >= 128


async def prompts_computed_ahead_make_no_difference(host: Host) -> None:
    """As while the caller is still speaking."""
    rows = heard(300, 2)
    names = [*rows]
    for end in range(75, 301, 75):
        ahead = await host.ask("ahead", names[:end], heard=rows, expects=())
        assert ahead.state is None
    answer = await host.ask("ahead", names, heard=rows, limit=8)
    likeliest(names, rows, answer, 8)
    assert answer.usage.cached_tokens >= 256


async def what_is_computed_ahead_gives_way(host: Host) -> None:
    """To the next answer of its session, which is the same as without it."""
    names = ids(400, 44)
    ahead, _ = host.begin("ahead", names[:390], expects=(), ahead=True)
    answer = await host.ask("ahead", names, limit=4)
    likeliest(names, {}, answer, 4)
    try:
        async for event in ahead.events():
            assert isinstance(event, Done)
    except Cancelled:
        pass
    again, _ = host.begin("ahead", names[:390], expects=(), ahead=True)
    assert [type(event) async for event in again.events()] == [Done]


async def what_was_cut_is_forgotten(host: Host) -> None:
    """An answer is cut to what was heard; another goes on from there."""
    rows = heard(140, 3)
    names = [*rows]
    first = await host.ask("cut", names, heard=rows, limit=10)
    again = await host.ask("cut", names, heard=rows, limit=10)
    assert again.text == first.text
    shorter = [*names[:130], *ids(6, 3)]
    likeliest(shorter, rows, await host.ask("cut", shorter, heard=rows, limit=6), 6)


async def conversations_do_not_mix(host: Host) -> None:
    """Several at once, of different lengths."""
    given = [heard(60 + 40 * index, 10 + index) for index in range(4)]
    answers = await asyncio.gather(
        *(host.ask(f"mix {i}", [*rows], heard=rows, limit=8) for i, rows in enumerate(given))
    )
    for rows, answer in zip(given, answers, strict=True):
        likeliest([*rows], rows, answer, 8)
    assert host.engine.stats().sessions >= 4
    for index in range(4):
        host.engine.close(f"mix {index}")
    assert host.engine.stats().replies == 0


async def the_state_comes_first(host: Host) -> None:
    """Of those that may be, with how likely each was; nothing follows noise."""
    rows = heard(40, 4)
    table = torch.stack([*rows.values()])[None]
    with torch.inference_mode():
        scores = small.model()(inputs_embeds=table).logits[0, -1]
    shares = torch.softmax(scores[[*STATES.values()]], 0).tolist()
    known = dict(zip(STATES, shares, strict=True))
    for expects in (("query", "noise"), ("typed",), ("noise",)):
        answer = await host.ask("state", [*rows], heard=rows, expects=expects, limit=4)
        assert answer.state is not None
        assert answer.state.marker == max(expects, key=lambda marker: known[marker])
        assert bool(answer.text) == (answer.state.marker != "noise")
        for marker, share in answer.state.probabilities.items():
            assert abs(share - known[marker]) < 0.05


async def calls_are_valid(host: Host) -> None:
    """Whatever the weights."""
    for seed in range(3):
        plan = {"tools": (BOOK, END), "tool_choice": "required", "parallel_calls": False}
        answer = await host.ask("call", ids(30, 20 + seed), limit=200, **plan)
        (call,) = answer.calls
        assert answer.text == ""
        assert answer.usage.reason == "stop"
        tool = {"book": BOOK, "end_call": END}[call.name]
        jsonschema.validate(json.loads(call.arguments), tool.parameters)


async def a_call_may_follow_a_call_but_words_may_not(host: Host) -> None:
    """Several calls in one answer."""
    plan = {"tools": (END,), "tool_choice": "required"}
    answer = await host.ask("calls", ids(30, 24), limit=400, **plan)
    assert answer.text == ""
    assert {call.name for call in answer.calls} == {"end_call"}


async def a_call_that_does_not_fit_is_cut(host: Host) -> None:
    """At the limit, and nothing is called."""
    answer = await host.ask("short", ids(30, 30), limit=9, tools=(BOOK,), tool_choice="book")
    assert answer.calls == []
    assert answer.text == ""
    assert (answer.usage.output_tokens, answer.usage.reason) == (9, "length")


async def a_cancelled_answer_ends_and_the_others_go_on(host: Host) -> None:
    """Its session is free again."""
    other = asyncio.gather(host.ask("stays", ids(30, 5), limit=200))
    stream, usage = host.begin("goes", ids(30, 6), limit=550)
    async for event in stream.events():
        if isinstance(event, Text):
            host.leave(stream)
            break
    again = await host.ask("goes", ids(30, 6), limit=4)
    assert usage.output_tokens < 550
    assert len(again.text) == 3
    (stays,) = await other
    assert len(stays.text) == 199
    assert host.engine.stats().replies == 0


async def one_cancelled_before_its_turn_never_begins(host: Host) -> None:
    """It waits behind another of its session."""
    first, _ = host.begin("turn", ids(30, 7), limit=60)
    second, usage = host.begin("turn", ids(30, 8), limit=60)
    host.leave(second)
    assert isinstance(await anext(first.events()), State)
    assert (await host.ask("turn", ids(30, 9), limit=2)).text
    assert usage.output_tokens == 0


async def bad_rows_harm_nobody(host: Host) -> None:
    """They are refused before anything is computed."""
    width = small.model().config.hidden_size
    nan = torch.zeros(width)
    nan[3] = float("nan")
    good = asyncio.gather(host.ask("good", ids(30, 31), limit=100))
    for row in (torch.zeros(width + 1), torch.zeros(1, width), torch.ones(width).long(), nan):
        await refused(host, [1, "row", 2], {"row": row})
    await refused(host, [1, "another"], {})
    await refused(host, [1, -1], {})
    await refused(host, [100_000], {})
    await refused(host, [], {})
    if host.longest is not None:
        await refused(host, ids(host.longest, 32), {})
    (answer,) = await good
    assert len(answer.text) == 99
    likeliest([5, 6, 7], {}, await host.ask("bad", [5, 6, 7], limit=4), 4)


async def refused(host: Host, names: list[Hashable], rows: dict[Hashable, Tensor]) -> None:
    """This prompt is no prompt."""
    try:
        await host.ask("bad", names, heard=rows, limit=4)
    except RowsError:
        return
    raise AssertionError(f"these rows were taken: {names[:3]}")


async def a_tool_that_is_not_there_ends_one_answer(host: Host) -> None:
    """With the reason."""
    try:
        await host.ask("ring", ids(9, 40), limit=4, tools=(END,), tool_choice="ring")
    except ToolError:
        assert (await host.ask("ring", ids(9, 40), limit=4)).text
    else:
        raise AssertionError("a tool was called that nobody offered")


async def what_runs_at_the_end_is_told(host: Host) -> None:
    """The last check: the engine goes."""
    stream, _ = host.begin("last", ids(30, 50), limit=550)
    reading = stream.events()
    assert isinstance(await anext(reading), State)
    host.close()
    try:
        async for _ in reading:
            pass
    except Cancelled:
        raise AssertionError("the end of the engine looks like a caller who left") from None
    except RuntimeError:
        return
    raise AssertionError("an answer ended as if it were complete")


CHECKS: tuple[Check, ...] = (
    answers_are_those_of_transformers,
    prompts_computed_ahead_make_no_difference,
    what_is_computed_ahead_gives_way,
    what_was_cut_is_forgotten,
    conversations_do_not_mix,
    the_state_comes_first,
    calls_are_valid,
    a_call_may_follow_a_call_but_words_may_not,
    a_call_that_does_not_fit_is_cut,
    a_cancelled_answer_ends_and_the_others_go_on,
    one_cancelled_before_its_turn_never_begins,
    bad_rows_harm_nobody,
    a_tool_that_is_not_there_ends_one_answer,
    what_runs_at_the_end_is_told,
)
