"""One call while this process serves it: every move goes to its journal and its session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agent.api import CallControl
from agent.calls.call import Call
from agent.calls.context import CallIntents, Journal
from agent.errors import CarrierError, SessionStoreError
from agent.log import get_logger
from agent.session.conversation import KeptMemory
from agent.session.session import CallSession, Sessions

log = get_logger(__name__)

LAST_SAVES = 3
SAVE_AGAIN_S = 0.3
"""The end of a call is worth more than one try: without it another worker would write one."""


@dataclass(slots=True)
class LiveCall:
    """A call under way. The journal is the truth; a session that cannot be saved is only stale."""

    session: CallSession
    journal: Journal
    sessions: Sessions
    memory: KeptMemory
    intents: CallIntents = field(default_factory=CallIntents)

    @property
    def call(self) -> Call:
        """Where the call stands."""
        return self.session.call

    async def move(self, call: Call, *, durable: bool = False) -> None:
        """Let the call stand at `call`."""
        self.session = self.session.at(call)
        self.journal.record(
            "call_state",
            {"state": call.state, "attempt": call.attempt, "reason": call.reason},
            durable=durable,
        )
        await self._save(tries=LAST_SAVES if call.over else 1)

    async def keep(self) -> None:
        """Write everything another worker needs once more: Redis may have lost it."""
        await self._save()
        self.memory.keep_again()

    async def _save(self, *, tries: int = 1) -> None:
        for left in reversed(range(tries)):
            try:
                await self.sessions.save(self.session)
            except SessionStoreError as error:
                log.warning("session_not_saved", state=self.call.state, reason=str(error))
                await asyncio.sleep(SAVE_AGAIN_S if left else 0)
            else:
                return


class WatchedControl:
    """A carrier's control of a call that keeps the call's state in step.

    A worker that has lost the call may no longer act on it: the caller is with another one.
    """

    def __init__(
        self, control: CallControl, live: LiveCall, is_ours: Callable[[], Awaitable[bool]]
    ) -> None:
        self._control = control
        self._live = live
        self._is_ours = is_ours

    async def hang_up(self) -> None:
        """End the call at the carrier."""
        await self._check()
        await self._control.hang_up()

    async def transfer(self, target: str) -> None:
        """Connect the caller to `target`; a refusal leaves the call with the agent."""
        await self._check()
        live = self._live
        await live.move(live.call.transfer(target))
        try:
            await self._control.transfer(target)
        except CarrierError:
            await live.move(live.call.transfer_refused())
            raise

    async def _check(self) -> None:
        if not await self._is_ours():
            raise CarrierError("Another worker serves this call by now.")
