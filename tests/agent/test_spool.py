from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.calls.repository import CallRecord, CallRepository
from agent.session.live import LiveFeed
from agent.store import migrate
from agent.store.engine import Database
from agent.store.journal import CallJournal
from agent.store.shipper import Shipper
from agent.store.spool import Spool, SpooledEvent, SpoolError

pytestmark = pytest.mark.integration

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
STILL = {
    "path": "a.jpg",
    "sha256": "1",
    "bytes": 9000,
    "width": 640,
    "height": 480,
    "at_ms": 1200,
}


def event(seq: int, kind: str, payload: dict[str, Any], call_id: str = "c1") -> SpooledEvent:
    return SpooledEvent(call_id, seq, AT, kind, payload)


def admitted(seq: int = 0) -> SpooledEvent:
    return event(
        seq,
        "call_admitted",
        {
            "carrier": "twilio",
            "carrier_call_id": "CA1",
            "direction": "inbound",
            "to": "+15550100",
            "pii_from": "+15550123",
            "line_version": "v1",
            "line": {"business": "Shop"},
        },
    )


def state(seq: int, name: str, reason: str = "") -> SpooledEvent:
    return event(seq, "call_state", {"state": name, "attempt": 1, "reason": reason})


async def shipped(spool: Spool, database: Database, *events: SpooledEvent) -> CallRecord:
    for each in events:
        spool.append(each)
    await Shipper(spool, database).drain()
    record = await CallRepository(database).get_call("c1")
    assert record is not None
    return record


async def test_events_become_a_call_with_its_parts_in_order(spool: Spool, database: Database):
    record = await shipped(
        spool,
        database,
        admitted(),
        state(1, "connected"),
        event(2, "utterance", {"role": "caller", "pii_text": "hi", "start_ms": 0, "end_ms": 500}),
        event(
            3,
            "tool_intent",
            {
                "tool_call_id": "t1",
                "tool": "lookup_order",
                "pii_arguments": "{}",
                "idempotency_key": "k",
            },
        ),
        event(
            4,
            "tool_result",
            {
                "tool_call_id": "t1",
                "tool": "lookup_order",
                "status": "ok",
                "pii_result": "{}",
                "duration_ms": 12,
            },
        ),
        event(
            5,
            "utterance",
            {
                "role": "agent",
                "pii_text": "hello there",
                "start_ms": 600,
                "end_ms": 900,
                "pii_heard": "hello",
                "interrupted": True,
            },
        ),
        event(6, "recording", {"path": "a.wav", "sha256": "0", "bytes": 44, "duration_ms": 900}),
        event(7, "still", STILL),
        state(8, "ended", "caller_hung_up"),
    )
    call = record.call
    assert (call.business, call.state, call.end_reason) == ("Shop", "ended", "caller_hung_up")
    assert (call.started_at, call.answered_at, call.ended_at) == (AT, AT, AT)
    assert record.line is not None
    assert record.line.snapshot == {"business": "Shop"}
    assert [each.seq for each in record.events] == list(range(9))
    assert [(each.role, each.pii_text, each.pii_heard) for each in record.utterances] == [
        ("caller", "hi", None),
        ("agent", "hello there", "hello"),
    ]
    assert [(each.status, each.duration_ms) for each in record.tools] == [("ok", 12)]
    assert [each.path for each in record.recordings] == ["a.wav"]
    assert [(each.path, each.at_ms) for each in record.stills] == [("a.jpg", 1200)]
    assert spool.counts() == (0, 0)


async def test_shipping_the_same_events_again_changes_nothing(spool: Spool, database: Database):
    events = (admitted(), state(1, "connected"), state(2, "ended", "agent_ended"))
    await shipped(spool, database, *events)
    record = await shipped(spool, database, *events)
    assert len(record.events) == 3
    assert (record.call.state, record.call.end_reason) == ("ended", "agent_ended")


async def test_the_state_with_the_highest_number_holds_whatever_comes_first(
    spool: Spool, database: Database
):
    ended, connected = state(9, "ended", "agent_ended"), state(2, "connected")
    record = await shipped(spool, database, ended, connected, admitted())
    assert (record.call.state, record.call.end_reason) == ("ended", "agent_ended")
    assert record.call.carrier_call_id == "CA1"


async def test_a_resumed_call_is_no_longer_ended(spool: Spool, database: Database):
    record = await shipped(
        spool,
        database,
        admitted(),
        state(1, "connected"),
        state(2, "ended", "worker_stopped"),
        state(3, "connected"),
    )
    assert (record.call.state, record.call.ended_at, record.call.end_reason) == (
        "connected",
        None,
        "",
    )


async def test_an_event_of_the_wrong_shape_is_kept_and_stops_nothing(
    spool: Spool, database: Database
):
    wrong = event(1, "utterance", {"role": "caller"})
    record = await shipped(spool, database, admitted(), wrong, state(2, "connected"))
    assert len(record.events) == 3
    assert (record.utterances, record.call.state) == ([], "connected")


@pytest.mark.parametrize("refused", [{"duration_ms": 2**63}, {"pii_result": "\ud800"}])
async def test_an_event_the_database_refuses_is_set_aside_alone(
    spool: Spool, database: Database, refused: dict[str, Any]
):
    result = {"tool_call_id": "t", "tool": "x", "status": "ok", "pii_result": "", "duration_ms": 1}
    poison = event(1, "tool_result", result | refused)
    record = await shipped(spool, database, admitted(), poison, state(2, "connected"))
    assert [each.seq for each in record.events] == [0, 2]
    assert spool.counts() == (0, 1)


async def test_nothing_is_lost_while_the_database_is_away(spool: Spool, tmp_path: Path, until):
    database = Database(f"sqlite:///{tmp_path / 'later.db'}")
    shipper = Shipper(spool, database)
    running = asyncio.get_running_loop().create_task(shipper.run())
    spool.append(admitted())
    assert not await Shipper(spool, database).stop(5)
    await asyncio.to_thread(migrate.upgrade, database.url)

    async def delivered() -> bool:
        return spool.counts() == (0, 0)

    await until(delivered)
    assert await CallRepository(database).get_call("c1")
    assert await shipper.stop(5)
    await running
    await database.close()


async def test_a_killed_workers_events_are_delivered_by_the_next(
    tmp_path: Path, database: Database
):
    folder = tmp_path / "spool"
    program = (
        "import os, signal, json\n"
        "from datetime import datetime, UTC\n"
        "from pathlib import Path\n"
        "from agent.store.spool import Spool, SpooledEvent\n"
        f"spool = Spool.claim(Path({str(folder)!r}))\n"
        f"payload = json.loads({json.dumps(json.dumps(dict(admitted().payload)))})\n"
        "at = datetime.now(UTC)\n"
        "spool.append(SpooledEvent('c1', 0, at, 'call_admitted', payload))\n"
        "state = {'state': 'connected', 'attempt': 1, 'reason': ''}\n"
        "spool.append(SpooledEvent('c1', 1, at, 'call_state', state), durable=True)\n"
        "spool.append(SpooledEvent('c1', 2, at, 'digit', {'pii_digit': '1'}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    spool = Spool.claim(folder)
    record = await shipped(spool, database)
    assert [each.kind for each in record.events] == ["call_admitted", "call_state", "digit"]
    assert record.call.state == "connected"
    spool.close()


def test_two_workers_have_two_spools_and_orphans_are_found(tmp_path: Path):
    first, second = Spool.claim(tmp_path), Spool.claim(tmp_path)
    assert first.path != second.path
    assert Spool.claim_orphans(tmp_path) == []
    second.append(admitted())
    second.close()
    (orphan,) = Spool.claim_orphans(tmp_path)
    assert orphan.path == second.path
    assert [each.kind for each in orphan.read(10)] == ["call_admitted"]
    orphan.close()
    first.close()


def test_what_is_read_back_is_what_was_appended(spool: Spool):
    spool.append(event(3, "utterance", {"pii_text": "größer ☞"}))
    (found,) = spool.read(10)
    assert found.payload == {"pii_text": "größer ☞"}
    assert (found.call_id, found.seq, found.at) == ("c1", 3, AT)


def test_durable_and_quick_appends_keep_their_order(spool: Spool):
    for seq in range(20):
        spool.append(event(seq, "digit", {}), durable=seq % 3 == 0)
    assert [each.seq for each in spool.read(100)] == list(range(20))


def broken(spool: Spool) -> None:
    with sqlite3.connect(spool.path) as db:
        db.execute("DROP TABLE events")


async def test_a_full_disk_fails_what_must_be_durable_only(spool: Spool, live: LiveFeed, clock):
    journal = CallJournal("c1", 1, spool=spool, live=live, clock=clock)
    broken(spool)
    journal.record("digit", {"pii_digit": "1"})
    with pytest.raises(SpoolError):
        journal.record("digit", {"pii_digit": "2"}, durable=True)


async def test_a_later_writers_numbers_are_higher(spool: Spool, live: LiveFeed, clock):
    first = CallJournal("c1", 4, spool=spool, live=live, clock=clock)
    second = CallJournal("c1", 5, spool=spool, live=live, clock=clock)
    later = second.record("digit", {})
    assert first.record("digit", {}) + 1 == first.record("digit", {}) < later


async def test_a_journal_is_seen_live(spool: Spool, live: LiveFeed, clock):
    CallJournal("c1", 1, spool=spool, live=live, clock=clock).record("digit", {"pii_digit": "5"})
    await live.flush()
    assert [each.payload for each in await live.read("c1")] == [{"pii_digit": "5"}]


async def test_a_journal_refuses_an_unknown_kind(spool: Spool, live: LiveFeed, clock):
    with pytest.raises(ValueError, match="dance"):
        CallJournal("c1", 1, spool=spool, live=live, clock=clock).record("dance", {})
