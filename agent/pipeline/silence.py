"""Nobody hears silence for long: the caller is told to wait, or asked whether they are there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Literal

from agent.calls.line import Line
from agent.log import get_logger
from agent.pipeline.announcer import Announcer
from agent.pipeline.builder import CallPipeline
from agent.pipeline.clips import HOLD
from agent.pipeline.ending import Ending
from agent.pipeline.limits import CallLimits
from agent.pipeline.presence import CallerPresence

log = get_logger(__name__)

TICK_S: Final = 0.25

Act = Literal["hold", "reprompt", "give_up"]


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stand at one moment.

    Attributes:
        now: Monotonic seconds.
        owed: The agent owes the caller an answer.
        audible: The caller hears the agent.
        busy: The call is being opened, handed over or ended: nobody is asked anything.
    """

    now: float
    owed: bool
    audible: bool
    busy: bool = False


class SilenceRules:
    """When to break which silence. Pure: told how things stand, again and again.

    Args:
        hold_after_s: An agent that owes an answer and is silent so long asks for a moment.
        hold_every_s: And again after so long.
        reprompt_after_s: A caller who is silent so long is asked; 0 for never.
        reprompts: So many times in a row; then the call is given up.
        now: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        hold_after_s: float,
        hold_every_s: float,
        reprompt_after_s: float,
        reprompts: int,
        now: float,
    ) -> None:
        self._hold_s = (hold_after_s, hold_every_s)
        self._reprompt_after_s = reprompt_after_s
        self._reprompts = reprompts
        self._agent_at = now
        self._caller_at = now
        self._held = False
        self._asked = 0
        self._sounds = self._words = 0

    def notice(self, caller: CallerPresence, now: float) -> None:
        """What is heard of the caller. Noise is a sign of life, but answers nothing."""
        if caller.words != self._words:
            self._asked = 0
        if caller.speaking or (caller.sounds, caller.words) != (self._sounds, self._words):
            self._caller_at = now
        self._sounds, self._words = caller.sounds, caller.words

    def act(self, moment: Moment) -> Act | None:
        """What to do now; what is returned counts as done."""
        if moment.audible:
            self._agent_at = self._caller_at = moment.now
            return None
        if moment.owed:
            self._caller_at = moment.now
            return self._hold(moment.now)
        self._agent_at, self._held = moment.now, False
        if moment.busy:
            self._caller_at = moment.now
        return self._ask(moment.now)

    def _hold(self, now: float) -> Act | None:
        if now - self._agent_at < self._hold_s[self._held]:
            return None
        self._agent_at, self._held = now, True
        return "hold"

    def _ask(self, now: float) -> Act | None:
        if not self._reprompt_after_s or now - self._caller_at < self._reprompt_after_s:
            return None
        self._caller_at = now
        self._asked += 1
        return "reprompt" if self._asked <= self._reprompts else "give_up"


class SilenceWatch:
    """Watches one call and breaks its silences."""

    def __init__(
        self,
        line: Line,
        pipeline: CallPipeline,
        announcer: Announcer,
        ending: Ending,
        limits: CallLimits,
    ) -> None:
        self._line = line
        self._model = pipeline.model
        self._observer = pipeline.parts.observer
        self._time = pipeline.parts.time
        self._announcer = announcer
        self._ending = ending
        self._limits = limits

    async def run(self) -> None:
        """Watch until the call is given up."""
        rules = SilenceRules(
            hold_after_s=self._limits.hold_after_s,
            hold_every_s=self._limits.hold_every_s,
            reprompt_after_s=self._line.reprompt_after_s,
            reprompts=self._line.reprompts,
            now=self._time.now(),
        )
        while True:
            await asyncio.sleep(TICK_S)
            now, model = self._time.now(), self._model
            rules.notice(model.caller, now)
            match rules.act(Moment(now, model.owes, model.audible, model.protected)):
                case "hold":
                    self._observer.silence("hold")
                    await model.play(HOLD)
                case "reprompt":
                    self._observer.silence("reprompt")
                    await self._announcer.say(self._line.reprompt_text)
                case "give_up":
                    self._observer.silence("give_up")
                    await self._ending.say_goodbye(self._limits.nobody_speaks, "silence")
                    return
                case None:
                    pass
