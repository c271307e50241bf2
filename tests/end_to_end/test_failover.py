"""kill -9 of a worker during two calls, and what the callers, the carrier and the log see of it."""

from __future__ import annotations

import hashlib
import signal
import wave
from itertools import pairwise
from pathlib import Path

import pytest

from agent.pipeline.limits import CallLimits
from agent.store.journal import EVENTS_PER_EPOCH
from tests.end_to_end.failover import Scene, scene

pytestmark = pytest.mark.end_to_end

BACK = CallLimits().back


def replayed(there: Scene, line: str) -> list[tuple[str, str]]:
    """What the model was told at the beginning of a call's second session."""
    script = there.talk if line == "talk" else there.pay
    items = [event["item"] for event in script.received("conversation.item.create", session=1)]
    return [
        (
            item["type"],
            item["content"][0]["text"]
            if item["type"] == "message"
            else item.get("arguments", item.get("output", "")),
        )
        for item in items
    ]


async def test_callers_of_a_killed_worker_are_with_another_one_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as there:
        await there.calls_under_way()
        there.kill(there.workers[0])
        await there.calls_taken_up()
        await there.calls_go_on()
        silences = there.silences_ms()
        await there.until(lambda: there.rows("SELECT count(*) FROM recordings")[0] == (2,))
        await there.workers[1].stop()

        _the_model_was_told_everything(there)
        _the_log_is_whole(there)
        _both_recordings_can_be_played(there)
    # No time is promised here: this machine may be busy. How long it takes is measured by
    # `python -m tests.end_to_end.failover`.
    assert len(silences) == 2
    assert there.charges == 1


async def test_a_worker_that_was_frozen_leaves_the_calls_to_the_one_that_has_them(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as there:
        frozen, other = there.workers
        await there.calls_under_way()
        there.kill(frozen, signal.SIGSTOP)
        there.front.backends = [other.port]  # a balancer's health check would find out
        await there.front.drop_all()
        await there.calls_taken_up()
        frozen.signal(signal.SIGCONT)
        there.let_tools_end()
        await there.until(lambda: frozen.log.read_text().count("call_taken_over") == 2)
        await there.calls_go_on()
        for worker in there.workers:
            await worker.stop()
        ended_by = there.rows(
            "SELECT state, attempt, end_reason, "
            "(SELECT count(*) FROM call_events e WHERE e.call_id = c.id AND e.kind = 'call_state' "
            "AND json_extract(e.payload, '$.state') = 'ended') FROM calls c"
        )
    assert ended_by == [("ended", 2, "caller_hung_up", 1)] * 2
    assert there.charges == 1


def _the_model_was_told_everything(there: Scene) -> None:
    assert replayed(there, "talk")[:5] == [
        ("message", "A machine speaks."),
        ("message", "Hello, this is Talk."),
        ("message", "when do you open"),
        ("message", "At nine."),
        ("message", "and on sundays"),
    ]
    kinds = [kind for kind, _ in replayed(there, "pay")]
    assert kinds[:3] == ["message", "message", "function_call"]
    answers = [text for kind, text in replayed(there, "pay") if kind == "function_call_output"]
    assert len(answers) == 2
    assert all("not known" in answer for answer in answers)


def _the_log_is_whole(there: Scene) -> None:
    calls = there.rows("SELECT state, attempt, end_reason FROM calls")
    assert calls == [("ended", 2, "caller_hung_up")] * 2
    said = there.rows(
        "SELECT pii_text FROM utterances JOIN calls ON calls.id = call_id "
        "WHERE to_number = '+15550100' ORDER BY seq"
    )
    assert [text for (text,) in said] == [
        "A machine speaks.",
        "Hello, this is Talk.",
        "when do you open",
        "At nine.",
        "and on sundays",
        BACK,
        "On Sundays we are closed.",
        "thanks",
        "You are welcome.",
    ]
    numbers: dict[tuple[str, int], list[int]] = {}
    for call_id, seq in there.rows("SELECT call_id, seq FROM call_events ORDER BY call_id, seq"):
        epoch, number = divmod(int(str(seq)), EVENTS_PER_EPOCH)
        numbers.setdefault((str(call_id), epoch), []).append(number)
    assert [all(b == a + 1 for a, b in pairwise(each)) for each in numbers.values()] == [
        True
    ] * len(numbers)
    assert all(each[0] == 0 for each in numbers.values())
    statuses = there.rows("SELECT tool_call_id, status FROM tool_invocations ORDER BY seq")
    assert dict(statuses) == {"t1": "unknown", "t2": "unknown"}


def _both_recordings_can_be_played(there: Scene) -> None:
    """The dead worker's was made whole by the living one."""
    for path, sha256, duration_ms in there.rows("SELECT path, sha256, duration_ms FROM recordings"):
        assert hashlib.sha256(Path(str(path)).read_bytes()).hexdigest() == sha256
        with wave.open(str(path)) as sound:
            assert sound.getnframes() * 1000 // 8000 == duration_ms
            assert sound.getnframes() > 8000
