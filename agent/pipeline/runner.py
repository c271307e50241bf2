"""Runs one call from its media leg's first frame to its end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import ErrorFrame
from pipecat.pipeline.worker import PipelineWorker
from pipecat.workers.runner import WorkerRunner

from agent.api import CallControl, CallOutcome, MediaLeg
from agent.calls.context import CallContext
from agent.clock import Clock
from agent.errors import CarrierError, VitaError
from agent.log import get_logger
from agent.pipeline.builder import CallPipeline, build_pipeline
from agent.pipeline.model_server import ModelServer

log = get_logger(__name__)

_GC_DELAY_S = 1.0


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long the stages of a call may take, in seconds, and what is said at their end.

    Attributes:
        farewell_s: For the last words to be made, sent and heard before hanging up.
        disclosure_s: For the disclosure to be heard.
        carrier_s: For the carrier to hang up or transfer.
        close_s: For the leg to close.
        silent_leg_s: A leg that delivers nothing for so long is taken as gone.
        goodbye: Said when the line's longest call is over.
        not_transferred: Said when the carrier could not transfer the call.
    """

    farewell_s: float = 10.0
    disclosure_s: float = 30.0
    carrier_s: float = 10.0
    close_s: float = 2.0
    silent_leg_s: float = 60.0
    goodbye: str = "I am afraid our time is up. Thank you for calling. Goodbye."
    not_transferred: str = "I am sorry, I could not connect you."


class PipelineRunner:
    """Serves calls. One per process; calls share nothing but the model server.

    Args:
        model_url: WebSocket URL of the Realtime endpoint.
        model_api_key: Bearer token for it; empty for none.
        clock: Time of pacing, marks and journal.
        server: Everything about the model server, instead of URL and key.
        limits: Time limits and fixed phrases.
    """

    def __init__(
        self,
        model_url: str,
        model_api_key: str,
        clock: Clock,
        *,
        server: ModelServer | None = None,
        limits: CallLimits | None = None,
    ) -> None:
        self._server = server or ModelServer(model_url, model_api_key)
        self._clock = clock
        self._limits = limits or CallLimits()
        self._gc: asyncio.TimerHandle | None = None
        # What a process is made of stays; leaving it out makes a collection short enough to run
        # beside other calls.
        gc.freeze()

    async def run(self, context: CallContext, leg: MediaLeg, control: CallControl) -> CallOutcome:
        """Serve the call until either side ends it; the leg is closed then.

        Returns:
            How it ended. `failed` when no model server could be reached or a part broke: the
            carrier has to say sorry.
        """
        try:
            pipeline = build_pipeline(
                context, leg, self._clock, self._server, self._limits.silent_leg_s
            )
            return await _Call(context, leg, control, pipeline, self._limits).run()
        finally:
            self._collect_later()

    def _collect_later(self) -> None:
        """A finished pipeline consists of reference cycles that hold megabytes."""
        if self._gc is None:
            self._gc = asyncio.get_running_loop().call_later(_GC_DELAY_S, self._collect)

    def _collect(self) -> None:
        self._gc = None
        gc.collect()


class _Call:
    def __init__(
        self,
        context: CallContext,
        leg: MediaLeg,
        control: CallControl,
        pipeline: CallPipeline,
        limits: CallLimits,
    ) -> None:
        self._context = context
        self._leg = leg
        self._control = control
        self._limits = limits
        self._pipeline = pipeline
        self._observer = pipeline.parts.observer
        self._model = pipeline.model
        self._host = WorkerRunner(handle_sigint=False)
        self._leaving = False
        """The agent is ending the call, so a leg that closes is no hang-up of the caller."""
        self._leg_open = True
        self._outcome: asyncio.Future[CallOutcome] = asyncio.get_running_loop().create_future()

    async def run(self) -> CallOutcome:
        try:
            await self._run_tasks()
        except* Exception as errors:
            for error in _leaves(errors):
                if isinstance(error, VitaError):
                    self._fail(error.code, str(error))
                else:
                    log.exception("call_broke", exc_info=error)
                    self._fail("internal", repr(error))
        finally:
            await self._tidy_up()
        return self._outcome.result()

    async def _run_tasks(self) -> None:
        self._pipeline.worker.event_handler("on_pipeline_error")(self._pipeline_error)
        await self._host.add_workers(self._pipeline.worker)
        async with asyncio.TaskGroup() as group:
            pipeline, *others = [
                group.create_task(work, name=f"{name} of {self._context.call_id}")
                for name, work in self._work().items()
            ]
            await asyncio.wait([self._outcome])
            for task in others:
                task.cancel()
            await self._host.cancel()
            await asyncio.wait([pipeline])

    def _work(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Everything that runs during a call, by name; the pipeline is the first."""
        return {
            "pipeline": self._host_pipeline(),
            "ear": self._listen(),
            "mouth": self._pipeline.mouth.run(),
            "model": self._model.run(),
            "opening": self._open(),
            "intents": self._follow_intents(),
            "duration": self._watch_duration(),
        }

    async def _host_pipeline(self) -> None:
        await self._host.run()
        self._end("failed")

    async def _pipeline_error(self, _worker: PipelineWorker, frame: ErrorFrame) -> None:
        self._fail("pipeline", frame.error)

    async def _listen(self) -> None:
        await self._pipeline.ear.run()
        self._leg_open = False
        if not self._leaving:
            self._end("caller_hung_up")

    async def _open(self) -> None:
        """Disclosure, which nobody can interrupt, then greeting."""
        line = self._context.line
        if line.disclosure:
            self._model.protected = True
            await self._model.say(line.disclosure)
            await self._settled(self._limits.disclosure_s)
            self._model.protected = False
        await self._model.say(line.greeting)

    async def _follow_intents(self) -> None:
        """Do what tools asked for once the caller has heard what the agent says about it."""
        intents = self._context.intents
        while True:
            await intents.changed.wait()
            intents.changed.clear()
            self._model.protected = True
            await self._settled(self._limits.farewell_s)
            if intents.hang_up:
                await self._hang_up()
            elif intents.transfer_to:
                await self._transfer(intents.transfer_to, intents.reason)
                intents.transfer_to = ""
            self._model.protected = False

    async def _watch_duration(self) -> None:
        await asyncio.sleep(self._context.line.max_duration_s)
        log.info("longest_call_reached", seconds=self._context.line.max_duration_s)
        self._model.protected = True
        await self._model.stop_talking()
        await self._model.say(self._limits.goodbye)
        await self._settled(self._limits.farewell_s)
        await self._hang_up()

    async def _settled(self, limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await self._model.settled()
        except TimeoutError:
            log.warning("not_heard_in_time", seconds=limit_s)

    async def _hang_up(self) -> None:
        """The leg is closed in any case, which makes the carrier ask for the next step."""
        self._leaving = True
        try:
            async with asyncio.timeout(self._limits.carrier_s):
                await self._control.hang_up()
        except (CarrierError, TimeoutError) as error:
            self._observer.fault("carrier", f"hang-up refused: {error}")
        self._end("agent_ended")

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
                self._end("caller_hung_up")
            await self._model.say(self._limits.not_transferred)
        else:
            self._observer.transfer(target, reason)
            self._end("transferred")

    def _end(self, outcome: CallOutcome) -> None:
        """The first reason to end the call is the one that counts."""
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    def _fail(self, code: str, message: str) -> None:
        self._observer.fault(code, message)
        self._end("failed")

    async def _tidy_up(self) -> None:
        parts = self._pipeline.parts
        for reply in parts.playback.cut(parts.time.now()):
            self._observer.reply_over(reply, interrupted=True)
        if parts.recorder is not None:
            recording = await parts.recorder.close()
            if recording is not None:
                self._observer.recording(recording)
        try:
            async with asyncio.timeout(self._limits.close_s):
                await self._leg.close()
        except TimeoutError:
            log.warning("leg_not_closed_in_time")


def _leaves(errors: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in errors.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
