"""When which silence is broken: rules on a clock that is turned by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from agent.pipeline.presence import CallerPresence
from agent.pipeline.silence import Act, Moment, SilenceRules

pytestmark = pytest.mark.unit


@dataclass
class Watch:
    """Ticks four times a second; `now` begins at 100."""

    reprompt_after_s: float = 10
    reprompts: int = 2
    now: float = 100.0
    caller: CallerPresence = field(default_factory=CallerPresence)

    def __post_init__(self) -> None:
        self.rules = SilenceRules(
            hold_after_s=2.5,
            hold_every_s=8,
            reprompt_after_s=self.reprompt_after_s,
            reprompts=self.reprompts,
            now=self.now,
        )

    def pass_time(
        self, seconds: float, *, owed: bool = False, audible: bool = False, busy: bool = False
    ) -> list[tuple[float, Act]]:
        """What was done, and how many seconds from now."""
        start, acts = self.now, []
        for _ in range(int(seconds * 4)):
            self.now += 0.25
            self.rules.notice(self.caller, self.now)
            act = self.rules.act(Moment(self.now, owed, audible, busy))
            if act is not None:
                acts.append((self.now - start, act))
        return acts


def test_a_silent_caller_is_asked_so_often_and_then_given_up() -> None:
    assert Watch().pass_time(31) == [(10, "reprompt"), (20, "reprompt"), (30, "give_up")]


def test_time_counts_from_the_end_of_what_the_agent_says() -> None:
    watch = Watch()
    assert watch.pass_time(60, audible=True) == []
    assert watch.pass_time(10) == [(10, "reprompt")]
    assert watch.pass_time(5, audible=True) == []
    assert watch.pass_time(10) == [(10, "reprompt")]


def test_words_begin_the_count_anew() -> None:
    watch = Watch()
    assert len(watch.pass_time(25)) == 2
    watch.caller.said()
    assert watch.pass_time(30) == [
        (10.25, "reprompt"),
        (20.25, "reprompt"),
    ]


def test_noise_gives_time_but_answers_nothing() -> None:
    watch = Watch(reprompts=1)
    assert watch.pass_time(10) == [(10, "reprompt")]
    watch.pass_time(5)
    watch.caller.began()
    assert watch.pass_time(60) == [], "a sound that goes on is no silence"
    watch.caller.stopped()
    assert watch.pass_time(11) == [(10.25, "give_up")]


def test_a_line_may_leave_callers_in_peace() -> None:
    assert Watch(reprompt_after_s=0).pass_time(3600) == []


def test_nobody_is_asked_while_the_call_is_being_handed_over() -> None:
    watch = Watch()
    assert watch.pass_time(60, busy=True) == []
    assert watch.pass_time(10) == [(10, "reprompt")]


def test_an_agent_that_owes_an_answer_asks_for_a_moment_and_again() -> None:
    watch = Watch()
    watch.pass_time(5)
    assert watch.pass_time(20, owed=True) == [(2.5, "hold"), (10.5, "hold"), (18.5, "hold")]


def test_what_the_caller_hears_is_no_dead_air() -> None:
    watch = Watch()
    assert watch.pass_time(2, owed=True) == []
    assert watch.pass_time(9, owed=True, audible=True) == []
    assert watch.pass_time(2.5, owed=True) == [(2.5, "hold")]


def test_every_answer_is_waited_for_anew() -> None:
    watch = Watch()
    assert watch.pass_time(3, owed=True) == [(2.5, "hold")]
    watch.pass_time(1)
    assert watch.pass_time(3, owed=True) == [(2.5, "hold")]


def test_a_caller_who_waits_is_not_asked_whether_they_are_there() -> None:
    watch = Watch()
    assert {act for _, act in watch.pass_time(60, owed=True)} == {"hold"}
    assert watch.pass_time(10) == [(10, "reprompt")]
