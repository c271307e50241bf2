from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.api import IncomingCall
from agent.calls.call import Call, call_id_for
from agent.calls.line import Line
from agent.errors import InvalidRequestError, NotFoundError, PermissionDeniedError
from agent.session.live import LiveFeed
from agent.session.live_calls import LiveCallList
from agent.session.session import CallSession, Sessions
from agent.session.store import SessionStore
from agent.store import migrate
from agent.store.engine import Database
from agent.supervisor.desk import SupervisorDesk
from agent.supervisor.views import LiveEvent
from tests.agent.conftest import ManualClock, Until
from tests.agent.supervisor.book import ADMIN, SUPERVISOR, VIEWER

pytestmark = pytest.mark.integration


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'calls.db'}")
    migrate.upgrade(database.url)
    yield database
    await database.close()


@pytest.fixture(params=["redis_url", "redis_server_url"], ids=["valkey", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[SessionStore]:
    store = SessionStore(request.getfixturevalue(request.param), budget_s=5.0)
    await store.redis.flushall()
    yield store
    await store.close()


class Worker:
    """Tells the live view what a worker would."""

    def __init__(self, store: SessionStore, line: Line, clock: ManualClock) -> None:
        self.store = store
        self.feed = LiveFeed(store)
        self.line = line
        self.clock = clock
        self.call_id = call_id_for("twilio", "CA1")

    async def tell(self, kind: str, payload: Mapping[str, Any]) -> None:
        self.feed.publish(self.call_id, 1, kind, self.clock.now(), payload)
        await self.feed.flush()

    async def begin(self) -> None:
        incoming = IncomingCall("twilio", "CA1", "+15550100", "+15551234523")
        session = CallSession(incoming, self.line, Call(state="in_progress", epoch=1))
        await Sessions(self.store).save(session)
        await self.tell("call_state", {"state": "in_progress", "attempt": 1, "reason": ""})

    async def end(self) -> None:
        await self.tell("call_state", {"state": "ended", "attempt": 1, "reason": "agent_ended"})


@pytest.fixture
def worker(store: SessionStore, line: Line, clock: ManualClock) -> Worker:
    return Worker(store, line, clock)


async def test_calls_are_listed_while_somebody_serves_them(
    desk: SupervisorDesk, worker: Worker, store: SessionStore, until: Until
):
    served = {worker.call_id}
    await worker.begin()
    await worker.tell("utterance", {"role": "caller", "pii_text": "I am on 555-123-4567."})
    await worker.tell("turn", {"latency_ms": 480})

    async def listed() -> bool:
        return bool(await desk.live.list(VIEWER))

    async def gone() -> bool:
        return not await desk.live.list(VIEWER)

    keeper = LiveCallList(store)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(keeper.keep(lambda: served))
        await until(listed)
        (call,) = await desk.live.list(VIEWER)
        assert (call.line, call.business, call.state) == (
            "+15550100",
            "Brightside Dental",
            "in_progress",
        )
        assert (call.caller, call.last_role, call.latency_ms) == ("+1 555 ••• ••23", "caller", 480)
        assert "123" not in call.last_text
        served.clear()
        await until(gone)
        task.cancel()


async def test_a_worker_that_dies_takes_its_calls_off_the_list(
    desk: SupervisorDesk, worker: Worker, store: SessionStore, until: Until
):
    await worker.begin()
    await LiveCallList(store).renew([worker.call_id])
    assert await desk.live.list(VIEWER)
    short = LiveCallList(store, gone_s=0.2)

    async def gone() -> bool:
        return not await short.running()

    await until(gone)


async def test_a_call_is_followed_from_anywhere_to_its_end(
    desk: SupervisorDesk, worker: Worker, store: SessionStore
):
    await worker.begin()
    await LiveCallList(store).renew([worker.call_id])
    seen: list[LiveEvent] = []

    async def follow(events: AsyncIterator[LiveEvent]) -> None:
        async for event in events:
            seen.append(event)
            if event.kind == "caption":
                await worker.tell("utterance", {"role": "agent", "pii_text": "Call +15551234567."})
                await worker.end()
                await LiveCallList(store).remove([worker.call_id])

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(follow(desk.live.follow(VIEWER, worker.call_id)))
        await asyncio.sleep(0.05)
        await worker.tell(
            "caption", {"role": "agent", "item_id": "i", "pii_text": "Call", "final": 0}
        )
    assert [event.kind for event in seen] == ["call_state", "caption", "utterance", "call_state"]
    assert seen[2].payload["pii_text"] == "Call +1 555 ••• ••67."
    late = [
        event async for event in desk.live.follow(VIEWER, worker.call_id, after=seen[1].position)
    ]
    assert late == seen[2:]


async def test_a_call_taken_up_again_goes_on(
    desk: SupervisorDesk, worker: Worker, store: SessionStore
):
    await worker.begin()
    await worker.end()
    await worker.begin()
    await worker.end()
    async with asyncio.timeout(30):
        seen = [event async for event in desk.live.follow(VIEWER, worker.call_id)]
    assert len(seen) == 4


async def test_revealed_words_are_for_supervisors_and_kept(desk: SupervisorDesk, worker: Worker):
    await worker.begin()
    await worker.tell("utterance", {"role": "caller", "pii_text": "555-123-4567"})
    await worker.end()
    with pytest.raises(PermissionDeniedError):
        await desk.live.check(VIEWER, worker.call_id, reveal=True)
    events = desk.live.follow(SUPERVISOR, worker.call_id, reveal=True)
    assert "555-123-4567" in [event.payload.get("pii_text") async for event in events]
    (entry,) = (await desk.audit.list(ADMIN)).items
    assert (entry.action, entry.object) == ("call.reveal", f"call/{worker.call_id}")


async def test_unknown_calls_and_positions_are_told(desk: SupervisorDesk, worker: Worker):
    await worker.begin()
    for position in ("", "x", "-", "1", "1-x", "$"):
        with pytest.raises(InvalidRequestError, match="position"):
            await desk.live.check(VIEWER, worker.call_id, after=position)
    with pytest.raises(NotFoundError):
        await desk.live.check(VIEWER, "none")
