from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.calls.memory import Entry, unanswered, unfinished_calls
from agent.calls.recall import Recall, tool_runs
from agent.calls.repository import CallRepository
from agent.session.conversation import (
    LONGEST_CONTEXT,
    ConversationKeeper,
    Conversations,
    KeptMemory,
)
from agent.session.embedded import EmbeddedValkey
from agent.session.store import SessionStore, call_key
from agent.store.engine import Database
from agent.store.shipper import Shipper
from agent.store.spool import Spool
from agent.tools.runs import ToolRuns, idempotency_key
from tests.agent.test_spool import admitted, event

pytestmark = pytest.mark.integration

TALK = (
    Entry("i1", "agent", "Hello."),
    Entry("i2", "caller", "where is my order"),
    Entry("i3", "call", '{"order_id":"7"}', "t1", "lookup_order"),
    Entry("i4", "output", '{"status":"größer"}', "t1"),
    Entry("i5", "agent", "On its way."),
)


@pytest.fixture
def conversations(store: SessionStore) -> Conversations:
    return Conversations(store)


async def test_what_was_said_comes_back_as_it_was_kept(conversations: Conversations):
    assert await conversations.load("c1") is None
    assert await conversations.save("c1", 3, TALK)
    assert await conversations.load("c1") == TALK


async def test_a_worker_that_lost_its_call_keeps_nothing_and_learns_of_it(
    conversations: Conversations,
):
    keeper = ConversationKeeper(conversations)
    old, new = keeper.memory("c1", 3), keeper.memory("c1", 4)
    new.keep(TALK)
    assert await new.kept()
    old.keep(TALK[:1])
    assert not await old.kept()
    assert old.taken_over.is_set()
    assert not new.taken_over.is_set()
    assert await conversations.load("c1") == TALK


async def test_only_the_newest_of_a_long_conversation_is_kept_and_it_expires(
    conversations: Conversations, store: SessionStore
):
    memory = ConversationKeeper(conversations).memory("c1", 1)
    memory.keep([*TALK, *[Entry(f"n{n}", "caller", "x") for n in range(LONGEST_CONTEXT - 2)]])
    assert await memory.kept()
    kept = await conversations.load("c1")
    assert kept is not None
    # The tool's answer would be the first; without its call it makes no sense.
    assert (kept[0], len(kept)) == (TALK[4], LONGEST_CONTEXT - 1)
    assert await store.redis.ttl(call_key("ctx", "c1")) > 0


async def test_an_endless_answer_does_not_push_out_more_than_itself(
    conversations: Conversations,
):
    huge = Entry("huge", "agent", "x" * 70_000)
    await conversations.save("c1", 1, (huge, *TALK))
    assert await conversations.load("c1") == TALK


async def test_what_could_not_be_kept_is_kept_once_the_store_is_back(tmp_path: Path, until):
    store = SessionStore(EmbeddedValkey(tmp_path).url, budget_s=5)
    conversations = Conversations(store)
    keeper = ConversationKeeper(conversations)
    memory = keeper.memory("c1", 1)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keeper.run())
        memory.keep(TALK[:1])
        memory.keep(TALK)
        assert await memory.kept(), "a store that is away does not take a call away"
        async with EmbeddedValkey(tmp_path):

            async def there() -> bool:
                return await conversations.load("c1") == TALK

            await until(there)
            await store.redis.flushall()
            memory.keep_again()
            await until(there)
            running.cancel()
    await store.close()


async def test_without_redis_the_call_log_remembers(
    conversations: Conversations, database: Database, spool: Spool
):
    recall = Recall(conversations, CallRepository(database))
    assert await recall.conversation("c1") == ()
    tool = {"tool_call_id": "t1", "tool": "lookup_order"}
    said = {"role": "caller", "pii_text": "hi", "start_ms": 0, "end_ms": 1}
    heard = {"role": "agent", "pii_text": "Hello there.", "pii_heard": "Hello"}
    for each in (
        admitted(),
        event(1, "utterance", {**heard, "start_ms": 0, "end_ms": 1, "interrupted": True}),
        event(2, "utterance", said),
        event(3, "tool_intent", {**tool, "pii_arguments": "{}", "idempotency_key": "k"}),
    ):
        spool.append(each)
    await Shipper(spool, database).drain()
    remembered = await recall.conversation("c1")
    assert [(each.kind, each.text) for each in remembered] == [
        ("agent", "Hello"),
        ("caller", "hi"),
        ("call", "{}"),
    ]
    assert [each.name for each in unfinished_calls(remembered)] == ["lookup_order"]
    await conversations.save("c1", 1, TALK)
    assert await recall.conversation("c1") == TALK


def test_what_is_owed_to_a_caller():
    assert not unanswered(())
    assert not unanswered(TALK)
    assert unanswered(TALK[:2])
    assert unanswered(TALK[:4])
    assert unfinished_calls(TALK) == []
    assert unfinished_calls(TALK[:3]) == [TALK[2]]


def test_what_has_to_happen_once_is_known_to_the_next_worker():
    begun = Entry("i6", "call", "{}", "t2", "book")
    failed = (Entry("i7", "call", "{}", "t3", "pay"), Entry("i8", "output", '{"error":"x"}', "t3"))
    runs = ToolRuns(tool_runs("c1", (*TALK, begun, *failed)))

    def before(name: str, arguments: str = "{}") -> str:
        run = runs.done_before("once", idempotency_key("c1", name, arguments))
        return run.status if run else "never"

    assert before("lookup_order", '{"order_id": "7"}') == "ok"
    assert before("lookup_order", '{"order_id": "8"}') == "never"
    assert before("book") == "started"
    assert before("pay") == "crashed"


async def test_many_calls_are_written_one_after_the_other(conversations: Conversations, until):
    keeper = ConversationKeeper(conversations)
    memories: list[KeptMemory] = [keeper.memory(f"c{n}", 1) for n in range(30)]
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keeper.run())
        for memory in memories:
            memory.keep(TALK)

        async def all_there() -> bool:
            return await conversations.load("c29") == TALK

        await until(all_there)
        running.cancel()
    assert [await conversations.load(f"c{n}") for n in range(30)] == [TALK] * 30
