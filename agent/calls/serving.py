"""One call between the opening and the end of its media stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from agent.api import CallControl, CallOutcome, MediaLeg
from agent.calls.context import CallContext
from agent.calls.live_call import LiveCall, WatchedControl
from agent.errors import SessionStoreError
from agent.log import get_logger
from agent.session.lease import Lease, Leases

log = get_logger(__name__)


class CallRunner(Protocol):
    """Talks with one caller from the first word to the last."""

    async def run(self, context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        """Run the call over its media leg until either side ends it."""
        ...


@dataclass(frozen=True, slots=True)
class Serving:
    """Runs the runner for as long as the call's lease is ours, and records how it ended."""

    live: LiveCall
    leg: MediaLeg
    control: CallControl
    lease: Lease
    leases: Leases
    runner: CallRunner

    async def run(self, build: Callable[[LiveCall], CallContext]) -> CallOutcome:
        """Run the call; its end is in the journal when this returns or raises."""
        live = self.live
        try:
            context = build(live)
            await live.move(live.call.begin())
            outcome = await self._run_with_lease(context)
        except asyncio.CancelledError:
            await self._end("worker_stopped")
            raise
        except Exception:
            # One call must not take others with it; what went wrong is in the log.
            log.exception("call_failed")
            outcome = "failed"
        if outcome is None or not await self._is_ours():
            # Whoever took the call over writes its state from here on.
            log.warning("call_taken_over", epoch=self.lease.epoch)
            return "failed"
        await self._end(outcome)
        return outcome

    async def _run_with_lease(self, context: CallContext) -> CallOutcome | None:
        """The runner's outcome, or None when another worker took the call."""
        control = WatchedControl(self.control, self.live, self._is_ours)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(
                self.runner.run(context, self.leg, control), name="call.pipeline"
            )
            keeper = group.create_task(self._keep(running), name="call.lease")
            await asyncio.wait([running])
            keeper.cancel()
        return None if running.cancelled() else running.result()

    async def _keep(self, running: asyncio.Task[CallOutcome]) -> None:
        """Renew the lease. A store out of reach does not end a call; another owner does."""
        taken_over = self.live.memory.taken_over
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.leases.renew_every_s):
                    await taken_over.wait()
            if not await self._is_ours():
                running.cancel()
                return
            await self.live.keep()

    async def _is_ours(self) -> bool:
        if self.live.memory.taken_over.is_set():
            return False
        try:
            return await self.leases.renew(self.lease)
        except SessionStoreError as error:
            log.warning("lease_not_renewed", reason=str(error))
            return True

    async def _end(self, reason: str) -> None:
        live = self.live
        wish = live.intents.transfer_to
        await live.move(live.call.end(reason, transfer_to=wish), durable=True)
        log.info("call_ended", reason=reason)
