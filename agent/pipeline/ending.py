"""How a call ends: hung up or handed over after the last words were heard, or given up."""

from __future__ import annotations

import asyncio

from agent.api import CallControl, CallOutcome
from agent.calls.context import CallContext
from agent.errors import CarrierError
from agent.log import get_logger
from agent.pipeline.announcer import Announcer
from agent.pipeline.clips import APOLOGY, GOODBYE
from agent.pipeline.limits import CallLimits
from agent.pipeline.observer import CallObserver

log = get_logger(__name__)


class Ending:
    """Ends one call, once. The first reason is the one that counts."""

    def __init__(
        self,
        context: CallContext,
        control: CallControl,
        announcer: Announcer,
        observer: CallObserver,
        limits: CallLimits,
    ) -> None:
        self._context = context
        self._control = control
        self._announcer = announcer
        self._observer = observer
        self._limits = limits
        self._leaving = False
        """The agent is ending the call, so a leg that closes is no hang-up of the caller."""
        self._leg_open = True
        self.outcome: asyncio.Future[CallOutcome] = asyncio.get_running_loop().create_future()

    def end(self, outcome: CallOutcome) -> None:
        """The call is over."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def fail(self, code: str, message: str) -> None:
        """Something broke that the call cannot go on without."""
        self._observer.fault(code, message)
        self.end("failed")

    def leg_closed(self) -> None:
        """The media leg delivers no more."""
        self._leg_open = False
        if not self._leaving:
            self.end("caller_hung_up")

    async def follow_intents(self) -> None:
        """Do what tools asked for once the caller has heard what the agent says about it."""
        intents = self._context.intents
        while True:
            await intents.changed.wait()
            intents.changed.clear()
            if intents.do_not_call:
                intents.do_not_call = False
                self._observer.do_not_call(self._context.caller_number)
            if not (intents.hang_up or intents.transfer_to):
                continue
            with self._announcer.undisturbed():
                if intents.last_words:  # a machine records from now on: nothing else belongs there
                    await self._announcer.cut_short()
                    await self.say_goodbye(intents.last_words, intents.reason)
                    return
                await self._announcer.let_finish(self._limits.farewell_s)
                if intents.hang_up:
                    await self.hang_up(intents.reason)
                elif intents.transfer_to:
                    await self._transfer(intents.transfer_to, intents.reason)
                    intents.transfer_to = ""

    async def watch_duration(self) -> None:
        """Say goodbye and hang up when the line's longest call is over."""
        limit_s = self._context.line.max_duration_s
        await asyncio.sleep(limit_s)
        log.info("longest_call_reached", seconds=limit_s)
        limits = self._limits
        await self._announcer.announce_surely(
            limits.goodbye, GOODBYE, limits.farewell_s, limits.mute_s
        )
        await self.hang_up("longest call")

    async def apologise(self) -> None:
        """The model will say nothing more."""
        await self._announcer.play_alone(APOLOGY, self._limits.farewell_s)

    async def say_goodbye(self, text: str, reason: str) -> None:
        """Say last words, then hang up."""
        await self._announcer.announce(text, self._limits.farewell_s)
        await self.hang_up(reason)

    async def hang_up(self, reason: str) -> None:
        """The leg is closed in any case, which makes the carrier ask for the next step."""
        self._leaving = True
        try:
            async with asyncio.timeout(self._limits.carrier_s):
                await self._control.hang_up()
        except (CarrierError, TimeoutError) as error:
            self._observer.fault("carrier", f"hang-up refused: {error}")
        self._observer.hung_up(reason)
        self.end("agent_ended")

    async def _transfer(self, target: str, reason: str) -> None:
        """The call goes on when the carrier refuses."""
        self._leaving = True
        try:
            async with asyncio.timeout(self._limits.carrier_s):
                await self._control.transfer(target)
        except (CarrierError, TimeoutError) as error:
            self._leaving = False
            self._observer.fault("carrier", f"transfer refused: {error}")
            if not self._leg_open:
                self.end("caller_hung_up")
            await self._announcer.say(self._limits.not_transferred)
        else:
            self._observer.transfer(target, reason)
            self.end("transferred")
