"""Who gets a session: slots, keys' limits, memory, and an engine that stands still."""

from __future__ import annotations

import pytest

from vita_model.engine.voice import EngineStats
from vita_model.serving.keys import Key, KeyRing, digest_of, new_secret, plain_key
from vita_model.serving.memory import FIRST_GUESS, Memory, MemoryPlanner, read_memory
from vita_model.serving.slots import Refusal, Slots
from vita_model.serving.watchdog import StillnessRule

pytestmark = pytest.mark.unit

MIB = 1 << 20


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def reason(refusal: Refusal | None) -> str | None:
    return None if refusal is None else refusal.reason


def test_a_key_holds_no_more_sessions_than_its_own_and_others_are_not_hurt() -> None:
    slots = Slots(8, lambda _: True, Clock())
    small, large = Key("small", "0" * 64, sessions=2), Key("large", "1" * 64)
    assert [reason(slots.take(small)) for _ in range(3)] == [None, None, "key_sessions"]
    assert slots.take(large) is None
    slots.give_back(small)
    assert slots.take(small) is None
    assert slots.active == 3


def test_a_key_opens_no_more_sessions_a_minute_than_it_may() -> None:
    clock = Clock()
    slots = Slots(8, lambda _: True, clock)
    key = Key("k", "0" * 64, per_minute=2)
    for _ in range(2):
        assert slots.take(key) is None
        slots.give_back(key)
        clock.now += 20
    refusal = slots.take(key)
    assert refusal is not None
    assert (refusal.reason, refusal.status, refusal.retry_after_s) == ("key_rate", 429, 21)
    clock.now += 20
    assert slots.take(key) is None


def test_what_the_server_cannot_do_is_told_as_503() -> None:
    slots = Slots(1, lambda _: True, Clock())
    assert slots.take(None) is None
    full = slots.take(None)
    assert full is not None
    assert (full.reason, full.status) == ("full", 503)
    slots.closed = "draining"
    assert reason(slots.take(None)) == "draining"
    slots.give_back(None)
    assert slots.empty.is_set()


def test_a_ring_knows_each_of_several_keys_and_no_other() -> None:
    old, new = new_secret(), new_secret()
    ring = KeyRing([plain_key("old", old), plain_key("new", new)])
    assert [key and key.name for key in map(ring.find, ([old], [new], ["x", new], [], [""]))] == [
        "old",
        "new",
        "new",
        None,
        None,
    ]
    assert ring.find([digest_of(old)]) is None
    assert old not in repr(ring.find([old]))


class Machine:
    """Memory as a test wants it."""

    def __init__(self, used: int, limit: int) -> None:
        self.used, self.limit = used, limit

    def __call__(self) -> Memory:
        return Memory(self.used, self.limit, self.limit - self.used)


def test_sessions_are_refused_before_the_memory_runs_out() -> None:
    machine = Machine(800 * MIB, 1000 * MIB)
    planner = MemoryPlanner(machine)
    fits = [n for n in range(1, 20) if planner.has_room(n)]
    assert fits == [1, 2, 3, 4]  # 32 MiB each by the first guess, 50 MiB stay free
    assert planner.per_session == FIRST_GUESS


def test_what_sessions_take_is_learnt_and_forgotten_with_them() -> None:
    machine = Machine(500 * MIB, 1000 * MIB)
    planner = MemoryPlanner(machine)
    assert planner.has_room(3)
    machine.used += 320 * MIB  # two sessions have grown by 160 MiB each
    assert not planner.has_room(3)
    assert planner.per_session == 160 * MIB
    assert planner.has_room(1)  # both have gone; what is still held belongs to nobody
    assert planner.per_session == FIRST_GUESS


def test_a_session_that_has_not_grown_yet_counts_with_all_it_will_need() -> None:
    machine = Machine(500 * MIB, 1000 * MIB)
    planner = MemoryPlanner(machine, needs=lambda: 200 * MIB)
    assert [planner.has_room(n) for n in (1, 2, 3)] == [True, True, False]


def test_this_machine_tells_its_memory() -> None:
    memory = read_memory()
    if memory is not None:
        assert 10 * MIB < memory.used < memory.limit
        small = read_memory(memory.used + MIB)
        assert small is not None
        assert small.free <= MIB
    assert MemoryPlanner(lambda: None).has_room(1000)


def still(*looks: EngineStats) -> list[bool]:
    rule = StillnessRule(3)
    return [rule.stuck(look) for look in looks]


def test_a_step_that_does_not_end_is_noticed() -> None:
    looks = [EngineStats(step_s=seconds) for seconds in (0.5, 1.5, 2.5, 3.5)]
    assert still(*looks) == [False, False, False, True]


def test_work_that_nobody_begins_is_noticed() -> None:
    assert still(*[EngineStats(waiting=1)] * 3)[-1]


def test_a_busy_or_idle_engine_or_a_stopped_process_is_not_stuck() -> None:
    busy = [EngineStats(step_s=seconds, waiting=9) for seconds in (0.4, 0.3, 0.4, 0.4, 0.2, 0.1)]
    assert not any(still(*busy, *busy))
    assert not any(still(*[EngineStats()] * 9))
    paused = [EngineStats(step_s=seconds) for seconds in (0.1, 3600.0, 0.1, 3600.0, 0.2)]
    assert not any(still(*paused))
