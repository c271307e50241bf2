from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from agent.api import IncomingCall
from agent.calls.call import Call
from agent.calls.line import Line
from agent.errors import ConfigurationError, SessionStoreError, TokenRejectedError
from agent.session.embedded import EmbeddedValkey
from agent.session.lease import Leases
from agent.session.live import QUEUE_LENGTH, LiveFeed
from agent.session.session import CallSession, Sessions
from agent.session.store import SessionStore, call_key
from agent.session.tokens import StreamTokens
from tests.stores import redis_binary, running_redis, valkey_binary

pytestmark = pytest.mark.integration


@pytest.fixture
def session(line: Line) -> CallSession:
    incoming = IncomingCall("twilio", "CA1", "+15550100", "+15550123")
    return CallSession(incoming, line, Call(epoch=1))


async def test_a_token_opens_its_call_once(store: SessionStore):
    tokens = StreamTokens(store, 60)
    token = await tokens.issue("c1", "CA1")
    assert await tokens.claim(token, "CA1") == "c1"
    with pytest.raises(TokenRejectedError):
        await tokens.claim(token, "CA1")


async def test_of_many_claims_at_once_one_wins(store: SessionStore):
    tokens = StreamTokens(store, 60)
    token = await tokens.issue("c1", "CA1")
    claims = [tokens.claim(token, "CA1") for _ in range(50)]
    results = await asyncio.gather(*claims, return_exceptions=True)
    assert results.count("c1") == 1
    assert sum(isinstance(result, TokenRejectedError) for result in results) == 49


async def test_a_token_of_another_call_is_refused_and_gone(store: SessionStore):
    tokens = StreamTokens(store, 60)
    token = await tokens.issue("c1", "CA1")
    for carrier_call_id in ("CA2", "CA1"):
        with pytest.raises(TokenRejectedError):
            await tokens.claim(token, carrier_call_id)


async def test_a_token_expires_and_is_never_stored_itself(store: SessionStore):
    tokens = StreamTokens(store, 60)
    token = await tokens.issue("c1", "CA1")
    (key,) = await store.redis.keys("va:tok:*")
    assert token not in str(key)
    assert 0 < await store.redis.pttl(key) <= 60_000
    await store.redis.pexpire(key, 0)
    with pytest.raises(TokenRejectedError):
        await tokens.claim(token, "CA1")


async def test_the_later_lease_wins_and_the_first_learns_of_it(store: SessionStore, clock):
    first, second = Leases(store, clock, "w1"), Leases(store, clock, "w2")
    lease = await first.take("c1")
    assert await first.renew(lease)
    later = await second.take("c1")
    assert later.epoch > lease.epoch
    assert not await first.renew(lease)
    await first.release(lease)
    assert await second.is_held("c1")
    await second.release(later)
    assert not await second.is_held("c1")


async def test_an_expired_lease_is_renewed_unless_somebody_wrote_since(store: SessionStore, clock):
    leases = Leases(store, clock, "w1")
    lease = await leases.take("c1")
    await store.redis.delete(call_key("lease", "c1"))
    assert await leases.renew(lease)
    await store.redis.delete(call_key("lease", "c1"))
    assert await leases.next_epoch("c1") == lease.epoch + 1
    assert not await leases.renew(lease)


async def test_epochs_grow_even_when_redis_lost_its_data(store: SessionStore, clock):
    leases = Leases(store, clock, "w1")
    before = [await leases.next_epoch("c1") for _ in range(3)]
    await store.redis.flushall()
    clock.advance(10)
    assert await leases.next_epoch("c1") > max(before)


async def test_a_session_comes_back_as_it_was_saved(store: SessionStore, session: CallSession):
    sessions = Sessions(store)
    saved = session.at(replace(session.call, state="in_progress", transfer_to="+15550199"))
    assert await sessions.load(session.call_id) is None
    assert await sessions.save(saved)
    assert await sessions.load(session.call_id) == saved


async def test_a_worker_that_lost_its_call_cannot_write(store: SessionStore, session: CallSession):
    sessions = Sessions(store)
    later = session.at(session.call.connect(3))
    assert await sessions.save(later)
    assert not await sessions.save(session.at(session.call.connect(2).begin().end("failed")))
    assert await sessions.load(session.call_id) == later


async def test_live_events_are_read_in_order_and_continued(live: LiveFeed, clock):
    for seq in range(5):
        live.publish("c1", seq, "digit", clock.now(), {"pii_digit": str(seq)})
    await live.flush()
    first = await live.read("c1", limit=2)
    rest = await live.read("c1", after=first[-1].position)
    assert [event.seq for event in first + rest] == [0, 1, 2, 3, 4]
    assert (rest[0].kind, rest[0].at, rest[0].payload) == ("digit", clock.now(), {"pii_digit": "2"})


async def test_the_live_task_sends_what_other_threads_publish(live: LiveFeed, clock, until):
    async def arrived() -> bool:
        return bool(await live.read("c1"))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(live.run())
        await asyncio.to_thread(live.publish, "c1", 7, "digit", clock.now(), {})
        await until(arrived)
        task.cancel()


async def test_a_full_live_queue_drops_and_goes_on(live: LiveFeed, clock):
    for seq in range(QUEUE_LENGTH + 3):
        live.publish("c1", seq, "digit", clock.now(), {})
    assert live.dropped == 3


async def test_a_store_that_is_not_there_is_one_clear_error(tmp_path: Path, clock):
    store = SessionStore(f"unix://{tmp_path}/none.sock")
    with pytest.raises(SessionStoreError):
        await store.ping()
    feed = LiveFeed(store)
    feed.publish("c1", 0, "digit", clock.now(), {})
    await feed.flush()
    assert feed.dropped == 1
    await store.close()


def test_a_wrong_url_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match="VITA_REDIS_URL"):
        SessionStore("http://localhost")


async def test_a_frozen_store_is_given_up_within_the_budget(tmp_path: Path, until):
    async with EmbeddedValkey(tmp_path) as server:
        store = SessionStore(server.url, budget_s=0.25)
        pid = int((await store.redis.info("server"))["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(SessionStoreError, match="250 ms"):
                await store.ping()
        finally:
            os.kill(pid, signal.SIGCONT)

        async def answers() -> bool:
            try:
                await store.ping()
            except SessionStoreError:
                return False
            return True

        await until(answers)
        await store.close()


async def test_a_second_user_of_the_embedded_server_leaves_it_running(tmp_path: Path):
    async with EmbeddedValkey(tmp_path) as owner:
        async with EmbeddedValkey(tmp_path) as guest:
            assert guest.url == owner.url
        store = SessionStore(owner.url, budget_s=5)
        await store.ping()
        await store.close()
    store = SessionStore(owner.url, budget_s=5)
    with pytest.raises(SessionStoreError):
        await store.ping()
    await store.close()


async def test_data_survives_an_orderly_restart(tmp_path: Path):
    for attempt in ("first", "second"):
        async with EmbeddedValkey(tmp_path) as server:
            store = SessionStore(server.url, budget_s=5)
            found = await store.redis.getset("name", attempt)
            await store.close()
    assert found == "first"


async def test_a_server_left_by_a_killed_owner_is_taken_over_and_stopped(tmp_path: Path, until):
    program = (
        "import asyncio, os, signal\n"
        "from pathlib import Path\n"
        "from agent.session.embedded import EmbeddedValkey\n"
        "async def main():\n"
        f"    async with EmbeddedValkey(Path({str(tmp_path)!r})):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    killed = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    async with EmbeddedValkey(tmp_path) as server:
        store = SessionStore(server.url, budget_s=5)
        pid = int((await store.redis.info("server"))["process_id"])
        await store.close()

    async def gone() -> bool:
        return not await asyncio.to_thread(Path(f"/proc/{pid}").exists)

    await until(gone)


async def test_a_guest_stops_the_server_of_an_owner_that_died(tmp_path: Path):
    owner = EmbeddedValkey(tmp_path)
    await owner.__aenter__()
    async with EmbeddedValkey(tmp_path) as guest:
        assert owner._lock is not None
        owner._lock.close()  # as the kernel does for a killed process
        store = SessionStore(guest.url, budget_s=5)
        await store.ping()
    with pytest.raises(SessionStoreError):
        await store.ping()
    await store.close()
    assert owner._process is not None
    assert await asyncio.to_thread(owner._process.wait, 30) == 0


async def test_an_embedded_server_that_dies_is_started_again(tmp_path: Path, until):
    async with EmbeddedValkey(tmp_path) as server, asyncio.TaskGroup() as group:
        watching = group.create_task(server.watch())
        store = SessionStore(server.url, budget_s=5)
        await store.redis.set("name", "kept")
        pid = int((await store.redis.info("server"))["process_id"])
        os.kill(pid, signal.SIGKILL)

        async def back() -> bool:
            try:
                return await store.redis.get("name") == "kept"
            except (RedisError, OSError):
                return False

        await until(back)
        assert int((await store.redis.info("server"))["process_id"]) != pid
        await store.close()
        watching.cancel()


@pytest.mark.parametrize("binary", [valkey_binary, redis_binary], ids=["valkey", "redis"])
async def test_the_first_command_after_a_restart_is_answered(
    tmp_path: Path, binary: Callable[[], Path]
):
    with running_redis(tmp_path, binary()) as server:
        store = SessionStore(server.url, budget_s=5)
        await asyncio.gather(*(store.ping() for _ in range(5)))
        server.kill()
        with pytest.raises(SessionStoreError):
            await store.ping()
        server.start()
        await asyncio.gather(*(store.ping() for _ in range(5)))
        with server.frozen(), pytest.raises(SessionStoreError, match="did not answer"):
            await store.within_budget(asyncio.wait_for(store.redis.ping(), 0.2))
        await asyncio.gather(*(store.ping() for _ in range(5)))
        await store.close()


async def test_a_deep_data_folder_still_gets_a_socket(tmp_path: Path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    async with EmbeddedValkey(deep) as server:
        assert len(server.url) < 110
        store = SessionStore(server.url, budget_s=5)
        await store.ping()
        await store.close()
