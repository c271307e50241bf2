"""Which lanes may run beside each other."""

from __future__ import annotations

import threading

import pytest

from vita_model.engine.scheduler import NORMAL, URGENT, Scheduler

pytestmark = pytest.mark.unit

LIMIT_S = 10.0
"""Far longer than a thread takes to begin."""


class Once:
    """A lane with one step, which goes on until it is let go."""

    def __init__(self, urgency: int) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self._urgency: int | None = urgency

    def urgency(self) -> int | None:
        return self._urgency

    def step(self) -> None:
        self.begun.set()
        self.go.wait(LIMIT_S)
        self._urgency = None

    def fail(self, error: BaseException) -> None:
        del error


@pytest.mark.parametrize("alone", [True, False])
def test_what_is_urgent_can_have_the_workers_for_itself(alone: bool) -> None:
    urgent, other = Once(URGENT), Once(NORMAL)
    scheduler = Scheduler([other, urgent], 2, urgent_alone=alone)
    try:
        assert urgent.begun.wait(LIMIT_S)
        assert other.begun.wait(0.2 if alone else LIMIT_S) is not alone
        urgent.go.set()
        assert other.begun.wait(LIMIT_S)
    finally:
        urgent.go.set()
        other.go.set()
        scheduler.close()
